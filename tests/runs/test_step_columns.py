"""The updates of a run as columns: nothing changes on the way, and pandas reads them."""

import io

import numpy as np
import pandas as pd
import pytest

from workbench.runs import step_columns
from workbench.runs.step_columns import FILE, TENSORS, lean, packed, unpacked


def _line(update: int, draw: np.random.Generator) -> dict:
    names = ("cosine", "norm_dm", "norm_dt", "removed")
    tensors = {
        f"hidden.{i}.weight": {n: float(f"{draw.normal():.4g}") for n in names} for i in range(8)
    }
    plane = {n: float(f"{draw.normal():.4g}") for n in ("norm_dm", "dt_along", "dt_across")}
    told = {"cosine": float(draw.normal()), "conflict": bool(update % 2), "removed": 0.0}
    told |= {"plane": plane, "tensors": tensors}
    losses = {"loss_dm": float(np.float32(draw.normal())), "loss_dt": float(draw.normal())}
    return {"update": update, "seconds": 0.0123, **losses, "gradients": told}


@pytest.fixture
def lines():
    draw = np.random.default_rng(0)
    first = {"update": 0, "seconds": 1e-05, "returns": [-30.5, -31.25], "seeds": [7, 8]}
    last = {
        "update": 401,
        "seconds": 0.01,
        "loss_dm": 1.0,
        "returns": [-3.0, -4.0],
        "seeds": [7, 8],
    }
    alone = {"update": 402, "seconds": 0.0, "gradients": {"cosine": 0.5, "conflict": False,
             "removed": 0.0, "plane": None, "tensors": {}}}  # fmt: skip
    return [first, *(_line(n, draw) for n in range(1, 401)), last, alone]


def test_columns_give_the_very_lines_back(lines):
    assert unpacked(packed(lines)) == lines
    assert unpacked(packed([])) == []


def test_pandas_reads_one_row_per_update(lines, tmp_path):
    path = tmp_path / FILE
    path.write_bytes(packed(lines))
    table = pd.read_json(path)
    assert table["update"].tolist() == list(range(403))
    np.testing.assert_allclose(table["loss_dm"][1:401], [line["loss_dm"] for line in lines[1:401]])
    norms = [line["gradients"]["tensors"]["hidden.3.weight"]["norm_dt"] for line in lines[1:401]]
    np.testing.assert_allclose(table["gradients.tensors.hidden.3.weight.norm_dt"][1:401], norms)
    assert table["returns"][0] == [-30.5, -31.25]


def test_lean_lines_keep_every_loss_and_some_tensors(lines):
    kept = lean(lines)
    assert len(kept) == len(lines)
    whole = [line["update"] for line in kept if line.get("gradients", {}).get("tensors")]
    assert TENSORS / 2 <= len(whole) <= 2 * TENSORS
    assert np.ptp(np.diff(whole)) == 0, "evenly spread"
    for line, was in zip(kept, lines, strict=True):
        assert line.keys() == was.keys()
        for name in ("loss_dm", "loss_dt"):
            if name in was:
                assert np.float32(line[name]) == pytest.approx(np.float32(was[name]), rel=1e-6)
        if "gradients" in was:
            now, before = dict(line["gradients"]), dict(was["gradients"])
            assert now.pop("tensors") in ({}, before.pop("tensors"))
            assert now.pop("cosine") == pytest.approx(before.pop("cosine"), rel=1e-3)
            assert now == before
    assert lines[3]["gradients"]["tensors"], "what is given is not changed"
    assert [line["update"] for line in lean(lines[:9]) if line.get("gradients")] == list(
        range(1, 9)
    )
    assert all(line["gradients"]["tensors"] for line in lean(lines[1:9])), "few keep all"


def test_four_hundred_updates_take_less_than_20_kb(lines):
    assert len(packed(lean(lines))) < 20_000 < len(packed(lines))


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_a_damaged_file_is_a_clear_error(lines, damage):
    content = packed(lines)[:-40] if damage is None else damage
    with pytest.raises(ValueError, match=r"steps\.json\.xz cannot be read"):
        unpacked(content)
    assert io.BytesIO(packed(lines)).read(6) == b"\xfd7zXZ\x00", "what pandas knows by its name"
    assert step_columns.FILE.endswith(".xz")
