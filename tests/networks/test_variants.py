"""Networks of another size: where they are, which runs take them, and how they are asked for."""

import dataclasses

import pytest
import torch

from tests.conftest import TOY_DIFFUSER, TOY_SIZES, build_model
from workbench.networks.diffusion import PromptDiffuser
from workbench.networks.prompt_dt import ModelConfig
from workbench.networks.variants import (
    VARIANTS,
    Variant,
    pretraining_seed,
    variant_of,
    with_attention,
)
from workbench.shipped import assets
from workbench.tuning.loop import run
from workbench.tuning.spec import RunSpec, acting_model


@pytest.fixture
def on_demand(shipped, monkeypatch, tmp_path):
    """Assets of the toy family, and a folder for what does not ship."""
    monkeypatch.setattr(assets, "ON_DEMAND", tmp_path / "data")
    return tmp_path / "data"


def keep(toy, variant, **sizes):
    """Make the networks of a variant of the toy family."""
    known = variant_of(variant)
    if known.changes("prompt-dt"):
        model = build_model(toy, dataclasses.replace(TOY_SIZES, **known.sizes("prompt-dt")), seed=3)
        model.save(assets.model_path("toy", variant=variant))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        diffuser = PromptDiffuser(dataclasses.replace(TOY_DIFFUSER, **known.sizes("diffuser")), toy)
    diffuser.save(assets.pretrained_path("toy", "diffuser", variant=variant))


def spec(**fields):
    return RunSpec("toy", 5, updates=2, eval_every=0, episodes=2, **fields)


def test_a_chain_changes_what_denoises_and_a_prompt_all_that_knows_one():
    assert [n for n in ("prompt-dt", "diffuser", "vae") if VARIANTS["n-5"].changes(n)] == [
        "diffuser"
    ]
    assert [n for n in ("mt-orl", "prompt-dt", "vae") if VARIANTS["k-2"].changes(n)] == [
        "prompt-dt",
        "vae",
    ]
    assert [
        n for n in ("mt-orl", "prompt-dt", "diffuser", "hyper") if VARIANTS["banded"].changes(n)
    ] == [
        "prompt-dt",
        "hyper",
    ]
    assert all(VARIANTS["seed-1"].changes(n) for n in ("mt-orl", "prompt-dt", "diffuser", "vae"))
    assert VARIANTS["seed-1"].sizes("prompt-dt") == {}, "it is as large as what ships"
    assert not variant_of("").changes("diffuser")
    guided = VARIANTS["lam-3-none"]
    assert [n for n in ("prompt-dt", "diffuser", "informed", "vae") if guided.changes(n)] == [
        "diffuser",
        "informed",
    ]
    assert (guided.sizes("diffuser"), guided.training()) == ({}, {"lam": 3.0, "projection": "none"})
    assert VARIANTS["lam-0"].training() == {"lam": 0.0, "projection": "none"}
    published = VARIANTS["lam-1-published"]
    assert [n for n in ("diffuser", "informed") if published.changes(n)] == ["informed"]
    assert Variant(n_diffusion_steps=5).sizes("diffuser") == {"n_diffusion_steps": 5}
    large = VARIANTS["paper-size"]
    assert [n for n in ("mt-orl", "prompt-dt", "diffuser", "hyper") if large.changes(n)] == [
        "prompt-dt",
        "diffuser",
        "hyper",
    ]
    assert large.sizes("prompt-dt") == {"n_layers": 4, "n_heads": 4, "width": 512}
    assert dataclasses.replace(ModelConfig(), **large.sizes("prompt-dt")) == ModelConfig.paper()
    assert large.sizes("diffuser") == {}, "a diffuser's width is its own"
    for name, network in (("prompts-expert", "diffuser"), ("prompts-all", "informed")):
        learnt = VARIANTS[name]
        assert [n for n in ("prompt-dt", "diffuser", "informed", "vae") if learnt.changes(n)] == [
            network
        ]
        assert learnt.training() == {"prompt_qualities": learnt.prompt_qualities}


def test_a_misspelt_variant_is_refused():
    with pytest.raises(ValueError, match=r"no variant 'n-51'\. Did you mean"):
        variant_of("n-51")
    with pytest.raises(ValueError, match="no variant 'k2'"):
        RunSpec("cheetah-vel", 2, variant="k2")


