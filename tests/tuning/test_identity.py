"""What makes two runs the same."""

import dataclasses

import pytest

from workbench.methods import METHODS
from workbench.tuning.identity import id_of, untuned
from workbench.tuning.spec import RunSpec


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("more", [{}, {"prompts": "expert"}, {"seed": 3, "precision": "fp32"}])
def test_the_untuned_prompt_of_plain_json_is_that_of_the_spec(shipped, method, more):
    spec = RunSpec("toy", 5, method=method, updates=7, **more)
    assert untuned(spec.canonical) == spec.untuned.canonical
    assert id_of(untuned(spec.canonical)) == spec.untuned.id


@pytest.mark.parametrize("variant", ["n-5", "k-2"])
def test_a_variant_counts_where_it_changes_the_transformer(shipped, variant):
    spec = RunSpec("toy", 5, variant=variant)
    assert untuned(spec.canonical) == spec.untuned.canonical
    assert ("variant" in untuned(spec.canonical)) is (variant == "k-2")


def test_what_is_given_is_not_changed(shipped):
    canonical = RunSpec("toy", 5, prompts="expert").canonical
    before = dataclasses.replace(RunSpec("toy", 5, prompts="expert")).canonical
    untuned(canonical)
    assert canonical == before
