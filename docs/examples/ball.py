"""A ball in a shallow bowl is held over a hidden mark by a push whose strength is unknown, too."""

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from workbench import Family


class Ball(gymnasium.Env):
    """The mark shows in the reward alone, and the reward only near it.

    Observed are position (m) and velocity (m/s); the action is a push along x and y.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012 (Gymnasium's)
    action_space = Box(-2.0, 2.0, (2,), np.float32)
    observation_space = Box(-5.0, 5.0, (4,), np.float32)

    def __init__(self, render_mode=None):
        self.render_mode, self.mark, self.strength = render_mode, np.zeros(2), 1.0

    def reset(self, *, seed=None, options=None):
        """Lay the ball somewhere near the middle, at rest."""
        super().reset(seed=seed)
        self.position, self.velocity = self.np_random.uniform(-0.2, 0.2, 2), np.zeros(2)
        return self._seen(), {}

    def step(self, action):
        """Push for 0.1 s."""
        push = self.strength * np.clip(action, -2, 2)
        self.velocity = 0.9 * self.velocity + 0.1 * push - 0.02 * self.position
        self.position = np.clip(self.position + 0.1 * self.velocity, -3, 3)
        reward = float(np.exp(-4 * np.square(self.position - self.mark).sum()))
        return self._seen(), reward, False, False, {}

    def _seen(self):
        seen = np.concatenate([self.position, self.velocity])
        return np.clip(seen, -5, 5).astype(np.float32)

    def render(self):
        """Return the mark (orange) and the ball (blue), seen from above: (96, 96, 3) uint8."""
        picture = np.full((96, 96, 3), 245, np.uint8)
        for (x, y), colour in ((self.mark, (200, 116, 30)), (self.position, (47, 111, 181))):
            row, column = int(48 - 15 * y), int(48 + 15 * x)
            picture[max(row - 4, 0) : row + 4, max(column - 4, 0) : column + 4] = colour
        return picture


if "workbench-examples/Ball-v0" not in gymnasium.registry:
    gymnasium.register("workbench-examples/Ball-v0", Ball, max_episode_steps=100)


def set_goal(env, goal):
    """Put the mark 1.5 m from the middle, at an angle that decides the strength as well."""
    env.mark = 1.5 * np.array([np.cos(goal[0]), np.sin(goal[0])])
    env.strength = 1.0 + 0.3 * np.sin(3 * goal[0])


BALL = Family.from_gymnasium(
    "workbench-examples/Ball-v0",
    name="ball",
    goals=[round(float(angle), 3) for angle in np.linspace(0, 2 * np.pi, 12, endpoint=False)],
    set_goal=set_goal,
    test=[2, 7],
    target_return=85.0,
    return_scale=80.0,
    label="Ball",
    goal_label="angle of the mark",
    goal_unit="rad",
    observations=(("x", "m"), ("y", "m"), ("velocity along x", "m/s"), ("velocity along y", "m/s")),
    actions=(("push along x", "of maximum"), ("push along y", "of maximum")),
    hint="A ball is held over a mark that only the prompt tells.",
    goal_features=lambda goal: (np.cos(goal[0]), np.sin(goal[0])),
    training={"behaviour": "--env-steps 150000"},
)
