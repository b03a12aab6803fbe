"""A training as a value: everything that changes while a network learns, kept and continued."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from workbench.data.atomic_files import whole_file
from workbench.methods.projection import Projection
from workbench.networks.adamw import AdamW
from workbench.pretraining.parallel import ALONE, World

_LOSSES, _MEASURED = "losses", "measured."
BIN = 100
"""Steps that ``Checkpoint.history`` averages over."""


@dataclass(frozen=True, eq=False)
class TrainingState:
    """All that a training needs to go on as if it had never stopped: a copy, nothing is shared.

    Attributes:
        step: Gradient steps done.
        made_from: What determines the training: settings, sizes, seed, data. Plain JSON.
        tensors: Weights, their running average, the optimiser's moments, torch's generator.
        plain: The rest: learning rates, the schedule, NumPy's generator. Plain JSON.
    """

    step: int
    made_from: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    plain: Mapping[str, Any]


class Training:
    """A network in training: whatever a step changes is in here, so that a state is whole.

    Args:
        network: What learns.
        optimizer: Of its parameters.
        schedule: Of the learning rate.
        average: Decay of the running average of the weights.
        draw: Draws the data.
        rng: Draws dropout and noise.
        made_from: As in ``TrainingState``.
        inner: Optimisers that the network's loss has inside, by name: a GAN's critic has one.
        combiner: What combines two gradients, if it remembers earlier ones.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        average: float,
        draw: np.random.Generator,
        rng: torch.Generator,
        made_from: Mapping[str, Any],
        inner: Mapping[str, AdamW] | None = None,
        combiner: Projection | None = None,
    ):
        self.network, self.optimizer, self.schedule = network, optimizer, schedule
        self.optimizers = {"optimizer": optimizer, **(inner or {})}
        self.draw, self.rng, self.made_from, self.step = draw, rng, made_from, 0
        self.combiner = combiner
        # In evaluation mode: without dropout.
        self.averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(average)).eval()

    def descend(self, loss: Tensor, clip: float, world: World = ALONE) -> None:
        """Take one clipped gradient step, of all processes of ``world``, and move the average."""
        self.optimizer.zero_grad()
        loss.backward()
        world.agree(self._parameters)
        self._step(clip)

    def follow(self, gradient: Sequence[Tensor], clip: float) -> None:
        """Take one clipped step along ``gradient``, one tensor a parameter; move the average."""
        for parameter, direction in zip(self._parameters, gradient, strict=True):
            parameter.grad = direction
        self._step(clip)

    @property
    def _parameters(self) -> list[Tensor]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def _step(self, clip: float) -> None:
        torch.nn.utils.clip_grad_norm_(self._parameters, clip)
        self.optimizer.step()
        self.schedule.step()
        self.averaged.update_parameters(self.network)
        self.step += 1

    def state(self) -> TrainingState:
        """Copy everything as it stands now."""
        optimizers = {name: o.state_dict() for name, o in self.optimizers.items()}
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"averaged.{k}": v for k, v in self.averaged.state_dict().items()}
        for name, optimizer in optimizers.items():
            for index, moments in optimizer["state"].items():
                tensors |= {f"{name}.{index}.{k}": v for k, v in moments.items()}
        if self.combiner is not None:
            tensors |= {f"combiner.{k}": v for k, v in self.combiner.state().items()}
        tensors["rng"] = self.rng.get_state()
        plain = {
            "groups": optimizers["optimizer"]["param_groups"],
            "inner": {n: o["param_groups"] for n, o in optimizers.items() if n != "optimizer"},
            "schedule": self.schedule.state_dict(),
            "draw": self.draw.bit_generator.state,
        }
        copies = {k: v.detach().clone().contiguous() for k, v in tensors.items()}
        return TrainingState(self.step, self.made_from, copies, json.loads(json.dumps(plain)))

    def restore(self, state: TrainingState) -> None:
        """Become what ``state`` was taken of.

        Raises:
            ValueError: if it is of a training with other settings, sizes, seed or data.
        """
        ours, theirs = self.made_from, state.made_from
        other = [k for k in {**ours, **theirs} if ours.get(k) != theirs.get(k)]
        if other:
            raise ValueError(
                f"`resume` is the state of another training: its {', '.join(other)} differ. "
                "Pass what it was made from, or start anew without it."
            )
        tensors = {k: v.clone() for k, v in state.tensors.items()}
        self.network.load_state_dict(_below(tensors, "network."))
        self.averaged.load_state_dict(_below(tensors, "averaged."))
        plain = json.loads(json.dumps(state.plain))
        groups = {"optimizer": plain["groups"], **plain.get("inner", {})}
        for name, optimizer in self.optimizers.items():
            moments: dict[int, dict[str, Tensor]] = {}
            for key, tensor in _below(tensors, f"{name}.").items():
                index, moment = key.split(".")
                moments.setdefault(int(index), {})[moment] = tensor
            optimizer.load_state_dict({"state": moments, "param_groups": groups[name]})
        if self.combiner is not None:
            self.combiner.restore(_below(tensors, "combiner."))
        self.schedule.load_state_dict(plain["schedule"])
        self.rng.set_state(tensors["rng"])
        self.draw.bit_generator.state = plain["draw"]
        self.step = state.step


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


