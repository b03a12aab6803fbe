"""Doubles: the plain way runs unless the fast one was seen to give the same in less time."""

import json
import subprocess
import sys
import threading
import time

import pytest
import torch

from workbench.networks.fast import checked, remembered
from workbench.networks.fast.checked import Double, plain_only, verdicts

pytestmark = pytest.mark.usefixtures("untried")


def slow(x):
    return x.double().expand(50, *x.shape).sin().mean(0).float()


def fast(x):
    return x.sin()


def trial(way, rng, n=4000):
    x = torch.randn(n, generator=rng, requires_grad=True)
    return lambda: (way(x).detach(), *torch.autograd.grad(way(x).sum(), x))


def double(fast=fast, plain=slow, trial=trial, tolerance=1e-5):
    return Double("sine", plain, fast, trial, tolerance)


def test_what_is_equal_and_faster_is_used(monkeypatch):
    monkeypatch.setattr(checked, "_SHORT", 0.0)  # on whatever machine this is
    assert double().choose("any") is fast
    (verdict,) = verdicts()
    assert (verdict.double, verdict.case, verdict.used) == ("sine", "any", True)
    assert "times as fast as the plain way" in verdict.why


def wrong(x):
    return fast(x) + 2e-5


def wrong_gradient(x):
    return fast(x).detach() + 0 * x


def not_a_number(x):
    return fast(x).masked_fill(x == x.max(), torch.nan)


def another_shape(x):
    return fast(x)[:-1]


def raises(x):
    raise NotImplementedError("Could not run 'mkldnn::_linear_pointwise'\nwith arguments")


def waits(x):
    time.sleep(0.2)
    return fast(x)


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (wrong, "its numbers differ by 2e-05, 1e-05 is allowed"),
        (wrong_gradient, "its numbers differ by 1, 1e-05 is allowed"),
        (not_a_number, "its numbers differ by nan, 1e-05 is allowed"),
        (another_shape, "ValueError: its shape is (3999,), the plain one (4000,)"),
        (raises, "NotImplementedError: Could not run 'mkldnn::_linear_pointwise'"),
        (waits, "times as fast as the plain way"),
    ],
)
def test_whatever_is_wrong_the_plain_way_runs(broken, why, monkeypatch):
    monkeypatch.setattr(checked, "_ROUNDS", 1)
    assert double(broken).choose("any") is slow
    (verdict,) = verdicts()
    assert not verdict.used
    assert why in verdict.why


def test_what_is_slower_is_not_used(monkeypatch):
    monkeypatch.setattr(checked, "_SHORT", 0.0)  # on whatever machine this is
    assert double(fast=slow, plain=fast).choose("any") is fast
    assert not verdicts()[0].used


def test_what_takes_no_time_is_not_left_to_the_clock():
    assert double(plain=fast, fast=lambda x: x.clone().sin().clone()).choose("any") is not fast
    assert "both ways take less than 3 ms" in verdicts()[0].why


def test_a_double_is_tried_once_for_each_case():
    tried = []

    def counted(way, rng, *given):
        tried.append(given)
        return trial(way, rng)

    one = double(trial=counted)
    for case in ("a", "b", "a"):
        one.choose(case, case.upper())
    assert set(tried) == {("A",), ("B",)}
    before = len(tried)
    one.choose("a")
    assert len(tried) == before
    assert [v.case for v in verdicts()] == ["a", "b"]


def test_both_are_tried_on_the_same_batch_and_no_generator_is_touched():
    seen = []

    def noted(way, rng):
        x = torch.randn(4000, generator=rng)
        seen.append(x)
        return lambda: [way(x)]

    before = torch.get_rng_state()
    double(trial=noted).choose("any")
    assert torch.equal(torch.get_rng_state(), before)
    assert len(seen) >= 4
    assert all(torch.equal(x, seen[0]) for x in seen)


def test_a_trial_takes_gradients_whatever_its_caller_does():
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert double().choose("any") is fast
        assert torch.is_inference_mode_enabled()
        assert torch.is_autocast_enabled("cpu")


