"""The page Glossary: the words of the field as these pages use them, each where a link leads."""

from __future__ import annotations

import streamlit as st

from workbench.app.page import guarded, styled

TERMS: dict[str, str] = {
    "task": "What the robot is rewarded for: one speed, one direction, one place. A *family* is "
    "one robot with many tasks; a *test task* is one that the transformer never saw in training.",
    "trajectory": "One recorded episode: a row per step with what the robot saw (observation), "
    "did (action) and earned (reward).",
    "demonstrations": "The few trajectories of a test task that there are: *expert*, *medium* (a "
    "half-trained policy) or *random* (one that never learned).",
    "return": "The sum of all rewards of an episode. Higher is better.",
    "return-to-go": "At a step, the rewards that are still to be earned. The transformer is asked "
    "for a return and told what is left of it.",
    "prompt": "A short piece of a trajectory, K\\* rows, that stands before what the robot sees. "
    "It tells the transformer which task is meant.",
    "untuned prompt": "A slice of one of the demonstrations, as it is. Nothing is optimised.",
    "frozen transformer": "Prompt-DT, a Decision Transformer trained on other tasks of the robot. "
    "Its weights never change here; a prompt is all that adapts it.",
    "diffuser": "A small network that makes a prompt out of noise, in N steps. Prompt Diffuser "
    "tunes it, not the prompt itself.",
    "told the task": "A diffuser whose condition holds the rewards that the demonstrations earned, "
    "and so the task. It makes a right prompt before any update.",
    "diffusion step": "One of the N steps in which noise is taken away. Not a step of the robot.",
    "L_DM": "The diffusion loss: prompts should look like the data (Eq. 6).",
    "L_DT": "The downstream loss: with this prompt the frozen transformer should act as in the "
    "demonstrations (Eq. 7).",
    "critic": "A network that says what an action is worth: the discounted rewards that follow it. "
    "It is trained on other tasks, and told this one by the demonstrations' rewards.",
    "guidance by value": "The critic's word beside L_DT, weighted by η: actions should be worth "
    "more, not only be like the demonstrations'.",
    "projection": "Where the gradients of the two losses fight, the part of L_DT's gradient that "
    "would undo L_DM's is taken away (Eq. 8 and 9).",
    "λ": "The weight of the downstream gradient: ∇L = ∇L_DM + λ Proj(∇L_DT). 0 only looks like "
    "the data; the paper uses 1.",
    "bandit": "Trying several prompts in the task itself, and the better ones more often, to find "
    "the best of them. It costs episodes, and needs no gradient.",
    "update": "One optimisation step of a tuning.",
    "seed": "Draws the noise and the order of the data. The same seed gives the same run; "
    "several seeds give an interval.",
    "paired interval": "A 95 % interval of the mean difference of two runs over the same episodes "
    "(or seeds and tasks). Where it leaves out 0, the difference is clear.",
    "IQM": "Interquartile mean: the mean of the middle half of all runs, which single outliers "
    "do not move.",
    "standard deviation (sd)": "The unit of most pictures of a prompt: how far a number is from "
    "the mean of the training data, by how much it varies there.",
}
"""Word → what it means, in the order in which one meets them."""


def anchor(term: str) -> str:
    """Return the place of a term in the page's address."""
    kept = "".join(c if c.isalnum() else "-" for c in term.lower())
    return "-".join(filter(None, kept.split("-")))


def linked(term: str, words: str = "") -> str:
    """Return a Markdown link to a term.

    Args:
        term: One of ``TERMS``.
        words: What the link says, if not the term itself.
    """
    assert term in TERMS
    return f"[{words or term}](./glossary#{anchor(term)})"


@guarded
def page() -> None:
    """Draw the page."""
    styled()
    st.header("Glossary")
    st.markdown("The words of these pages, in the order in which one meets them.")
    wanted = st.text_input(
        "Find a word",
        key="glossary-find",
        bind="query-params",
        placeholder="projection",
        help="Only terms whose name or meaning has these letters are listed.",
    ).casefold()
    found = {t: words for t, words in TERMS.items() if wanted in f"{t} {words}".casefold()}
    if not found:
        st.info("No term has these letters.", icon=":material/search_off:")
    for term, words in found.items():
        st.subheader(term, anchor=anchor(term))
        st.markdown(words)
