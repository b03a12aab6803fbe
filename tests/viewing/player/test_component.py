import base64
import dataclasses
import json
import re
import textwrap

import numpy as np
import pytest

from tests import browser
from workbench.viewing.player import component, contents
from workbench.viewing.player.method_strip import method_strip

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
CHART = contents.Chart("Forward speed", "forward speed", "m/s", 0.5, "target 0.50 m/s")
BLUE, ORANGE = "#0072b2", "#d55e00"


def run(seed=0, steps=STEPS, **more):
    rng = np.random.default_rng(seed)
    poses = rng.normal(size=(steps, GEOMS, 7)).astype(np.float32)
    poses[..., 3:] /= np.linalg.norm(poses[..., 3:], axis=-1, keepdims=True)
    poses[:, 0] = [0, 0, 0, 1, 0, 0, 0]
    rewards = rng.normal(-0.5, 0.1, steps).astype(np.float32)
    measured = rng.normal(size=steps).astype(np.float32)
    terms = {"speed": 0.75 * rewards, "control": 0.25 * rewards}
    usual = {"terms": terms, "actions": rng.uniform(-1, 1, (steps, 6))}
    read = np.zeros((2, ROWS, D))
    read[0, :, 3], read[1, :, 4] = 0.2, 0.1
    usual |= {"reading": read, "reading_steps": [0, steps - 1]}
    return contents.EpisodeReplay(poses, rewards, measured, **usual | more)


