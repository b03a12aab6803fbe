"""The paper's tables: every published number, and the runs of every cell."""

import math
from dataclasses import replace

import pytest

from workbench.methods import METHODS
from workbench.networks.models import MODELS
from workbench.paper import ablation, any_data, claims, tables
from workbench.paper.tables import PUBLISHED, TABLES, baseline, cells, published, runs_of
from workbench.tasks import FAMILIES
from workbench.tasks.splits import evaluated_tasks, pretraining_tasks
from workbench.tuning.presets import CHOSEN, chosen

# as printed: a line per row of the paper
TABLE_1 = {
    "cheetah-dir": "935.3±2.6 934.6±4.4 −46.2±3.4 940.2±1.0 875.2±4.2 936.9±4.8 941.5±3.2 "
    "945.3±7.2 950.6±1.2",
    "cheetah-vel": "−127.7±9.9 −43.5±3.4 −146.6±2.1 −41.8±2.1 −63.8±6.3 −40.1±3.8 −39.5±3.7 "
    "−35.3±2.4 −23.0±1.1",
    "ant-dir": "278.7±38.7 420.2±5.1 110.5±2.2 379.1±33.7 361.4±5.6 425.2±8.6 427.9±4.3 "
    "432.1±6.7 494.2±2.3",
    "reach": "457.2±30.3 469.8±29.9 264.1±9.6 448.7±41.3 477.9±2.1 478.1±27.8 472.5±29.0 "
    "555.7±6.8 564.7±0.7",
}  # fmt: skip
ROWS_1 = (
    "Prompt-DT, random prompt", "Prompt-DT, expert prompt", "MT-ORL", "Soft Prompt", "Adaptor",
    "Prompt-DT-FT", "Prompt-Tuning DT", "Prompt Diffuser", "Prompt-DT-FT-Full",
)  # fmt: skip
TABLE_2 = {
    "expert": "−42.1 −49.9 −89.2 −32.6 −34.2 −33.5",
    "medium": "−41.4 −50.3 −90.3 −34.2 −33.5 −34.4",
    "random": "−41.2 −50.4 −90.4 −33.5 −33.2 −32.5",
}
TABLE_3 = {"few-shot": "526.0 540.8 546.8", "zero-shot": "52.7 52.7 329.2"}
every_table = pytest.mark.parametrize("name", TABLES)


def numbers(text):
    for word in text.replace("−", "-").split():
        mean, _, sd = word.partition("±")
        yield float(mean), float(sd) if sd else None


def test_table_1_as_published():
    for family, text in TABLE_1.items():
        for row, pair in zip(ROWS_1, numbers(text), strict=True):
            assert PUBLISHED["1"][row, family] == pair
    assert len(PUBLISHED["1"]) == 36


def test_table_2_as_published():
    columns = [(m, q) for m in ("Prompt-Tuning DT", "Prompt Diffuser") for q in TABLE_2]
    for data, text in TABLE_2.items():
        for (column, prompt), pair in zip(columns, numbers(text), strict=True):
            assert PUBLISHED["2"][f"{data} data, {prompt} prompt", column] == pair
    assert len(PUBLISHED["2"]) == 18


def test_table_3_as_published():
    for (kind, text), column in zip(
        TABLE_3.items(), (tables.OUT_OF_DISTRIBUTION, tables.ZERO_SHOT), strict=True
    ):
        assert kind in column
        methods = ("Prompt-DT", "Prompt-Tuning DT", "Prompt Diffuser")
        for row, pair in zip(methods, numbers(text), strict=True):
            assert PUBLISHED["3"][row, column] == pair
    assert len(PUBLISHED["3"]) == 6


@every_table
def test_every_published_number_has_a_cell(name):
    assert PUBLISHED[name].keys() <= cells(name).keys()


