"""The sidebar of the first page: what to run. Every choice is in the URL."""

from __future__ import annotations

import streamlit as st

from workbench import assets, own
from workbench.behaviour import QUALITIES
from workbench.presets import LIVE_EPISODES, first_task
from workbench.projection import MODES
from workbench.tasks import FAMILIES, Family
from workbench.tune import RunSpec
from workbench.views import goal_words

LAMBDAS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)
_QUALITY_WORDS = {
    "expert": "five runs of an expert",
    "medium": "five runs of a half-trained or noisy policy",
    "random": "five runs of a policy that never learned",
}


def choose_run() -> RunSpec:
    """Draw the sidebar's controls and return the run they ask for."""
    bar = st.sidebar
    bar.header("Set up a run")
    family = _choose_family()
    # The labels of options are what stands in a shared link, so they are short and plain.
    tasks = {goal_words(task): task for task in family.tasks("test")}
    looked_at = [task.index for task in tasks.values()].index(first_task(family.name))
    wanted = bar.selectbox(
        "Task",
        list(tasks),
        index=looked_at,
        key=f"{family.name}-task",
        bind="query-params",
        help=f"What the robot should do: {family.goal_label}. {_seen(family)}",
    )
    task = tasks[wanted]
    names = own.qualities(task)
    quality = bar.segmented_control(
        "Data you have",
        (*QUALITIES, *names),
        default="medium",
        required=True,
        key=f"{task}-quality" if names else "quality",
        bind="query-params",
        help="Who recorded the runs that the prompt is tuned on: an expert, a half-trained "
        "policy, or one that never learned. Files of your own come in on the page *Data*.",
    )
    words = _QUALITY_WORDS.get(quality, "your own file")
    bar.caption(f"{words.capitalize()} in this task, up to {family.horizon} steps each.")
    projected = bar.toggle(
        "Gradient projection",
        value=True,
        key="projected",
        bind="query-params",
        help="Two losses pull on the diffuser: look like the data (L_DM) and make the model act "
        "like the data (L_DT). On: where they pull in opposite directions, the part of the second "
        "that fights the first is removed (Eq. 8-9 of the paper). Off: they are simply added.",
    )
    mode = bar.selectbox(
        "Reading of the projection",
        [mode for mode in MODES if mode != "none"],
        index=2,
        key="mode",
        bind="query-params",
        disabled=not projected,
        help="The paper does not say what is projected away. Three readings: *vector*, the "
        "diffusion gradient over the whole network; *tensor*, that of each weight matrix by "
        "itself; *subspace*, matrix by matrix, all that its last few diffusion gradients span.",
    )
    lam = bar.select_slider(
        "Weight λ of the downstream loss",
        LAMBDAS,
        value=1.0,
        key="lam",
        bind="query-params",
        format_func=lambda value: f"{value:g}",
        help="0: only look like the data. Larger: care more about what the model does. "
        "The paper uses 1.",
    )
    updates = bar.slider(
        "Updates",
        50,
        500,
        100,
        50,
        key="updates",
        bind="query-params",
        help="Optimisation steps. 100 take about ten seconds; stop whenever you like.",
    )
    seed = bar.number_input(
        "Seed",
        0,
        9999,
        0,
        1,
        key="seed",
        bind="query-params",
        help="Draws the noise and the order of the data. The same seed gives the same run.",
    )
    return RunSpec(
        family.name,
        task.index,
        quality,
        settings={"lam": float(lam), "projection": mode if projected else "none"},
        updates=updates,
        seed=int(seed),
        episodes=LIVE_EPISODES,
    )


def _choose_family() -> Family:
    """Let the reader choose among the families whose models ship."""
    labels = {
        family.label: family for family in FAMILIES.values() if assets.has_models(family.name)
    }
    label = st.sidebar.selectbox(
        "Robot",
        list(labels),
        key="robot",
        bind="query-params",
        help="A family of tasks: one robot that is rewarded for different things. Each has its "
        "own frozen transformer and its own pretrained diffuser.",
    )
    return labels[label]


def _seen(family: Family) -> str:
    if set(family.test_indices) <= set(family.train_indices):
        return "The transformer was trained on both; only the prompt tells which one is wanted."
    return f"The transformer never saw these {len(family.test_indices)} tasks."
