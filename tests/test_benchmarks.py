"""The benchmark harness on toy sizes: what it times is what it says, and nothing is timed here."""

import itertools
import json

import numpy as np
import pytest
import torch

from tests.benchmarks import __main__ as command
from tests.benchmarks import approach, figure, growth, store_growth
from tests.benchmarks.published import PublishedModel, evaluate_published
from tests.benchmarks.timing import Result, Spread, interleaved, ratio
from tests.conftest import record
from workbench.data.rollout import evaluate
from workbench.data.trajectory import Trajectories
from workbench.methods import METHODS
from workbench.networks.prompt_dt import PromptedPolicy, hidden_tokens
from workbench.runs.index import index_of
from workbench.runs.run_table import table_of
from workbench.runs.tunings import tunings


def plain_encoder(model):
    """Return our own blocks as an encoder of whole, masked sequences."""

    def encode(tokens, mask):
        # Padding is on the left and real tokens follow the prompt: dropping it is masking it.
        keep = mask[0].bool()
        x = tokens[:, keep]
        hidden = hidden_tokens(x.shape[1], 0)
        for block in model.blocks:
            x = block(x, hidden)
        out = torch.zeros_like(tokens)
        out[:, keep] = model.norm_out(x)
        return out

    return encode


@torch.no_grad()
def test_the_published_pattern_acts_as_the_exact_mode(toy, model):
    task = toy.task(5)
    prompt = Trajectories(record(task, 1)).segments(np.array([0]), np.array([2]), 3)
    published = PublishedModel(model, plain_encoder(model))
    ours = evaluate(PromptedPolicy(model, prompt), task, [4]).trajectories[0]
    seen, done = evaluate_published(published, prompt, task, 4, toy.horizon)
    np.testing.assert_allclose(done, ours.actions, atol=1e-5)
    np.testing.assert_allclose(seen, ours.observations, atol=1e-5)
    assert np.std(done) > 0.01
    assert len(evaluate_published(published, prompt, task, 4, 5)[1]) == 5


@torch.no_grad()
def test_the_published_model_predicts_what_the_plain_one_does(toy, model):
    data = Trajectories(record(toy.task(5), 2))
    prompt = data.segments(np.arange(2), np.array([0, 4]), 3)
    context = data.segments(np.arange(2), np.array([1, 3]), 4)
    got = PublishedModel(model, plain_encoder(model))(prompt, context)
    torch.testing.assert_close(got, model(prompt, context), atol=1e-5, rtol=0)


def test_cases_take_turns_and_the_first_round_does_not_count():
    clock, order = itertools.count(), []

    def case(name, units):
        def run():
            order.append(name)
            for _ in range(units):
                next(clock)
            return units

        return run

    costs = interleaved({"a": case("a", 1), "b": case("b", 3)}, 2, lambda: next(clock))
    assert order == ["a", "b"] * 3
    assert costs == {"a": [2.0, 2.0], "b": [4 / 3, 4 / 3]}


def test_ratios_are_taken_pair_by_pair():
    assert ratio([2, 40, 9], [1, 10, 1]) == Spread(4, 2, 9)


@pytest.mark.parametrize(
    ("goal", "at_most", "reached"),
    [
        (5.0, False, True),
        (5.1, False, False),
        (5.0, True, True),
        (4.9, True, False),
        (None, 0, None),
    ],
)
def test_a_goal_is_reached_by_the_median(goal, at_most, reached):
    result = Result("x", Spread(5, 1, 9), "×", goal, at_most)
    assert result.reached is reached
    verdict = {True: "yes", False: "NO", None: ""}[reached]
    assert command.line(command.plain(result)).rstrip().endswith(verdict)


