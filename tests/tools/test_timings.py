"""How long a visitor waits is measured in a browser."""

import importlib.util
import json
import shutil

import pytest

from tools import timings
from tools.browser import NAMES


def test_the_median_is_said_and_the_worst():
    assert timings._said([900, 1100, 3000]) == "1100 (3000)"


def test_it_wants_at_least_one_visit():
    with pytest.raises(ValueError, match="`repeats` must be at least 1: got 0"):
        timings.timings(repeats=0)


def test_pages_and_sliders_are_timed(capsys):
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("playwright is not installed")
    if not any(map(shutil.which, NAMES)):
        pytest.skip("there is no Chromium")
    timings.timings(("explore",), repeats=1, as_json=True)
    found = json.loads(capsys.readouterr().out)
    (row,) = found["first_paint_ms"]
    assert row.pop("what") == "page explore"
    for kind in ("cold", "warm"):
        assert 0 < row[f"{kind}: heading"][0] <= row[f"{kind}: figure"][0]
    assert {r["what"] for r in found["slider_ms"]} >= set(timings.SLIDERS.values())
    assert all(move > 0 for r in found["slider_ms"] for move in r["moves"])
