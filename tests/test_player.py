import base64
import json
import re
import textwrap

import browser
import numpy as np
import pytest

from workbench import player

STEPS, GEOMS, N, ROWS, D = 200, 9, 20, 5, 27
# By hand, so that neither the player nor its tests need a simulator.
SCENE = {
    "geoms": [
        {"type": "plane", "size": [40, 40, 40], "rgba": [1, 1, 1, 1], "body": 0, "visible": True}
    ]
    + [
        {"type": kind, "size": [0.05, 0.2, 0.1], "rgba": [0.9, 0.7, 0.3, 1], "body": 1}
        | {"visible": True}
        for kind in ("capsule", "sphere", "box", "cylinder", "ellipsoid", *["capsule"] * 3)
    ],
    "meshes": [],
    "dt": 0.05,
    "tile": 0.5,
    "floor": 0.0,
    "ground": 0.0,
    "camera": {
        "azimuth": 90.0,
        "elevation": -14.0,
        "distance": 2.9,
        "fovy": 34.0,
        "beside": 1.0,
        "at": [0.0, 0.0, 0.5],
        "track": 1,
    },
    "marks": [],
    "trail": "",
    "ruler": True,
}
CHART = player.Chart("Forward speed", "forward speed", "m/s", 0.5, "target 0.50 m/s")


def run(label="with the prompt", seed=0, steps=STEPS, **more):
    rng = np.random.default_rng(seed)
    poses = rng.normal(size=(steps, GEOMS, 7)).astype(np.float32)
    poses[..., 3:] /= np.linalg.norm(poses[..., 3:], axis=-1, keepdims=True)
    poses[:, 0] = [0, 0, 0, 1, 0, 0, 0]
    rewards = rng.normal(-0.5, 0.1, steps).astype(np.float32)
    measured = rng.normal(size=steps).astype(np.float32)
    return player.Run(label, "#0072b2", poses, rewards, measured, **more)


def chain(seed=0):
    rng = np.random.default_rng(seed)
    x, x0_hat = rng.normal(size=(N + 1, ROWS, D)), rng.normal(size=(N, ROWS, D))
    names = [f"variable {i}" for i in range(D)]
    groups = ["observations"] * 20 + ["actions"] * 6 + ["reward"]
    return player.Chain(x, x0_hat, np.arange(D), np.full(D, 2.0), names, ["m"] * D, groups)


def packed(**changes):
    runs = (run(), run("without", 1))
    usual = {"id": "a", "scene": SCENE, "runs": runs, "chain": chain(), "chart": CHART}
    return player.payload(**usual | changes)


def solids():
    """A red tetrahedron over a still box, a ball to reach, an episode that ends early."""
    mesh = {"low": [-0.3] * 3, "high": [0.3] * 3}
    for name, values in (
        ("vertices", [0, 0, 0, 65535, 0, 0, 0, 65535, 0, 0, 0, 65535]),
        ("faces", [0, 2, 1, 0, 1, 3, 0, 3, 2, 1, 2, 3]),
    ):
        mesh[name] = base64.b64encode(np.array(values, "<u2").tobytes()).decode()
    scene = SCENE | {"meshes": [mesh], "trail": "space", "ruler": False}
    scene["geoms"] = [dict(geom) for geom in SCENE["geoms"][:3]]
    scene["geoms"][1] |= {"type": "mesh", "mesh": 0, "rgba": [1, 0, 0, 1]}
    scene["geoms"][2] |= {"type": "box"}
    scene["camera"] = SCENE["camera"] | {"track": None}
    mark = {"kind": "ball", "vector": [0.3, 0, 0.6], "size": 0.1, "label": "target", "aside": 0}
    scene["marks"] = [mark]
    poses = np.zeros((40, 3, 7))
    poses[..., 3] = 1
    poses[:, 1, 0], poses[:, 1, 2] = np.linspace(-0.5, 0.5, 40), 0.5
    short = player.Run(
        "a", "#0072b2", poses, np.ones(40), None, poses[:, 1, :3], "fell after 40 steps"
    )
    long = player.Run("b", "#8c8c8c", np.repeat(poses, 2, 0), np.ones(80))
    return player.payload(id="solids", scene=scene, runs=[short, long])


