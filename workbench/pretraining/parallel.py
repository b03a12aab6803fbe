"""Data-parallel training: processes that ``torchrun`` started share the batches of one training.

    torchrun --nproc-per-node 2 -m workbench pretrain cheetah-vel

Every process draws the same batch of ``size`` times the batch size, computes its part of it, and
takes the mean of all gradients: the same steps as one process with the whole batch.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from workbench.data.trajectory import Segment

Device = Literal["auto", "cpu", "cuda"]
_CPU = torch.device("cpu")
Part = TypeVar("Part", Segment, Tensor)


@dataclass(frozen=True)
class World:
    """The processes of a training, and this one among them.

    Attributes:
        rank: This one, from 0; only the first writes.
        size: How many.
        device: Where this one computes.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = _CPU

    def part(self, batch: Part) -> Part:
        """Return this process's part of a batch, on its device."""
        if self.size > 1:
            batch = batch[self.rank :: self.size]
        return batch if self.device.type == "cpu" else batch.to(self.device)

    def share(self, mask: Tensor) -> Tensor | float:
        """Return what to multiply a mean over ``mask`` by, so that the mean over all is exact.

        A part with more padding counts for less.
        """
        if self.size == 1:
            return 1.0
        own = mask.sum()
        whole = own.clone()
        dist.all_reduce(whole)
        return own * self.size / whole

    def agree(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace every gradient by its mean over the processes."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        dist.all_reduce(flat)
        pieces = (flat / self.size).split([g.numel() for g in gradients])
        for gradient, piece in zip(gradients, pieces, strict=True):
            gradient.copy_(piece.view_as(gradient))

    def mean(self, value: float) -> float:
        """Return the mean of a number over the processes."""
        if self.size == 1:
            return value
        whole = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.all_reduce(whole)
        return whole.item() / self.size

    def shared(self, value: Any) -> Any:
        """Return the first process's value everywhere."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, device=self.device)
        return box[0]


ALONE = World()


@contextlib.contextmanager
def joined(device: Device = "cpu") -> Iterator[World]:
    """Join the processes that ``torchrun`` started; without it, one process alone.

    Args:
        device: Where to compute; ``auto`` is CUDA where there is one.

    Raises:
        ValueError: if CUDA is asked for and not there, or has fewer devices than processes.
    """
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise ValueError(
            "`device` must be one that is there: this torch finds no CUDA. Install a CUDA build "
            "(`make install TORCH_INDEX=…`), or pass `--device cpu`."
        )
    # a scheduler may set the size without there being anybody to meet
    size = int(os.environ["WORLD_SIZE"]) if "MASTER_ADDR" in os.environ else 1
    local = int(os.environ.get("LOCAL_RANK", "0"))
    place = _CPU
    if device != "cpu" and there:
        if local >= torch.cuda.device_count():
            raise ValueError(
                f"There are {torch.cuda.device_count()} CUDA devices: pass torchrun no higher "
                "`--nproc-per-node`, or `--device cpu`."
            )
        place = torch.device("cuda", local)
        torch.cuda.set_device(place)
    if size == 1:
        yield World(device=place)
        return
    dist.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        yield World(dist.get_rank(), size, place)
        dist.barrier()  # nobody leaves while another may still answer
    finally:
        dist.destroy_process_group()
