"""The sidebar of the first page: what to run. Every choice is in the URL."""

from __future__ import annotations

import streamlit as st

from workbench.behaviour import QUALITIES
from workbench.presets import LIVE_EPISODES, first_look
from workbench.projection import MODES
from workbench.tasks import find
from workbench.tune import RunSpec

FAMILY = "cheetah-vel"
LAMBDAS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)
DEFAULT = first_look(FAMILY, 7)
"""What the controls ask for at first; it ships."""
_QUALITY_WORDS = {
    "expert": "five runs of an expert",
    "medium": "five runs of a half-trained policy",
    "random": "five runs of an untrained policy",
}


def choose_run() -> RunSpec:
    """Draw the sidebar's controls and return the run they ask for."""
    family = find(FAMILY)
    bar = st.sidebar
    bar.header("Set up a run")
    # The labels of options are what stands in a shared link, so they are short and plain.
    speeds = {f"{task.goal[0]:g}": task.index for task in family.tasks("test")}
    speed = bar.selectbox(
        f"Target speed ({family.goal_unit})",
        list(speeds),
        index=1,
        key="speed",
        bind="query-params",
        help="How fast the cheetah should run. The transformer never saw these five speeds.",
    )
    quality = bar.segmented_control(
        "Data you have",
        QUALITIES,
        default="medium",
        required=True,
        key="quality",
        bind="query-params",
        help="Who recorded the five runs that the prompt is tuned on: an expert, a half-trained "
        "policy, or one that never learned.",
    )
    bar.caption(f"{_QUALITY_WORDS[quality].capitalize()} at this speed, 200 steps each.")
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
        200,
        50,
        key="updates",
        bind="query-params",
        help="Optimisation steps. 200 take about half a minute; stop whenever you like.",
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
        FAMILY,
        speeds[speed],
        quality,
        settings={"lam": float(lam), "projection": mode if projected else "none"},
        updates=updates,
        seed=int(seed),
        episodes=LIVE_EPISODES,
    )