def unpacked(text, dtype, *shape):
    return np.frombuffer(base64.b64decode(text), dtype).reshape(shape)


def test_payload_round_trips_through_json():
    data, one, two = json.loads(json.dumps(packed(), allow_nan=False)), run(), run("without", 1)
    moving = data["moving"]
    assert moving == list(range(1, GEOMS))
    assert data["scene"]["still"] == {"0": [0, 0, 0, 1, 0, 0, 0]}
    for sent, source in zip(data["runs"], (one, two), strict=True):
        position = unpacked(sent["position"], "<f4", STEPS, len(moving), 3)
        np.testing.assert_array_equal(position, source.poses[:, moving, :3])
        quaternion = unpacked(sent["quaternion"], "<i2", STEPS, len(moving), 4) / 32767
        np.testing.assert_allclose(quaternion, source.poses[:, moving, 3:], atol=2e-5)
        np.testing.assert_array_equal(unpacked(sent["rewards"], "<f4", STEPS), source.rewards)
        np.testing.assert_array_equal(unpacked(sent["measured"], "<f4", STEPS), source.measured)
        assert (sent["every"], sent["path"], sent["ending"]) == (1, None, "")
    assert data["chart"]["target"] == 0.5
    sent, source = data["chain"], chain()
    assert sent["shape"] == [N, ROWS, D]
    for name, shape in (("x", (N + 1, ROWS, D)), ("x0_hat", (N, ROWS, D)), ("scale", (D,))):
        expected = np.asarray(getattr(source, name), np.float32)
        np.testing.assert_array_equal(unpacked(sent[name], "<f4", *shape), expected)
    assert sent["names"] == list(source.names)


def test_two_runs_and_a_chain_stay_small():
    assert len(json.dumps(packed())) < 150_000


def test_of_many_poses_a_second_some_are_sent_and_of_hidden_geoms_none():
    scene = SCENE | {"dt": 0.0125}
    scene["geoms"] = [g | {"visible": i != 3} for i, g in enumerate(SCENE["geoms"])]
    one = run(steps=9, path=np.arange(27.0).reshape(9, 3), ending="fell after 9 steps")
    data = packed(runs=[one], scene=scene)
    assert data["moving"] == [1, 2, 4, 5, 6, 7, 8]
    assert "3" not in data["scene"]["still"]
    (sent,) = data["runs"]
    assert (sent["every"], sent["steps"], sent["ending"]) == (2, 9, "fell after 9 steps")
    position = unpacked(sent["position"], "<f4", 5, 7, 3)
    np.testing.assert_array_equal(position, one.poses[::2, data["moving"], :3])
    np.testing.assert_array_equal(unpacked(sent["path"], "<f4", 5, 3), one.path[::2])
    assert len(unpacked(sent["measured"], "<f4", 9)) == 9


def test_either_half_may_be_absent():
    assert packed(chain=None)["chain"] is None
    assert packed(runs=())["runs"] == []
    with pytest.raises(ValueError, match="nothing to show"):
        packed(runs=(), chain=None)


def test_what_does_not_fit_is_refused():
    good, links = run(), chain()
    with pytest.raises(ValueError, match=r"`poses` must be \(T, n_geoms, 7\)"):
        player.Run("a", "#000000", good.poses[:-1], good.rewards)
    with pytest.raises(ValueError, match="`measured`"):
        player.Run("a", "#000000", good.poses, good.rewards, good.measured[1:])
    with pytest.raises(ValueError, match="`path`"):
        player.Run("a", "#000000", good.poses, good.rewards, path=good.poses[:, 0])
    with pytest.raises(ValueError, match="`colour`"):
        player.Run("a", "red; background: url(x)", good.poses, good.rewards)
    with pytest.raises(ValueError, match="`x0_hat`"):
        player.Chain(links.x, links.x, links.mean, links.scale, links.names, links.units, "a" * D)
    with pytest.raises(ValueError, match="`names`"):
        player.Chain(links.x, links.x0_hat, links.mean, links.scale, "ab", links.units, "a" * D)
    with pytest.raises(ValueError, match="at most 4"):
        packed(runs=[good] * 5)
    with pytest.raises(ValueError, match="9 geoms"):
        packed(runs=[player.Run("a", "#000000", good.poses[:, 1:], good.rewards)])


