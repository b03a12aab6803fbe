"""What a frozen model is to whoever prompts it: the contract that every model keeps.

arXiv 2411.01168 calls it the PLM: prompt and context in, actions out, nothing else known of it.
``prompt_dt`` is the one that the paper has; ``models`` lists them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol

from torch import Tensor, nn

from workbench.data.trajectory import Normalizer, Segment, Trajectory
from workbench.tasks import Family

Precision = Literal["fp32", "bf16"]
Mode = Literal["exact", "block"]
NextActions = Callable[[Segment, int, int], Tensor]
"""``(rows, begin, t)`` to the actions of row t, (B, A), from the context of rows begin to t."""


class FrozenModel(Protocol):
    """Acts under a prompt, and is never changed by whoever finds the prompt."""

    kind: ClassVar[str]
    """The paper's name of it."""
    takes_gradient: ClassVar[bool]
    """Whether a gradient reaches the prompt; if not, methods that only try prompts apply."""
    reads_returns: ClassVar[bool]
    """Whether it is told a return to reach; if not, it acts as what it has imitated."""
    family: Family
    """The task family it was trained on."""
    normalizer: Normalizer
    """Statistics of the training tasks, saved with the weights."""
    precision: Precision
    """What a call computes in."""
    training: bool

    @property
    def config(self) -> Any:
        """Its size: ``prompt_length`` K* and ``context_length`` K among it."""

    @property
    def n_parameters(self) -> int:
        """Numbers that pretraining changed."""

    def __call__(self, prompt: Segment, context: Segment) -> Tensor:
        """Return the action of every context row, (B, K, A) in [-1, 1], from what is before it.

        Differentiable in the prompt, but for one that says otherwise in ``takes_gradient``: methods
        that descend L_DT need no more of a model.
        """

    def computing(self, precision: Precision) -> FrozenModel:
        """Return this very model, weights shared, computing in ``precision``."""

    def for_task(self, demos: Sequence[Trajectory]) -> FrozenModel:
        """Return the model as it is used in the task of few-shot data: most stay what they are."""

    def next_actions(self, prompt: Segment, mode: Mode, longest: int) -> NextActions:
        """Begin to act in B episodes.

        What is returned may write the return-to-go of row t, where the model asks for its own.

        Args:
            prompt: One prompt for each episode, (B, K*, ·).
            mode: See ``PromptedPolicy``.
            longest: The most rows that a context has.
        """

    def with_adapters(self, bottleneck: int) -> Any:
        """Return a frozen copy with a trainable adapter after each block's MLP."""

    def with_weights(self, weights: Mapping[str, Tensor]) -> Any:
        """Return a frozen copy with other numbers for some of its parameters, or with adapters."""

    def frozen(self) -> Any:
        """Switch to evaluation for good: no dropout, no parameter takes a gradient."""

    def eval(self) -> Any:
        """See ``nn.Module``."""

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """See ``nn.Module``."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """See ``nn.Module``."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """See ``nn.Module``."""