@every_table
def test_the_runs_of_a_cell_are_seeds_by_tasks_of_one_way(name):
    for (_, column), cell in cells(name).items():
        if column == tables.ZERO_SHOT or not cell:
            continue
        pairs = {(s.seed, s.task) for s in cell}
        tasks = {s.task for s in cell}
        assert len(pairs) == len(cell) == 3 * len(tasks)
        assert {s.seed for s in cell} == {0, 1, 2}
        ways = {
            (s.family, s.method, str(s.settings), s.updates, s.quality, s.prompts, s.split)
            for s in cell
        }
        assert len(ways) == 1
        assert {(s.eval_every, s.episodes) for s in cell} == {(0, 20)}
        if cell[0].split == "test":
            assert tasks == set(FAMILIES[cell[0].family].test_indices)


@every_table
def test_cells_of_a_table_share_no_run(name):
    found = cells(name)
    # a zero-shot prompt cannot be tuned: there two methods are one
    found.pop(("Prompt-Tuning DT", tables.ZERO_SHOT), None)
    ids = [s.id for cell in found.values() for s in cell]
    assert len(ids) == len(set(ids))


def test_table_1_has_every_method_in_every_family():
    found = cells("1")
    assert {column for _, column in found} == set(FAMILIES)
    assert {s.method for cell in found.values() for s in cell} == set(METHODS)
    own = [row for row, column in found if (row, column) not in PUBLISHED["1"]]
    assert set(own) == {
        "HDT", "Prompt-Tuning DT, online", "Prompt bandit",
        "Prompt Diffuser, told the task (ours)", "Prompt VAE", "Prompt GAN",
        "Prompt-DT, expert prompt, late rows", "Soft Prompt, late rows",
        "Prompt-Tuning DT, late rows",
    }  # fmt: skip


def test_tables_share_runs_as_intended():
    def ids(cell):
        return [s.id for s in cell]

    one, two, guidance = cells("1"), cells("2"), cells("guidance")
    for method in ("Prompt-Tuning DT", "Prompt Diffuser", "Soft Prompt"):
        assert ids(two["expert data, expert prompt", method]) == ids(one[method, "cheetah-vel"])
    for column, (family, quality) in tables.GUIDED.items():
        whole = {
            spec.id for spec in any_data.cell("Prompt Diffuser (as published)", family, quality)
        }
        assert set(ids(guidance["projection, published", column])) == whole
        if family == "cheetah-vel":
            same = two[f"{quality} data, {quality} prompt", "Prompt Diffuser"]
            assert set(ids(same)) == whole
    grids = {spec.id for spec in ablation.specs()}
    for (row, _), cell in guidance.items():
        assert (set(ids(cell)) <= grids) == row.endswith(("sum", "published", "= 10"))


def test_every_model_is_used_as_prompt_dt_is_in_table_1():
    """But for no prompt at all, and for what needs a gradient where there is none."""
    one, found = cells("1"), cells("models", families=("cheetah-vel", "ant-dir"))
    assert {spec.model for cell in found.values() for spec in cell} == set(MODELS)
    for (row, column), cell in found.items():
        model, _, how = row.partition(": ")
        family, variant = column, ""
        if column in tables.OTHER_SEEDS:
            family, variant = column.partition(",")[0], f"seed-{column[-1]}"
        assert {spec.variant for spec in [*cell, *baseline(cell)]} <= {variant}
        if not cell:
            assert (model, how) in {("Gato", "Soft Prompt"), ("Gato", "Prompt Diffuser")}
            continue
        assert {MODELS[spec.model].kind for spec in cell} == {model}
        assert {spec.model for spec in baseline(cell)} == {"prompt-dt"}
        if how == "no prompt":
            assert {(s.method, s.build().prompted, s.quality) for s in cell} == {
                ("prompt-dt", False, "expert")
            }
            continue
        plain = one.get((how, family)) or one[f"Prompt-DT, {how}", family]
        assert [replace(spec, model="prompt-dt", variant="") for spec in cell] == plain
    of_ant = {"ant-dir", "ant-dir, pretraining seed 1"}
    of_cheetah = {"cheetah-vel", *(f"cheetah-vel, pretraining seed {n}" for n in (1, 2))}
    assert {column for _, column in cells("models")} == of_ant | of_cheetah
    assert {c for _, c in cells("models", families=("ant-dir",))} == of_ant
    third = {row.partition(":")[0] for row, column in found if column.endswith("seed 2")}
    assert third == {"Prompt-DT"}, "three pretraining seeds, of that alone"


