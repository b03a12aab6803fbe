"""What settings are chosen from."""

from workbench.methods import PromptDiffusion
from workbench.paper.settings_search import CANDIDATES, search
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
