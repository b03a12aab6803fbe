"""What only the browser can do: fold the sidebar on a tablet, turn pages by keyboard."""

from __future__ import annotations

import functools
from collections.abc import Callable

import streamlit as st

# The page's own document is outside of the component's shadow root; one listener serves all runs.
_JS = """
export default function (component) {
  const { data, setTriggerValue } = component;
  const known = (window.workbenchManners ??= {});
  known.turn = data.turns ? (by) => setTriggerValue("turn", by) : null;
  if (!known.listens) {
    known.listens = true;
    document.addEventListener("keydown", (event) => {
      const tag = event.composedPath()[0]?.tagName ?? "";
      const by = { ArrowRight: 1, PageDown: 1, ArrowLeft: -1, PageUp: -1 }[event.key];
      if (!by || !known.turn || /^(INPUT|TEXTAREA|SELECT)$/.test(tag)) return;
      event.preventDefault();
      known.turn(by);
    });
  }
  if (!known.folded && window.innerWidth <= 1000) {
    known.folded = true;
    const fold = (tries) => {
      const button = document.querySelector("[data-testid=stSidebarCollapseButton] button");
      if (button) button.click();
      else if (tries) setTimeout(fold, 200, tries - 1);
    };
    fold(20);
  }
  return () => {};
}
"""


def sit(turn: Callable[[int], None] | None = None) -> None:
    """Sit at the end of a page.

    Args:
        turn: Called with 1 or -1 when a key turns the page; None listens to no key.
    """

    def turned() -> None:
        by = st.session_state["manners"].get("turn")
        if by and turn is not None:
            turn(int(by))

    _component()(key="manners", data={"turns": turn is not None}, on_turn_change=turned)


@functools.cache
def _component():
    return st.components.v2.component("workbench_manners", js=_JS)
