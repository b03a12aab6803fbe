"""The page of the tables, by Streamlit's AppTest over what ships."""

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from workbench.app import compare, compare_claims, jobs
from workbench.app.known_runs import known_runs
from workbench.paper import pretraining_seeds
from workbench.paper.claims import CLAIMS, findings
from workbench.paper.measured import CAUTION, assemble
from workbench.paper.tables import PUBLISHED, TABLES, cells, runs_of
from workbench.runs.store import RunStore
from workbench.viewing.figures.curves import AXES


def script():
    import streamlit as st

    from workbench.app import compare, explore, runs

    first = st.Page(explore.page, title="Explore", url_path="explore")
    runs_page = st.Page(lambda: runs.page(first), title="Runs", url_path="runs")
    here = st.Page(lambda: compare.page(runs_page), title="Compare", default=True)
    st.navigation([here, runs_page, first]).run()


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "OWN", RunStore(tmp_path))
    return AppTest.from_function(script, default_timeout=90)


def texts(page):
    return "\n".join(i.value for kind in (page.markdown, page.caption, page.info) for i in kind)


@pytest.mark.parametrize("table", ["Table 1", "Claims"])
def test_the_caution_stands_first(page, table):
    page.query_params["table"] = table
    assert [w.value for w in page.run().warning] == [CAUTION]
    assert not page.exception


def test_measured_and_published_stand_side_by_side(page):
    page.run()
    assert not page.exception
    assert not page.error
    wide = page.dataframe[0].value.set_index("")
    assert wide.loc["Prompt Diffuser", "cheetah-vel|paper"] == -35.3
    known = known_runs()
    table = assemble("1", cells("1"), known.runs)
    mine = table.set_index(["row", "column"])["mean"]
    for row, column in (("Prompt Diffuser", "cheetah-vel"), ("Soft Prompt", "cheetah-vel")):
        assert wide.loc[row, f"{column}|here"] == pytest.approx(mine[row, column])
    assert set(wide["ant-dir|paper"].dropna()) == {
        mean for (_, column), (mean, _) in PUBLISHED["1"].items() if column == "ant-dir"
    }
    widgets = [w for kind in (page.selectbox, page.radio, page.button_group) for w in kind]
    assert len(widgets) == 6
    assert all(widget.help for widget in widgets)


@pytest.mark.parametrize("name", TABLES)
def test_empty_cells_are_spoken_of_where_there_are_any(page, name):
    page.run()
    page.sidebar.radio(key="table").set_value(name).run()
    wanted = runs_of(cells(name))
    there, of = len(known_runs().runs.find(wanted)), len({spec.id for spec in wanted})
    if name in ("1", "2", "3", "models"):
        assert there == of, "it ships whole"
    (said,) = (c.value for c in page.sidebar.caption if "runs are there" in c.value)
    assert said.startswith(f"All {of:,}" if there == of else f"{there:,} of {of:,}")
    assert ("Empty cells" in said) is (there < of)


def test_what_a_model_takes_no_gradient_for_is_said_and_not_called_unrun(page):
    page.query_params["table"] = "Models"
    page.query_params["row-models"] = "Gato: Soft Prompt"
    page.run()
    assert not page.exception
    wide = page.dataframe[0].value.set_index("")["cheetah-vel|here"]
    assert set(wide.index[np.isneginf(wide)]) == {"Gato: Soft Prompt", "Gato: Prompt Diffuser"}
    (said,) = (info.value for info in page.info)
    assert said.startswith("**Soft Prompt** needs a gradient")


def test_over_pretraining_seeds_it_says_who_is_behind(page):
    """As the numbers beneath say; random prompts and none are no methods."""
    page.query_params["table"] = "Models"
    page.run()
    assert not page.exception
    assert "Over pretraining seeds" in [s.value for s in page.subheader]
    table = pretraining_seeds.assemble(cells("models"), known_runs().runs).set_index("row")
    shown = next(d.value for d in page.dataframe if "seed 2" in d.value).set_index("row")
    assert list(shown.index) == list(table.index)
    for row, r in table.iterrows():
        assert [shown.loc[row, f"seed {n}"] for n in range(3)] == pytest.approx(r["seeds"])
    said = texts(page)
    for row in ("Soft Prompt", "Prompt Diffuser", "Prompt Diffuser, told the task (ours)"):
        r = table.loc[row]
        how = "ahead of" if r["more_low"] > 0 else "behind" if r["more_high"] < 0 else "apart from"
        line = next(t for t in said.splitlines() if t.startswith(f"- **{row}** "))
        assert how in line
        decided = r["corrected_low"] > 0 or r["corrected_high"] < 0
        assert ("undecided" in line) is (how != "apart from" and not decided)
        assert f"{r['more']:+.1f}".replace("-", "−") in line
    assert "- **no prompt**" not in said
    page.sidebar.radio(key="table").set_value("1").run()
    assert "Over pretraining seeds" not in [s.value for s in page.subheader]


def test_a_cell_shows_its_runs(page):
    page.query_params["row-1"] = "Soft Prompt"
    page.run()
    assert page.selectbox(key="row-1").value == "Soft Prompt"
    lines = page.dataframe[1].value
    found = known_runs().runs.find(cells("1")["Soft Prompt", "cheetah-vel"])
    assert sorted(lines["return"]) == pytest.approx(sorted(found["return_mean"]))
    assert lines["A | B"].str.contains("b-method=Soft").all()
    (link,) = page.get("page_link")
    assert "cell=1%7CSoft+Prompt%7Ccheetah-vel" in str(link.proto)


def test_the_claims_are_judged_one_by_one(page):
    page.query_params["table"] = "Claims"
    page.run()
    assert not page.exception
    assert not page.error
    rows = pd.DataFrame(findings(lambda _: known_runs().runs))
    counts = {metric.label.partition(" ")[2]: metric.value for metric in page.metric}
    lines = page.dataframe[0].value.set_index("claim")
    assert list(lines.index) == [claim.text for claim in CLAIMS]
    for verdict, (sign, words, _) in compare_claims.VERDICTS.items():
        n = int((rows["verdict"] == verdict).sum())
        assert counts[words] == f"{n} of {len(rows)}"
        assert lines[words].sum() == n
        assert sign in "✓✗?–"
    assert page.selectbox(key="claim").help
    shown = page.dataframe[1].value
    first = rows[rows["claim"] == CLAIMS[0].text]
    assert shown["difference"].to_numpy() == pytest.approx(
        first["difference"].to_numpy(), nan_ok=True
    )
    assert shown["published"].to_numpy() == pytest.approx(first["published"].to_numpy())
    assert shown["p"].to_numpy() == pytest.approx(first["p_holm"].to_numpy(), nan_ok=True)
    assert f"{first['corrected_low'].iloc[0]:+,.1f}".replace("-", "−") in shown["corrected"].iloc[0]
    assert "the thin line alone decides" in texts(page)
    assert shown["compared"].iloc[0] == "Cheetah-vel"
    assert shown["runs"].iloc[0].startswith("./runs?cell=1%7CPrompt+Diffuser")


def test_every_claim_can_be_looked_into_by_a_link(page):
    page.query_params["table"] = "Claims"
    for claim in CLAIMS:
        page.query_params["claim"] = claim.text
        page.run()
        page.selectbox(key="claim").set_value(claim.text).run()
        assert not page.exception
        assert not page.error, claim.text
        assert len(page.dataframe[1].value) == len(claim.comparisons)


def test_what_claims_say_together():
    together = compare_claims._overall
    assert together(pd.Series(["yes", "not run"])) == "✓ holds"
    assert together(pd.Series(["no", "no"])) == "✗ does not"
    assert together(pd.Series(["yes", "no"])) == "◐ in part"
    assert together(pd.Series(["no", "undecided"])) == "✗ mostly not"
    assert together(pd.Series(["not run"])) == "– not run"


def test_words_that_all_comparisons_share_are_said_once():
    shared = compare_claims._shared_end
    assert shared(["a data: x, against y", "b data: x, against y"]) == ": x, against y"
    assert shared(["Ant-dir, vector", "Ant-dir, tensor"]) == ""
    assert shared(["Cheetah-vel"]) == ""


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("view", compare.VIEWS)
def test_every_table_is_drawn_in_every_way(page, name, view):
    page.query_params["table"] = compare.NAMES[name][0]
    page.query_params["view"] = view
    page.run()
    assert not page.exception
    assert not page.error, page.error[0].value
    whole = cells(name)
    assert list(page.dataframe[0].value[""]) == list(dict.fromkeys(row for row, _ in whole))
    if name == "1":
        assert len(page.get("plotly_chart")) == 1 + len(AXES), "below it how fast each learns"


def test_the_rows_drawn_and_the_row_against_are_chosen(page):
    page.query_params["view"] = "Probability of improvement"
    page.run()
    page.multiselect(key="rows-1").set_value(["HDT"]).run()
    page.selectbox(key="against-1").set_value("MT-ORL").run()
    assert "beats one of: MT-ORL" in page.get("plotly_chart")[0].proto.spec
    page.multiselect(key="rows-1").set_value([]).run()
    assert "Choose at least one row" in texts(page)
    assert not page.exception


def test_a_table_taken_along_says_of_how_many_runs_it_is_and_what_makes_them(page):
    page.run()
    page.button(key="compare-report").click().run()
    assert not page.exception
    (item,) = page.session_state["report"]
    runs = len(known_runs().runs.find(runs_of(cells("1"))))
    assert f"{runs:,} runs, 3 seeds of each task, 20 episodes a run" in item.words
    assert item.commands == ("python -m workbench table 1 --run",)
