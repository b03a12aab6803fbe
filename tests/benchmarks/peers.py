"""Decision Transformers of other packages, at our sizes; see ``peers.txt``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from workbench.data.trajectory import masked_mean
from workbench.networks.prompt_dt import ModelConfig
from workbench.pretraining.prompt_dt import Pool, PretrainConfig, draw_batch
from workbench.tasks import Family, Task, find, make


def transformers_step(family: Family, data: Pool, config: PretrainConfig) -> Callable[[], None]:
    """Return one training step of ``transformers``' Decision Transformer.

    It has no prompts: the rows of prompt and context are one sequence of the same length. Batches
    are drawn as ours are.
    """
    from transformers import DecisionTransformerConfig, DecisionTransformerModel

    sizes, rng = ModelConfig(), np.random.default_rng(0)
    model = DecisionTransformerModel(
        DecisionTransformerConfig(
            state_dim=len(family.observations),
            act_dim=len(family.actions),
            hidden_size=sizes.width,
            max_ep_len=family.horizon,
            n_layer=sizes.n_layers,
            n_head=sizes.n_heads,
            n_inner=4 * sizes.width,
            activation_function="relu",
            resid_pdrop=sizes.dropout,
            attn_pdrop=sizes.dropout,
            bos_token_id=None,
            eos_token_id=None,
        )
    ).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> None:
        prompt, context = draw_batch(data, config, sizes, rng)
        rows = {n: torch.cat([getattr(prompt, n), getattr(context, n)], 1) for n in vars(prompt)}
        predicted = model(
            states=rows["observations"],
            actions=rows["actions"],
            rewards=rows["rewards"],
            returns_to_go=rows["returns_to_go"],
            timesteps=rows["timesteps"],
            attention_mask=rows["mask"],
            return_dict=True,
        ).action_preds
        optimizer.zero_grad()
        masked_mean((predicted - rows["actions"]).square(), rows["mask"]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()

    return step


def d3rlpy_episode(task: Task, width: int) -> Callable[[int], int]:
    """Return a function that runs some steps of an episode by d3rlpy's stateful wrapper.

    Its Decision Transformer has no prompt, so that it encodes a fifth less; untrained, which
    costs the same. Its blocks are as wide as the encoder of observations: one layer of ``width``.
    """
    from d3rlpy.algos import DecisionTransformerConfig
    from d3rlpy.models import VectorEncoderFactory

    sizes, family = ModelConfig(), find(task.family)
    network = DecisionTransformerConfig(
        context_size=sizes.context_length,
        max_timestep=family.horizon,
        num_heads=sizes.n_heads,
        num_layers=sizes.n_layers,
        activation_type="relu",
        encoder_factory=VectorEncoderFactory(hidden_units=[width]),
    ).create(device="cpu:0")
    network.create_impl((len(family.observations),), len(family.actions))
    widths = {m.normalized_shape[-1] for m in network.impl.modules.transformer.modules()
              if isinstance(m, torch.nn.LayerNorm)}  # fmt: skip
    if widths != {width}:
        raise AssertionError(f"d3rlpy's transformer is {widths} wide, not {width}")
    wrapper = network.as_stateful_wrapper(target_return=family.target_return)

    def episode(steps: int) -> int:
        env = make(task)
        observation, reward = env.reset(seed=1)[0], 0.0
        wrapper.reset()
        for _ in range(steps):
            action = np.clip(wrapper.predict(observation.astype(np.float32), reward), -1, 1)
            observation, reward, ended, _, _ = env.step(action)
            if ended:
                observation, reward = env.reset(seed=1)[0], 0.0
        return steps

    return episode