def test_within_a_trial_and_on_request_there_is_the_plain_way_alone():
    inner = double()
    chosen = []

    def outer(way, rng):
        chosen.append(inner.choose("any"))
        return trial(way, rng)

    double(trial=outer).choose("other")
    assert set(chosen) == {slow}
    with plain_only():
        assert inner.choose("third") is slow
    assert [v.case for v in verdicts()] == ["other"]
    assert inner.choose("third") is fast


def test_threads_share_one_trial():
    running, most, chosen = [], [], []

    def watched(way, rng):
        running.append(1)
        most.append(len(running))
        run = trial(way, rng)

        def watched_run():
            try:
                return run()
            finally:
                running.pop()

        return watched_run

    def choose():
        chosen.append(double(trial=watched).choose("any"))

    threads = [threading.Thread(target=choose) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert chosen == [fast] * 4
    assert max(most) <= 2, "a plain and a fast one, of one trial"


# ---- other processes ----


def judged(speeds):
    """Return what processes choose whose clocks give these speeds, in turn."""
    found = []
    for speed in speeds:
        checked._verdicts.clear()
        one = double()
        object.__setattr__(one, "_speed", lambda given, speed=speed: speed)
        found.append(one.choose("any"))
    return found


@pytest.mark.parametrize("speeds", [(1.01, 0.99, 0.5), (0.99, 1.01, 2.0)])
def test_the_first_verdict_holds_for_every_process(speeds):
    """A run is the same twice where both ways take about as long: clocks do not decide anew."""
    first, *later = judged(speeds)
    assert first is (fast if speeds[0] > 1 else slow)
    assert later == [first, first]
    assert f"{speeds[0]:.1f} times as fast" in verdicts()[0].why


ELSEWHERE = """
import torch
torch.set_num_threads(1)
from tests.networks.fast.test_checked import double, verdicts

print(double().choose("any").__name__, verdicts()[0].why)
"""


def test_another_process_takes_what_was_seen_here():
    (chosen,) = judged([0.99])
    run = [sys.executable, "-c", ELSEWHERE]
    done = subprocess.run(run, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    other, why = done.stdout.split(maxsplit=1)
    assert (other, chosen) == ("slow", slow)
    assert "1.0 times as fast" in why


def test_of_two_at_a_time_the_first_to_write_is_right():
    assert remembered.first("sine", "any", True, "1.1 times") == (True, "1.1 times")
    assert remembered.first("sine", "any", False, "0.9 times") == (True, "1.1 times")
    assert remembered.recalled("sine", "any") == (True, "1.1 times")
    assert remembered.recalled("sine", "other") is None
    assert remembered.recalled("cosine", "any") is None


def test_a_verdict_holds_for_as_many_threads_and_for_this_code(monkeypatch):
    remembered.first("sine", "any", True, "1.1 times")
    with monkeypatch.context() as patch:
        patch.setattr(torch, "get_num_threads", lambda: 7)
        assert remembered.recalled("sine", "any") is None
    assert remembered.recalled("sine", "any")
    monkeypatch.setattr(remembered, "_here", lambda: ("another torch",))
    assert remembered.recalled("sine", "any") is None


@pytest.mark.parametrize("spoiled", ["", "{", "[]", '{"used": 1, "why": "so"}', '{"used": true}'])
def test_a_spoiled_file_is_tried_anew(spoiled):
    judged([2.0])
    (file,) = remembered.folder().iterdir()
    file.write_text(spoiled)
    assert judged([0.9, 2.0, 0.9]) == [slow, fast, fast], "removed, written anew, recalled"
    assert json.loads(file.read_text())["case"] == "'any'"


def test_nowhere_to_write_is_no_reason_to_stop(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(remembered.CACHE, str(tmp_path / "file"))
    assert judged([2.0, 0.9]) == [fast, slow]


def test_a_spoiled_file_that_cannot_be_removed_is_no_reason_to_stop(monkeypatch):
    judged([2.0])
    (file,) = remembered.folder().iterdir()
    file.write_text("{")

    def refuses(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(file), "unlink", refuses)
    assert judged([0.9, 2.0]) == [slow, fast]


def test_what_failed_is_tried_by_every_process():
    assert double(raises).choose("any") is slow
    assert not remembered.folder().exists()
