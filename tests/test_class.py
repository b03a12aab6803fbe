"""A class at a shared server, in the small: `python -m tests.campaign.a_class` is the whole."""

from tests.campaign import a_class


def test_visitors_use_every_page_without_an_error(tmp_path):
    found = a_class.measured(sessions=3, minutes=0.25, views=1)
    assert found["wrong"] == [], found["log"]
    assert found["cpu_of_a_view"].keys() == set(a_class.PAGES.values())
    assert found["done"]["pages opened"] >= 3
    assert len(found["each"]) == sum(found["done"].values()) - found["done"]["tabs"]
    assert all(0 <= began <= ended for began, ended, *_ in found["each"])
    assert {visitor for *_, visitor, _ in found["each"]} == {0, 1, 2}
    a_class.draw(found, tmp_path / "class.png")
    assert (tmp_path / "class.png").stat().st_size > 1000


def test_what_goes_beyond_a_limit_is_said():
    kept = {"wrong": [], "cpu_of_a_view": {"Ablate": 0.6}, "memory_most_mb": 1200}
    kept["growth_last_half"] = 0.05
    assert a_class.beyond(kept) == []
    for name, value in {
        "wrong": ["an error"],
        "cpu_of_a_view": {"Ablate": 0.7},
        "memory_most_mb": 1201,
        "growth_last_half": 0.06,
    }.items():
        assert len(a_class.beyond({**kept, name: value})) == 1


def test_growth_is_that_of_the_last_half():
    flat = [(s, 500.0 + min(s, 50)) for s in range(100)]
    assert a_class.growth(flat) == 0
    assert a_class.growth([(s, 500.0 + s) for s in range(100)]) > 0.03
