"""The page of data, by Streamlit's AppTest: what ships, a file brought, judged and kept."""

import os
import pickle

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tests.conftest import record
from tests.exchange.test_received import as_pickle
from workbench.app import data, serving
from workbench.app.data_sets import plain
from workbench.app.links import task_params
from workbench.data import own_sets
from workbench.data.qualities import QUALITIES
from workbench.shipped import assets
from workbench.tasks import FAMILIES
from workbench.viewing.scene.appearance import goal_words


def script():
    import streamlit as st

    from workbench.app import data, explore

    data.page(st.Page(explore.page))


@pytest.fixture
def page(shipped, tmp_path, monkeypatch):
    """The page over the toy family's assets, which are the only ones that ship."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(own_sets, "FOLDER", tmp_path / "data" / "own")
    # the toy is a point on a line: it has no shape to be drawn
    monkeypatch.setattr(data, "show_replays", lambda task, names: None)
    return AppTest.from_function(script, default_timeout=30).run()


def bring(page, path):
    raw = path.read_bytes()
    page.file_uploader[0].set_value((path.name, raw, "application/octet-stream")).run()
    assert not page.exception
    return page


def texts(page):
    kinds = (page.markdown, page.caption, page.info, page.success, page.warning, page.error)
    return "\n".join(item.value for kind in kinds for item in kind)


def test_first_visit_shows_what_there_is(page, toy):
    assert not page.exception
    table = page.dataframe[0].value
    assert list(table["data"]) == ["expert", "medium", "random"]
    returns = [t.episode_return for t in assets.demos(toy.task(2), "medium")]
    assert table["mean"][1] == pytest.approx(np.mean(returns), abs=1e-3)
    assert table["n"].tolist() == [5, 5, 5]
    assert "Best: expert" in texts(page)
    assert "No file yet" in page.info[0].value


def test_the_task_is_chosen(page, toy):
    page.sidebar.selectbox[1].set_value(goal_words(toy.task(5))).run()
    returns = [t.episode_return for t in assets.demos(toy.task(5), "medium")]
    assert page.dataframe[0].value["mean"][1] == pytest.approx(np.mean(returns), abs=1e-3)


def test_a_task_without_data_has_words(page, toy):
    for quality in ("expert", "medium", "random"):
        assets.demos_path(toy.task(2), quality).unlink()
    page.run()
    assert not page.exception
    assert "python -m workbench demos toy" in page.info[0].value


def test_a_damaged_set_is_left_out_with_words(page, toy):
    assets.demos_path(toy.task(2), "medium").write_bytes(b"")
    page.run()
    assert not page.exception
    assert list(page.dataframe[0].value["data"]) == ["expert", "random"]
    assert "left out" in page.warning[0].value


def test_every_control_has_a_help_text(page, toy, demos, tmp_path):
    bring(page, as_pickle(tmp_path / "a.pkl", demos))
    kinds = (page.selectbox, page.file_uploader, page.toggle, page.text_input, page.checkbox)
    widgets = [w for kind in (*kinds, page.button) for w in kind]
    assert len(widgets) == 9
    assert all(widget.help for widget in widgets)


def test_a_file_is_judged_kept_and_leads_on(page, toy, demos, tmp_path):
    bring(page, as_pickle(tmp_path / "a.pkl", demos))
    assert "**Accepted" in page.success[0].value
    assert "3 episodes of Toy" in page.success[0].value
    assert "your file" in list(page.dataframe[1].value["data"])
    assert "Replayed step by step" in texts(page)
    assert page.text_input[0].value == "a"
    page.text_input[0].set_value("theirs").run()
    page.button(key="save").click().run()
    assert "own:theirs" in plain_text(page.success[1].value)
    assert page.code[0].value == "python -m workbench tune toy 5 --quality own:theirs"
    onward = page.button(key=f"explore-{toy.task(5)}")
    assert onward.label == f"Tune a prompt on it: {goal_words(toy.task(5))}"
    assert len(assets.demos(toy.task(5), "own:theirs")) == 3
    page.button(key="save").click().run()
    assert "already" in page.error[0].value
    page.checkbox[0].check().run()
    page.button(key="save").click().run()
    assert not page.error
    own_sets.save("theirs", demos[:2], overwrite=True)
    page.sidebar.selectbox[1].set_value(goal_words(toy.task(5))).run()
    table = page.dataframe[0].value
    assert table["n"][list(table["data"]).index("own:theirs")] == 2, "as it is on the disk now"
    page.text_input[0].set_value("No Name").run()
    page.button(key="save").click().run()
    assert "1 to 40" in page.error[0].value
    assert not page.exception


def test_a_file_of_another_task_leads_the_page_to_it(page, toy, demos, tmp_path):
    bring(page, as_pickle(tmp_path / "a.pkl", demos))
    assert f"still shows *{goal_words(toy.task(2))}*" in texts(page)
    page.button(key="turn-to").click().run()
    assert not page.exception
    assert page.sidebar.selectbox[1].value == goal_words(toy.task(5))
    assert "still shows" not in texts(page)


def test_warnings_are_read_before_the_file_is_kept(page, toy, demos, tmp_path):
    bring(page, as_pickle(tmp_path / "a.pkl", [*demos, demos[0]]))
    assert "with 1 warning below" in page.warning[0].value
    assert "copies" in texts(page)


def test_the_task_on_the_left_can_be_taken(page, toy, demos, tmp_path):
    path = as_pickle(tmp_path / "a.pkl", demos, rewards=lambda r: r + 2)
    bring(page, path)
    assert "fit no task" in plain_text(page.error[0].value)
    page.toggle[0].set_value(True).run()
    assert not page.error
    assert "not those of toy 2" in plain_text(texts(page))


def plain_text(markdown):
    return markdown.replace("\\", "")


def test_a_hostile_file_is_refused_and_its_words_do_nothing(page, toy, tmp_path):
    class Call:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    path = tmp_path / "![x](http:evil)<b>:red[y].pkl"
    path.write_bytes(pickle.dumps([{"observations": Call()}]))
    bring(page, path)
    (error,) = page.error
    assert "**Refused" in error.value
    assert f"{os.name}.system" in plain_text(error.value)
    for live in ("![", "](", "<b>", ":red["):
        assert live not in error.value
    assert not page.text_input, "what is refused cannot be kept"
    assert not (tmp_path / "ran").exists()
    assert not own_sets.FOLDER.exists()
    assert str(tmp_path) not in error.value


def test_two_sessions_do_not_share_a_report(page, toy, demos, tmp_path):
    bring(page, as_pickle(tmp_path / "a.pkl", demos))
    other = AppTest.from_function(script, default_timeout=30).run()
    assert "No file yet" in texts(other)


def test_text_of_a_file_is_shown_as_it_is():
    text = "a*b_c`d`[e](f) <g> $h$ :i: #j\n- k ~l~ &amp;"
    shown = plain(text)
    assert "\n" not in shown
    assert plain_text(shown) == "a*b_c'd'[e](f) <g> $h$ :i: #j - k ~l~ &amp;"


def test_the_link_opens_the_first_page_with_the_data_chosen(tmp_path, monkeypatch):
    """With the real assets: the controls of the first page must know these names."""
    monkeypatch.setattr(own_sets, "FOLDER", tmp_path)
    task = FAMILIES["cheetah-vel"].task(15)
    own_sets.save("theirs", assets.demos(task, "random"))
    app = AppTest.from_file(str(serving.SCRIPT), default_timeout=40)
    for name, value in task_params(task, "own:theirs").items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    assert app.sidebar.selectbox[1].value == goal_words(task)
    assert app.sidebar.button_group[0].value == "own:theirs"


def test_a_set_of_another_task_is_not_offered(page, toy):
    own_sets.save("theirs", record(toy.task(5), 2))
    page.run()
    assert "own:theirs" not in list(page.dataframe[0].value["data"])


def test_what_they_cover_is_drawn_of_the_chosen_variable(page, toy):
    assert page.selectbox(key="variable-toy").options == [
        "speed (m/s)", "position (m)", "push (N)", "action: push (N)",
    ]  # fmt: skip
    page.selectbox(key="variable-toy").set_value("position (m)").run()
    assert not page.error
    charts = page.get("plotly_chart")
    assert len(charts) == 3
    assert "position (m)" in charts[-1].proto.spec or "position (m)" in charts[-2].proto.spec


def test_an_own_set_is_deleted_and_comes_back(page, toy):
    task = toy.task(2)
    own_sets.save("mine", record(task, 2))
    own_sets.save("other", record(task, 3))
    page.run()
    assert "own:mine" in list(page.dataframe[0].value["data"])
    page.button(key=f"delete-{task}-mine").click().run()
    assert own_sets.qualities(task) == ["own:other"]
    assert list(page.dataframe[0].value["data"])[3:] == ["own:other"]
    assert "Deleted: own:mine" in plain_text(texts(page))
    page.button(key=f"undo-{task}").click().run()
    assert own_sets.qualities(task) == ["own:mine", "own:other"]
    assert len(assets.demos(task, "own:mine")) == 2
    assert "Deleted" not in texts(page)
    assert not page.exception


def test_the_demonstrations_of_every_family_can_be_replayed():
    from workbench.app import data_replay, data_sets

    for family in FAMILIES.values():
        task = family.tasks("test")[0]
        names = list(QUALITIES)
        payload = data_replay._packed(task, data_sets.stamps_of(task, names), "best")
        assert [c["label"].split(":")[0] for c in payload["columns"]] == names
        best = max(t.episode_return for t in assets.demos(task, "expert"))
        assert f"{best:.1f}".replace("-", "−") in payload["columns"][0]["label"]


@pytest.mark.parametrize(("robot", "there"), [("Cheetah-vel", True), ("Ant-dir", False)])
def test_bad_data_tell_the_task_where_it_is_a_velocity(tmp_path, monkeypatch, robot, there):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data, "show_replays", lambda task, names: None)
    page = AppTest.from_function(script, default_timeout=60)
    page.query_params["robot"] = robot
    page.run()
    assert not page.exception
    assert ("What bad data tell" in [heading.value for heading in page.subheader]) is there