def test_results_are_kept_part_by_part_with_their_figures(tmp_path, monkeypatch, capsys):
    made = iter(range(1, 9))

    def part():
        yield Result("speed", Spread(next(made), 1, 9), "×", 2)

    point = growth.Point("batch", "update", 8, 1.5, "ms")
    monkeypatch.setattr(command, "parts", lambda repeats: {"one": part, "two": part})
    grown = growth.Point("runs in a store", "listed", 100, 0.5, "s")
    monkeypatch.setattr(growth, "PARTS", (lambda: iter([point]),))
    monkeypatch.setattr(store_growth, "PARTS", (lambda: iter([grown]),))
    near = growth.Point(approach.axis("expert"), "Soft Prompt", 0.5, -30.0, "return")
    monkeypatch.setattr(approach, "PARTS", (lambda: iter([near]),))
    threads = torch.get_num_threads()

    def run(*words):
        monkeypatch.setattr("sys.argv", ["bench", "--out", str(tmp_path), *words])
        command.main()
        torch.set_num_threads(threads)
        return json.loads((tmp_path / "bench.json").read_text())

    first = run()
    assert [first["parts"][n][0]["median"] for n in ("one", "two")] == [1, 2]
    assert first["growth"][0]["value"] == 1.5
    assert first["store"][0]["value"] == 0.5
    assert first["approach"][0]["value"] == -30
    second = run("--only", "two", "--json")
    assert [second["parts"][n][0]["median"] for n in ("one", "two")] == [1, 3]
    assert json.loads(capsys.readouterr().out) == second
    assert {p.name for p in tmp_path.iterdir()} == {
        "bench.json", "bench.png", "growth.png", "approach.png"
    }  # fmt: skip


def test_committed_files_are_left_alone_unless_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "parts", lambda repeats: {"one": lambda: iter(())})
    monkeypatch.setattr(command, "DOCS", tmp_path / "docs")
    monkeypatch.setattr(command, "BUILD", tmp_path / "build" / "bench")
    threads = torch.get_num_threads()
    for words, written in (((), "build"), (("--keep",), "docs")):
        monkeypatch.setattr("sys.argv", ["bench", "--only", "one", *words])
        command.main()
        torch.set_num_threads(threads)
        assert [p.name for p in tmp_path.iterdir() if p.name == written] == [written]
        assert (tmp_path / "docs").exists() is (written == "docs")


def test_a_made_store_is_listed_as_a_real_one(tmp_path):
    folders = [store_growth.make(tmp_path, seed) for seed in range(20)]
    found = index_of(tmp_path)
    assert not found.damaged
    assert set(found.runs["run"]) == {folder.name for folder in folders}
    table = tunings(found)
    assert len(table) == 18
    assert table["untuned"].notna().all()
    assert len(table_of(found.runs)[0]) == 20, "every spec is one"


def test_a_run_of_a_sweep_takes_twenty_kilobytes_at_most():
    taken = {point.line: point.value for point in store_growth.room((400,))}
    assert taken["a run on disk, its numbers alone"] <= 20 < taken["a run on disk, all of it"]


def test_a_figure_can_be_drawn_before_anything_is_measured(tmp_path):
    figure.draw_ratios([], tmp_path / "a.png")
    figure.draw_growth([], tmp_path / "b.png")
    figure.draw_approach([], tmp_path / "c.png")
    assert all((tmp_path / n).stat().st_size > 0 for n in ("a.png", "b.png", "c.png"))


def test_a_method_approaches_a_useful_prompt_over_seconds(monkeypatch):
    monkeypatch.setattr(approach, "EPISODES", 2)
    points = list(approach.approach(("informed-diffuser", "prompt-dt-ft")))
    for quality in approach.QUALITIES:
        mine = [p for p in points if p.axis == approach.axis(quality)]
        told, tuned = ([p for p in mine if p.line == METHODS[key].label]
                       for key in ("informed-diffuser", "prompt-dt-ft"))  # fmt: skip
        assert [p.size for p in told] == [approach.AT_ONCE], "it makes its prompts without updates"
        assert len(tuned) > approach.EVALUATIONS
        assert [p.size for p in tuned] == sorted(p.size for p in tuned)
        assert len([p for p in mine if p.line == approach.USEFUL]) == 2


def test_the_bare_simulator_has_a_rate():
    assert growth.simulator_limit("cheetah-vel", steps=5) > 0
