"""So many jobs run at a time, others wait in line, and nothing runs on for nobody."""

import threading
import time

import pytest

from workbench.runs.jobs import ENDED, JobQueue


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def queue(clock):
    made = JobQueue(limit=2, patience=60, clock=clock)
    yield made
    for entry in [*made.waiting, *made.running]:
        made.stop(entry.key)


class Gate:
    """A stream that yields one item at once and another when the gate opens."""

    def __init__(self):
        self.open, self.made, self.closed = threading.Event(), 0, threading.Event()

    def __call__(self):
        self.made += 1
        return self._stream()

    def _stream(self):
        try:
            yield "first"
            assert self.open.wait(20)
            yield "second"
        finally:
            self.closed.set()


@pytest.fixture
def gates():
    made = [Gate() for _ in range(5)]
    yield made
    for gate in made:
        gate.open.set()


def soon(condition):
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen")


def test_two_run_and_the_others_wait_in_order(queue, gates):
    for i, gate in enumerate(gates):
        queue.submit(i, f"job {i}", gate)
    assert [e.key for e in queue.running] == [0, 1]
    assert [e.label for e in queue.waiting] == ["job 2", "job 3", "job 4"]
    assert [queue.place(i) for i in range(5)] == [0, 0, 1, 2, 3]
    assert gates[2].made == 0


def test_the_next_one_starts_by_itself_when_one_ends(queue, gates):
    for i, gate in enumerate(gates[:3]):
        queue.submit(i, "", gate)
    gates[0].open.set()
    soon(lambda: queue.find(2).job is not None)
    soon(lambda: queue.find(2).items == ["first"])
    assert queue.find(0).items == ["first", "second"]
    assert not queue.find(0).active


def test_the_same_key_is_the_same_job(queue, gates):
    one = queue.submit("run", "", gates[0])
    assert queue.submit("run", "", gates[1]) is one
    assert queue.find("run") is one
    assert gates[1].made == 0


def test_a_stopped_job_keeps_what_it_yielded_and_makes_room(queue, gates):
    for i, gate in enumerate(gates[:3]):
        queue.submit(i, "", gate)
    soon(lambda: queue.find(0).items == ["first"])
    queue.stop(0)
    gates[0].open.set()
    soon(lambda: queue.find(2).job is not None)
    assert queue.find(0).items == ["first"]
    assert queue.find(0).job.stopped
    assert not queue.find(0).active


def test_a_waiting_job_that_is_stopped_leaves_the_line(queue, gates):
    for i, gate in enumerate(gates[:4]):
        queue.submit(i, "", gate)
    queue.stop(2)
    assert queue.find(2) is None
    assert queue.place(3) == 1
    gates[0].open.set()
    soon(lambda: queue.find(3).job is not None)
    assert gates[2].made == 0


def test_a_key_starts_again_only_after_its_stopped_job_has_put_its_files_away(queue, gates):
    queue.submit("run", "", gates[0])
    soon(lambda: queue.find("run").items == ["first"])
    queue.stop("run")
    again = queue.submit("run", "", gates[1])
    assert again.job is None, "the first one still holds its files"
    assert queue.place("run") == 1
    gates[0].open.set()
    assert gates[0].closed.wait(10)
    soon(lambda: again.items == ["first"])


def test_what_nobody_looks_at_is_stopped_in_time(queue, gates, clock):
    queue.submit("looked at", "", gates[0])
    queue.submit("left", "", gates[1])
    queue.submit("left in line", "", gates[2])
    clock.now = 50
    queue.find("looked at")
    clock.now = 61
    queue.tend()
    assert [e.key for e in queue.running] == ["looked at"]
    assert queue.find("left").abandoned
    assert queue.find("left in line") is None
    assert not queue.find("looked at").abandoned


def test_a_job_may_run_unwatched(queue, gates, clock):
    queue.submit("sweep", "", gates[0], watched=False)
    clock.now = 10_000
    queue.tend()
    assert queue.find("sweep").active


def test_the_last_ended_jobs_are_kept(queue):
    for i in range(ENDED + 3):
        queue.submit(i, "", lambda: iter([1]))
        soon(lambda i=i: not queue.find(i).active)
    queue.tend()
    kept = [i for i in range(ENDED + 3) if queue.find(i) is not None]
    assert kept == list(range(3, ENDED + 3))


def test_an_error_stays_with_its_job(queue):
    def fail():
        raise ValueError("no such file")

    queue.submit("bad", "", fail)
    soon(lambda: not queue.find("bad").active)
    assert str(queue.find("bad").job.error) == "no such file"


def test_a_queue_needs_room_for_one():
    with pytest.raises(ValueError, match="at least 1"):
        JobQueue(0)
