"""Films of the newest episodes, rendered when asked for: an mp4 and a GIF of one column or both."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from workbench.app.columns import Column
from workbench.viewing.scene import clips, render

_RENDERERS = {"egl": "EGL", "osmesa": "OSMesa", "ray": "the ray-caster, without OpenGL"}
_TYPES = {"mp4": "video/mp4", "gif": "image/gif"}
_BOTH = "both"


def offer_videos(columns: list[Column]) -> None:
    """Draw the choice of a film, the button that makes it, and the film with its downloads."""
    shown = [column for column in columns if column.newest is not None]
    if not shown:
        return
    with st.expander("Rollout video (mp4, GIF)", icon=":material/movie:"):
        st.caption(
            "The replay above is drawn by your browser. A film is rendered on the machine that "
            "runs this page; it takes some seconds and needs no graphics card."
        )
        names = [column.name for column in shown] + ([_BOTH] if len(shown) > 1 else [])
        left, right = st.columns([2, 1], vertical_alignment="bottom")
        which = left.segmented_control(
            "Film of",
            names,
            default=names[-1],
            required=True,
            key="film",
            help="The first episode after the newest evaluated update, of one column, or of both "
            "side by side.",
        )
        chosen = [column for column in shown if which in (column.name, _BOTH)]
        pressed = right.button(
            "Render",
            icon=":material/movie:",
            key="render",
            width="stretch",
            help="Make the film now; mp4 and GIF can then be downloaded.",
        )
        films = st.session_state.setdefault("films", {})
        key = tuple((c.spec.id, c.newest.update) for c in chosen)
        if pressed and key not in films:
            while len(films) >= 4:
                films.pop(next(iter(films)))
            bar = st.progress(0.0, "Rendering …")
            films[key] = _made(chosen, bar.progress)
            bar.empty()
        if key in films:
            _show(films[key], "-".join(["rollout", *(c.name for c in chosen)]))


def _made(columns: list[Column], progress: Callable[[float], object]) -> dict[str, bytes]:
    """Return the film of one or several columns, as an mp4 and as a GIF."""
    films = []
    for i, column in enumerate(columns):
        episode = column.newest.evaluation.trajectories[0]

        def part(done: float, i: int = i) -> None:
            progress(0.9 * (i + done) / len(columns))

        films.append(render.film_of(episode, progress=part))
    labels = [
        f"{c.name}  {c.label}" + (f", {c.newest.update} updates" if c.newest.update else "")
        for c in columns
    ]
    film = films[0] if len(films) == 1 else clips.beside(films, labels)
    return {"mp4": film, "gif": clips.gif(film, width=360 * len(films))}


def _show(made: dict[str, bytes], name: str) -> None:
    st.video(made["mp4"])
    st.caption(f"Rendered with {_RENDERERS.get(render.backend(), 'OpenGL')}.")
    for column, (kind, data) in zip(st.columns(2), made.items(), strict=True):
        column.download_button(
            f"Download {kind if kind == 'mp4' else 'GIF'} ({len(data) / 1e6:.1f} MB)",
            data,
            f"{name}.{kind}",
            _TYPES[kind],
            key=f"save-{kind}",
            width="stretch",
            help="Save the film on your machine.",
        )
