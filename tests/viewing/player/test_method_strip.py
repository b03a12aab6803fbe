"""The picture of the method: what it points at is there."""

from pathlib import Path

import pytest

import workbench
from workbench.viewing.player.method_strip import BACK, STAGES, method_strip

ROOT = Path(workbench.__file__).parent


@pytest.mark.parametrize("stage", [*STAGES, BACK], ids=lambda stage: stage["key"])
def test_every_stage_points_at_a_lesson_and_a_file_that_there_are(stage):
    assert (ROOT.parent / "notebooks" / f"{stage['lesson']}.ipynb").exists()
    assert (ROOT / stage["file"]).exists()
    assert len(stage["words"]) > 80
    assert stage["equation"]


def test_numbers_are_those_of_the_networks():
    strip = method_strip(33, 7)
    notes = {stage["key"]: stage["note"] for stage in strip["stages"]}
    assert notes["diffuser"].startswith("33 ")
    assert notes["prompt"].startswith("7 ")
    keys = [stage["key"] for stage in strip["stages"]]
    assert keys == ["demonstrations", "diffuser", "prompt", "transformer", "robot"]
    assert "notebooks/4_gradient_projection.ipynb" in strip["back"]["where"]
