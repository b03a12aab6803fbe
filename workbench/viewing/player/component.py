"""The player: one clock over denoising chains, the replays they lead to, and their curves.

The files of ``js/`` draw all of it in the browser; ``js/player.js`` says which draws what. This
side packs columns (``contents.py``) into one ``payload`` of plain JSON and mounts the module, in
Streamlit (``player``) or in a notebook (``widget``). It knows neither files nor models;
``from_runs.py`` does.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workbench.viewing.player.contents import (
    MAX_COLUMNS,
    Chart,
    PlayerColumn,
    Variables,
    moving_geoms,
    packed_column,
    packed_variables,
    steps_per_pose,
)

_HERE = Path(__file__).parent / "js"
# fmt: off
_PARTS = (
    "math", "dom", "raster", "marks", "painter", "film", "read", "chart", "orbit", "replay",
    "heat",
    "curves", "map", "chain", "episode", "strip",
)
# fmt: on


def payload(
    *,
    id: str,
    scene: Mapping[str, Any],
    columns: Sequence[PlayerColumn],
    variables: Variables | None = None,
    chart: Chart | None = None,
    actions: Sequence[str] = (),
    update: int | None = None,
    ghosts: bool = False,
    autoplay: bool = False,
    method: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Pack everything the player draws into plain JSON.

    Arrays travel as base64 of little-endian float32 or of whole multiples of a small number.
    Geoms that never move are sent once, what is not shown never, and no more than some 30 poses a
    second. Two columns of Cheetah with eleven chains each make about 500 KB.

    Args:
        id: Names this content. The playhead survives new data with the same id and returns to
            the start when the id changes.
        scene: From ``geometry.scene``.
        columns: Up to ``MAX_COLUMNS``, all in this scene; A first.
        variables: Names of a prompt's columns; needed where a column has a chain.
        chart: What ``EpisodeReplay.measured`` is; without it, only the return is plotted.
        actions: Names of the A actions.
        update: Where the tuning slider begins; at the newest update by default.
        ghosts: Begin with all robots in one scene.
        autoplay: Play once when this id first appears, unless the reader prefers less motion.
        method: The picture over the panels, from ``method_strip``; None leaves it out.

    Raises:
        ValueError: if there is nothing to show, too much, or episodes of another scene.
    """
    columns = tuple(columns)
    chains = [column.chain for column in columns if column.chain is not None]
    episodes = [episode for column in columns for episode in column.episodes]
    if not episodes and not chains:
        raise ValueError(
            "There is nothing to show: pass a column with `episodes`, a `chain`, or both."
        )
    if len(columns) > MAX_COLUMNS:
        raise ValueError(f"`columns` must be at most {MAX_COLUMNS}: got {len(columns)}.")
    n_geoms = len(scene["geoms"])
    for column in columns:
        for episode in column.episodes:
            if episode.poses.shape[1] != n_geoms:
                raise ValueError(
                    f"Every episode must have the scene's {n_geoms} geoms: one of {column.label!r} "
                    f"has {episode.poses.shape[1]}."
                )
    if chains and variables is None:
        raise ValueError("`variables` must name the columns of a prompt: pass `Variables`.")
    shapes = {chain.x.shape[2:] for chain in chains}
    if len(shapes) > 1 or any(d != len(variables.names) for _, d in shapes):
        raise ValueError(
            f"All prompts must have one length and the {len(variables.names)} columns of "
            f"`variables`: got {sorted(shapes)}."
        )
    moving, fixed_poses = moving_geoms(episodes, scene)
    every = steps_per_pose(episodes, len(moving), scene["dt"])
    return {
        "id": str(id),
        "scene": {**scene, "fixed_poses": fixed_poses},
        "moving": moving,
        "columns": [packed_column(column, moving, every) for column in columns],
        "variables": packed_variables(variables) if chains else None,
        "chart": None if chart is None else asdict(chart),
        "actions": [str(name) for name in actions],
        "update": None if update is None else int(update),
        "ghosts": bool(ghosts),
        "autoplay": bool(autoplay),
        "method": None if method is None else dict(method),
    }


def player(
    payload: Mapping[str, Any],
    *,
    key: str,
    height: int | None = None,
    link: str | None = None,
    view: str = "",
):
    """Mount the player in a Streamlit page.

    Args:
        payload: From :func:`payload`.
        key: Streamlit's identity of the element; keep it while the id changes.
        height: Pixels, or as much as the content needs.
        link: Name of the query parameter in which the reader's view (tabs, sliders, playhead) is
            kept, so that a link opens the same view; None keeps it nowhere.
        view: Without ``link``: the view that it opens with, as such a link holds it.
    """
    import streamlit as st

    height = "content" if height is None else height
    if link is None:
        return _component()(key=key, data={**payload, "view": view}, height=height)

    def keep() -> None:
        view = st.session_state[key].get("view")
        if view:
            st.query_params[link] = view
        else:
            st.query_params.pop(link, None)

    # The view of the link that was opened, also after the reader has changed it: other data would
    # make Streamlit send the whole payload again.
    opened = st.session_state.setdefault(f"{key}-{link}", st.query_params.get(link, ""))
    data = {**payload, "view": opened, "reports_view": True}
    return _component()(key=key, data=data, height=height, on_view_change=keep)


def widget(payload: Mapping[str, Any]):
    """Return the player as an anywidget; ``widget.payload = ...`` shows something else."""
    return _widget_class()(payload=dict(payload))


@functools.cache
def source() -> tuple[str, str]:
    """Return the player as one ES module without imports, and its style sheet."""
    names = [*(f"{part}.js" for part in _PARTS), "player.js"]
    js = "\n".join((_HERE / name).read_text(encoding="utf-8") for name in names)
    js = re.sub(r"^import .*\n", "", js, flags=re.M)
    js = re.sub(r"^export (?!default)", "", js, flags=re.M)
    return js, (_HERE / "player.css").read_text(encoding="utf-8")


@functools.cache
def _component():
    """Declare the component once; Streamlit is imported here so that notebooks need not have it."""
    import streamlit as st

    # The text itself, not a path: Streamlit takes a string with a line break for inline source.
    js, css = source()
    return st.components.v2.component("workbench_player", css=css, js=js)


@functools.cache
def _widget_class():
    import anywidget
    import traitlets

    class PlayerWidget(anywidget.AnyWidget):
        """The player in a notebook."""

        _esm, _css = source()
        payload = traitlets.Dict().tag(sync=True)

    return PlayerWidget
