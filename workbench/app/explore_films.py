"""Films of the newest episodes, rendered when asked for: an mp4 and a GIF of one column or both.

A film is a job. On a shared server it waits for its turn among the tunings, since each of both
takes a core and some 200 MB; on a machine of one's own films wait for films alone.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator

import streamlit as st

from workbench.app import sharing
from workbench.app.columns import Column
from workbench.app.jobs import QUEUE, mine, show_waiting
from workbench.runs.jobs import JobQueue
from workbench.viewing.scene import clips, render

FILMS = QUEUE if sharing.shared() else JobQueue(1)
"""Where films wait."""

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
        key = ("film", *((c.name, c.label, c.spec.id, c.newest.update) for c in chosen))
        entry = FILMS.find(key)
        active = entry is not None and entry.active
        if right.button(
            "Render",
            icon=":material/movie:",
            key="render",
            width="stretch",
            disabled=active or key in _films(),
            help="Make the film now; mp4 and GIF can then be downloaded. Films are made one at a "
            "time.",
        ):
            _submit(key, chosen)
            st.rerun()
        st.fragment(_show, run_every=0.5 if active else None)(key, which)


def _films() -> dict[Hashable, dict[str, bytes]]:
    """Return the last films of this visitor, by key."""
    return st.session_state.setdefault("films", {})


def _submit(key: Hashable, columns: list[Column]) -> None:
    making = _Making(columns)
    names = " and ".join(column.name for column in columns)
    try:
        FILMS.submit(key, f"a film of {names}", making.outcomes, **mine())
    except ValueError as error:  # said after the rerun, which would take it away
        st.toast(str(error), icon=":material/hourglass:", duration="long")


class _Making:
    """A film of one or several columns.

    Attributes:
        done: How much of it is drawn, in [0, 1].
        film: The film, as an mp4 and as a GIF; None until it is there.
    """

    def __init__(self, columns: list[Column]):
        self.done, self.film = 0.0, None
        self._episodes = [column.newest.evaluation.trajectories[0] for column in columns]
        self._labels = [
            f"{c.name}  {c.label}" + (f", {c.newest.update} updates" if c.newest.update else "")
            for c in columns
        ]

    def outcomes(self) -> Iterator[_Making]:
        """Yield itself and make the film, until there is one."""
        yield self
        films = []
        for i, episode in enumerate(self._episodes):

            def part(done: float, i: int = i) -> None:
                self.done = 0.9 * (i + done) / len(self._episodes)

            films.append(render.film_of(episode, progress=part))
        film = films[0] if len(films) == 1 else clips.beside(films, self._labels)
        self.film = {"mp4": film, "gif": clips.gif(film, width=360 * len(films))}


def _show(key: Hashable, which: str) -> None:
    """Draw how far a film is, or the film with its downloads."""
    films, entry = _films(), FILMS.find(key)
    making = entry.items[0] if entry is not None and entry.items else None
    if making is not None and making.film is not None and key not in films:
        while len(films) >= 4:
            films.pop(next(iter(films)))
        films[key] = making.film
        st.rerun()
    if key in films:
        _offer(films[key], f"rollout-{'A-B' if which == _BOTH else which}")
    elif entry is None:
        return
    elif entry.job is None:
        show_waiting(FILMS, key, "cancel-film", "Take this film off the queue.")
    elif entry.active:
        st.progress(making.done if making is not None else 0.0, "Rendering …")
    elif entry.job.error is not None:
        st.error(f"The film could not be made: {entry.job.error}", icon=":material/error:")


def _offer(made: dict[str, bytes], name: str) -> None:
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