def chain(seed=0, updates=(0, 10, 50), n=N):
    """The same noise at every moment, as a tuning shows it."""
    rng = np.random.default_rng(seed)
    shape = (len(updates), n, ROWS, D)
    x, x0_hat = rng.normal(size=(len(updates), n + 1, ROWS, D)), rng.normal(size=shape)
    x[:, 0] = x[0, 0]
    frames = [0, n // 2, n] if n else [0]
    inner = [i for i in frames if i < n]
    counts = {"distance": n + 1, "guess_distance": n, "error": len(frames)}
    counts["guess_error"] = len(inner)
    measures = {name: rng.uniform(size=(len(updates), k)) for name, k in counts.items()}
    return contents.Chain(updates, x, x0_hat, frames=frames, **measures)


def variables(**changes):
    rng = np.random.default_rng(5)
    axes = np.linalg.qr(rng.normal(size=(ROWS * D, 2)))[0].T
    band = np.sort(rng.normal(size=(3, ROWS, D)), 0)
    demos = contents.Demos(["A", "B"], BLUE, band, rng.normal(size=(40, 2)), [0.2, 0.3, 0.4], 1e-4)
    usual = {
        "names": [f"variable {i}" for i in range(D)],
        "units": ["m"] * D,
        "groups": ["observations"] * 20 + ["actions"] * 6 + ["reward"],
        "mean": np.arange(D),
        "scale": np.full(D, 2.0),
        "demos": [demos],
        "centre": rng.normal(size=ROWS * D),
        "axes": axes,
        "share": [0.5, 0.2],
    }
    return contents.Variables(**usual | changes)


def two(**changes):
    """A prompt that nothing denoised, evaluated once, beside a tuning evaluated twice."""
    plain = contents.PlayerColumn("A", "untuned", BLUE, [run(1)], chain(1, (0,), 0))
    tuned = [run(2), run(3, update=50)]
    return [plain, contents.PlayerColumn("B", "tuned", ORANGE, tuned, chain(0), **changes)]


def packed(**changes):
    usual = {"id": "a", "scene": SCENE, "columns": two(), "variables": variables()}
    names = [f"motor {i}" for i in range(6)]
    usual |= {"chart": CHART, "actions": names, "method": method_strip(N, ROWS)}
    return component.payload(**usual | changes)


def standing():
    """Two robots that only stand, for nothing was run yet."""
    return packed(
        id="standing",
        columns=[
            contents.PlayerColumn("A", "a", BLUE, [run(1, stands=True)], chain(1, (0,), 0)),
            contents.PlayerColumn("B", "b", ORANGE, [run(2, stands=True)], chain(0)),
        ],
    )


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
    short = contents.EpisodeReplay(poses, np.ones(40), None, poses[:, 1, :3], "fell after 40 steps")
    long = contents.EpisodeReplay(np.repeat(poses, 2, 0), np.ones(80))
    shown = [
        contents.PlayerColumn("A", "a", BLUE, [short]),
        contents.PlayerColumn("B", "b", ORANGE, [long]),
    ]
    return component.payload(id="solids", scene=scene, columns=shown)


def unpacked(text, dtype, *shape):
    return np.frombuffer(base64.b64decode(text), dtype).reshape(shape)


def unfixed(packed, *shape):
    return unpacked(packed["whole"], "<i2", *shape) * packed["by"]


def test_payload_round_trips_through_json():
    data = json.loads(json.dumps(packed(), allow_nan=False))
    moving = data["moving"]
    assert moving == list(range(1, GEOMS))
    assert data["scene"]["fixed_poses"] == {"0": [0, 0, 0, 1, 0, 0, 0]}
    assert [(c["name"], c["label"], c["colour"]) for c in data["columns"]] == [
        ("A", "untuned", BLUE),
        ("B", "tuned", ORANGE),
    ]
    assert [[r["update"] for r in c["episodes"]] for c in data["columns"]] == [[0], [0, 50]]
    sent, source = data["columns"][1]["episodes"][1], run(3)
    position = unfixed(sent["position"], STEPS, len(moving), 3)
    np.testing.assert_allclose(position, source.poses[:, moving, :3], atol=2e-4)
    quaternion = unfixed(sent["quaternion"], STEPS, len(moving), 4)
    np.testing.assert_allclose(quaternion, source.poses[:, moving, 3:], atol=2e-5)
    np.testing.assert_array_equal(unpacked(sent["rewards"], "<f4", STEPS), source.rewards)
    np.testing.assert_array_equal(unpacked(sent["measured"], "<f4", STEPS), source.measured)
    np.testing.assert_allclose(unfixed(sent["actions"], STEPS, 6), source.actions, atol=2e-5)
    total = sum(unfixed(values, STEPS) for values in sent["terms"].values())
    np.testing.assert_allclose(total, source.rewards, atol=1e-4)
    assert (sent["every"], sent["path"], sent["ending"]) == (1, None, "")
    assert data["chart"]["target"] == 0.5
    sent, source = data["columns"][1]["chain"], chain()
    assert (sent["shape"], sent["updates"]) == ([3, N, ROWS, D], [0, 10, 50])
    for name, frames in (("x", N + 1), ("x0_hat", N)):
        got = unfixed(sent[name], 3, frames, ROWS, D)
        np.testing.assert_allclose(got, getattr(source, name), atol=1e-4)
    for name, frames in (("distance", N + 1), ("guess_distance", N), ("error", 3)):
        got = unpacked(sent[name], "<f4", 3, frames)
        np.testing.assert_allclose(got, getattr(source, name), rtol=1e-6)
    assert data["columns"][0]["chain"]["shape"] == [1, 0, ROWS, D]
    sent, source = data["variables"], variables()
    assert sent["names"] == list(source.names)
    (demos,) = sent["demos"]
    np.testing.assert_allclose(unfixed(demos["points"], 40, 2), source.demos[0].points, atol=1e-3)
    assert (demos["columns"], demos["recorded_error"]) == (["A", "B"], 1e-4)


def test_what_is_not_known_is_not_sent():
    (known,) = variables().demos
    unknown = dataclasses.replace(
        known, spacing=np.full(3, np.nan), recorded_error=np.nan, points=None
    )
    bare = contents.Chain((0,), np.zeros((1, 3, ROWS, D)), np.zeros((1, 2, ROWS, D)))
    shown = [contents.PlayerColumn("A", "a", BLUE, chain=bare)]
    data = packed(columns=shown, variables=variables(demos=[unknown]))
    (demos,) = data["variables"]["demos"]
    assert (demos["spacing"], demos["recorded_error"], demos["points"]) == (None, None, None)
    sent = data["columns"][0]["chain"]
    assert [sent[n] for n in ("distance", "guess_distance", "error")] == [None, None, None]
    json.dumps(data, allow_nan=False)


def test_two_columns_with_eleven_chains_each_stay_small():
    updates = tuple(range(0, 101, 10))
    runs = [run(i, update=u) for i, u in enumerate((0, 50, 100))]
    shown = [contents.PlayerColumn(n, n, BLUE, runs, chain(0, updates)) for n in "AB"]
    assert len(json.dumps(packed(columns=shown))) < 600_000


def test_of_many_poses_a_second_some_are_sent_and_of_hidden_geoms_none():
    scene = SCENE | {"dt": 0.0125}
    scene["geoms"] = [g | {"visible": i != 3} for i, g in enumerate(SCENE["geoms"])]
    one = run(steps=9, path=np.arange(27.0).reshape(9, 3), ending="fell after 9 steps")
    data = packed(columns=[contents.PlayerColumn("A", "a", BLUE, [one])], scene=scene)
    assert data["moving"] == [1, 2, 4, 5, 6, 7, 8]
    assert "3" not in data["scene"]["fixed_poses"]
    (sent,) = data["columns"][0]["episodes"]
    assert (sent["every"], sent["steps"], sent["ending"]) == (2, 9, "fell after 9 steps")
    position = unfixed(sent["position"], 5, 7, 3)
    np.testing.assert_allclose(position, one.poses[::2, data["moving"], :3], atol=2e-4)
    np.testing.assert_allclose(unfixed(sent["path"], 5, 3), one.path[::2], atol=1e-3)
    assert len(unpacked(sent["measured"], "<f4", 9)) == 9


def test_many_episodes_travel_with_fewer_poses_a_second():
    few = contents.steps_per_pose([run()], 8, 0.05)
    many = contents.steps_per_pose([run()] * 40, 8, 0.05)
    assert few == 1 < many <= 8
    assert 14 * 8 * 40 * -(-STEPS // many) <= contents.MAX_POSES


def test_either_half_may_be_absent():
    plain, tuned = two()
    episodes = [dataclasses.replace(c, chain=None) for c in (plain, tuned)]
    assert packed(columns=episodes)["variables"] is None
    chains = [dataclasses.replace(c, episodes=()) for c in (plain, tuned)]
    assert [c["episodes"] for c in packed(columns=chains)["columns"]] == [[], []]
    with pytest.raises(ValueError, match="nothing to show"):
        packed(columns=[dataclasses.replace(plain, episodes=(), chain=None)])


def test_what_does_not_fit_is_refused():
    good, links = run(), chain()
    with pytest.raises(ValueError, match=r"`poses` must be \(T, n_geoms, 7\)"):
        contents.EpisodeReplay(good.poses[:-1], good.rewards)
    with pytest.raises(ValueError, match="`measured`"):
        contents.EpisodeReplay(good.poses, good.rewards, good.measured[1:])
    with pytest.raises(ValueError, match="`path`"):
        contents.EpisodeReplay(good.poses, good.rewards, path=good.poses[:, 0])
    with pytest.raises(ValueError, match=r"terms\['speed'\]"):
        contents.EpisodeReplay(good.poses, good.rewards, terms={"speed": good.rewards[1:]})
    with pytest.raises(ValueError, match="`actions`"):
        contents.EpisodeReplay(good.poses, good.rewards, actions=np.zeros((3, 6)))
    with pytest.raises(ValueError, match="`colour`"):
        contents.PlayerColumn("A", "a", "red; background: url(x)", [good])
    with pytest.raises(ValueError, match="`x0_hat`"):
        dataclasses.replace(links, x0_hat=links.x)
    with pytest.raises(ValueError, match="`distance`"):
        dataclasses.replace(links, distance=links.error)
    with pytest.raises(ValueError, match="`updates` must rise"):
        dataclasses.replace(links, updates=(0, 50, 10))
    with pytest.raises(ValueError, match="`units`"):
        variables(units="ab")
    with pytest.raises(ValueError, match="at most 4"):
        packed(columns=[contents.PlayerColumn("A", "a", BLUE, [good])] * 5)
    other = dataclasses.replace(good, poses=good.poses[:, 1:])
    with pytest.raises(ValueError, match="9 geoms"):
        packed(columns=[contents.PlayerColumn("A", "a", BLUE, [other])])
    with pytest.raises(ValueError, match="`variables` must name"):
        packed(variables=None)
    short = contents.Chain((0,), np.zeros((1, 1, 3, D)), np.zeros((1, 0, 3, D)))
    with pytest.raises(ValueError, match="one length"):
        packed(columns=[*two(), contents.PlayerColumn("C", "c", BLUE, chain=short)])


def test_source_is_one_module_that_asks_for_nothing():
    js, css = component.source()
    assert "\n" in js, "Streamlit takes a single line for a path"
    assert "\n" in css
    assert len(re.findall(r"^export ", js, re.M)) == 1
    assert not re.search(r"^\s*import\b|\bimport\(", js, re.M)
    for text in (js, css):
        assert not re.search(r"https?://|//cdn|fetch\(|XMLHttpRequest|@import|url\(", text)
    assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|\beval\(", js)


def test_no_two_parts_of_the_player_use_the_same_name():
    js, _ = component.source()
    names = re.findall(r"^(?:function|const|let) (?:\[|\{)?\s*(\w+)", js, re.M)
    assert len(names) > 40
    assert sorted(names) == sorted(set(names))


def test_widget_carries_the_payload():
    pytest.importorskip("anywidget")
    shown = component.widget(packed())
    assert shown.payload["id"] == "a"
    shown.payload = packed(id="b")
    assert shown.payload["id"] == "b"
    assert "export default" in str(shown._esm)


APP = """
import sys
sys.path.insert(0, {folder!r})
import streamlit as st
from tests.viewing.player.test_component import packed
from workbench.viewing.player import component as player
st.button("nothing new")
more = st.checkbox("same id, new label")
other = st.checkbox("another id")
data = packed(id="other" if other else "first")
if more:
    data["columns"][0]["label"] = "<b>renamed</b>"
player.player(data, key="player", link="look")
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
    let tinted = 0;
    for (let i = 0; i < data.length; i += 4) tinted += data[i] < 70 && data[i + 2] > data[i] + 30;
    found.push([canvas.toDataURL(), tinted, canvas.getAttribute("aria-label")]);
  }
  return found;
}
"""
WORDS = """
async ([source, payload]) => {
  const module = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  const words = new Map(), write = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
    words.set(this.canvas, (words.get(this.canvas) ?? new Set()).add(text));
    return write.call(this, text, ...place);
  };
  const element = document.body.appendChild(document.createElement("div"));
  element.style.width = "900px";
  window.scrollTo(0, document.body.scrollHeight);
  const model = { get: () => payload, on: () => {}, off: () => {} };
  const remove = module.default().render({ model, el: element });
  await new Promise((done) => setTimeout(done, 500));
  const chart = [...element.querySelectorAll("h4")].find((e) => e.title === "Return so far");
  const found = [...(words.get(chart.parentElement.querySelector("canvas")) ?? [])];
  remove();
  CanvasRenderingContext2D.prototype.fillText = write;
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
    script.write_text(textwrap.dedent(APP.format(folder=str(browser.ROOT))))
    with browser.served(script, tmp_path) as url, browser.opened(COUNT_FRAMES) as page:
        page.goto(url)
        page.wait_for_selector(".pdw-play", timeout=20_000)
        yield page


def _drag(page, label, part):
    page.get_by_label(label).scroll_into_view_if_needed()
    box = page.get_by_label(label).bounding_box()
    page.mouse.click(box["x"] + 8 + part * (box["width"] - 16), box["y"] + box["height"] / 2)


def _picture(page, selector):
    return page.locator(selector).first.evaluate("c => c.toDataURL()")


def _slide(page, label, value):
    page.get_by_label(label).evaluate(
        "(e, v) => { e.value = v; for (const n of ['input', 'change'])"
        " e.dispatchEvent(new Event(n, { bubbles: true })); }",
        value,
    )
    page.wait_for_timeout(250)


def test_the_player_in_a_browser(page):
    step, when = page.locator("[data-pdw=step]"), page.locator("[data-pdw=when]")
    heat, replay, play = (
        ".pdw-chain canvas",
        ".pdw-replay canvas",
        page.locator(".pdw-play"),
    )
    page.wait_for_function("document.querySelector('.stApp') && window.asked > 0")
    assert step.inner_text() == "Diffusion step 20 of 20: pure noise"
    noise = _picture(page, heat)

    # Play: the label of the diffusion step changes and frames are asked for; Pause ends that.
    play.click()
    page.wait_for_timeout(1200)
    assert step.inner_text() != "Diffusion step 20 of 20: pure noise"
    assert _picture(page, heat) != noise
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
    x = _picture(page, heat)
    page.get_by_text("current guess of the finished prompt").click()
    page.wait_for_timeout(200)
    assert step.inner_text() == "Guess of the finished prompt, made at step 10 of 20"
    assert _picture(page, heat) != x
    still = _picture(page, replay)
    _drag(page, "Timeline", 0.6)
    page.wait_for_timeout(200)
    assert step.inner_text() == "Step 0: the finished prompt"
    assert _picture(page, replay) != still
    _drag(page, "Timeline", 1.0)
    page.wait_for_timeout(200)
    assert when.inner_text() == "10.0 / 10.0 s"
    words = page.locator(".pdw-replay:visible .pdw-readout b").all_inner_texts()
    earned = [float(text.replace("\u2212", "-")) for text in words[::2]]
    assert earned == pytest.approx([run(1).rewards.sum(), run(3).rewards.sum()], abs=0.06)
    assert words[1] == f"{run(1).measured[-10:].mean():.2f} m/s".replace("-", "\u2212")

    # The tuning slider moves the prompts of B and, from one evaluation to the next, its robot.
    tuned, canvas = _picture(page, heat), page.locator(replay).nth(1)
    robot = canvas.evaluate("c => c.toDataURL()")
    _slide(page, "Updates of the tuning", 1)
    assert page.locator("[data-pdw=updates]").inner_text() == "10 updates"
    assert _picture(page, heat) != tuned
    assert canvas.evaluate("c => c.toDataURL()") != robot
    words = page.locator(".pdw-replay:visible .pdw-readout b").all_inner_texts()
    assert float(words[2].replace("\u2212", "-")) == pytest.approx(run(2).rewards.sum(), abs=0.06)
    assert page.locator(".pdw-replay:visible figcaption span").all_inner_texts()[1] == (
        "before any update"
    )

    # It plays by itself, to the end.
    page.get_by_label("Play the tuning").click()
    page.get_by_text("50 updates", exact=True).wait_for(timeout=5_000)

    # Hovering a cell tells name, raw and normalised values of all columns.
    box = page.locator(heat).first.bounding_box()
    page.mouse.move(box["x"] + box["width"] - 4, box["y"] + 44 + 7)
    tip = page.locator(".pdw-tip").inner_text().replace("\u2212", "-").split("\n")
    values = [chain(1, (0,), 0).x[0, 0, -1, 0], chain().x[2, -1, -1, 0]]
    assert tip[0] == "variable 0 (observations), prompt row 5"
    assert tip[1:] == [
        f"{name}: {2 * value:.2f} m, {value:.2f} normalised"
        for name, value in zip("AB", values, strict=True)
    ]

    # What the transformer reads is a layer over the map, and follows the playhead.
    page.mouse.move(2, 2)
    plain = _picture(page, heat)
    page.get_by_text("what the transformer reads of it now").click()
    _drag(page, "Timeline", 1.0)
    page.wait_for_timeout(250)
    assert _picture(page, heat) != plain
    said = page.locator("[data-pdw=reading-words]")
    assert "A at 10.0 s: most of all variable 4, 100 %" in said.inner_text()
    _drag(page, "Timeline", 0.4)
    page.wait_for_timeout(250)
    assert "most of all variable 3, 100 %" in said.inner_text()
    page.get_by_text("what the transformer reads of it now").click()
    _drag(page, "Timeline", 1.0)

    # The method: a stage is lit while the clock is in it, and opens to what it is.
    lit = page.locator(".pdw-stage.pdw-now b")
    assert lit.all_inner_texts() == ["Frozen transformer", "Robot"]
    page.get_by_role("button", name="Diffuser").click()
    assert "notebooks/3_denoising.ipynb" in page.locator(".pdw-stage-words").inner_text()
    page.get_by_role("button", name="Diffuser").click()
    assert not page.locator(".pdw-stage-words").is_visible()

    # Every view of the prompt and every curve of the episode draws something of its own.
    page.mouse.move(2, 2)
    pictures = {_picture(page, heat)}
    for number, name in enumerate(("Curves", "Map", "How real"), 2):
        page.get_by_role("tab", name=name, exact=True).click()
        page.wait_for_timeout(250)
        shown = page.locator(".pdw-chain canvas:visible")
        pictures.add(shown.first.evaluate("c => c.toDataURL()"))
        assert len(pictures) == number
        assert "tuned" in shown.first.get_attribute("aria-label") or name == "How real"
    assert "B ends at" in shown.first.get_attribute("aria-label")
    assert page.locator(".pdw-charts:visible canvas").count() == 2
    page.get_by_role("tab", name="Reward").click()
    assert page.locator(".pdw-charts:visible canvas").count() == 3
    page.get_by_role("tab", name="Actions").click()
    assert page.locator(".pdw-charts:visible h4").all_inner_texts() == [
        f"motor {i}" for i in range(6)
    ]

    # Both robots in one scene; the tabs are reached by arrow keys.
    page.get_by_role("button", name="One scene").click()
    page.wait_for_timeout(250)
    scene = page.locator(".pdw-replay:visible canvas")
    assert scene.count() == 1
    assert "untuned at" in scene.get_attribute("aria-label")
    assert "tuned at" in scene.get_attribute("aria-label")
    page.get_by_role("tab", name="Actions").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("tab", name="Return and forward speed").get_attribute(
        "aria-selected"
    ) == ("true")

    # The address keeps the view: a reload opens the very same one.
    page.wait_for_function("new URL(location).searchParams.get('look') === 'c3g1s1'")
    page.reload()
    page.locator(".pdw-play").wait_for(timeout=20_000)
    assert page.get_by_role("tab", name="How real").get_attribute("aria-selected") == "true"
    assert page.get_by_role("button", name="One scene").get_attribute("aria-pressed") == "true"
    page.get_by_role("button", name="One scene").click()

    # Keys: an arrow is one step of the environment, space plays again from the start.
    _drag(page, "Timeline", 1.0)
    page.locator(".pdw").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(100)
    assert page.get_by_label("Timeline").input_value() == "13.95"

    # The same id keeps the playhead when the page reruns, with or without news; another does not.
    page.get_by_text("nothing new").click()
    page.wait_for_timeout(700)
    assert page.get_by_label("Timeline").input_value() == "13.95"
    page.get_by_text("same id, new label").click()
    page.get_by_text("<b>renamed</b>").first.wait_for()
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
    pictures = page.evaluate(SOLIDS, [component.source()[0], solids()])
    assert len({picture for picture, *_ in pictures}) == 3
    assert all(n > 500 for _, n, _ in pictures), "the mesh in A's blue is missing"
    assert "fell after 40 steps" in pictures[2][2]
    assert "fell" not in pictures[0][2]

    # Where nothing was run yet the axes have a few round numbers, and nothing else.
    words = page.evaluate(WORDS, [component.source()[0], standing()])
    assert words[:3] == ["0.0", "0.5", "1.0"]
    assert len(words) < 15, "a number at every pixel"

    # A notebook gets the same picture from the same module.
    words = page.evaluate(NOTEBOOK, [component.source()[0], packed(id="notebook")])
    assert "The prompt makes the robot act" in words
    assert "untuned" in words
