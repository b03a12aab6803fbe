"""A button beside a result that copies the address which opens the same view."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import streamlit as st

_JS = """
export default function ({ parentElement, data }) {
  const known = parentElement.querySelector("button");
  const button = known ?? document.createElement("button");
  button.title = "Copies the address of this page as it is now: it opens the same view.";
  button.onclick = async () => {
    const url = new URL(location.href);
    if (data.params) url.search = new URLSearchParams(data.params).toString();
    url.hash = data.anchor;
    let done = true;
    try {
      await navigator.clipboard.writeText(url.href);
    } catch {
      // without https only what is selected can be copied
      const text = document.createElement("textarea");
      text.value = url.href;
      document.body.append(text);
      text.select();
      done = document.execCommand("copy");
      text.remove();
    }
    button.textContent = done ? "Copied" : url.href;
    if (done) setTimeout(() => (button.textContent = "Copy link"), 1500);
  };
  if (known) return;
  button.type = "button";
  button.setAttribute("aria-live", "polite");
  button.textContent = "Copy link";
  parentElement.append(button);
}
"""
_CSS = """
button {
  font: 400 0.875rem var(--st-font, sans-serif); padding: 0.25rem 0.75rem;
  color: var(--st-text-color);
  min-height: 2.5rem; cursor: pointer; background: transparent; user-select: text;
  border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius, 0.5rem);
}
button:hover, button:focus-visible { border-color: var(--st-primary-color);
  color: var(--st-link-color, var(--st-primary-color)) }
"""


def offer_link(key: str, anchor: str = "", params: Mapping[str, str] | None = None) -> None:
    """Draw the button.

    Args:
        key: Streamlit's identity of it.
        anchor: Of the heading that the address should lead to; "" for the top.
        params: What stands in the address; None for what stands there when it is pressed.
    """
    data = {"anchor": anchor, "params": None if params is None else dict(params)}
    _component()(key=key, data=data, width="content", height="content")


@functools.cache
def _component():
    return st.components.v2.component("workbench_copied_link", js=_JS, css=_CSS)
