"""Pendulum of unknown mass and length: gymnasium's, which has no MuJoCo model and draws itself."""

from workbench import Family

PENDULUM = Family.from_gymnasium(
    "Pendulum-v1",
    name="pendulum",
    label="Pendulum",
    goals=[(mass, length) for mass in (0.5, 0.8, 1.1, 1.4, 1.7) for length in (0.7, 1.2)],
    set_goal=("m", "l"),  # attributes of the environment
    test=(2, 7),  # a light one and a heavy one
    target_return=-150.0,  # what a very good episode earns
    return_scale=500.0,
    goal_label="mass and length",
    goal_unit="kg, m",
    observations=(("cosine", "1"), ("sine", "1"), ("angular velocity", "rad/s")),
    actions=(("torque", "of maximum"),),
    hint="A frozen transformer swings up a pendulum whose mass and length it is not told.",
)
