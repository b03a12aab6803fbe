"""The family "reach": Meta-World's ``reach-v3`` with the goal hidden, 50 goals of ``ML1(seed=1)``.

This file is plain data; the simulator is in ``sawyer.py``. Returns are not comparable with the
published ones, which disagree with each other (near 4,200 and at most 565): compare by ratio. The
package's episodes of a task are all alike; here the puck, which does not matter, lies elsewhere in
every episode.
"""

from __future__ import annotations

import numpy as np

from workbench.tasks import rewards
from workbench.tasks.family import Environment, Family, Script, Variable

# Positions in metres, from the tasks of `metaworld.ML1("reach-v3", seed=1)`, 3.1.1.
_GOALS = (
    (0.034093502035680456, 0.8417304802367127, 0.18967245711143793),
    (-0.09218904335342354, 0.8169830419564569, 0.2695356258573533),
    (0.050028862988993505, 0.8988861088906495, 0.23704141359495984),
    (0.03576710658797819, 0.8211628116000059, 0.11638666484305656),
    (-0.01716414609461947, 0.8049953458946087, 0.18397410147887788),
    (-0.06692916057661344, 0.8927508580396034, 0.13694146493637666),
    (0.09296800942967712, 0.8663441497818448, 0.20542393005228043),
    (0.023428982724144773, 0.8326644901772097, 0.1817645255644023),
    (-0.07257285007422445, 0.8932595463037164, 0.22420454037247506),
    (-0.050757786479390825, 0.8860027948682888, 0.18470776608541323),
    (-0.05340514523179592, 0.880710519561878, 0.14696516101604296),
    (0.04259779607653533, 0.8559716982054143, 0.053138995039778966),
    (-0.0962847595645181, 0.8070022143719223, 0.17158627773425794),
    (-0.08669270372917702, 0.8260315098578541, 0.25118864093583637),
    (0.011330637639031277, 0.8915606349766275, 0.2103915522365844),
    (0.08802149646667343, 0.8582014179947081, 0.26970799610296103),
    (0.018696281639327433, 0.8433676348989458, 0.2518401322212104),
    (0.08372035559550517, 0.8000402024891358, 0.2941897872577649),
    (0.07166276728580848, 0.875508218846768, 0.22451431211182576),
    (-0.013950545835747133, 0.8973802077927252, 0.2194502228585778),
    (0.07097958853948047, 0.8527714646308747, 0.2505402710011495),
    (-0.08407478446034954, 0.8982817113730446, 0.09540321283269095),
    (-8.316586422278671e-05, 0.8728585667974597, 0.10204860960219787),
    (0.024361246348083093, 0.8544010118813938, 0.21353433674268607),
    (0.007688118518908743, 0.8866608274166513, 0.2874514978384066),
    (0.04634572014790539, 0.8259698393298354, 0.11426732470553667),
    (0.00831187577747465, 0.8974740370855082, 0.20915110000047432),
    (-0.02669138055125113, 0.8862346252838045, 0.2231694293768386),
    (-0.008604934512861442, 0.8056929438411096, 0.17712906015255991),
    (0.008190360992437723, 0.8959434321061752, 0.2509902228746617),
    (0.02675735212238356, 0.8802963237373738, 0.22420012403004463),
    (-0.08665500047212871, 0.8458583813708432, 0.07833548069189762),
    (-0.019521496028452837, 0.8904686160343623, 0.05926526198850897),
    (0.09799103567181475, 0.8711122458765816, 0.23295010228557383),
    (-0.037882549641158, 0.8982417449292943, 0.1166596755379088),
    (0.07820379085846779, 0.802728722351747, 0.18051281181312767),
    (-0.03771115717350744, 0.851726759850113, 0.27910146326347446),
    (-0.054538052743062254, 0.8314376616114051, 0.0936914690890779),
    (-0.05423726580792483, 0.8664102555354793, 0.1743125233401328),
    (-0.09351473493710859, 0.8093577095817481, 0.0663429287605566),
    (-0.004623533295761331, 0.8013136356923073, 0.1382515213854562),
    (-0.0374997243015901, 0.8504519169700995, 0.21846225200421693),
    (0.08295773734838685, 0.8644361084756993, 0.051309959412866465),
    (-0.029514073956718234, 0.8855828367253928, 0.09875937150217683),
    (0.0466490135452855, 0.8744473153077732, 0.10534917522705027),
    (-0.05365953790284159, 0.8207625661803815, 0.27933339077040764),
    (0.09520871009354953, 0.8159833650344094, 0.10065053130491565),
    (0.04978567504916728, 0.8638218710620333, 0.19928182573666225),
    (-0.03998379081492871, 0.8080103643806049, 0.27615775073406074),
    (-0.07838693426055264, 0.8787551839652508, 0.07664596919720028),
)
# The papers do not say which five are held out. Every tenth, from 5: of the ten such choices the
# one whose goals lie furthest apart.
_TEST = (5, 15, 25, 35, 45)


def _build(goal: tuple[float, ...]) -> Environment:
    # Imported here, and below: Meta-World takes a second to import, and few commands need it.
    from workbench.tasks.sawyer import Reach

    return Reach(goal)


def _position_of(states: np.ndarray) -> np.ndarray:
    from workbench.tasks.sawyer import fingertips

    return fingertips(states)


def _succeeded(episode_rewards: np.ndarray) -> np.ndarray:
    """Whether the fingertips came within ``REACH_RADIUS``: the reward is 10 there, else less."""
    return np.asarray(episode_rewards).max(-1) >= 10 - 1e-5


def _script() -> Script:
    """Meta-World's ``SawyerReachV3Policy``: an action of 5 (goal - hand), both in metres."""
    matrix = np.zeros((42, 4))  # 39 observations, the hand's position first, and the goal
    matrix[:3, :3], matrix[39:, :3] = -5 * np.eye(3), 5 * np.eye(3)
    return Script(matrix, np.zeros(4))


def _variables(when: str) -> tuple[Variable, ...]:
    return (
        *(Variable(f"{when}hand {axis}", "m") for axis in "xyz"),
        Variable(f"{when}gripper opening", "of maximum"),
        *(Variable(f"{when}puck {axis}", "m") for axis in "xyz"),
        *(Variable(f"{when}puck orientation {axis}", "quaternion") for axis in "xyzw"),
        *(Variable(f"{when}unused {i}", "always 0") for i in range(1, 8)),
    )


REACH = Family(
    name="reach",
    label="Meta-World reach",
    goals=_GOALS,
    goal_label="point to reach, not observed",
    hint="A frozen transformer moves a robot arm whose hand should go to one point, which it "
    "cannot see. It was never trained on this point.",
    goal_unit="m",
    train_indices=tuple(i for i in range(50) if i not in _TEST),
    test_indices=_TEST,
    horizon=500,
    dt=0.0125,
    target_return=5000.0,
    return_scale=5000.0,
    observations=(
        *_variables(""),
        *_variables("previous "),
        *(Variable(f"hidden goal {axis}", "always 0") for axis in "xyz"),
    ),
    actions=(
        *(Variable(f"hand {axis} step", "cm") for axis in "xyz"),
        Variable("gripper closing", "of maximum"),
    ),
    build=_build,
    reward_terms=rewards.reach,
    position_of=_position_of,
    measured=tuple(Variable(f"fingertips {axis}", "m") for axis in "xyz"),
    script=_script(),
    succeeded=_succeeded,
)
