"""The numbers of a trajectory prompt as something that can be tuned directly."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from workbench.trajectory import Normalizer, Segment


class PromptNumbers:
    """What the transformer reads of B trajectory prompts, but for their timesteps.

    These are ``[s; a; r̂]`` of every row, normalised, C = O + A + 1 numbers. Timesteps are whole
    numbers and stay; rewards are not read. A tuned prompt is kept as its difference from the
    initial one, (B, K*, C), so that zero gives back the initial prompt bit for bit.

    Args:
        normalizer: Of the frozen model.
        initial: The prompts to begin with, raw units.
    """

    def __init__(self, normalizer: Normalizer, initial: Segment):
        self.initial = initial
        self.sizes = (normalizer.n_observations, normalizer.n_actions, 1)
        both = sum(self.sizes[:2])
        self.scale = torch.cat([normalizer.scale[:both], normalizer.return_scale[None]])
        self.shape = (len(initial), initial.length, sum(self.sizes))

    @property
    def n_each(self) -> int:
        """Numbers of one prompt, K* × (O + A + 1)."""
        return self.shape[1] * self.shape[2]

    def build(self, change: Tensor, which: Tensor | None = None) -> Segment:
        """Return prompts in raw units, actions limited to [-1, 1]; differentiable in ``change``.

        Args:
            change: Differences from the initial prompts, (n, K*, C) normalised.
            which: The initial prompt of each of the n, (n,); all in order by default.
        """
        initial = self.initial if which is None else self.initial[which]
        observations, actions, returns = (change * self.scale).split(self.sizes, -1)
        actions = initial.actions + actions
        # straight through: behind a plain clamp a saturated action would stay where it is
        inside = actions.detach().clamp(-1, 1) + (actions - actions.detach())
        return dataclasses.replace(
            initial,
            observations=initial.observations + observations,
            actions=inside,
            returns_to_go=initial.returns_to_go + returns,
        )

    def within(self, change: Tensor) -> Tensor:
        """Return the nearest changes, (B, K*, C), whose actions lie in [-1, 1]."""
        observations, actions, returns = change.split(self.sizes, -1)
        scale = self.scale.split(self.sizes)[1]
        low, high = ((bound - self.initial.actions) / scale for bound in (-1, 1))
        return torch.cat([observations, torch.clamp(actions, low, high), returns], -1)
