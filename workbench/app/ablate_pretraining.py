"""The part of a page that shows the other phase of Algorithm 1: guidance while pretraining."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from workbench.app.charts import chart, offer_figures, offer_table
from workbench.app.known_runs import Known
from workbench.app.links import can_explore, explore_url
from workbench.methods import METHODS
from workbench.networks.checkpoint import read_checkpoint
from workbench.paper import phases
from workbench.shipped import assets
from workbench.tasks import find
from workbench.tuning.presets import first_task
from workbench.viewing.figures.ablation import curves, gains
from workbench.viewing.figures.pretraining import (
    History,
    pretraining_conflicts,
    pretraining_losses,
)

_NETWORKS = {"diffuser": "prompt-diffuser", "informed": "informed-diffuser"}


def show(family: str, quality: str, known: Known) -> None:
    """Draw what guidance while pretraining does to returns, and what was measured meanwhile.

    Args:
        family: The one that the page shows; other pretrainings were tried on one family.
        quality: Of the few-shot data.
        known: All runs that there are.
    """
    st.subheader("The other phase: guidance while pretraining")
    st.markdown(
        "In the paper's Algorithm 1 both losses, and the projection, act over the *training* tasks "
        "before any test task is seen."
    )
    _returns(family, quality, known)
    _history(family)


def _returns(family: str, quality: str, known: Known) -> None:
    """Draw the return over λ of the pretraining, before and after the adaptation."""
    if family != phases.FAMILY:
        label = find(phases.FAMILY).label
        st.caption(f"Other pretrainings were tried on {label} only: choose it on the left.")
        return
    table = _assembled(known.key, known)
    part = table[table["quality"] == quality]
    if not part["seeds"].any():
        st.info(
            "From these data no other pretraining was tried yet. In a terminal: `python -m "
            f"workbench sweep {phases.NAME}`, which says what it needs.",
            icon=":material/model_training:",
        )
        return
    st.markdown(
        "Above, the diffuser always comes from there with λ = 1 as published; here **λ and the "
        "projection are those of the pretraining**."
    )
    st.markdown("\n".join(_answers(part)))
    figures = _over_lambda(known.key, quality, part)
    for stage in phases.STAGES:
        there = [name for name in _ALT if (name, stage) in figures]
        for place, name in zip(st.columns(2, gap="large"), there, strict=False):
            with place:
                key = f"phases-{name}-{_SHORT[stage]}"
                chart(figures[name, stage], key, f"{stage.capitalize()}: {_ALT[name]}", key)
    st.caption(
        "What ships is pretrained with λ = 1, Prompt Diffuser projected as published, the diffuser "
        "that is told the task in the subspace. The 400 updates are the same for all, guided with "
        "λ = 1 as published. Bands and bars are 95 % intervals over seeds of sampling and tuning; "
        "each diffuser was pretrained once: another pretraining seed may differ by more."
    )
    _ways_on(quality)
    with st.expander("Take the figures and numbers along", icon=":material/download:"):
        named = {f"{name}-{_SHORT[stage]}": f for (name, stage), f in figures.items()}
        offer_figures(named, "phases", "phases-html")
        caption = (
            f"{find(family).label}, {quality} data: interquartile mean of returns by λ and "
            "projection of the pretraining, 95 % intervals over seeds; "
            f"{part['runs'].sum()} runs. Made by `python -m workbench sweep {phases.NAME}`."
        )
        offer_table(part, "phases", "phases-csv", caption)


def _answers(part: pd.DataFrame) -> list[str]:
    """Say of every stage between which returns its cells lie, and what they are without λ."""
    said = []
    for stage in phases.STAGES:
        rows = part[(part["stage"] == stage) & part["iqm"].notna()]
        ends = [f"{end:.1f}".replace("-", "−") for end in (rows["iqm"].min(), rows["iqm"].max())]
        if len(rows) > 1:
            words = f"{' to '.join(ends)} (interquartile means)"
            if len(zero := rows.loc[rows["lam"] == 0, "iqm"]):
                words += f"; without guidance {zero.iloc[0]:.1f}".replace("-", "−")
        elif len(rows):
            words = f"from these data what ships alone was run, {ends[0]}"
        else:
            words = "not run from these data"
        said.append(f"- **{stage.capitalize()}**: {words}.")
    return said


_SHORT = {phases.BEFORE: "before", phases.AFTER: "after", phases.TOLD: "told"}
_ALT = {
    "return": "return over the weight λ of the pretraining, a line per projection.",
    "gain": "what the projection in the pretraining adds to the plain sum there, over λ.",
}


def _ways_on(quality: str) -> None:
    """Lead to the first page, which stands two pretrainings beside each other."""
    task = first_task(phases.FAMILY)
    projected, plain, unguided = (
        next(run for run in phases.cell(*of, phases.AFTER, quality) if run.task == task)
        for of in ((1.0, "published"), (1.0, phases.PLAIN), (0.0, phases.PLAIN))
    )
    links = [
        f"[{words}]({explore_url(other, projected)})"
        for other, words in ((plain, "without and with projection"), (unguided, "λ = 0 and λ = 1"))
        if can_explore(other)
    ]
    if links:
        st.markdown(f"Stand two of these diffusers beside each other: {', '.join(links)}.")


@st.cache_resource(max_entries=4, show_spinner=False)
def _assembled(made: tuple, _known: Known) -> pd.DataFrame:
    return phases.assemble(_known.runs)


@st.cache_resource(max_entries=16, show_spinner=False)
def _over_lambda(
    made: tuple, quality: str, _part: pd.DataFrame
) -> dict[tuple[str, str], go.Figure]:
    figures = {}
    for stage in phases.STAGES:
        rows, words = _part[_part["stage"] == stage], stage.capitalize()
        if rows["iqm"].notna().sum() > 1:
            figures["return", stage] = curves(rows, f"{words}: return")
        if rows["gain"].notna().any():
            figures["gain", stage] = gains(rows, f"{words}: what projection adds")
    for figure in figures.values():
        figure.update_xaxes(title="λ of the pretraining")
    return figures


def _history(family: str) -> None:
    """Draw what the shipped diffusers of a family measured while they were pretrained."""
    st.markdown(
        "**While it was pretrained**, the first steps followed the diffusion loss alone; from "
        "where the second line begins, both guided."
    )
    histories, settings, stamps = {}, [], []
    for network, method in _NETWORKS.items():
        path = assets.pretrained_path(family, network)
        if path.exists():
            stamp = str(path), path.stat().st_mtime_ns
            header = _header(*stamp)
            if "conflict" in header["history"]:
                histories[METHODS[method].label] = header["history"]
                stamps.append(stamp)
                settings.append(
                    f"{METHODS[method].label}: {header['steps']:,} steps, the last "
                    f"{100 * header['guided_share']:.0f} % guided, λ = {header['lam']:g}, "
                    f"projection {header['projection']}"
                )
    if not histories:
        st.info(
            "This robot's diffusers were pretrained without guidance. In a terminal: `python -m "
            f"workbench collect {family}`, then `python -m workbench diffuser {family}`.",
            icon=":material/model_training:",
        )
        return
    figures = _figures(tuple(stamps), histories)
    words = {
        "losses": "Both losses over the steps of the pretraining, means of a hundred steps.",
        "conflicts": "Share of the steps in which the gradients conflict, and of g_DT removed.",
    }
    for place, (name, figure) in zip(st.columns(2, gap="large"), figures.items(), strict=True):
        with place:
            chart(figure, f"pretraining-{name}", words[name], f"pretraining-{name}")
    st.caption(". ".join(settings) + ". All of it stands in the header of each network's file.")
    with st.expander("Take the figures along", icon=":material/download:"):
        offer_figures(figures, "pretraining", "pretraining-html")


@st.cache_resource(max_entries=16, show_spinner=False)
def _figures(stamps: tuple, _histories: dict[str, History]) -> dict[str, go.Figure]:
    return {
        "losses": pretraining_losses(_histories),
        "conflicts": pretraining_conflicts(_histories),
    }


@st.cache_data(max_entries=16, show_spinner=False)
def _header(path: str, _changed: int) -> dict[str, History]:
    header, _ = read_checkpoint(path)
    return {"history": header.get("history", {}), **header.get("pretrain", {})}
