"""The part of the page Ablate that takes apart what being told the task is made of."""

import pytest
from streamlit.testing.v1 import AppTest

from workbench.data.qualities import QUALITIES
from workbench.paper import factorial
from workbench.paper.measured import Runs
from workbench.runs.run_table import shipped


def script(family="cheetah-vel", quality="medium"):
    from workbench.app import ablate_factorial
    from workbench.app.known_runs import known_runs

    ablate_factorial.show(family, quality, known_runs())


def drawn(family, quality="medium"):
    told = {"family": family, "quality": quality}
    page = AppTest.from_function(script, default_timeout=120, kwargs=told).run()
    assert not page.exception
    return page


@pytest.mark.parametrize("quality", QUALITIES)
def test_the_sentences_are_those_of_the_effects(quality):
    page = drawn("cheetah-vel", quality)
    text = " ".join(m.value for m in page.markdown)
    found = factorial.effects(Runs.of(shipped()))
    found = found[found["quality"] == quality]
    rows = found[found["where"] == "all"]
    assert len(rows) == 3, "what ships has the whole design"
    for _, r in rows.iterrows():
        words = factorial.FACTORS[r["factor"]].capitalize()
        added = f"{r['effect']:+.1f}".replace("-", "−")
        assert f"**{words}**: {added} of returns" in text
        covers = r["effect_low"] <= 0 <= r["effect_high"]
        said = text.partition(f"**{words}**")[2].partition("- **")[0]
        assert ("chance may explain it" in said) == covers
        for _, only in found[
            (found["factor"] == r["factor"]) & (found["where"] != "all")
        ].iterrows():
            value = f"{only['effect']:+.1f}".replace("-", "−")
            assert f"where the data are {only['where']}, {value} [" in said
    assert [c.key for c in page.get("plotly_chart")] == ["factorial-cells", "factorial-effects"]


def test_it_leads_to_the_two_that_are_adapted():
    text = " ".join(m.value for m in drawn("cheetah-vel").markdown)
    assert "from+expert+prompts+alone" in text


def test_other_robots_say_where_it_was_taken_apart():
    page = drawn("ant-dir")
    assert "taken apart on Cheetah-vel only" in page.caption[0].value
    assert not page.get("plotly_chart")
