"""A toy family, a two-layer PromptDT, three demonstrations, a fixed generator.

The toy family is one small object: a point that can be pushed along a line and is rewarded for a
hidden speed. Everything of the package runs on it within milliseconds.
"""

import dataclasses
import functools
import os
import sys
import tempfile

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

from tests.campaign import COUNTED, FULL
from workbench.data.behaviour import BehaviourPolicy
from workbench.data.qualities import QUALITIES
from workbench.data.trajectory import Trajectories, Trajectory
from workbench.data.trajectory_files import save_trajectories
from workbench.networks.critic import Critic, CriticConfig
from workbench.networks.diffusion import DiffuserConfig, PromptDiffuser
from workbench.networks.fast import checked, remembered
from workbench.networks.hyper_network import HyperConfig, HyperNetwork
from workbench.networks.informed_diffusion import InformedConfig
from workbench.networks.models import MODELS, PROMPT_DT
from workbench.networks.prompt_dt import ModelConfig, PromptDT
from workbench.networks.vae_gan import GENERATORS, GANConfig, VAEConfig
from workbench.shipped import assets, networks
from workbench.tasks import FAMILIES, Environment, Family, Variable, plugins
from workbench.tuning import spec
from workbench.tuning.presets import SHIPPED_SPECS

torch.set_num_threads(1)

# What these tests try of doubles, every process of theirs takes; nothing of the user's is read.
_CACHE = tempfile.TemporaryDirectory(prefix="workbench-cache-")
os.environ[remembered.CACHE] = _CACHE.name


@pytest.fixture(autouse=True)
def _no_head_start(monkeypatch):
    """Nobody watches a page under test being painted."""
    if "workbench.app.page" in sys.modules:
        monkeypatch.setattr(sys.modules["workbench.app.page"], "HEAD_START", 0.0)


class Point(Environment):
    """A point mass on a line; observes its speed, its position and the last push."""

    observation_space = Box(-np.inf, np.inf, (3,), np.float64)
    action_space = Box(-1, 1, (1,), np.float32)

    def __init__(self, goal, *, fence=np.inf):
        self.goal, self.fence = goal, fence
        self.x = self.v = self.push = 0.0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.v = self.np_random.normal(0, 0.3, 2)
        self.push = 0.0
        return self._observe(), {}

    def step(self, action):
        self.push = float(np.clip(action[0], -1, 1))
        before = self.x
        self.v += 0.25 * self.push
        self.x += 0.5 * self.v
        velocity = np.array([(self.x - before) / 0.5, 0, 0])
        reward = sum(toy_reward(velocity, np.asarray(action, float), self.goal).values())
        info = {"measured": velocity}
        return self._observe(), float(reward), abs(self.x) > self.fence, False, info

    def _observe(self):
        return np.array([self.v, self.x, self.push])

    def state(self):
        return np.array([self.x, self.v])

    def put(self, state):
        self.x, self.v = map(float, state)


def toy_reward(velocity, actions, goal):
    return {"speed": -np.abs(velocity[..., 0] - goal[0]), "control": -0.05 * (actions**2).sum(-1)}


TOY = Family(
    name="toy",
    label="Toy",
    goals=tuple((0.25 * i,) for i in range(6)),
    goal_label="speed",
    goal_unit="m/s",
    train_indices=(0, 1, 3, 4),
    test_indices=(2, 5),
    horizon=12,
    dt=0.5,
    target_return=0.0,
    return_scale=10.0,
    observations=(Variable("speed", "m/s"), Variable("position", "m"), Variable("push", "N")),
    actions=(Variable("push", "N"),),
    build=Point,
    reward_terms=toy_reward,
    state_of=lambda o: np.stack([o[..., 1], o[..., 0]], -1),
    position_of=lambda s: np.stack([s[..., 0], 0 * s[..., 0], 0 * s[..., 0]], -1),
)

