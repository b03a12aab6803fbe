"""The sweep on a real Ray cluster of two nodes: the rows are those of this machine's engine."""

import os
import signal
import sys
import threading
import time

import pytest

from tests.tasks.test_plugins import METHOD
from tests.writers import writers_of
from workbench.runs.run_table import rows
from workbench.runs.store import RunStore
from workbench.runs.sweep import Attempt, Done, missing, sweep
from workbench.tuning.spec import RunSpec

SAME = ("run", "returns", "n_trainable", "loss_dm_last", "loss_dt_last", "spec")
FEW = {"quality": "expert", "eval_every": 0, "episodes": 1}


def few_specs():
    short = {"settings": {"batch_size": 2}, "updates": 2}
    return [
        spec
        for task in (0, 1)
        for spec in (
            RunSpec("cheetah-dir", task, method="prompt-dt", updates=0, **FEW),
            RunSpec("cheetah-dir", task, **short, **FEW),
        )
    ]


def test_without_ray_it_says_how_to_install_it(monkeypatch):
    from workbench.runs.ray_cluster import RayCluster

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match="cluster"):
        RayCluster()


@pytest.fixture(scope="module")
def address():
    """The address of a cluster of two nodes with a CPU each, on the loopback."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[cluster]'")
    # not at the lowest priority, as usual: on a busy machine a worker would hardly run
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_worker_niceness="0")
    from ray.cluster_utils import Cluster

    small = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = started(lambda: Cluster(
        initialize_head=True, head_node_args={**small, "include_dashboard": False}
    ))  # fmt: skip
    try:
        started(lambda: cluster.add_node(**small))
        yield cluster.address
    finally:
        cluster.shutdown()


def started(start, attempts=4):
    """Start a node; Ray gives it thirty seconds, which a busy machine may not have."""
    for left in reversed(range(attempts)):
        try:
            return start()
        except Exception as error:
            if not left or "timed out during startup" not in str(error):
                raise


@pytest.fixture
def engine(address):
    from workbench.runs.ray_cluster import RayCluster

    found = RayCluster(address, retries=2)
    yield found
    found.close()


def test_a_killed_worker_costs_an_attempt_and_the_rows_are_the_same(engine, tmp_path, monkeypatch):
    """One run is long enough to be caught at it: its worker is killed once."""
    assert engine.workers == 2
    long = RunSpec("cheetah-dir", 0, settings={"batch_size": 2}, updates=40, **FEW)
    specs, killed = [long, *few_specs()], []
    alone, many = RunStore(tmp_path / "alone"), RunStore(tmp_path / "many")
    lines = many.root / long.id / "steps.jsonl"

    def kill_its_writer():
        while not killed:
            if lines.exists() and lines.read_text().count("\n") >= 2:
                killed.extend(writers_of(lines.parent))
                for pid in killed:
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)

    killer = threading.Thread(target=kill_its_writer, daemon=True)
    killer.start()
    done = list(sweep(specs, many, engine=engine))
    killer.join(timeout=1)
    assert len(killed) == 1
    assert {d.run: d.error for d in done} == {s.id: None for s in specs}
    assert all(d.error is None for d in sweep(specs, alone))
    ids = [spec.id for spec in specs]
    a, b = rows(alone, ids), rows(many, ids)
    for name in SAME:
        assert a[name].astype(str).tolist() == b[name].astype(str).tolist(), name
    assert missing(specs, many) == []
    assert list(sweep(specs, many, engine=engine)) == [], "nothing is left to do"


def test_nodes_find_a_method_of_ones_own(address, plugged, tmp_path):
    from workbench.runs.ray_cluster import RayCluster

    plugged(METHOD, "method.py")
    short = {"settings": {"batch_size": 2}, "updates": 2, **FEW}
    specs = [RunSpec("cheetah-dir", task, method="my-soft-prompt", **short) for task in (0, 1)]
    engine = RayCluster(address)
    try:
        done = list(sweep(specs, RunStore(tmp_path / "runs"), engine=engine))
    finally:
        engine.close()
    assert {d.run: d.error for d in done} == {spec.id: None for spec in specs}


class Dying(Attempt):
    """An attempt that takes its worker along."""

    def __call__(self, due):
        os.kill(os.getpid(), signal.SIGKILL)


def test_what_always_dies_is_given_up_and_bad_input_is_told(engine, tmp_path):
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import tests
    spec, store = few_specs()[0], RunStore(tmp_path / "runs")
    engine.retries = 0
    (done,) = engine.outcomes(Dying(store, False, os.getpid()), [(spec.id, spec)])
    assert done.again
    assert "WorkerCrashedError" in done.error
    assert "died" in (store.root / spec.id / "error.txt").read_text()
    bad = RunSpec("cheetah-vel", 0, method="prompt-dt", updates=0)  # no few-shot set
    (done,) = engine.outcomes(Attempt(store, False, os.getpid()), [(bad.id, bad)])
    assert isinstance(done, Done)
    assert "few-shot" in done.error
    assert not done.again
    assert "Traceback" in (store.root / bad.id / "error.txt").read_text()
