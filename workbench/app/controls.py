"""The controls of the page Explore: one task, and the settings of A and of B. All in the URL."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import streamlit as st

from workbench.app.families import choose_family, with_models
from workbench.app.known_runs import RECORDED, YOURS, known_runs
from workbench.app.links import ANYTHING, GUIDANCE, SHARED, VIEWS, Offers, pretrainings
from workbench.data import own_sets
from workbench.data.qualities import QUALITIES
from workbench.methods import METHODS
from workbench.methods.guided_update import BY_VALUE
from workbench.methods.projection import MODES
from workbench.shipped import assets
from workbench.tasks import Family, Task, find
from workbench.tuning.presets import (
    CHOSEN,
    LAMBDAS,
    OPENING_QUALITY,
    PAIRS,
    Side,
    first_task,
    live_updates,
    method_label,
)
from workbench.tuning.spec import RunSpec
from workbench.viewing.scene.appearance import goal_words

STARTS = dict(zip("ab", next(iter(PAIRS.values())), strict=True))
"""What the columns hold before anybody chooses."""
BADGES = {"a": ":blue-badge[**A**]", "b": ":orange-badge[**B**]"}
_QUALITY_WORDS = {
    "expert": "five runs of an expert",
    "medium": "five runs of a half-trained or noisy policy",
    "random": "five runs of a policy that never learned",
}


@dataclass(frozen=True)
class Setting:
    """What both columns share.

    Attributes:
        task: What the robot should do.
        quality: The few-shot data.
        updates: Optimisation steps.
        seed: Of the tunings.
    """

    task: Task
    quality: str
    updates: int
    seed: int

    def spec(self, side: Side) -> RunSpec:
        """Return the run of one column."""
        task = self.task
        return side.spec(task.family, task.index, self.quality, self.updates, self.seed)


def explore_offers() -> Offers:
    """Return the values that an address of the first page may have."""
    labels = with_models()
    family = labels.get(st.query_params.get("robot", ""), next(iter(labels.values())))
    tasks = {goal_words(task): task for task in family.tasks("test")}
    task = tasks.get(st.query_params.get(f"{family.name}-task", ""))
    sets = (*QUALITIES, *own_sets.qualities(task or family.task(first_task(family.name))))
    offers = {
        "robot": ("robot", labels),
        f"{family.name}-task": ("task", tasks),
        "data": ("data", sets),
        "updates": ("updates", [str(n) for n in range(50, 501)]),
        "seed": ("seed", [str(n) for n in range(10_000)]),
        "view": ("view", VIEWS),
        "by-hand-base": ("prompt to begin with", ("A", "B")),
        **dict.fromkeys(("look", "layer", "tour", "present", "idea"), ("", ANYTHING)),
        **dict.fromkeys(("guess-first", "by-hand"), ("switch", ("true", "false"))),
    }
    methods = [method_label(method) for method in methods_of(family)[0]]
    for side in "ab":
        of = f"of {side.upper()}"
        offers |= {
            f"{side}-method": (f"method {of}", methods),
            f"{side}-lam": (f"λ {of}", [f"{v:g}" for v in LAMBDAS]),
            f"{side}-projection": (f"projection {of}", MODES),
            f"{side}-guidance": (f"guidance {of}", [GUIDANCE[g] for g in guidances_of(family)]),
            f"{side}-data": (f"data {of}", (SHARED, *sets)),
            f"{side}-pretrained": (f"pretraining {of}", pretrainings(family.name).values()),
        }
    return offers


def choose_setting() -> Setting:
    """Draw the sidebar's controls and return what they say."""
    bar = st.sidebar
    bar.header("The task")
    family = choose_family(
        "robot", " Each has its own frozen transformer and its own pretrained diffuser."
    )
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
    quality = bar.segmented_control(
        "Data you have",
        (*QUALITIES, *own_sets.qualities(task)),
        default=OPENING_QUALITY,
        required=True,
        key="data",
        bind="query-params",
        help="Who recorded the runs that the prompt is tuned on: an expert, a half-trained "
        "policy, or one that never learned. Files of your own come in on the page *Data*.",
    )
    words = _QUALITY_WORDS.get(quality, "your own file")
    bar.caption(f"{words.capitalize()} in this task, up to {family.horizon} steps each.")
    updates = bar.slider(
        "Updates",
        50,
        500,
        100,
        50,
        key="updates",
        bind="query-params",
        help="Optimisation steps of a tuning. 100 take some 20 seconds; stop whenever you like.",
    )
    seed = bar.number_input(
        "Seed",
        0,
        9999,
        0,
        1,
        key="seed",
        bind="query-params",
        help="Draws the noise and the order of the data, the same in A and in B. The same seed "
        "gives the same run.",
    )
    setting = Setting(task, quality, int(updates), int(seed))
    bar.caption(_recorded_words(setting))
    return setting