def test_runs_of_what_ships_have_the_ids_they_had(shipped):
    assert "variant" not in spec().canonical
    assert spec(variant="n-5").canonical["variant"] == "n-5"
    assert spec(variant="n-5").id != spec().id


def test_the_chain_has_the_length_that_was_asked_for(toy, on_demand):
    keep(toy, "n-5")
    found = spec(variant="n-5").resolved()
    assert found.method.diffuser.schedule.n_diffusion_steps == 5
    assert found.model is not None
    last = list(run(spec(variant="n-5")))[-1]
    assert len(last.trace.x) == 6
    assert "--variant n-5" in spec(variant="n-5").command


def test_the_prompt_has_the_length_that_was_asked_for(toy, on_demand):
    keep(toy, "k-2")
    last = list(run(spec(variant="k-2")))[-1]
    assert last.snapshot.policy.prompt.length == 2
    assert acting_model(spec(variant="k-2")).config.prompt_length == 2


def test_banded_attention_acts_under_what_ships_else(toy, on_demand):
    sizes = dataclasses.replace(TOY_SIZES, **variant_of("banded").sizes("prompt-dt"))
    build_model(toy, sizes, seed=3).save(assets.model_path("toy", variant="banded"))
    banded = spec(variant="banded")
    assert acting_model(banded).config.attention == "banded"
    assert banded.untuned.variant == "banded"
    last = list(run(banded))[-1]
    assert last.snapshot.policy.model.config.attention == "banded"
    assert last.snapshot.policy.prompt.length == TOY_SIZES.prompt_length


def below(files):
    """Folders of a run's networks."""
    return {path.parents[1] for name, path in files.items() if name != "demos"}


def test_a_variant_of_another_seed_takes_the_rest_of_that_seed(toy, on_demand):
    """Banded attention of seed 2 acts under the diffusers of seed 2."""
    keep(toy, "seed-2")
    keep_banded = dataclasses.replace(TOY_SIZES, **variant_of("banded-2").sizes("prompt-dt"))
    build_model(toy, keep_banded, seed=3).save(assets.model_path("toy", variant="banded-2"))
    files = spec(variant="banded-2").files
    assert files["model"].parts[-3:] == ("banded-2", "toy", "prompt-dt.safetensors")
    assert files["diffuser"] == assets.pretrained_path("toy", "diffuser", variant="seed-2")
    assert spec(variant="banded-2").untuned.variant == "banded-2"
    assert [with_attention(n, "banded") for n in ("", "seed-1", "banded-1", "k-2")] == [
        "banded",
        "banded-1",
        "banded-1",
        "k-2",
    ]
    assert [pretraining_seed(n) for n in ("", "banded", "seed-1", "banded-2")] == [None, None, 1, 2]


def test_a_run_of_another_pretraining_seed_reads_its_networks_alone(toy, on_demand):
    for seed in ("seed-1", "seed-2"):
        keep(toy, seed)
        home = assets.home_of("toy") / seed
        assert below(spec(variant=seed).files) == {home}, "it ships"
    other = spec(variant="seed-1")
    keep(toy, "k-2")
    assert below(spec(variant="k-2").files) == {on_demand / "variants" / "k-2"}, "it does not"
    assert other.untuned.variant == "seed-1"
    last, usual = (list(run(one))[-1] for one in (other, spec()))
    assert not torch.equal(
        last.snapshot.policy.prompt.actions, usual.snapshot.policy.prompt.actions
    )


def test_the_untuned_run_keeps_a_variant_only_where_it_matters(shipped):
    assert spec(variant="n-5").untuned.id == spec().untuned.id
    assert spec(variant="k-2").untuned.variant == "k-2"


def test_another_model_that_was_not_made_is_named_with_its_command(on_demand):
    with pytest.raises(ValueError, match="pretrain toy --variant seed-2 --model gato`"):
        acting_model(spec(variant="seed-2", method="prompt-dt", model="gato"))


@pytest.mark.parametrize(("variant", "verb"), [("n-5", "diffuser"), ("k-10", "pretrain")])
def test_a_network_that_was_not_made_is_named_with_its_command(on_demand, variant, verb):
    load = acting_model if verb == "pretrain" else RunSpec.resolved
    with pytest.raises(ValueError, match=f"workbench {verb} toy --variant {variant}"):
        load(spec(variant=variant))
