"""One look for each thing, legible in both themes."""

import pytest

from workbench.paper.tables import cells
from workbench.viewing.figures.ablation import PROJECTIONS
from workbench.viewing.figures.colours import INK, YOURS, Look, look

WHITE, BLACK = "#ffffff", "#12161c"


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(a, b):
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("table", ["1", "2", "3", "guidance", "models"])
def test_no_two_rows_of_a_table_look_the_same(table):
    rows = list(dict.fromkeys(row for row, _ in cells(table)))
    looks = [look(row) for row in rows]
    assert len(set(looks)) == len(rows)
    assert all(contrast(a.colour, b) > 2 for a in looks for b in (WHITE, BLACK))


def test_relatives_share_a_hue_and_differ_without_it():
    for a, b in [
        ("Prompt-DT-FT", "Prompt-DT-FT-Full"),
        ("Adaptor", "HDT"),
        ("subspace", "published"),
    ]:
        assert look(a).colour == look(b).colour
        assert (look(a).symbol, look(a).dash) != (look(b).symbol, look(b).dash)
    assert len({look(row).colour for row in PROJECTIONS}) == 4
    assert look("projection, vector") == look("vector")
    assert look("medium data, random prompt").colour == look("medium").colour


def test_own_data_and_strangers_have_a_look():
    assert look("own:mine") == look("your file") == YOURS
    assert look("something else") == Look(INK)
    assert Look("#0a0b0c").band == "rgba(10,11,12,0.18)"
