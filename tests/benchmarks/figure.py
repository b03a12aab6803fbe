"""The figures of the page Speed, drawn from ``docs/bench.json``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

BLUE, GREY, ORANGE = "#2f6fb5", "#8a8f98", "#c8741e"
COLOURS = (BLUE, ORANGE, "#3b8f5a", "#8257a8", "#b5483f", "#2a8f99", GREY)


def draw_ratios(results: list[Mapping], path: Path) -> None:
    """Draw every ratio with its range, and a mark where the goal is."""
    ratios = [r for r in results if r["unit"] == "×"][::-1]
    figure, axes = plt.subplots(figsize=(11, 0.42 * len(ratios) + 1.1), layout="constrained")
    for row, r in enumerate(ratios):
        axes.barh(row, r["median"], color=BLUE if r["reached"] is not False else GREY, height=0.6)
        axes.plot([r["low"], r["high"]], [row, row], color="black", lw=1.5)
        end = max(r["high"], r["median"], r["goal"] or 0)  # the number stands behind all marks
        axes.text(end, row, f"  {r['median']:.1f}×", va="center")
        if r["goal"]:
            axes.plot([r["goal"]] * 2, [row - 0.4, row + 0.4], color=ORANGE, lw=3)
    axes.set_yticks(range(len(ratios)), [r["name"] for r in ratios])
    axes.set_xlabel("times as fast")
    figure.supxlabel("black: range over repeats, orange: goal, grey bar: goal missed", fontsize=10)
    axes.margins(x=0.1)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_approach(points: list[Mapping], path: Path) -> None:
    """Draw the return over seconds, a panel for each quality of few-shot data."""
    names = list(dict.fromkeys(p["axis"] for p in points))
    figure, panels = plt.subplots(
        1, max(1, len(names)), figsize=(12, 3.6), layout="constrained", sharey=True, squeeze=False
    )
    lines = list(dict.fromkeys(p["line"] for p in points))
    for axes, name in zip(panels.flat, names, strict=False):
        for number, line in enumerate(lines):
            some = [p for p in points if p["axis"] == name and p["line"] == line]
            x, y = [p["size"] for p in some], [p["value"] for p in some]
            level = number == len(lines) - 1
            style, colour = ("--", "black") if level else ("o-", COLOURS[number % len(COLOURS)])
            axes.plot(x, y, style, color=colour, label=line, ms=4, lw=1 if level else 1.5)
        axes.set(xlabel=name, xscale="log")
        axes.spines[["top", "right"]].set_visible(False)
    panels.flat[0].set_ylabel("mean return of 10 episodes")
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_growth(points: list[Mapping], path: Path) -> None:
    """Draw a panel for each thing that grows."""
    names = list(dict.fromkeys(p["axis"] for p in points if p["axis"] != "simulator"))
    rows = max(1, -(-len(names) // 4))
    figure, panels = plt.subplots(rows, 4, figsize=(15, 3 * rows), layout="constrained")
    for axes, name in zip(panels.flat, names, strict=False):
        mine = [p for p in points if p["axis"] == name]
        for colour, line in zip(COLOURS, dict.fromkeys(p["line"] for p in mine), strict=False):
            some = [p for p in mine if p["line"] == line]
            style = "--" if line.startswith("bare") else "o-"
            x, y = [p["size"] for p in some], [p["value"] for p in some]
            axes.plot(x, y, style, color=colour, label=line, ms=4)
        axes.set(xlabel=name, ylabel=mine[0]["unit"], ylim=(0, None))
        if name == "episodes":
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.set_ylim(10, None)  # room for the names of all ways
        elif name == "runs in a store":
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_ylim(1e-3, None)
        axes.legend(frameon=False, fontsize=8, ncols=2 if name == "episodes" else 1)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in list(panels.flat)[len(names) :]:
        axes.set_visible(False)
    figure.savefig(path, dpi=90)
    plt.close(figure)