TOY_SIZES = ModelConfig(2, 2, 16, context_length=4, prompt_length=3)
NO_PROMPT = dataclasses.replace(TOY_SIZES, prompt_length=0)
TOY_INFORMED = InformedConfig(
    prompt_length=3, n_diffusion_steps=4, width=24, n_layers=2, n_transitions=4, code=3
)
TOY_DIFFUSER = DiffuserConfig(prompt_length=3, n_diffusion_steps=4, width=24, n_layers=2)
TOY_CRITIC = CriticConfig(width=16, n_layers=2, code=3, discount=0.8)
TOY_VAE = VAEConfig(prompt_length=3, width=24, n_layers=1, latent=6)
TOY_GAN = GANConfig(prompt_length=3, width=24, n_layers=2)


@pytest.fixture
def toy(monkeypatch):
    """The toy family, known by name."""
    monkeypatch.setitem(FAMILIES, "toy", TOY)
    return TOY


@pytest.fixture
def fenced(monkeypatch):
    """The toy family with episodes that end early, beyond 0.8 m."""
    build = functools.partial(Point, fence=0.8)
    family = dataclasses.replace(TOY, name="fenced", build=build)
    monkeypatch.setitem(FAMILIES, "fenced", family)
    return family


@pytest.fixture
def plugged(tmp_path, monkeypatch):
    """Return plug(text, name): write a plug-in's file and let the registries find it."""
    monkeypatch.setenv(plugins.HOME, str(tmp_path / "own-assets"))
    monkeypatch.setenv(plugins.VARIABLE, "")
    plugins._forget()

    def plug(text, name="mine.py"):
        path = tmp_path / name
        path.write_text(text)
        monkeypatch.setenv(plugins.VARIABLE, ",".join([*plugins.named(), str(path)]))
        plugins._forget()
        return path

    yield plug
    plugins._STATE.found = ()


