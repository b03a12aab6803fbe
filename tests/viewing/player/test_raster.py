"""The player's rasteriser, in node: it needs no page."""

import base64
import json
import shutil
import subprocess

import numpy as np
import pytest

from workbench.viewing.player import component

RASTER = """
const [near, far, size] = [2, 4, 40];
const solid = (depth) => triangles(
  { type: "mesh", mesh: 0, size: [1, 1, 1] },
  [{ low: [-1, -1, depth], high: [1, 1, depth], vertices: TRIANGLE, faces: FACE }]);
const shown = raster(size, size);
const palette = (colour) => new Uint32Array(64).fill(packed(colour));
const eye = [[1, 0, 0], [0, 1, 0], [0, 0, -1]]; // looks along -z, x to the right
for (const [depth, colour] of [[-near, [255, 0, 0]], [-far, [0, 255, 0]]]) {
  const one = solid(depth);
  shown.transform(one, eye, [0, 0, 0], 20);
  shown.draw(one, [0, 0, 1], palette(colour));
}
shown.dab(17, 23, 1 / 3, 2, packed([0, 0, 255]));
const behind = shown.pixels[23 * size + 17];
shown.dab(17, 23, 1 / 1, 2, packed([0, 0, 255]));
const before = shown.pixels[23 * size + 17];
const count = (colour) => shown.pixels.filter((p) => p === packed(colour)).length;
const ball = raster(size, size);
ball.ball({ x: 20, y: 20, depth: 2, scale: 10 }, 1, [255, 0, 0], 0.5);
const box = triangles({ type: "box", size: [1, 2, 3] }, []);
const round = ["sphere", "capsule", "ellipsoid", "cylinder"].map((type) => {
  const { faces, points, normals } = triangles({ type, size: [0.5, 0.7, 0.9] }, []);
  let outward = 0;
  for (let i = 0; i < faces.length; i++) {
    const p = [0, 1, 2].map((k) => points[3 * faces[i] + k]);
    outward += dot(p, [normals[3 * i], normals[3 * i + 1], normals[3 * i + 2]]) > 0;
  }
  return outward / faces.length;
});
console.log(JSON.stringify({
  red: count([255, 0, 0]), green: count([0, 255, 0]), behind, before, blue: packed([0, 0, 255]),
  edge: shown.pixels[0], disc: ball.pixels.filter((p) => p).length, round,
  boxNormals: [...new Set(box.normals.map(Math.abs))].sort(),
}));
"""


def test_the_rasteriser_hides_what_lies_behind():
    """Two triangles, the nearer one red, 2 m away, 20 x 20 / 2 pixels; in node, without a DOM."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node")

    def sent(values):
        return json.dumps(base64.b64encode(np.array(values, "<u2").tobytes()).decode())

    corners = sent([0, 0, 0, 65535, 0, 0, 0, 65535, 0])
    names = f"const TRIANGLE = {corners}; const FACE = {sent([0, 1, 2])};"
    module = component.source()[0].replace("export default function", "function")
    done = subprocess.run(
        [node, "--input-type=module", "-"],
        input=f"{module}\n{{{names}{RASTER}}}",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["red"] == pytest.approx(200, abs=25)
    assert found["green"] == 0, "the farther triangle is smaller and hidden by the nearer one"
    assert found["behind"] != found["blue"] == found["before"]
    assert found["edge"] == 0, "where nothing is, the picture is clear"
    assert found["disc"] == pytest.approx(np.pi * 100, rel=0.05)
    assert found["boxNormals"] == [0, 1], "a box keeps its edges"
    assert min(found["round"]) == 1, "normals point outward"
