"""What settings are chosen from."""

import json

import pandas as pd
import pytest

from workbench.methods import PromptDiffusion
from workbench.paper.settings_search import CANDIDATES, merged, ranking, search
from workbench.tuning.presets import CHOSEN


def test_a_search_may_be_of_some_methods_alone():
    found = search(["prompt-tuning-dt/online", "hdt"])
    assert {spec.method for spec in found} == {"prompt-tuning-dt", "hdt"}
    assert {spec.settings.get("scorer") for spec in found} == {"online", None}
    assert len(found) == 6 * 9
    assert {spec.split for spec in found} == {"validation"}


def test_what_was_chosen_was_among_the_candidates():
    by_value = "prompt-diffuser/q-regularised"  # a row of the guidance table
    assert set(CHOSEN) >= set(CANDIDATES) - {by_value}
    tried = [settings for settings, _ in CANDIDATES[by_value]]
    (run,) = {s.settings["guidance"] for s in search([by_value])}
    assert {"guidance": run, "eta": PromptDiffusion.eta} in tried


def runs(method, tried, updates=100, **returns):
    """Return rows of the search: one run of these settings from data of each quality."""
    return pd.DataFrame(
        {
            "family": "cheetah-vel", "method": method, "settings": json.dumps(tried),
            "updates": updates, "task": 5, "quality": quality, "seed": 0, "return_mean": mean,
        }
        for quality, mean in returns.items()
    )  # fmt: skip


def test_no_quality_decides_alone():
    """From random data returns vary more; the better one there is worse from the other two."""
    steady, wild = {"lr": 3e-3}, {"lr": 1e-2}
    table = pd.concat(
        [
            runs("soft-prompt", steady, expert=-40.0, medium=-50.0, random=-200.0),
            runs("soft-prompt", wild, expert=-50.0, medium=-60.0, random=-100.0),
            runs("hdt", {"lr": 3e-4}, expert=-1.0, medium=-1.0, random=-1.0),
        ]
    )
    alone, first, second = ranking(table).to_dict("records")
    assert (first["mean"], second["mean"]) == pytest.approx((-290 / 3, -70))
    assert (first["normalised"], second["normalised"]) == pytest.approx((1 / 3, -1 / 3))
    assert (first["chosen"], second["chosen"]) == (True, False)
    assert (alone["method"], alone["normalised"]) == ("hdt", 0)


def test_generators_were_given_the_same_grid():
    grid = CANDIDATES["prompt-diffuser"]
    assert CANDIDATES["prompt-vae"] == CANDIDATES["prompt-gan"] == grid
    assert {updates for _, updates in grid} == {100, 400}
    assert {name for settings, _ in grid for name in settings} == {
        "lr", "temperature", "lam", "n_candidates",
    }  # fmt: skip


def test_of_a_method_searched_again_former_candidates_go():
    vae, tried = "prompt-vae", {"lr": 3e-3}
    before = pd.concat(
        [
            runs(vae, {"lr": 0.5}, expert=-1.0),
            runs(vae, {"temperature": 0.0}, 400, expert=-2.0),
            runs(vae, tried, 400, expert=-3.0),
            runs("soft-prompt", {"lr": 0.5}, expert=-4.0),
        ]
    )
    left = merged(before, runs(vae, tried, 400, expert=-5.0))
    assert sorted(left["return_mean"]) == [-5, -4, -2]