@pytest.fixture
def untried(monkeypatch, tmp_path_factory):
    """No double was tried yet, in this process or another."""
    monkeypatch.setattr(checked, "_verdicts", {})
    monkeypatch.setenv(remembered.CACHE, str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def tally():
    """Count what the campaign tried; only a test that passes gets so far."""
    return lambda what, n: COUNTED.update({what: n})


def pytest_terminal_summary(terminalreporter):
    """Print the table of `docs/trust.md` after the campaign."""
    if FULL and COUNTED:
        terminalreporter.write_line("\n| tried | times |\n|---|---|")
        for what, n in COUNTED.items():
            terminalreporter.write_line(f"| {what} | {n} |")


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(11)


@pytest.fixture
def draw():
    return np.random.default_rng(11)


def record(task, n, seed=0, skill=1.0):
    """Push towards the goal's speed, ``n`` episodes; ``skill`` 0 pushes at random."""
    items, draw = [], np.random.default_rng(seed)
    for episode in range(n):
        env, rows = Point(task.goal), []
        observation, _ = env.reset(seed=1000 * seed + episode)
        for _ in range(TOY.horizon):
            aim = skill * 4 * (task.goal[0] - observation[0]) + (1.2 - skill) * draw.normal()
            action, state = np.clip([aim], -1, 1).astype(np.float32), env.state()
            following, reward, *_ = env.step(action)
            rows.append((observation, action, reward, state))
            observation = following
        columns = [np.array(c, np.float32) for c in zip(*rows, strict=True)]
        items.append(Trajectory(*columns, task=task))
    return tuple(items)


@pytest.fixture
def demos(toy):
    """Three demonstrations of test task 5, 12 rows each."""
    return record(toy.task(5), 3)


def build_model(family, sizes=TOY_SIZES, seed=0, weights=0.25, kind=PromptDT):
    """Return a frozen Prompt-DT whose weights are large enough for every input to matter."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = kind(kind.sizes(**dataclasses.asdict(sizes)), family)
        for parameter in model.parameters():
            if parameter.ndim == 2:
                torch.nn.init.normal_(parameter, std=weights)
    return model.frozen()


@pytest.fixture
def model(toy):
    """A frozen two-layer Prompt-DT of the toy family with fitted statistics."""
    built = build_model(toy)
    built.normalizer.fit(Trajectories([t for i in (0, 4) for t in record(toy.task(i), 2)]))
    return built


def build_named(name, family=TOY):
    """Return a frozen model of the toy family by name, with fitted statistics."""
    built = build_model(family, kind=MODELS[name])
    built.fit(Trajectories([t for i in (0, 4) for t in record(TOY.task(i), 2)]))
    return built


@pytest.fixture
def without_prompt(toy):
    """MT-ORL's network: the same without prompt."""
    return build_model(toy, NO_PROMPT, seed=1)


@pytest.fixture
def prompts(toy, draw):
    """Three prompts of the toy model's length."""
    return Trajectories(record(toy.task(5), 3)).sample(draw, 3, TOY_SIZES.prompt_length, whole=True)


@pytest.fixture
def contexts(toy, draw):
    """Three contexts of another task, from its start, its middle, and with padding."""
    few = Trajectories(record(toy.task(2), 3))
    return few.segments(np.arange(3), np.array([0, 3, 8]), TOY_SIZES.context_length)


@pytest.fixture
def diffuser(toy):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return PromptDiffuser(TOY_DIFFUSER, toy)


def build_other(name, family=TOY):
    """Return a generator, a hyper-network or a critic, not trained."""
    sizes = {"diffuser": TOY_DIFFUSER, "vae": TOY_VAE, "gan": TOY_GAN, "informed": TOY_INFORMED}
    sizes = {**sizes, "hyper": HyperConfig.of(TOY_SIZES), "critic": TOY_CRITIC}[name]
    kinds = {**GENERATORS, "hyper": HyperNetwork, "critic": Critic}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(6)
        return kinds[name](sizes, family)


@pytest.fixture
def fresh_caches():
    """Forget what was loaded or hashed by name, before and after."""
    cached = [f for m in (networks, spec) for f in vars(m).values() if hasattr(f, "cache_clear")]
    assert cached, "`tune` has no caches any more: drop this fixture"
    recorded = [run for runs in SHIPPED_SPECS.values() for run in runs]

    def forget():
        for f in cached:
            f.cache_clear()
        for run in recorded:
            run.__dict__.pop("files", None)  # they live as long as the process

    forget()
    yield
    forget()


@pytest.fixture
def shipped(toy, model, without_prompt, diffuser, tmp_path, monkeypatch, fresh_caches):
    """A folder of assets for the toy family, in place of the one that ships."""
    root = tmp_path / "assets"
    monkeypatch.setattr(assets, "ROOT", root)
    monkeypatch.setattr(assets, "MANIFEST", root / "manifest.json")
    model.save(assets.model_path("toy"))
    for name in MODELS.keys() - {PROMPT_DT}:
        build_named(name).save(assets.pretrained_path("toy", name))
    diffuser.save(assets.diffuser_path("toy"))
    without_prompt.save(assets.pretrained_path("toy", "mt-orl"))
    for name in ("vae", "gan", "informed", "hyper", "critic"):
        build_other(name).save(assets.pretrained_path("toy", name))
    for number, quality in enumerate(QUALITIES):
        for task in toy.tasks("test"):
            items = record(task, 5, seed=number, skill=1 - number / 2)
            save_trajectories(assets.demos_path(task, quality), items)
        push = np.array([[-4.0], [0.0], [0.0], [4.0]]) * (1 - number / 2)
        mean, ones = np.zeros(4), np.ones(4)
        policy = BehaviourPolicy(((push, np.zeros(1)),), mean, ones, np.array([0.2]))
        policy.save(assets.policy_path("toy", quality))
    return root


def assert_as_pinned_torch(ours, theirs):
    """Bit for bit as the pinned torch does; another one may round in another order."""
    pinned = torch.__version__.startswith("2.13.")
    rtol, atol = (0.0, 0.0) if pinned else (1e-5, 1e-7)
    torch.testing.assert_close(ours, theirs, rtol=rtol, atol=atol)
