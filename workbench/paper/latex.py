"""Tables as LaTeX with booktabs: ± over seeds, the best of each column in bold."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from workbench.tasks import FAMILIES

_SPECIAL = {c: rf"\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "−": "$-$",
    "±": r"$\pm$",
    "λ": r"$\lambda$",
    "→": r"$\to$",
    "×": r"$\times$",
    "≥": r"$\geq$",
    "…": r"\dots{}",
}


def escaped(text: str) -> str:
    """Return text that LaTeX shows as it is; what stands between backticks is a command."""
    shown = "".join(_SPECIAL.get(c, c) for c in text).replace("--", "-{}-")
    return re.sub("`([^`]*)`", r"\\texttt{\1}", shown)


def booktabs(table: pd.DataFrame, caption: str, label: str, digits: int = 1) -> str:
    """Return any table as a LaTeX ``table``, numbers to the right.

    Args:
        table: Cells are text or numbers; missing ones become a dash.
        caption: Plain text.
        label: After ``tab:``.
        digits: Of numbers that are no whole ones.
    """
    columns = "".join("r" if pd.api.types.is_numeric_dtype(table[c]) else "l" for c in table)
    lines = [[_cell(value, digits) for value in row] for row in table.itertuples(index=False)]
    return _table([escaped(str(c)) for c in table], lines, columns, caption, label)


def measured(table: pd.DataFrame, caption: str, label: str) -> str:
    """Return an assembled table as LaTeX: mean ± sd over seeds, the best of each column in bold.

    Args:
        table: Of ``measured.assemble``.
        caption: Plain text.
        label: After ``tab:``.
    """
    columns, rows = (list(dict.fromkeys(table[name])) for name in ("column", "row"))
    best = table.groupby("column")["mean"].max()
    cells = {(r["row"], r["column"]): _mean(r, best[r["column"]]) for _, r in table.iterrows()}
    lines = [[escaped(row), *(cells.get((row, c), "--") for c in columns)] for row in rows]
    names = [FAMILIES[c].label if c in FAMILIES else c for c in columns]
    return _table(["", *map(escaped, names)], lines, "l" + "r" * len(columns), caption, label)


def _mean(r: pd.Series, best: float) -> str:
    if pd.isna(r["mean"]):
        return "--"
    digits = 2 if abs(r["mean"]) < 10 else 1
    mean = f"{r['mean']:.{digits}f}"
    if r["mean"] == best:
        mean = rf"\mathbf{{{mean}}}"
    sd = "" if pd.isna(r["sd"]) else rf" \pm {r['sd']:.{digits}f}"
    return f"${mean}{sd}$"


def _cell(value: object, digits: int) -> str:
    if isinstance(value, str):
        return escaped(value)
    if value is None or pd.isna(value):
        return "--"
    if isinstance(value, float) and not value.is_integer():
        return f"${value:.{digits}f}$"
    return f"${int(value)}$"


def _table(
    names: Sequence[str], lines: Sequence[Sequence[str]], columns: str, caption: str, label: str
) -> str:
    body = [f"  {' & '.join(line)} \\\\" for line in lines]
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering % needs \usepackage{booktabs}",
            rf"  \caption{{{escaped(caption)}}}",
            rf"  \label{{tab:{label}}}",
            rf"  \begin{{tabular}}{{{columns}}}",
            r"  \toprule",
            f"  {' & '.join(names)} \\\\",
            r"  \midrule",
            *body,
            r"  \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )
