"""Judged claims in, Plotly figures out: every verdict in a colour, a symbol and a word."""

import numpy as np
import pandas as pd
import pytest

from workbench.data.qualities import QUALITIES
from workbench.paper.claims import CLAIMS, NEAR, findings
from workbench.paper.measured import Runs, assemble
from workbench.paper.tables import PUBLISHED, cells
from workbench.runs.run_table import COLUMNS
from workbench.shipped import assets
from workbench.viewing.figures.claims import (
    VERDICTS,
    candidates,
    differences,
    glance,
    initial_prompts,
)

NOTHING = Runs.of(pd.DataFrame(columns=list(COLUMNS)))
CLAIM = CLAIMS[3].text  # one that is near, of all families
RESULTS = {  # difference, low, high, verdict
    "cheetah-vel": (-5.0, -8.0, -2.0, "yes"),
    "cheetah-dir": (-400.0, -500.0, -300.0, "no"),
    "ant-dir": (10.0, np.nan, np.nan, "undecided"),
}


@pytest.fixture(scope="module")
def unrun():
    return pd.DataFrame(findings(lambda _: NOTHING))


@pytest.fixture
def part(unrun):
    """The comparisons of one claim, three of them decided."""
    part = unrun[unrun["claim"] == CLAIM].copy()
    assert part["comparison"].tolist() == [*RESULTS, "reach"]
    for i, row in zip(part.index, RESULTS.values(), strict=False):
        part.loc[i, ["difference", "low", "high", "verdict"]] = row
        part.loc[i, ["corrected_low", "corrected_high"]] = row[1] - 2, row[2] + 2
    return part


def test_every_comparison_has_its_family_and_limit(unrun):
    assert set(unrun["family"]) == {"cheetah-vel", "cheetah-dir", "ant-dir", "reach"}
    assert (unrun["limit"].notna() == (unrun["kind"] == "near")).all()
    one = unrun[(unrun["claim"] == CLAIM) & (unrun["comparison"] == "cheetah-vel")].iloc[0]
    assert one["limit"] == pytest.approx(-NEAR * (behaviour("expert") - behaviour("random")))


def behaviour(quality):
    """Return what a behaviour policy of Cheetah-vel earns on the test tasks, as shipped."""
    entry = assets.manifest()[f"cheetah-vel/behaviour-{quality}.safetensors"]
    return np.mean(list(entry["measured"]["return_by_test_task"].values()))


def test_differences_are_drawn_as_they_are(part):
    figure = differences(part)
    points = {t.name: t for t in figure.data if t.error_x.array is not None}
    assert list(points) == list(RESULTS)
    for name, (value, low, high, verdict) in RESULTS.items():
        drawn = points[name]
        assert drawn.x[0] == value
        assert (drawn.marker.color, drawn.marker.symbol) == VERDICTS[verdict][:2]
        if np.isfinite(low):
            assert value - drawn.error_x.arrayminus[0] == low
            assert value + drawn.error_x.array[0] == high
            (line,) = (t for t in figure.data if list(t.x) == [low - 2, high + 2])
            assert line.line.width < drawn.error_x.thickness, "the corrected one is thin"
            ends = figure.layout[drawn.xaxis.replace("x", "xaxis")].range
            assert ends[0] < low - 2 < high + 2 < ends[1]
    words = [a.text for a in figure.layout.annotations if a.text in VERDICTS]
    assert words == ["yes", "no", "undecided", "not run"]


def test_the_published_difference_is_an_open_diamond(part):
    diamonds = [t for t in differences(part).data if t.marker.symbol == "diamond-open"]
    drawn = {n: x for t in diamonds if t.text is not None for n, x in zip(t.text, t.x, strict=True)}
    one = PUBLISHED["1"]
    want = one["Prompt Diffuser", "ant-dir"][0] - one["Prompt-DT-FT-Full", "ant-dir"][0]
    assert drawn["ant-dir"] == pytest.approx(want)


def test_zero_is_in_the_middle_of_every_axis(part):
    figure = differences(part)
    axes = [figure.layout[f"xaxis{i}"] for i in ("", 2, 3, 4)]
    assert all(axis.range[0] == -axis.range[1] for axis in axes)
    assert axes[1].range[1] > 500
    assert all(axis.zeroline for axis in axes)
    assert sorted(s.x0 for s in figure.layout.shapes) == sorted(part["limit"])


def test_a_family_without_a_mark_keeps_its_name_and_says_so(part):
    """Reach, neither run nor published on this scale: a line with its name and `not run`."""
    part.loc[part["family"] == "reach", "published"] = np.nan
    figure = differences(part)
    assert list(figure.layout.yaxis4.ticktext) == ["reach"]
    assert not figure.layout.xaxis4.showticklabels
    (said,) = [a for a in figure.layout.annotations if a.text == "not run"]
    assert (said.y, said.yref) == (0, "y4")
    assert len(figure.layout.shapes) == 3


def test_every_claim_has_a_row_and_every_comparison_a_square(unrun, part):
    figure = glance(pd.concat([unrun.drop(part.index), part]))
    assert sum(len(t.x) for t in figure.data) == len(unrun)
    assert len(figure.layout.yaxis.categoryarray) == len(CLAIMS)
    by_name = {t.name: t for t in figure.data}
    assert list(by_name["✗ no"].customdata) == ["cheetah-dir"]
    assert [t.name for t in figure.data if t.showlegend] == [
        f"{sign} {name}" for name, (_, _, sign) in VERDICTS.items()
    ]


def test_our_means_stand_beside_the_published_ones():
    table = assemble("2", cells("2"), NOTHING)
    place = (table["column"] == "Prompt Diffuser") & (table["row"] == "medium data, random prompt")
    table.loc[place, "mean"] = -50.0
    ours, published = initial_prompts(table, ["Prompt Diffuser"]).data
    assert ours.z[1][2] == -50.0
    assert np.isnan(np.array(ours.z, float)).sum() == 8
    assert published.z[1][2] == PUBLISHED["2"]["medium data, random prompt", "Prompt Diffuser"][0]
    again = initial_prompts(table, ["Prompt Diffuser"])
    words = [a.text for a in again.layout.annotations]
    assert words.count("not run") == 8
    assert "−50.0" in words


def test_every_candidate_has_a_mark_per_quality_and_their_mean():
    ranked = pd.DataFrame(
        {
            "family": "cheetah-vel",
            "method": ["a", "a", "b"],
            "settings": ["lr 1.0", "defaults", "defaults"],
            "updates": [5, 5, 0],
            **{q: [-1.0, -2.0, -3.0] for q in QUALITIES},
            "mean": [-1.0, -2.0, -3.0],
            "runs": 9,
            "chosen": [True, False, True],
        }
    )
    figure = candidates(ranked)
    assert len(figure.data) == 2 * 4
    assert list(figure.data[0].y) == ["<b>chosen: lr 1.0, 5 updates</b>", "defaults, 5 updates"]
    assert [t.name for t in figure.data if t.showlegend] == [
        *(f"{q} data" for q in QUALITIES),
        "mean of the three",
    ]
