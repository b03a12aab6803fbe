"""The families whose models ship, as readers know them, and the choice among them."""

from __future__ import annotations

import streamlit as st

from workbench.shipped import assets
from workbench.tasks import FAMILIES, Family


def first() -> Family:
    """Return the family that pages show before anybody chooses."""
    return next(iter(with_models().values()))


def labelled(text: str) -> str:
    """Return words with every family's name as readers know it."""
    for name, family in FAMILIES.items():
        text = text.replace(name, family.label)
    return text


def with_models() -> dict[str, Family]:
    """Return the families whose models ship, by label."""
    return {f.label: f for f in FAMILIES.values() if assets.has_models(f.name)}


def choose_family(key: str, more: str = "") -> Family:
    """Let the reader choose, in the sidebar, among the families whose models ship.

    Args:
        key: Of the choice, and its name in the address.
        more: Added to the help text.
    """
    labels = with_models()
    label = st.sidebar.selectbox(
        "Robot",
        list(labels),
        key=key,
        bind="query-params",
        help=f"A family of tasks: one robot that is rewarded for different things.{more}",
    )
    return labels[label]