def _recorded_words(setting: Setting) -> str:
    """Say which methods and seeds were run already with what both columns share."""
    there = recorded_of(setting)
    if not there:
        return "Nothing is recorded of this task, these data and updates: **Tune** runs it."
    by_seeds: dict[tuple[int, ...], list[str]] = {}
    for method, seeds in there.items():
        by_seeds.setdefault(seeds, []).append(f"*{method_label(method)}*")
    parts = [
        f"{', '.join(names)} (seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))})"
        for seeds, names in by_seeds.items()
    ]
    return f":material/check: Recorded, shown at once: {'; '.join(parts)}."


def recorded_of(setting: Setting) -> dict[str, tuple[int, ...]]:
    """Return the methods that were run with the settings that a column has at first, and seeds."""
    known = known_runs().table
    if not len(known):
        return {}
    known = known[known["where"].isin((YOURS, RECORDED))]
    alike = known[(known["family"] == setting.task.family) & (known["task"] == setting.task.index)]
    runs, seeds = set(alike["run"]), sorted({int(seed) for seed in alike["seed"]})
    found = {}
    for method in dict.fromkeys(alike["method"]):
        if method in CHOSEN:
            kept = tuple(
                seed
                for seed in seeds
                if dataclasses.replace(setting, seed=seed).spec(Side(method)).id in runs
            )
            if kept:
                found[method] = kept
    return found


def choose_sides(setting: Setting) -> tuple[Side, Side]:
    """Draw the presets and the two columns' settings; return what stands in A and in B."""
    presets, methods = st.container(), st.columns(2, gap="medium")
    # Not in popovers: what is closed there does not hear of what a preset sets.
    settings = [st.sidebar.expander(f"Settings of {name}", icon=":material/tune:") for name in "AB"]
    sides = tuple(
        _choose_side(name, *places, setting)
        for name, *places in zip("ab", methods, settings, strict=True)
    )
    specs = tuple(map(setting.spec, sides))
    st.session_state["preset"] = next(
        (name for name, pair in PAIRS.items() if tuple(map(setting.spec, pair)) == specs), None
    )
    presets.pills(
        "Compare",
        list(PAIRS),
        key="preset",
        on_change=_take_preset,
        label_visibility="collapsed",
        help="Sets A and B in one click; everything else stays as it is.",
    )
    return sides


def _take_preset() -> None:
    """Set both columns to the pair that was pressed."""
    pair = PAIRS.get(st.session_state["preset"])
    for name, side in zip("ab", pair or (), strict=False):
        st.session_state[f"{name}-method"] = side.method
        st.session_state[f"{name}-lam"] = side.lam
        st.session_state[f"{name}-projection"] = side.projection
        st.session_state[f"{name}-guidance"] = side.guidance
        st.session_state[f"{name}-data"] = side.quality or SHARED
        st.session_state[f"{name}-pretrained"] = side.pretrained


def _choose_side(name: str, above, inside, setting: Setting) -> Side:
    """Draw one column's method, and its settings where they are folded away.

    Args:
        name: ``"a"`` or ``"b"``.
        above: Where the method is drawn.
        inside: Where the settings are.
        setting: What both share.
    """
    family, start = find(setting.task.family), STARTS[name]
    offered, missing = methods_of(family)
    row = above.container(horizontal=True, vertical_alignment="center", gap="small")
    row.markdown(BADGES[name], width="content")
    method = row.selectbox(
        f"Method of {name.upper()}",
        offered,
        index=offered.index(start.method),
        format_func=method_label,
        key=f"{name}-method",
        bind="query-params",
        label_visibility="collapsed",
        help=f"How the prompt of {name.upper()} is made. *Untuned prompt* takes rows of the "
        "recorded runs as they are; *Prompt Diffuser* is the method of the paper.",
    )
    guided = Side(method).guided
    with inside:
        quality = _choose_data(name, start, setting)
        # Always there, so that what was chosen stays in the address.
        chosen = _choose_guidance(name, start, guided, guidances_of(family))
        pretrained = _choose_pretraining(name, method, pretrainings(family.name))
        if not guided:
            st.caption(f"{method_label(method)} follows one loss or none: nothing to weigh.")
        usual = live_updates(method)
        if usual not in (0, 100):
            st.caption(f"It takes {usual} updates where others take 100, as in the tables.")
        for words in missing:
            st.caption(words)
    return Side(method, *chosen, quality, pretrained) if guided else Side(method, quality=quality)


def _choose_pretraining(name: str, method: str, offered: dict[str, str]) -> str:
    """Draw how the diffuser was pretrained, where there are several; return the variant."""
    if len(offered) == 1:
        return ""
    diffused = method == "prompt-diffuser"
    chosen = st.selectbox(
        "Diffuser pretrained",
        list(offered),
        format_func=offered.__getitem__,
        key=f"{name}-pretrained",
        bind="query-params",
        disabled=not diffused,
        help="Before any tuning the diffuser learned on other tasks, guided by both losses there "
        "too: with λ = 1, projected *as published*, on prompts of every quality; or otherwise. "
        "What stands above is of the tuning alone.",
    )
    return chosen if diffused else ""