def test_source_is_one_module_that_asks_for_nothing():
    js, css = player.source()
    assert "\n" in js, "Streamlit takes a single line for a path"
    assert "\n" in css
    assert len(re.findall(r"^export ", js, re.M)) == 1
    assert not re.search(r"^\s*import\b|\bimport\(", js, re.M)
    for text in (js, css):
        assert not re.search(r"https?://|//cdn|fetch\(|XMLHttpRequest|@import|url\(", text)
    assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|\beval\(", js)


def test_no_two_parts_of_the_player_use_the_same_name():
    js, _ = player.source()
    names = re.findall(r"^(?:function|const|let) (?:\[|\{)?\s*(\w+)", js, re.M)
    assert len(names) > 40
    assert sorted(names) == sorted(set(names))


def test_widget_carries_the_payload():
    pytest.importorskip("anywidget")
    shown = player.widget(packed())
    assert shown.payload["id"] == "a"
    shown.payload = packed(id="b")
    assert shown.payload["id"] == "b"
    assert "export default" in str(shown._esm)


APP = """
import sys
sys.path.insert(0, {folder!r})
import streamlit as st
from test_player import packed
from workbench import player
st.button("nothing new")
more = st.checkbox("same id, new label")
other = st.checkbox("another id")
data = packed(id="other" if other else "first")
if more:
    data["runs"][0]["label"] = "<b>renamed</b>"
player.player(data, key="player")
"""
NOTEBOOK = """
async ([source, payload]) => {
  const module = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  const element = document.body.appendChild(document.createElement("div"));
  const model = { get: () => payload, on: () => {}, off: () => {} };
  const remove = module.default().render({ model, el: element });
  const words = element.textContent;
  remove();
  return words + element.textContent;
}
"""
SOLIDS = """
async ([source, payload]) => {
  const module = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  const element = document.body.appendChild(document.createElement("div"));
  element.style.width = "600px";
  window.scrollTo(0, document.body.scrollHeight);
  const model = { get: () => payload, on: () => {}, off: () => {} };
  module.default().render({ model, el: element });
  const line = element.querySelector("input[type=range]"), canvas = element.querySelector("canvas");
  const found = [];
  for (const part of [0, 0.25, 1]) {
    line.value = part * line.max;
    line.dispatchEvent(new Event("input"));
    await new Promise((done) => setTimeout(done, 250));
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let red = 0;
    for (let i = 0; i < data.length; i += 4) red += data[i] > 150 && data[i + 1] < 60;
    found.push([canvas.toDataURL(), red, canvas.getAttribute("aria-label")]);
  }
  return found;
}
"""
COUNT_FRAMES = """
window.asked = 0;
const request = window.requestAnimationFrame.bind(window);
window.requestAnimationFrame = (f) => { window.asked++; return request(f); };
"""


@pytest.fixture
def page(tmp_path):
    """A page of a Streamlit server with the player on it; fails on any error in the browser."""
    script = tmp_path / "app.py"
    script.write_text(textwrap.dedent(APP.format(folder=str(player._HERE.parent / "tests"))))
    with browser.served(script, tmp_path) as url, browser.opened(COUNT_FRAMES) as page:
        page.goto(url)
        page.wait_for_selector(".pdw-play", timeout=20_000)
        yield page


def _drag(page, label, part):
    box = page.get_by_label(label).bounding_box()
    page.mouse.click(box["x"] + 8 + part * (box["width"] - 16), box["y"] + box["height"] / 2)


def _picture(page, selector):
    return page.locator(selector).first.evaluate("c => c.toDataURL()")


def test_the_player_in_a_browser(page):
    step, when = page.locator("[data-pdw=step]"), page.locator("[data-pdw=when]")
    chain_canvas, replay, play = (
        ".pdw-chain canvas",
        ".pdw-replay canvas",
        page.locator(".pdw-play"),
    )
    page.wait_for_function("document.querySelector('.stApp') && window.asked > 0")
    assert step.inner_text() == "Diffusion step 20 of 20: pure noise"
    noise = _picture(page, chain_canvas)

    # Play: the label of the diffusion step changes and frames are asked for; Pause ends that.
    play.click()
    page.wait_for_timeout(1200)
    assert step.inner_text() != "Diffusion step 20 of 20: pure noise"
    assert _picture(page, chain_canvas) != noise
    play.click()
    page.wait_for_timeout(300)
    before, stopped = page.evaluate("window.asked"), step.inner_text()
    page.wait_for_timeout(500)
    assert page.evaluate("window.asked") - before < 5, "the loop goes on while paused"
    assert step.inner_text() == stopped

    # The slider of the chain moves the one clock; so does the timeline, to the end of it.
    _drag(page, "Diffusion step, from noise to the finished prompt", 0.5)
    page.wait_for_timeout(200)
    assert step.inner_text() == "Diffusion step 10 of 20: noise is being removed"
    assert when.inner_text() == "step 10 of 20"
    x = _picture(page, chain_canvas)
    page.get_by_text("current guess of the finished prompt").click()
    page.wait_for_timeout(200)
    assert step.inner_text() == "Guess of the finished prompt, made at step 10 of 20"
    assert _picture(page, chain_canvas) != x
    still = _picture(page, replay)
    _drag(page, "Timeline", 0.6)
    page.wait_for_timeout(200)
    assert step.inner_text() == "Step 0: the finished prompt"
    assert _picture(page, replay) != still
    _drag(page, "Timeline", 1.0)
    page.wait_for_timeout(200)
    assert when.inner_text() == "10.0 / 10.0 s"
    shown = [
        text.replace("\u2212", "-") for text in page.locator(".pdw-readout b").all_inner_texts()
    ]
    assert [float(shown[0]), float(shown[2])] == pytest.approx(
        [run().rewards.sum(), run("without", 1).rewards.sum()], abs=0.06
    )
    assert shown[1] == f"{run().measured[-10:].mean():.2f} m/s"

    # Hovering a cell tells name, raw and normalised value of the finished prompt.
    box = page.locator(chain_canvas).bounding_box()
    page.mouse.move(box["x"] + box["width"] - 4, box["y"] + 34 + 7)
    tip = page.locator(".pdw-tip").inner_text().replace("\u2212", "-").split("\n")
    value = chain().x[-1, -1, 0]
    assert tip[0] == "variable 0 (observations), prompt row 5"
    assert tip[1:] == [f"{2 * value:.2f} m", f"{value:.2f} normalised"]

    # Keys: an arrow is one step of the environment, space plays again from the start.
    page.locator(".pdw").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(100)
    assert page.get_by_label("Timeline").input_value() == "13.95"

    # The same id keeps the playhead when the page reruns, with or without news; another does not.
    page.get_by_text("nothing new").click()
    page.wait_for_timeout(700)
    assert page.get_by_label("Timeline").input_value() == "13.95"
    page.get_by_text("same id, new label").click()
    page.get_by_text("<b>renamed</b>").wait_for()
    assert page.get_by_label("Timeline").input_value() == "13.95"
    page.get_by_text("another id").click()
    for _ in range(100):  # a busy machine takes its time to run the page again
        page.wait_for_timeout(100)
        if page.get_by_label("Timeline").input_value() == "0":
            break
    assert page.get_by_label("Timeline").input_value() == "0"
    page.locator(".pdw").focus()
    page.keyboard.press(" ")
    page.wait_for_timeout(600)
    assert play.get_attribute("aria-label") == "Pause"
    assert "return so far" in page.locator(replay).first.get_attribute("aria-label")

    # Solids are drawn with a depth buffer, a short episode says why, and the goal is there.
    pictures = page.evaluate(SOLIDS, [player.source()[0], solids()])
    assert len({picture for picture, *_ in pictures}) == 3
    assert all(red > 500 for _, red, _ in pictures), "the red mesh is missing"
    assert "fell after 40 steps" in pictures[2][2]
    assert "fell" not in pictures[0][2]

    # A notebook gets the same picture from the same module.
    words = page.evaluate(NOTEBOOK, [player.source()[0], packed(id="notebook", chain=None)])
    assert "What the robot does" in words
    assert "without" in words
