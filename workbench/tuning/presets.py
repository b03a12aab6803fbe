"""Runs with a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.data.qualities import QUALITIES
from workbench.methods import METHODS
from workbench.tasks import SHIPPED, find
from workbench.tuning.spec import RunSpec

LIVE_EPISODES = 10
"""Episodes per evaluation in a live view; the tables use more."""

LAMBDAS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)
"""The λ of Eq. 9 that are ablated and offered; 1 is published."""


def first_look(family: str, task: int, quality: str = "medium") -> RunSpec:
    """Return what the first page asks for at first: λ = 1 as published, our default projection."""
    return Side().spec(family, task, quality)


_FIRST_TASK = {"cheetah-vel": 7}


def first_task(family: str) -> int:
    """Return the test task that a page shows first: the first one, or a telling one."""
    return _FIRST_TASK.get(family, find(family).test_indices[0])


class Chosen(dict[str, tuple[Mapping[str, Any], int]]):
    """Settings and updates of methods; a method of a plug-in runs with its defaults.

    It takes as many updates as its class says in ``updates``, else 100.
    """

    def __missing__(self, key: str) -> tuple[Mapping[str, Any], int]:
        if key not in METHODS:
            raise KeyError(key)
        return {}, int(getattr(METHODS[key], "updates", 100))


CHOSEN = Chosen(
    {
        "prompt-dt": ({}, 0),
        "prompt-dt/end": ({"prompt_positions": "published"}, 0),
        "prompt-dt/none": ({"prompted": False}, 0),
        "mt-orl": ({}, 0),
        "soft-prompt": ({"lr": 3e-3}, 100),
        "soft-prompt/end": ({"lr": 3e-3, "prompt_positions": "published"}, 100),
        "adapter": ({"lr": 3e-4}, 100),
        "hdt": ({"lr": 3e-4}, 100),
        "prompt-dt-ft": ({}, 10),
        "prompt-tuning-dt": ({"batch_size": 8, "mu": 0.1, "lr": 0.1}, 10),
        "prompt-tuning-dt/end": (
            {"batch_size": 8, "mu": 0.1, "lr": 0.1, "prompt_positions": "published"},
            10,
        ),
        "prompt-tuning-dt/online": (
            {"scorer": "online", "n_candidates": 8, "mu": 0.3, "lr": 0.3},
            5,
        ),
        "prompt-bandit": ({}, 5),
        "prompt-diffuser": ({}, 400),
        "informed-diffuser": ({}, 0),
        "prompt-vae": ({}, 400),
        "prompt-gan": ({}, 400),
        "prompt-dt-ft-full": ({}, 400),
    }
)
"""What the tables run of each method: settings that differ from its defaults, and updates.

A key is one of ``METHODS``, or that and ``/variant`` where the tables have two rows of a method.
Each is the best of its ``CANDIDATES`` on average over the three qualities of ``VALIDATION``, but
for Prompt Diffuser as published and told the task: their settings come from trials on training
tasks, and a VAE and a GAN share them; the search came later (docs, "How settings were chosen").
``/end`` cuts its prompts as the released code does."""


def chosen(key: str, family: str, task: int, **fields: Any) -> RunSpec:
    """Return a run of ``CHOSEN[key]`` as the tables make it: 20 episodes, once at the end.

    Args:
        key: Of ``CHOSEN``.
        family: Task family.
        task: Index of the task.
        **fields: Other fields of the spec; ``settings`` are added to the chosen ones.
    """
    settings, updates = CHOSEN[key]
    fields["settings"] = {**settings, **fields.get("settings", {})}
    method = key.partition("/")[0]
    return RunSpec(family, task, method=method, updates=updates, eval_every=0, **fields)


def live_updates(method: str) -> int:
    """Return the updates that a live view takes of a method where it takes 100 of the others."""
    return min(CHOSEN[method][1], 100)


def method_label(method: str) -> str:
    """Return what a page calls a method: the paper's name, but for the prompt as it is."""
    return UNTUNED_LABEL if method == "prompt-dt" else METHODS[method].label


UNTUNED_LABEL = "Untuned prompt"


@dataclass(frozen=True)
class Side:
    """One of the two things that a page puts side by side; task, data and seed are shared.

    Attributes:
        method: Key of ``METHODS``.
        lam: λ, where a method has it.
        projection: Reading of Eq. 8 and 9, where a method has it.
        guidance: Which losses guide, where a method has it.
        quality: Data of its own; "" for the shared ones.
        pretrained: Variant of the diffuser of Prompt Diffuser; "" for what ships as published.
    """

    method: str = "prompt-diffuser"
    lam: float = 1.0
    projection: str = "published"
    guidance: str = "both"
    quality: str = ""
    pretrained: str = ""

    @property
    def guided(self) -> bool:
        """Whether λ, projection and guidance matter: a generator is tuned."""
        return CHOSEN[self.method][1] > 0 and METHODS[self.method].guided

    def spec(
        self, family: str, task: int, quality: str, updates: int = 100, seed: int = 0
    ) -> RunSpec:
        """Return the run of this side: settings of the tables, episodes of a live view.

        Args:
            family: Task family.
            task: Index of the task.
            quality: The shared data.
            updates: Optimisation steps of a method that takes 100 or more in the tables; one that
                takes fewer there takes fewer here, in proportion.
            seed: Of the tuning.
        """
        settings, usual = CHOSEN[self.method][0], live_updates(self.method)
        if self.guided:
            own = {"lam": self.lam, "projection": self.projection, "guidance": self.guidance}
            settings = {**settings, **own}
        return RunSpec(
            family,
            task,
            self.quality or quality,
            method=self.method,
            settings=settings,
            updates=updates * usual // 100,
            seed=seed,
            eval_every=max(1, usual // 2) if usual else 50,
            episodes=LIVE_EPISODES,
            variant=self.pretrained,
        )


OPENING_QUALITY = "random"
"""The data that a page shows first: where they are bad, a better prompt is plain to see."""

PAIRS: dict[str, tuple[Side, Side]] = {
    "Untuned | told the task": (Side("prompt-dt"), Side("informed-diffuser")),
    "Untuned | tuned": (Side("prompt-dt"), Side()),
    "Projection off | on": (Side(projection="none"), Side()),
    "Random | expert data": (Side(quality="random"), Side(quality="expert")),
    "Soft Prompt | Prompt Diffuser": (Side("soft-prompt"), Side()),
}
"""What a page compares in one click; the first pair is what it opens with."""


def shipped_specs(family: str) -> tuple[RunSpec, ...]:
    """Return the runs that ship of a family: every quality, and what ``PAIRS`` need besides.

    All pairs are there for the data that a page opens with, and all but the first for medium ones.
    """
    task = first_task(family)
    runs = [first_look(family, task, quality) for quality in QUALITIES]
    opening, *others = PAIRS.values()
    wanted = {OPENING_QUALITY: (opening, *others), "medium": others}
    for run in (s.spec(family, task, q) for q, pairs in wanted.items() for p in pairs for s in p):
        if run.method != "prompt-dt" and run not in runs:
            runs.append(run)
    return tuple(runs)


SHIPPED_SPECS: dict[str, tuple[RunSpec, ...]] = {name: shipped_specs(name) for name in SHIPPED}
"""Runs that ship with their baselines, so that no page is ever empty."""
