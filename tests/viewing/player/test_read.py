"""What the player makes of a payload, in node: the same numbers as on this side."""

import json
import shutil
import subprocess

import numpy as np
import pytest

from tests.viewing.player.test_component import N, chain, packed, run, two, variables
from workbench.viewing.player import component
from workbench.viewing.player.realism import PrincipalPlane

READ = """
const columns = payload.columns.map((column) => readColumn(column, payload));
const variables = readVariables(payload.variables);
const [plain, tuned] = columns;
const list = (values) => values && [...values];
const prompt = (chain, ...at) => {
  const { values, ...rest } = promptOf(chain, ...at);
  return { ...rest, values: list(values), map: onMap(variables, values) };
};
console.log(JSON.stringify({
  moments: [-1, 0, 9, 10, 11, 50, 999].map((update) => momentOf([0, 10, 50], update)),
  noise: prompt(tuned.chain, 0, N, 50, false), guess: prompt(tuned.chain, 7, N, 10, true),
  done: prompt(tuned.chain, N, N, 50, true), half: prompt(tuned.chain, N, 2 * N, 0, false),
  plain: prompt(plain.chain, 3, N, 50, true),
  runs: [0, 10, 49, 50].map((update) => episodeOf(tuned, update).update),
  alone: episodeOf(plain, 50).update,
  distance: measureOf(tuned.chain, "distance", N, 10, false),
  guessed: measureOf(tuned.chain, "distance", N, 10, true),
  error: measureOf(tuned.chain, "error", 2 * N, 50, false),
  still: measureOf(plain.chain, "error", N, 50, true),
  total: list(tuned.episodes[1].total), speed: list(tuned.episodes[1].curve),
  terms: Object.keys(tuned.episodes[0].terms),
  distances: [[0, 0], [0.3, 0], [4, 0], [0, 4], [3, 3]].map((apart) => {
    const eye = camera(payload.scene.camera).seen(640, 320, [0, 0], apart);
    const seen = [1, -1].flatMap((sign) => [1, -1].map((other) =>
      eye.project([sign * apart[0], other * apart[1], 0])));
    return [eye.distance, seen.every(({ x, y }) => x > 0 && x < 640 && y > 0 && y < 320)];
  }),
  views: ["c2u50t6.1", "u0", "", null, "<b>c", "g1s1"].map(readView),
}));
"""


@pytest.fixture(scope="module")
def read():
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node")
    module = component.source()[0].replace("export default function", "function")
    names = f"const payload = {json.dumps(packed())}, N = {N};"
    done = subprocess.run(
        [node, "--input-type=module", "-"],
        input=f"{module}\n{{{names}{READ}}}",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_moment_holds_until_the_next(read):
    assert read["moments"] == [0, 0, 0, 1, 1, 2, 2]
    assert read["runs"] == [0, 0, 0, 50]
    assert read["alone"] == 0


def test_the_prompt_of_a_frame_and_a_moment(read):
    source = chain()
    for name, values, where in (
        ("noise", source.x[2, 0], (2, 0, False)),
        ("guess", source.x0_hat[1, 7], (1, 7, True)),
        ("done", source.x[2, N], (2, N, False)),
        ("half", source.x[0, N // 2], (0, N // 2, False)),
        ("plain", chain(1, (0,), 0).x[0, 0], (0, 0, False)),
    ):
        got = read[name]
        np.testing.assert_allclose(got["values"], values.ravel(), atol=1e-3)
        assert (got["moment"], got["frame"], got["guess"]) == where


def test_the_map_is_the_one_that_was_fitted_here(read):
    known = variables()
    plane = PrincipalPlane(known.centre, known.axes, known.share)
    np.testing.assert_allclose(read["noise"]["map"], plane.project(chain().x[2, 0]), atol=1e-2)


def test_measures_lie_where_they_were_taken(read):
    source = chain()
    np.testing.assert_allclose(read["distance"]["ys"], source.distance[1], rtol=1e-6)
    assert read["distance"]["xs"] == list(range(N + 1))
    np.testing.assert_allclose(read["guessed"]["ys"], source.guess_distance[1], rtol=1e-6)
    np.testing.assert_allclose(read["error"]["ys"], source.error[2], rtol=1e-6)
    assert read["error"]["xs"] == [0, N, 2 * N], "stretched to the longest chain"
    assert read["still"]["xs"] == [N], "what nothing denoised is finished"
    assert read["still"]["ys"] == pytest.approx(two()[0].chain.error[0])


def test_returns_add_up_and_speeds_are_those_of_the_last_half_second(read):
    source = run(3)
    assert read["terms"] == ["speed", "control"]
    total = np.concatenate([[0], np.cumsum(source.rewards, dtype=float)])
    np.testing.assert_allclose(read["total"], total, atol=1e-4)
    assert read["speed"][0] is None, "before the first step there is no speed"
    by_hand = [source.measured[max(0, i - 10) : i].mean() for i in range(1, 201)]
    np.testing.assert_allclose(read["speed"][1:], by_hand, atol=1e-5)


def test_a_link_says_what_it_can_and_nothing_else_is_believed(read):
    assert read["views"] == [
        {"c": 2, "u": 50, "t": 6.1},
        {"u": 0},
        {},
        {},
        {},
        {"g": 1, "s": 1},
    ]


def test_the_camera_steps_back_until_all_robots_are_in_the_picture(read):
    (alone, _), (near, _), *far = read["distances"]
    assert alone == near == 2.9, "what is in the picture anyway keeps the camera where it is"
    assert all(inside and distance > 4 for distance, inside in far)