def test_rows_side_by_side_are_cut_alike():
    """Prompt Diffuser's conditions, and the prompts of the rows that it is judged against."""
    one = cells("1")
    for row in ("Prompt-DT, expert prompt", "Soft Prompt", "Prompt-Tuning DT"):
        (plain, *_), (late, *_) = one[row, "ant-dir"], one[row + claims.LATE, "ant-dir"]
        assert late.settings == {**plain.settings, "prompt_positions": "published"}
        assert (late.updates, late.method) == (plain.updates, plain.method)
    for row in ("Prompt Diffuser", "Prompt Diffuser, told the task (ours)"):
        assert {s.build().prompt_positions for s in one[row, "reach"]} == {"published"}


def test_the_initial_prompt_differs_from_the_data_only_where_it_should():
    for (row, _), cell in cells("2").items():
        data, prompt = row.split()[0], row.split()[2]
        assert {(s.quality, s.prompts or s.quality) for s in cell} == {(data, prompt)}


def test_the_guidance_table_varies_one_thing():
    found = cells("guidance")
    assert [c for r, c in found if r == "plain sum"] == list(tables.GUIDED)
    base = vars(chosen("prompt-diffuser", "cheetah-vel", 2).build())
    for (row, column), cell in found.items():
        changed = {n: v for n, v in cell[0].settings.items() if base[n] != v}
        assert len(changed) == (row != "projection, published") + ("sum, λ = 10" in row), row
        family, quality = tables.GUIDED[column]
        assert {(s.family, s.quality, s.prompts) for s in cell} == {(family, quality, "")}
    alone = found["diffusion loss alone", "reach, medium data"][0].build()
    assert alone.guidance == "diffusion"
    assert len({row for row, column in found if column == "reach, medium data"}) == 6
    assert {c for _, c in cells("guidance", families=["ant-dir"])} == {"ant-dir, medium data"}
    with pytest.raises(ValueError, match="more families, methods or data"):
        cells("guidance", families=["ant-dir"], data=["expert"])


def test_families_are_put_together_where_each_has_a_column():
    assert tables.pooled(cells("1")) == list(FAMILIES)
    assert tables.pooled(cells("1", families=["ant-dir", "reach"])) == ["ant-dir", "reach"]
    for name in ("guidance", "2", "3"):
        assert tables.pooled(cells(name)) == []


def test_the_third_table_adapts_far_from_what_was_trained_on():
    """As published: eight training tasks, two test tasks below their range and one above."""
    found = cells("3")
    for row in ("Prompt-DT", "Prompt-Tuning DT", "Prompt Diffuser"):
        for late in ("", claims.LATE) if row != "Prompt Diffuser" else ("",):
            specs = found[row + late, tables.OUT_OF_DISTRIBUTION]
            assert {(s.family, s.split, s.quality) for s in specs} == {
                ("ant-dir", "out-of-distribution", "expert")
            }
    family = FAMILIES["ant-dir"]
    trained, tested = (
        sorted(math.degrees(task.goal[0]) % 360 for task in tasks(family, "out-of-distribution"))
        for tasks in (pretraining_tasks, evaluated_tasks)
    )
    assert (len(trained), len(tested)) == (8, 3)
    below, lower, above = tested
    assert below < lower < trained[0] - 20
    assert trained[-1] + 20 < above


def test_a_baseline_is_the_expert_prompt_without_tuning():
    found = cells("1")
    for late, rows in {
        "": ("Prompt-DT, random prompt", "Adaptor", "Prompt-DT-FT-Full"),
        claims.LATE: ("Prompt Diffuser", "Prompt GAN", "Soft Prompt" + claims.LATE),
    }.items():
        want = [s.id for s in found["Prompt-DT, expert prompt" + late, "ant-dir"]]
        for row in rows:
            assert [s.id for s in baseline(found[row, "ant-dir"])] == want
    (spec, *_) = baseline(cells("2")["random data, medium prompt", "Prompt Diffuser"])
    assert (spec.method, spec.quality, spec.prompts) == ("prompt-dt", "expert", "")
    assert {s.id for s in runs_of(found)} == {s.id for cell in found.values() for s in cell}


