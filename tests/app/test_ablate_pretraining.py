"""The part of the page Ablate that shows the pretraining, of the runs that ship."""

from streamlit.testing.v1 import AppTest

from workbench.paper import phases
from workbench.paper.measured import Runs
from workbench.runs.run_table import shipped


def script(family="cheetah-vel", quality="medium"):
    from workbench.app import ablate_pretraining
    from workbench.app.known_runs import known_runs

    ablate_pretraining.show(family, quality, known_runs())


def drawn(family, quality="medium"):
    told = {"family": family, "quality": quality}
    page = AppTest.from_function(script, default_timeout=120, kwargs=told).run()
    assert not page.exception
    return page


def charts(page):
    return [chart.key for chart in page.get("plotly_chart")]


def test_both_phases_are_drawn_and_lead_to_two_diffusers_beside_each_other():
    page = drawn("cheetah-vel")
    text = " ".join(m.value for m in page.markdown)
    assert "without and with projection](./?" in text
    assert "a-pretrained=with" in text
    assert "a-pretrained=without" in text
    said = " ".join(c.value for c in page.caption)
    assert "each diffuser was pretrained once" in said
    table = phases.assemble(Runs.of(shipped()))
    part = table[(table["quality"] == "medium") & (table["seeds"] > 0)]
    stages = set(part["stage"])
    assert {phases.BEFORE, phases.AFTER} <= stages, "what ships has both phases"
    assert len(charts(page)) == 2 * len(stages) + 2, "return and gain; losses and conflicts"


def test_the_sentences_are_those_of_the_table():
    table = phases.assemble(Runs.of(shipped()))
    for quality in ("medium", "random"):
        text = " ".join(m.value for m in drawn("cheetah-vel", quality).markdown)
        rows = table[(table["quality"] == quality) & (table["stage"] == phases.TOLD)]
        low, high = (
            f"{end:.1f}".replace("-", "−") for end in (rows["iqm"].min(), rows["iqm"].max())
        )
        assert f"**Told the task, not tuned**: {low} to {high} (interquartile means)" in text
        few = table[(table["quality"] == quality) & (table["stage"] == phases.AFTER)]["iqm"].count()
        assert ("what ships alone was run" in text) == (few == 1)


def test_other_robots_have_what_was_measured_while_pretraining_alone():
    page = drawn("ant-dir")
    assert any("on Cheetah-vel only" in c.value for c in page.caption)
    assert len(charts(page)) == 2