def _choose_data(name: str, start: Side, setting: Setting) -> str:
    """Draw the choice of a column's own data; return "" for the shared ones."""
    quality = st.segmented_control(
        "Data",
        (SHARED, *QUALITIES, *own_sets.qualities(setting.task)),
        default=start.quality or SHARED,
        required=True,
        key=f"{name}-data",
        bind="query-params",
        help=f"What {name.upper()} is tuned on: the data chosen for both at the left, or its own.",
    )
    return "" if quality in (SHARED, setting.quality) else quality


def guidances_of(family: Family) -> list[str]:
    """Return what can guide for a family here: value where its critic is there."""
    valued = assets.pretrained_path(family.name, "critic").exists()
    return [name for name in GUIDANCE if valued or name not in BY_VALUE]


def _choose_guidance(
    name: str, start: Side, guided: bool, offered: list[str]
) -> tuple[float, str, str]:
    """Draw λ, projection and guidance, for a method that has them; return them in that order."""
    guidance = st.selectbox(
        "Guidance",
        offered,
        index=offered.index(start.guidance),
        format_func=GUIDANCE.__getitem__,
        key=f"{name}-guidance",
        bind="query-params",
        disabled=not guided,
        help="Two losses pull on the diffuser: look like the data (diffusion loss L_DM) and make "
        "the model act like the data (downstream loss L_DT). The paper uses both. Where a *critic* "
        "ships, trained on other tasks, it may say besides what actions are worth.",
    )
    both = guided and guidance not in ("diffusion", "downstream")
    lam = st.select_slider(
        "Weight λ of the downstream loss",
        LAMBDAS,
        value=start.lam,
        key=f"{name}-lam",
        bind="query-params",
        format_func=lambda value: f"{value:g}",
        disabled=not both,
        help="0: only look like the data. Larger: care more about what the model does. "
        "The paper uses 1.",
    )
    projection = st.selectbox(
        "Projection",
        list(MODES),
        index=MODES.index(start.projection),
        key=f"{name}-projection",
        bind="query-params",
        disabled=not both,
        help="Where the two gradients pull in opposite directions, the part of the downstream one "
        "that fights the other is removed (Eq. 8-9 of the paper). The paper does not say of what; "
        "*vector*: the diffusion gradient over the whole network; *tensor*: that of each weight "
        "matrix by itself; *subspace*: matrix by matrix, all that its last few diffusion gradients "
        "span; *published*: the same for all matrices at once, where the two fight over the whole "
        "network; *none*: the two are simply added.",
    )
    return float(lam), projection, guidance


def methods_of(family: Family) -> tuple[list[str], list[str]]:
    """Return the methods that can run for a family here, and why the others cannot, as texts."""
    full = [name for name, method in METHODS.items() if method.data == "full"]
    lacking = [
        name
        for name, method in METHODS.items()
        if not all(assets.pretrained_path(family.name, n).exists() for n in method.needs.values())
    ]
    missing = []
    if lacking:
        names = ", ".join(method_label(name) for name in lacking)
        missing.append(
            f"Not offered for {family.label}, whose networks for it do not ship: {names}."
        )
    if full:
        names = ", ".join(method_label(name) for name in full)
        missing.append(f"On the command line only, for it needs all data of the task: {names}.")
    return [name for name in METHODS if name not in {*full, *lacking}], missing


def words_of(side: Side, setting: Setting) -> list[str]:
    """Return what a column does, the method first, in a few words each."""
    words = [method_label(side.method)]
    if side.guided and side.guidance != "both":
        words.append(GUIDANCE[side.guidance])
    if side.guided and side.guidance not in ("diffusion", "downstream"):
        off = side.projection == "none"
        words += [f"λ = {side.lam:g}", f"projection {'off' if off else side.projection}"]
    if side.pretrained:
        words.append(f"pretrained {pretrainings(setting.task.family)[side.pretrained]}")
    return [*words, f"{side.quality or setting.quality} data"]


def labels_of(sides: tuple[Side, ...], setting: Setting) -> list[str]:
    """Return a short label for each column: its method, and what else tells it from the others."""
    words = [words_of(side, setting) for side in sides]
    shared = set.intersection(*map(set, words))
    if len({method for method, *_ in words}) == len(words):
        words = [[method, rest[-1]] for method, *rest in words]  # λ says nothing beside a method
    return [", ".join([m, *(word for word in rest if word not in shared)]) for m, *rest in words]


def _seen(family: Family) -> str:
    if set(family.test_indices) <= set(family.train_indices):
        return "The transformer was trained on both; only the prompt tells which one is wanted."
    return f"The transformer never saw these {len(family.test_indices)} tasks."
