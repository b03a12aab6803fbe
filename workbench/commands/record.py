"""The verb that records the runs that ship."""

from __future__ import annotations

import shutil
from typing import Annotated

from tqdm import tqdm
from tyro.conf import Positional, arg

from workbench.commands.output import FamilyName, Json, command, print_result
from workbench.runs.compare import compare
from workbench.runs.store import RunStore
from workbench.shipped import assets
from workbench.tasks import find
from workbench.tuning.presets import SHIPPED_SPECS


def record(
    family: Positional[FamilyName],
    missing: Annotated[bool, arg(help="Only the runs that are not there yet.")] = False,
    as_json: Json = False,
) -> None:
    """Record the runs that ship, each with its untuned baseline, below assets/runs/."""
    find(family)
    store, rows = RunStore(assets.ROOT / "runs"), []
    # what makes a run is the same, whether others were there before or not
    made_by = command().replace(" --missing", "")
    wanted = SHIPPED_SPECS.get(family, ())
    keep = {run_id for spec in wanted for run_id in (spec.id, spec.untuned.id)}
    for folder in store.root.glob("*/"):
        if folder.name not in keep and store.spec(folder.name).family == family:
            shutil.rmtree(folder)
    for spec in wanted:
        if missing and {spec.id, spec.untuned.id} <= set(store.ids()):
            continue
        steps = [s for _, s in tqdm(compare(spec, store), total=spec.updates + 3, unit="update")]
        for run_id in (spec.id, spec.untuned.id):
            last = store.returns(run_id)[-1]
            measured = {"return_mean": round(float(last.mean()), 3), "episodes": len(last)}
            for path in sorted(p for p in (store.root / run_id).rglob("*") if p.is_file()):
                assets.record(path, command=made_by, seed=spec.seed, **measured)
        rows.append({"run": spec.id, "quality": spec.quality, **steps[-1].evaluation.summary()})
    print_result(rows, as_json)
