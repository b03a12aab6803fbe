"""What every way of adapting must keep to: ``workbench check my_method.py`` holds one to it.

It adapts a small random transformer to a toy task, a point that is pushed along a line: seconds.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box

from workbench.data.trajectory import Trajectories, Trajectory
from workbench.methods import N_PROMPTS, Method
from workbench.methods.method import Snapshot
from workbench.networks.critic import Critic, CriticConfig
from workbench.networks.diffusion import DiffuserConfig, PromptDiffuser
from workbench.networks.hyper_network import HyperConfig, HyperNetwork
from workbench.networks.informed_diffusion import InformedConfig
from workbench.networks.prompt_dt import ModelConfig, PromptDT, action_loss
from workbench.networks.vae_gan import GENERATORS, GANConfig, VAEConfig
from workbench.tasks import FAMILIES, Environment, Family, Variable
from workbench.tuning.loop import TuneStep, tune
from workbench.tuning.spec import FLAGS
from workbench.upkeep.family_rules import Broken, Checked

UPDATES = 60
"""Of the run whose loss is looked at; the others take 4."""
_SIZES = ModelConfig(2, 2, 16, context_length=4, prompt_length=3)


class Point(Environment):
    """A point that is pushed along a line and rewarded for a hidden speed."""

    observation_space = Box(-np.inf, np.inf, (3,), np.float64)
    action_space = Box(-1, 1, (1,), np.float32)

    def __init__(self, goal: tuple[float, ...]) -> None:
        self.goal = goal
        self.x = self.v = self.push = 0.0

    def reset(self, *, seed=None, options=None):
        """Begin near the middle, nearly at rest."""
        super().reset(seed=seed)
        (self.x, self.v), self.push = self.np_random.normal(0, 0.3, 2), 0.0
        return np.array([self.v, self.x, self.push]), {}

    def step(self, action):
        """Push, and move for half a second."""
        self.push = float(np.clip(action[0], -1, 1))
        self.v += 0.25 * self.push
        self.x += 0.5 * self.v
        measured = np.array([self.v, 0.0, 0.0])
        reward = float(_speed(measured, np.asarray(action), self.goal)["speed"])
        return np.array([self.v, self.x, self.push]), reward, False, False, {"measured": measured}

    def state(self):
        """Return position and speed."""
        return np.array([self.x, self.v])

    def put(self, state):
        """Set position and speed."""
        self.x, self.v = map(float, state)


def _speed(measured, actions, goal):
    return {"speed": -np.abs(measured[..., 0] - goal[0])}


TOY = Family(
    name="toy-of-the-check",
    label="Toy",
    goals=((0.0,), (0.5,), (1.0,)),
    goal_label="speed",
    goal_unit="m/s",
    train_indices=(0, 2),
    test_indices=(1,),
    horizon=12,
    dt=0.5,
    target_return=0.0,
    return_scale=10.0,
    observations=(Variable("speed", "m/s"), Variable("position", "m"), Variable("push", "N")),
    actions=(Variable("push", "N"),),
    build=Point,
    reward_terms=_speed,
    position_of=lambda s: np.stack([s[..., 0], 0 * s[..., 0], 0 * s[..., 0]], -1),
    state_of=lambda o: np.stack([o[..., 1], o[..., 0]], -1),
)


@dataclasses.dataclass(frozen=True)
class Setup:
    """What a method adapts in a check: the frozen model, and what it needs beside it."""

    kind: type[Method]
    model: PromptDT
    demos: tuple[Trajectory, ...]
    networks: dict[str, torch.nn.Module]

    def method(self) -> Method:
        """Return the method with its defaults, on networks of its own."""
        return self.kind(**{name: copy.deepcopy(net) for name, net in self.networks.items()})

    def stream(self, seed: int = 3, updates: int = 4, eval_every: int = 2) -> Iterator[TuneStep]:
        """Begin a short adaptation."""
        return tune(
            self.method(),
            self.model,
            self.demos,
            TOY.task(1),
            updates=updates,
            seed=seed,
            eval_every=eval_every,
            episodes=3,
        )


def check_method(name: str, kind: type[Method]) -> Iterator[Checked]:
    """Hold a method to every rule, one after another; a rule that fails does not end it."""
    rules: list[tuple[str, Callable[[Setup], str | None]]] = [
        ("the same seed gives the same stream", _same),
        ("all randomness comes from `rng`", _own_randomness),
        ("the frozen model is never changed", _frozen),
        ("a snapshot never changes afterwards", _snapshot),
        ("no mode is left behind", _modes),
        ("every policy has the agreed prompts", _prompts),
        ("the loss falls", _falls),
    ]
    with _known():
        try:
            _value(kind)
            _setup(kind)
            yield Checked("a frozen dataclass with defaults", note=f"`--method {name}`")
        except Exception as error:  # whatever the user's code raises
            yield Checked("a frozen dataclass with defaults", _words(error))
            return
        for rule, kept in rules:
            try:
                # each on a model of its own: what one rule finds broken must not break another
                yield Checked(rule, note=kept(_setup(kind)) or "")
            except Exception as error:
                yield Checked(rule, _words(error))


def _words(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, Broken) else f"{type(error).__name__}: {text}"


@contextlib.contextmanager
def _known() -> Iterator[None]:
    FAMILIES[TOY.name] = TOY
    try:
        yield
    finally:
        del FAMILIES[TOY.name]


def _value(kind: type[Method]) -> None:
    if not kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise Broken("It must be frozen: `@dataclass(frozen=True)`. Its fields are its settings.")
    for field in dataclasses.fields(kind):
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise Broken(f"`{field.name}` must have a default: {kind.__name__}() is what runs.")
        if field.name in FLAGS:
            raise Broken(f"`{field.name}` is a flag of the commands already: name it otherwise.")
    if kind() != kind():
        raise Broken("Two of it with the same settings must be equal: leave `__eq__` alone.")
    unknown = set(kind.needs) - {field.name for field in dataclasses.fields(kind)}
    if unknown:
        raise Broken(f"`needs` names {', '.join(sorted(unknown))}, which is no field of it.")


def _setup(kind: type[Method]) -> Setup:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = PromptDT(_SIZES, TOY)
        for parameter in model.parameters():
            if parameter.ndim == 2:  # large enough for every input to matter
                torch.nn.init.normal_(parameter, std=0.25)
        model.normalizer.fit(Trajectories(_record(0) + _record(2)))
        networks = {field: _network(name) for field, name in kind.needs.items()}
    return Setup(kind, model.frozen(), _record(1), networks)


def _network(name: str) -> torch.nn.Module:
    """Return a small network with random weights, such as a method may need."""
    sizes: dict[str, Any] = {
        "vae": VAEConfig(prompt_length=3, width=24, n_layers=1, latent=6),
        "gan": GANConfig(prompt_length=3, width=24, n_layers=2),
        "informed": InformedConfig(
            prompt_length=3, n_diffusion_steps=4, width=24, n_layers=2, n_transitions=4, code=3
        ),
        "diffuser": DiffuserConfig(prompt_length=3, n_diffusion_steps=4, width=24, n_layers=2),
    }
    if name == "prompt-dt":
        return PromptDT(_SIZES, TOY).frozen()
    if name == "mt-orl":
        return PromptDT(dataclasses.replace(_SIZES, prompt_length=0), TOY).frozen()
    if name == "hyper":
        return HyperNetwork(HyperConfig.of(_SIZES), TOY)
    if name == "critic":
        return Critic(CriticConfig(width=16, n_layers=2, code=3), TOY)
    if name == "diffuser":
        return PromptDiffuser(sizes[name], TOY)
    if name not in sizes:
        raise Broken(f"`needs` names {name!r}, and there is no pretrained network of that name.")
    return GENERATORS[name](sizes[name], TOY)


def _record(index: int) -> tuple[Trajectory, ...]:
    """Push towards the speed of a task, three episodes."""
    task, draw, found = TOY.task(index), np.random.default_rng(index), []
    for episode in range(3):
        env, rows = Point(task.goal), []
        observation, _ = env.reset(seed=episode)
        for _ in range(TOY.horizon):
            aim = 4 * (task.goal[0] - observation[0]) + 0.2 * draw.normal()
            action, state = np.clip([aim], -1, 1).astype(np.float32), env.state()
            following, reward, *_ = env.step(action)
            rows.append((observation, action, reward, state))
            observation = following
        columns = [np.array(c, np.float32) for c in zip(*rows, strict=True)]
        found.append(Trajectory(*columns, task=task))
    return tuple(found)


def _facts(step: TuneStep) -> list[object]:
    """Return everything a step says, but the time it took, to compare bit for bit."""
    out: list[object] = [step.update, dict(step.metrics)]
    if step.evaluation is not None and step.snapshot is not None:
        out += [step.evaluation.returns.tobytes(), *_bytes(step.snapshot)]
    return out


def _bytes(snapshot: Snapshot) -> list[bytes]:
    tensors = [*vars(snapshot.policy.prompt).values(), *snapshot.weights.values()]
    return [tensor.detach().numpy().tobytes() for tensor in tensors]


def _digest(module: torch.nn.Module) -> str:
    sha = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        sha.update(name.encode() + value.numpy().tobytes())
    return sha.hexdigest()


def _same(setup: Setup) -> None:
    first, second = ([_facts(step) for step in setup.stream()] for _ in range(2))
    if first != second:
        raise Broken("Two runs of one seed differ. Draw from `rng` alone: `numpy_rng(rng)`.")


def _own_randomness(setup: Setup) -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    wanted = [_facts(step) for step in setup.stream()]
    after = torch.get_rng_state(), np.random.get_state()[1]
    if not torch.equal(before[0], after[0]) or not np.array_equal(before[1], after[1]):
        raise Broken("It draws from torch's or NumPy's global generator. Draw from `rng` alone.")
    found = []
    with torch.random.fork_rng(devices=[]):
        for step in setup.stream():
            found.append(_facts(step))
            torch.rand(5)
    if found != wanted:
        raise Broken("What others draw from the global generators changes it. Use `rng` alone.")


def _frozen(setup: Setup) -> None:
    before = _digest(setup.model)
    for step in setup.stream():
        if _digest(setup.model) != before:
            raise Broken(
                f"Update {step.update} changed the frozen model. Tune a copy "
                "(`model.with_weights`), or the prompt."
            )
        if setup.model.training or any(p.requires_grad for p in setup.model.parameters()):
            raise Broken("It left the frozen model in training mode, or asking for gradients.")


def _snapshot(setup: Setup) -> None:
    rng = torch.Generator().manual_seed(3)
    learner = setup.method().start(setup.model, setup.demos, rng)
    kept = learner.snapshot()
    before = _bytes(kept), _digest(kept.policy.model)
    for _ in range(4):
        learner.update()
    if (_bytes(kept), _digest(kept.policy.model)) != before:
        raise Broken("A snapshot changed with later updates: `.detach().clone()` what is in it.")
    if any(t.requires_grad for t in vars(kept.policy.prompt).values()):
        raise Broken("A snapshot's prompt asks for gradients: detach it.")
    if not isinstance(learner.n_trainable, int):
        raise Broken("`n_trainable` must be a whole number: how many numbers updates change.")


def _modes(setup: Setup) -> None:
    for outside in (True, False):
        with torch.set_grad_enabled(outside):
            for step in setup.stream():
                if torch.is_grad_enabled() is not outside:
                    raise Broken(
                        f"Update {step.update} left gradients switched. Use `@torch.enable_grad()`"
                        " and `@torch.no_grad()` on `update` and `snapshot`."
                    )


def _prompts(setup: Setup) -> str:
    for step in setup.stream():
        if step.snapshot is not None:
            n, length = step.snapshot.policy.prompt.mask.shape
            if length and (n, length) != (N_PROMPTS, _SIZES.prompt_length):
                raise Broken(
                    f"A policy must have {N_PROMPTS} prompts of K* rows ({_SIZES.prompt_length} "
                    f"here): got {n} of {length}. See `evaluation_prompts`."
                )
    return f"{N_PROMPTS} prompts" if length else "it acts without a prompt"


def _falls(setup: Setup) -> str:
    """Look at the losses that are reported, and at L_DT (Eq. 7) of the policy on fixed contexts."""
    steps = list(setup.stream(updates=UPDATES, eval_every=UPDATES))
    names = [name for name in steps[-1].metrics if name.startswith("loss")]
    series = {name: np.array([step.metrics[name] for step in steps[1:]]) for name in names}
    for name, values in series.items():
        if not np.isfinite(values).all():
            raise Broken(f"`{name}` is no number after {UPDATES} updates.")
    third = UPDATES // 3
    fell = {n: (float(v[:third].mean()), float(v[-third:].mean())) for n, v in series.items()}
    if (first := _l_dt(setup, steps[0])) is not None and (last := _l_dt(setup, steps[-1])):
        fell["L_DT of its policy"] = first, last
    told = ", ".join(f"{n} {first:.4g} → {last:.4g}" for n, (first, last) in fell.items())
    if not fell:
        return "it reports no loss (a metric whose name begins with `loss`)"
    if not any(last < first for first, last in fell.values()) and setup.kind.data != "none":
        raise Broken(f"No loss falls within {UPDATES} updates: {told}. Is its sign right?")
    return told


@torch.no_grad()
def _l_dt(setup: Setup, step: TuneStep) -> float | None:
    """Return L_DT of an evaluated policy over contexts that are the same each time."""
    assert step.snapshot is not None  # of the first and the last
    policy, draw = step.snapshot.policy, np.random.default_rng(0)
    if policy.prompt.mask.shape[1] != _SIZES.prompt_length:
        return None
    contexts = Trajectories(setup.demos).sample(draw, 64, _SIZES.context_length, whole=False)
    which = torch.arange(64) % len(policy.prompt)
    return float(action_loss(policy.model, policy.prompt[which], contexts))
