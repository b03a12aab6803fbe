"""The method as a picture over the player: its stages, and what each of them is."""

from __future__ import annotations

from typing import Any

STAGES: tuple[dict[str, str], ...] = (
    {
        "key": "demonstrations",
        "name": "Demonstrations",
        "note": "five recorded runs",
        "arrow": "L_DM",
        "words": "A few recorded episodes of the task, by an expert, a half-trained policy or one "
        "that never learned. An untuned prompt is a slice of one of them. The diffusion loss L_DM "
        "pulls the diffuser towards prompts that look like these data.",
        "equation": "L_DM = E ‖ ε − ε_θ(√ᾱ_k x₀ + √(1 − ᾱ_k) ε, y, k) ‖²",
        "lesson": "1_tasks_and_data",
        "file": "data/trajectory.py",
    },
    {
        "key": "diffuser",
        "name": "Diffuser",
        "note": "{steps} steps out of noise",
        "arrow": "",
        "words": "A small network that removes noise step by step until a prompt is left. It alone "
        "is tuned. Two losses pull on it; where their gradients fight, the projection takes away "
        "the part of L_DT's that would undo L_DM's.",
        "equation": "∇L = ∇L_DM + λ Proj(∇L_DT)    (Eq. 8 and 9)",
        "lesson": "3_denoising",
        "file": "networks/diffusion.py",
    },
    {
        "key": "prompt",
        "name": "Prompt",
        "note": "{rows} rows of an episode",
        "arrow": "",
        "words": "A short piece of an episode: returns to go, observations and actions, row by "
        "row. It stands before what the robot sees and tells the transformer which task is meant.",
        "equation": "x₀ = (r̂₁, s₁, a₁, …, r̂_K*, s_K*, a_K*)",
        "lesson": "2_prompt_dt",
        "file": "tuning/prompt_kinds.py",
    },
    {
        "key": "transformer",
        "name": "Frozen transformer",
        "note": "never changes",
        "arrow": "actions",
        "words": "A Prompt Decision Transformer, trained on other tasks of this robot. It reads "
        "the prompt and the last steps and says the next action. Its weights stay as they are: "
        "only the prompt tells the tasks apart.",
        "equation": "a_t = π(prompt, r̂, s, a up to t)",
        "lesson": "2_prompt_dt",
        "file": "networks/prompt_dt.py",
    },
    {
        "key": "robot",
        "name": "Robot",
        "note": "one episode",
        "arrow": "",
        "words": "The simulator does the action, moves the robot by one step and pays a reward. "
        "The return is the sum of all rewards: higher is better.",
        "equation": "return = Σ_t r_t",
        "lesson": "1_tasks_and_data",
        "file": "data/rollout.py",
    },
)
"""What becomes of demonstrations, in order; ``lesson`` and ``file`` say where it is taken apart."""

BACK = {
    "key": "loss-dt",
    "name": "L_DT, projected: act like the data",
    "words": "The downstream loss L_DT asks whether the frozen transformer, with this prompt, acts "
    "as in the demonstrations. Its gradient runs back through the transformer and the whole "
    "denoising into the diffuser, and is projected there.",
    "equation": "L_DT = E ‖ a − π(prompt, …) ‖²    (Eq. 7);    Proj(g) = g − B Bᵀ g    (Eq. 8)",
    "lesson": "4_gradient_projection",
    "file": "methods/projection.py",
}
"""The way back, from the transformer to the diffuser, while it is tuned."""


def method_strip(n_diffusion_steps: int, prompt_length: int) -> dict[str, Any]:
    """Return the picture as the player takes it.

    Args:
        n_diffusion_steps: N of the diffuser.
        prompt_length: K*.
    """
    numbers = {"steps": n_diffusion_steps, "rows": prompt_length}
    return {
        "stages": [
            {**_told(stage), "note": stage["note"].format(**numbers), "arrow": stage["arrow"]}
            for stage in STAGES
        ],
        "back": _told(BACK),
    }


def _told(stage: dict[str, str]) -> dict[str, str]:
    where = (
        f"Lesson {stage['lesson'][0]}: notebooks/{stage['lesson']}.ipynb. "
        f"In the code: workbench/{stage['file']}."
    )
    return {name: stage[name] for name in ("key", "name", "words", "equation")} | {"where": where}
