"""Tables as LaTeX: what is in them, the best in bold, and nothing that LaTeX would trip over."""

import numpy as np
import pandas as pd

from workbench.paper.latex import booktabs, escaped, measured


def test_special_letters_are_escaped():
    assert escaped("50 % of A_1 & λ ± 3") == r"50 \% of A\_1 \& $\lambda$ $\pm$ 3"
    assert escaped("\\") == r"\textbackslash{}"
    assert escaped("Made by `table 1 --run`.") == r"Made by \texttt{table 1 -{}-run}."


def test_any_table_is_written_with_numbers_to_the_right():
    table = pd.DataFrame({"what": ["a_b", "c"], "n": [1, 2], "x": [0.25, np.nan]})
    text = booktabs(table, "Of 2 rows.", "two")
    assert r"\begin{tabular}{lrr}" in text
    assert r"a\_b & $1$ & $0.2$ \\" in text
    assert r"c & $2$ & -- \\" in text
    assert r"\label{tab:two}" in text
    assert text.index(r"\toprule") < text.index(r"\midrule") < text.index(r"\bottomrule")


def test_the_best_of_each_column_is_bold():
    rows = [("A", "cheetah-vel", -30.25, 1.5), ("B", "cheetah-vel", -50.0, np.nan)]
    rows += [("A", "ant-dir", np.nan, np.nan), ("B", "ant-dir", 900.0, 2.0)]
    table = pd.DataFrame(rows, columns=["row", "column", "mean", "sd"])
    text = measured(table, "Caption.", "one")
    assert r" & Cheetah-vel & Ant-dir \\" in text
    assert r"A & $\mathbf{-30.2} \pm 1.5$ & -- \\" in text
    assert r"B & $-50.0$ & $\mathbf{900.0} \pm 2.0$ \\" in text
