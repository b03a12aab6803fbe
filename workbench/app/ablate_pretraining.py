"""The part of a page that shows the other phase of Algorithm 1: guidance while pretraining."""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st

from workbench.app.charts import chart, offer_figures
from workbench.methods import METHODS
from workbench.networks.checkpoint import read_checkpoint
from workbench.shipped import assets
from workbench.viewing.figures.pretraining import (
    History,
    pretraining_conflicts,
    pretraining_losses,
)

_NETWORKS = {"diffuser": "prompt-diffuser", "informed": "informed-diffuser"}


def show(family: str) -> None:
    """Draw what the shipped diffusers of a family measured while they were pretrained."""
    st.subheader("The other phase: guidance while pretraining")
    st.markdown(
        "In the paper's Algorithm 1 both losses, and the projection, act over the *training* tasks "
        "before any test task is seen. The first steps follow the diffusion loss alone; from where "
        "the second line begins, both guide."
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