def test_zero_shot_is_compared_with_zero_shot():
    found = cells("3")
    untuned = [s.id for s in found["Prompt-DT", tables.ZERO_SHOT]]
    for row in ("Prompt-DT", "Prompt Diffuser"):
        assert [s.id for s in baseline(found[row, tables.ZERO_SHOT])] == untuned


def test_families_methods_and_seeds_restrict():
    found = cells("1", families=["reach"], methods=["prompt-dt", "prompt-gan"], seeds=[4, 4])
    assert list(found) == [
        ("Prompt-DT, random prompt", "reach"),
        ("Prompt-DT, expert prompt", "reach"),
        ("Prompt-DT, expert prompt, late rows", "reach"),
        ("Prompt GAN", "reach"),
    ]
    assert all([s.seed for s in cell] == [4] * 5 for cell in found.values())


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ({"families": ["cheetah-val"]}, "cheetah-vel"),
        ({"methods": ["prompt-difuser"]}, "prompt-diffuser"),
        ({"seeds": []}, "seeds"),
        ({"seeds": [-1]}, "seed"),
    ],
)
def test_what_does_not_exist_is_refused(words, hint):
    with pytest.raises(ValueError, match=hint):
        cells("1", **words)
    with pytest.raises(ValueError, match="No cell"):
        cells("2", methods=["prompt-gan"])
    with pytest.raises(ValueError, match="one family"):
        cells("2", families=["cheetah-vel", "reach"])


def test_published_numbers_are_not_shown_for_another_family():
    place = "expert data, expert prompt", "Prompt Diffuser"
    assert published("2", place, cells("2")[place]) == (-32.6, None)
    assert published("2", place, cells("2", families=["reach"])[place]) == (None, None)


def test_every_method_has_its_chosen_settings():
    assert {key.partition("/")[0] for key in CHOSEN} == set(METHODS)
    assert all(CHOSEN[key][1] == 0 for key in ("prompt-dt", "mt-orl"))
    for key in CHOSEN:
        spec = chosen(key, "cheetah-vel", 2, seed=3)
        assert (spec.method, spec.seed, spec.episodes) == (key.partition("/")[0], 3, 20)
        assert replace(spec) == spec
    more = chosen("prompt-diffuser", "cheetah-vel", 2, settings={"lam": 0.5})
    assert more.settings["lam"] == 0.5


def test_zero_shot_runs_use_nothing_of_their_task():
    """They have no prompt at all, or are conditioned on another task's returns; no updates."""
    found, far = cells("3"), {1, 35, 43}
    unprompted, same, generated = (
        found[row, tables.ZERO_SHOT] for row in ("Prompt-DT", "Prompt-Tuning DT", "Prompt Diffuser")
    )
    assert unprompted == same
    for spec in [*unprompted, *generated]:
        assert (spec.updates, spec.split) == (0, "out-of-distribution")
        assert (spec.episodes, spec.eval_every) == (20, 0)
    for cell in (unprompted, generated):
        assert {(s.task, s.seed) for s in cell} == {(t, seed) for t in far for seed in (0, 1, 2)}
    assert {str(s.settings) for s in unprompted} == {str(CHOSEN["prompt-dt/none"][0])}
    for task in far:
        donors = [s.quality for s in generated if s.task == task]
        assert set(donors) == {f"other:{other}" for other in far - {task}}


def test_the_second_table_crosses_data_and_prompts_where_the_paper_does():
    found = cells("2")
    for method in ("Soft Prompt", "Prompt Diffuser, told the task (ours)"):
        rows = [row for row, column in found if column == method]
        assert rows == [f"{q} data, {q} prompt" for q in ("expert", "medium", "random")]
