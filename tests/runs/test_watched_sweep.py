"""A sweep that is watched: how far it is, its end between two updates, how long it will take."""

import threading

import numpy as np
import pandas as pd
import pytest

from workbench.runs.store import RunStore
from workbench.runs.watched_sweep import (
    WatchedStore,
    duration,
    duration_between,
    seconds_of,
    watched,
)
from workbench.tuning.spec import RunSpec


@pytest.fixture
def specs(shipped):
    return [RunSpec("toy", 5, updates=30, seed=s, episodes=1, eval_every=0) for s in range(3)]


def test_it_makes_every_run(specs, tmp_path):
    store = WatchedStore(tmp_path)
    done = list(watched(specs, store))
    assert [item.run for item in done] == [spec.id for spec in specs]
    assert all(item.error is None for item in done)
    assert set(RunStore(tmp_path).ids()) == {spec.id for spec in specs}
    assert store.now is None


def test_it_tells_the_run_in_flight_and_ends_within_an_update(specs, tmp_path, monkeypatch):
    store, seen = WatchedStore(tmp_path), []
    record = RunStore.record

    def slowly(self, spec, steps):
        for step in record(self, spec, steps):
            seen.append((self.now, step.update))
            if spec == specs[1] and step.update == 3:
                store.end()
            yield step

    monkeypatch.setattr(RunStore, "record", slowly)
    done = list(watched(specs, store))
    assert [item.run for item in done] == [specs[0].id]
    assert seen[-1][1] == 3, "the update in flight was the last one"
    assert seen[-1][0] == (specs[1], 2), "it says the last update that was done"
    assert RunStore(tmp_path).ids() == [specs[0].id]
    assert store.now is None
    assert not list(watched(specs[1:], store)), "what has been ended stays ended"
    assert {d.run for d in watched(specs, WatchedStore(tmp_path))} == {s.id for s in specs[1:]}


def test_an_end_from_another_thread(specs, tmp_path):
    store, ended = WatchedStore(tmp_path), threading.Event()
    threading.Timer(0.3, lambda: (store.end(), ended.set())).start()
    endless = [RunSpec("toy", 5, updates=100_000, episodes=1, eval_every=0)]
    assert list(watched(endless, store)) == []
    assert ended.is_set()


def rows(**fields):
    return pd.DataFrame(
        {"family": ["toy", "toy", "ant"], "method": "prompt-diffuser", "updates": 100, **fields}
    )


def test_the_time_is_that_of_runs_like_them(shipped):
    spec = RunSpec("toy", 5)
    assert seconds_of([spec, spec], rows(seconds=[1.0, 3.0, 9.0])) == 4
    assert seconds_of([spec], rows(seconds=[np.nan, np.nan, 9.0])) == 9, "of another family"
    assert np.isnan(seconds_of([spec], rows(seconds=np.nan)))
    assert np.isnan(seconds_of([RunSpec("toy", 5, updates=7)], rows(seconds=1.0)))
    assert seconds_of([], rows(seconds=1.0)) == 0
    alike = rows(seconds=[1.0, 3.0, 9.0])
    assert seconds_of([spec], alike, 0.1) < 2 < seconds_of([spec], alike, 0.9)


def test_durations_are_said_as_people_say_them():
    said = [duration(s) for s in (0.2, 30, 240, 3 * 3600, np.nan)]
    assert said == ["about 1 seconds", "about 30 seconds", "about 4 minutes", "about 3.0 hours",
                    "unknown time"]  # fmt: skip


def test_an_estimate_is_a_range():
    ends = ((20, 40), (100, 420), (0, 8 * 3600), (62, 62), (1, np.nan))
    said = [duration_between(*pair) for pair in ends]
    assert said == ["20 to 40 seconds", "2 to 7 minutes", "0.1 to 8.0 hours", "about 62 seconds",
                    "unknown time"]  # fmt: skip
