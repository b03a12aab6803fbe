"""The command line: ``python -m workbench VERB``, each verb with ``--help`` and ``--json``.

A verb's module is imported when the verb is asked for: torch and the simulator take seconds.
"""

from __future__ import annotations

if __name__ == "__main__":  # before all else is loaded: Ctrl-C ends without a traceback
    import signal

    from workbench.commands.environment import stop_at_once

    signal.signal(signal.SIGINT, stop_at_once)

import ast
import functools
import importlib
import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from workbench.commands import environment
from workbench.viewing.scene import graphics

GROUPS = {
    "See what there is": {
        "tasks": "tasks.tasks",
        "methods": "methods.methods",
        "runs": "runs.runs",
        "doctor": "upkeep.doctor",
        "check": "check.check",
        "app": "app.app",
    },
    "Adapt and evaluate": {
        "tune": "evaluate.tune",
        "evaluate": "replay.evaluate_",
        "prompts": "evaluate.prompts",
        "render": "replay.render_",
        "sampler": "sampler.sampler",
        "values": "critic.values",
    },
    "Many runs, and what they say": {
        "sweep": "sweep.sweep",
        "table": "table.table",
        "findings": "table.findings",
    },
    "Data in and out": {"import": "data.import_", "export": "data.export"},
    "Make what ships, in this order": {
        "behaviour": "make.behaviour",
        "collect": "make.collect",
        "demos": "make.demos",
        "pretrain": "make.pretrain",
        "diffuser": "make.diffuser",
        "informed": "make.informed",
        "critic": "critic.critic",
        "vae": "make.vae",
        "gan": "make.gan",
        "hyper": "make.hyper",
        "record": "record.record",
        "reproduce-assets": "upkeep.reproduce_assets",
        "results": "results.results",
        "notebooks": "notebooks.notebooks",
        "lessons": "lessons.lessons",
    },
}
VERBS = {name: place for group in GROUPS.values() for name, place in group.items()}
"""Every verb, and the module and function below ``workbench.commands`` that it is."""
ABOUT = """usage: python -m workbench VERB [...]

Diffusion prompt tuning in offline meta-RL: adapt, compare, sweep, reproduce.
Each verb has --help, and --json for one JSON value on stdout with all else on stderr.
{verbs}
Begin with:
  python -m workbench tasks                             what there is
  python -m workbench tune cheetah-vel 2                adapt to one task, keep the run
  python -m workbench evaluate cheetah-vel 2            the same task without adaptation
  python -m workbench sweep --family cheetah-vel --lam 0 1 10 --seed 0..2 --dry-run

Exit status: 0 all is well; 1 something failed, as stderr says; 2 the input is bad; 130
stopped by Ctrl-C: what was finished is kept, the same command goes on."""


def overview() -> str:
    """Return what ``--help`` prints: every verb with the first sentence of its own help."""
    lines = []
    for title, verbs in GROUPS.items():
        lines += ["", title]
        lines += [f"  {verb:<18}{summary(verb)}" for verb in verbs]
    return ABOUT.format(verbs="\n".join([*lines, ""]))


def summary(verb: str) -> str:
    """Return the first line of a verb's docstring, read from its file: nothing is imported."""
    module, name = VERBS[verb].split(".")
    (function,) = (
        node
        for node in _parsed(module).body
        if isinstance(node, ast.FunctionDef) and node.name == name
    )
    return (ast.get_docstring(function) or "").partition("\n")[0]


@functools.cache
def _parsed(module: str) -> ast.Module:
    return ast.parse((Path(__file__).parent / "commands" / f"{module}.py").read_text("utf-8"))


def loaded(verb: str) -> Callable[..., None]:
    """Import a verb's module, and return its function."""
    module, name = VERBS[verb].split(".")
    return getattr(importlib.import_module(f"workbench.commands.{module}"), name)


def program() -> None:
    """Be the whole process: ``main``, and Ctrl-C without a traceback before and after it."""
    signal.signal(signal.SIGINT, environment.stop_at_once)
    try:
        main()
    finally:
        signal.signal(signal.SIGINT, environment.stop_at_once)


def main() -> None:
    """Run one verb; what goes wrong is one line on stderr and an exit status, see ``ABOUT``."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what it cannot encode is no reason to fail
            stream.reconfigure(errors="replace")
    sys.argv[1:] = map(environment.at_home, sys.argv[1:])
    try:
        if sys.argv[1:] in ([], ["-h"], ["--help"]):
            print(overview(), file=sys.stdout if sys.argv[1:] else sys.stderr)
            raise SystemExit(0 if sys.argv[1:] else 2)
        if environment.under_torchrun() and sys.argv[1] != "pretrain":
            raise ValueError("torchrun is for `pretrain` alone: leave it out.")
        _run(sys.argv[1])
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read it has seen enough, as `head` has
        environment.drop_output()
        raise SystemExit(0) from None
    except _INPUT as error:
        _end(f"error: {error}", 2, error)
    except OSError as error:
        _end(f"failed: {error}", 1, error)
    except KeyboardInterrupt as error:
        _end(environment.STOPPED, 130, error)


def _end(line: str, status: int, error: BaseException) -> NoReturn:
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        environment.drop_output()
    raise SystemExit(status) from error


def _run(word: str) -> None:
    """Load one verb and let it read its flags; of a word that is no verb, say so with them all."""
    import tyro

    graphics.leave_drawing_to_children()
    verbs = {verb: loaded(verb) for verb in ([word] if word in VERBS else VERBS)}
    if "torch" in sys.modules:
        environment.load_torch()
    if os.environ.get("WORKBENCH_PLUGINS") or "workbench.tasks.plugins" in sys.modules:
        for failure in importlib.import_module("workbench.tasks.plugins").failures():
            print(f"warning: {failure}", file=sys.stderr)
    environment.begun()
    tyro.extras.subcommand_cli_from_dict(verbs, prog="python -m workbench")


_INPUT = (
    ValueError,
    ModuleNotFoundError,
    FileExistsError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)


if __name__ == "__main__":
    program()