class TrainingStep(Protocol):
    """What ``Checkpoint.keep`` needs of a step of a training."""

    step: int
    loss: float
    measured: Mapping[str, float]
    """What else is known of the step, by name; may be empty."""

    def state(self) -> TrainingState:
        """Copy the training as it stands; before the stream goes on."""


S = TypeVar("S", bound=TrainingStep)


class Checkpoint:
    """Where one training is kept while it runs: a file named by what determines the training.

    Attributes:
        path: The file.
        state: Where the training stopped, for ``resume``; None when there is nothing to resume.
        losses: Of every step so far, also of those before it stopped.
        measured: What else the steps measured, by name: (step, value) of each.
        seconds: Time spent on them.
    """

    def __init__(self, folder: Path, made_from: Mapping[str, Any]):
        text = json.dumps(made_from, sort_keys=True)
        name = f"{made_from['family']}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.safetensors"
        self.path = Path(folder) / name
        self.state: TrainingState | None = None
        self.losses: list[float] = []
        self.measured: dict[str, list[tuple[int, float]]] = {}
        self.seconds = 0.0
        if self.path.exists():
            self._load()

    def keep(self, steps: Iterable[S], last: int, every: float = 30.0) -> Iterator[S]:
        """Pass ``steps`` through; write where they stand, at most every ``every`` seconds.

        Step ``last`` is not written: after a kill the training still has a step to yield.
        """
        before, began = self.seconds, time.perf_counter()
        written = began
        for step in steps:
            now = time.perf_counter()
            self.losses.append(step.loss)
            for name, value in step.measured.items():
                self.measured.setdefault(name, []).append((step.step, value))
            self.seconds = before + now - began
            if now - written >= every and step.step < last:
                self._write(step.state())
                written = time.perf_counter()
            yield step

    def history(self) -> dict[str, list[tuple[int, float]]]:
        """Return what the steps measured, averaged over bins of ``BIN`` steps: (last step, mean).

        Plain JSON, so that it can stand in the header of the network's file.
        """
        out = {}
        for name, pairs in self.measured.items():
            bins: dict[int, list[float]] = {}
            for step, value in pairs:
                bins.setdefault(-(-step // BIN) * BIN, []).append(value)
            out[name] = [(end, float(f"{np.mean(values):.4g}")) for end, values in bins.items()]
        return out

    def remove(self) -> None:
        """Delete the file: what it was kept for is made."""
        self.path.unlink(missing_ok=True)

    def _write(self, state: TrainingState) -> None:
        header = {"step": state.step, "made_from": state.made_from, "plain": state.plain}
        header["seconds"] = self.seconds
        losses = torch.tensor(self.losses, dtype=torch.float64)
        measured = {
            _MEASURED + name: torch.tensor(pairs, dtype=torch.float64)
            for name, pairs in self.measured.items()
        }
        tensors = {**state.tensors, _LOSSES: losses, **measured}
        with whole_file(self.path) as partial:
            save_file(tensors, partial, {"workbench": json.dumps(header)})

    def _load(self) -> None:
        try:
            with safe_open(self.path, "pt") as file:
                header = json.loads((file.metadata() or {})["workbench"])
                tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
            self.losses = tensors.pop(_LOSSES).tolist()
            self.measured = {
                name: [(int(step), value) for step, value in pairs.tolist()]
                for name, pairs in _below(tensors, _MEASURED).items()
            }
            tensors = {k: v for k, v in tensors.items() if not k.startswith(_MEASURED)}
            self.seconds = float(header["seconds"])
            self.state = TrainingState(
                header["step"], header["made_from"], tensors, header["plain"]
            )
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{self.path} is no checkpoint of a training ({error!r}). "
                "Delete it to start that training anew."
            ) from error
