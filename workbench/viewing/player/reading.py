"""What the frozen transformer reads of its prompt: how much each number of it moves the action."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from workbench.data.trajectory import Segment, Trajectory
from workbench.networks.prompt_dt import PromptDT

MOMENTS = 12
"""Steps of an episode at which it is measured; each takes a backward pass per action."""


def moments_of(episode: Trajectory, n: int = MOMENTS) -> list[int]:
    """Return up to ``n`` steps, evenly over an episode."""
    return sorted({round(t) for t in np.linspace(0, len(episode) - 1, n)})


def reading_of(
    model: PromptDT, prompt: Segment, episode: Trajectory, moments: Sequence[int]
) -> np.ndarray:
    """Return how strongly each number of a prompt moves the action, at some steps of an episode.

    The size of ∂a_t / ∂x: x the normalised prompt, so that numbers of different units compare,
    and the Euclidean norm over the A actions. Rewards are not read, so that theirs is 0.

    Args:
        model: The frozen model that acted.
        prompt: The prompt that it followed, B = 1.
        episode: What it did.
        moments: Steps t.

    Returns:
        (M, K*, D) action per standard deviation.
    """
    # pack and unpack stand before the network, so that ∂a/∂x is per standard deviation
    x, y = model.normalizer.pack(prompt[:1].detach())
    n_actions = episode.actions.shape[1]
    contexts, rows = _contexts(model, episode, moments)
    each = torch.arange(n_actions)
    network = model.computing("fp32")
    gradients = []
    for i, row in enumerate(rows):  # all moments at once would hold 200 MB for a reader's glance
        with torch.enable_grad():
            repeated = x.repeat(n_actions, 1, 1).requires_grad_()
            made = network(
                model.normalizer.unpack(repeated, y.repeat(n_actions, 1, 1)),
                contexts[torch.full_like(each, i)],
            )
            gradients += torch.autograd.grad(made[each, row, each].sum(), repeated)
    return torch.stack(gradients).norm(dim=1).double().numpy()


def _contexts(
    model: PromptDT, episode: Trajectory, moments: Sequence[int]
) -> tuple[Segment, torch.Tensor]:
    """Return the last rows at each moment as the policy saw them, and the newest row's place."""
    k, family = model.config.reach, model.family
    earned = np.concatenate([[0.0], np.cumsum(episode.rewards)[:-1]])
    begins = [max(0, t + 1 - k) for t in moments]
    index = np.minimum(np.array(begins)[:, None] + np.arange(k), len(episode) - 1)
    place = torch.tensor([t - begin for t, begin in zip(moments, begins, strict=True)])

    def of(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.asarray(values[index], np.float32))

    rows = Segment(
        returns_to_go=of(family.target_return - earned)[..., None],
        observations=of(episode.observations),
        actions=of(episode.actions),
        rewards=of(episode.rewards)[..., None],
        timesteps=torch.from_numpy(index.astype(np.int64)),
        mask=(torch.arange(k) <= place[:, None]).float(),
    )
    return rows, place
