"""Links open the first page with the settings of a run."""

from urllib.parse import parse_qs, urlsplit

import pytest
from streamlit.testing.v1 import AppTest

from tests.app.test_explore import APP
from workbench.app.links import can_explore, explore_params, explore_url, renamed, runs_url
from workbench.tuning.presets import chosen
from workbench.tuning.spec import RunSpec


def guided(**settings):
    return chosen("prompt-diffuser", "cheetah-vel", 15, quality="expert", seed=2, settings=settings)


def test_the_first_page_knows_every_name():
    a, b = guided(lam=3.0, projection="none"), guided(lam=3.0, projection="vector")
    app = AppTest.from_file(APP, default_timeout=60)
    for name, value in explore_params(a, b).items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    assert not any("The link asks for" in w.value for w in app.warning)
    state = app.session_state
    assert state["robot"] == "Cheetah-vel"
    assert state["cheetah-vel-task"] == "run at 1.2 m/s"
    assert (state["data"], state["seed"], state["updates"]) == ("expert", 2, 400)
    assert (state["a-lam"], state["a-projection"]) == (3.0, "none")
    assert (state["b-lam"], state["b-projection"]) == (3.0, "vector")
    assert state["a-method"] == state["b-method"] == "prompt-diffuser"


def test_one_run_stands_beside_its_untuned_prompt():
    params = explore_params(guided())
    assert params["a-method"] == "Untuned prompt"
    assert params["b-method"] == "Prompt Diffuser"
    assert params["b-guidance"] == "both losses"


def test_updates_are_those_of_the_slider():
    few = chosen("prompt-tuning-dt", "cheetah-vel", 15)
    assert few.updates == 10
    assert explore_params(few)["updates"] == "100"
    twice = RunSpec("cheetah-vel", 15, method="soft-prompt", updates=200, settings={"lr": 3e-3})
    assert explore_params(twice)["updates"] == "200"


def test_data_of_one_side_are_its_own():
    random = RunSpec("cheetah-vel", 15, "random")
    params = explore_params(random, RunSpec("cheetah-vel", 15, "expert"))
    assert (params["data"], params["a-data"], params["b-data"]) == ("expert", "random", "shared")


@pytest.mark.parametrize(
    ("variant", "option"),
    [
        ("lam-1-none", "with λ = 1, plain sum"),
        ("prompts-expert", "from expert prompts alone"),
    ],
)
def test_two_pretrainings_stand_beside_each_other(variant, option):
    fields = {"quality": "expert", "seed": 2}
    plain = chosen("prompt-diffuser", "cheetah-vel", 15, **fields, variant=variant)
    params = explore_params(plain, guided())
    assert params["a-pretrained"] == option
    assert "b-pretrained" not in params
    assert can_explore(plain)
    app = AppTest.from_file(APP, default_timeout=60)
    for name, value in params.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    assert not app.warning
    assert app.selectbox(key="a-pretrained").value == variant
    assert app.selectbox(key="b-pretrained").value == ""
    codes = [code.value for code in app.code]
    assert f"--variant {variant}" in codes[0]
    assert "--variant" not in codes[1]


def test_an_address_says_the_same():
    spec = guided(lam=0.1)
    query = parse_qs(urlsplit(explore_url(spec)).query)
    assert {name: value for name, (value,) in query.items()} == explore_params(spec)
    assert parse_qs(urlsplit(runs_url("1", "HDT", "ant-dir")).query)["cell"] == ["1|HDT|ant-dir"]


@pytest.mark.parametrize(
    "fields",
    [
        {"prompts": "random"},
        {"quality": "other:2"},
        {"settings": {"lam": 0.7}},
        {"settings": {"temperature": 0.0}},
        {"settings": {"n_candidates": 8}},
        {"updates": 7},
        {"model": "harmodt"},
        {"variant": "seed-1"},
    ],
)
def test_what_the_page_has_no_control_for_is_not_linked(fields):
    assert can_explore(RunSpec("cheetah-vel", 15))
    assert can_explore(chosen("soft-prompt", "cheetah-vel", 15))
    assert not can_explore(RunSpec("cheetah-vel", 15, **fields))


@pytest.mark.parametrize(
    ("former", "today"),
    [
        ("quality=expert&seed=5", "data=expert&seed=5"),
        ("ablate-data=random&ablate-lam=3", "data=random&lam=3"),
        ("data-cheetah-vel-task=run+at+0.6+m%2Fs", "cheetah-vel-task=run+at+0.6+m%2Fs"),
        ("runs-method=Soft+Prompt&cell=1|HDT", "method=Soft+Prompt&cell=1%7CHDT"),
        ("a-data=random&b-lam=3", "a-data=random&b-lam=3"),
    ],
)
def test_a_setting_has_one_name_and_former_ones_lead_to_it(former, today):
    assert renamed(former) == today
