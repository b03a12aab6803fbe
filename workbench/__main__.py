"""The command line: ``python -m workbench VERB``, each verb with ``--help`` and ``--json``."""

from __future__ import annotations

import inspect
import os
import sys

import torch
import tyro

from workbench.commands import (
    app,
    assets,
    data,
    evaluate,
    listing,
    make,
    notebooks,
    replay,
    results,
    sweep,
    table,
)
from workbench.networks.fast.memory import keep_freed_memory

GROUPS = {
    "See what there is": {
        "tasks": listing.tasks,
        "methods": listing.methods,
        "runs": evaluate.runs,
        "doctor": assets.doctor,
        "app": app.app,
    },
    "Adapt and evaluate": {
        "tune": evaluate.tune,
        "evaluate": replay.evaluate_,
        "prompts": evaluate.prompts,
        "render": replay.render_,
    },
    "Many runs, and what they say": {
        "sweep": sweep.sweep,
        "table": table.table,
        "findings": table.findings,
    },
    "Data in and out": {"import": data.import_, "export": data.export},
    "Make what ships, in this order": {
        "behaviour": make.behaviour,
        "collect": make.collect,
        "demos": make.demos,
        "pretrain": make.pretrain,
        "diffuser": make.diffuser,
        "informed": make.informed,
        "vae": make.vae,
        "gan": make.gan,
        "hyper": make.hyper,
        "record": make.record,
        "reproduce-assets": assets.reproduce_assets,
        "results": results.results,
        "notebooks": notebooks.notebooks,
    },
}
VERBS = {name: verb for group in GROUPS.values() for name, verb in group.items()}
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
        lines += [f"  {name:<18}{inspect.getdoc(v).splitlines()[0]}" for name, v in verbs.items()]
    return ABOUT.format(verbs="\n".join([*lines, ""]))


def main() -> None:
    """Run one verb; what goes wrong is one line on stderr and an exit status, see ``ABOUT``."""
    if sys.argv[1:] in ([], ["-h"], ["--help"]):
        print(overview(), file=sys.stdout if sys.argv[1:] else sys.stderr)
        raise SystemExit(0 if sys.argv[1:] else 2)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and sys.argv[1] != "pretrain":
        print("error: torchrun is for `pretrain` alone: leave it out.", file=sys.stderr)
        raise SystemExit(2)
    # One thread is faster than two for models this small, and leaves a core free.
    torch.set_num_threads(int(os.environ.get("WORKBENCH_THREADS", "1")))
    keep_freed_memory()
    try:
        tyro.extras.subcommand_cli_from_dict(VERBS, prog="python -m workbench")
    except _INPUT as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    except OSError as error:
        print(f"failed: {error}", file=sys.stderr)
        raise SystemExit(1) from error
    except KeyboardInterrupt as error:
        print("stopped; what was finished is kept", file=sys.stderr)
        raise SystemExit(130) from error


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
    main()
