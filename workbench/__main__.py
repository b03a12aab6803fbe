"""The command line: ``python -m workbench VERB``, each verb with ``--help`` and ``--json``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import torch
import tyro
from tyro.conf import Positional, arg

from workbench import published
from workbench.commands import evaluate, make
from workbench.commands.output import Json, print_result


def import_(
    files: Positional[tuple[Path, ...]],
    family: Annotated[str | None, arg(help="Family, when the file name does not say.")] = None,
    task: Annotated[int | None, arg(help="Task, when the file name does not say.")] = None,
    as_json: Json = False,
) -> None:
    """Read published Prompt-DT demonstrations and replay them through our environment.

    Nothing in a file is executed. A refused file gives exit status 2 and the reason on stderr.
    """
    rows, refused = [], 0
    for file in files:
        try:
            rows.append(published.import_published(file, family, task).row())
        except (ValueError, OSError) as error:
            refused += 1
            print(f"refused: {file}: {error}", file=sys.stderr)
    if rows or not refused:
        print_result(rows, as_json)
    if refused:
        raise SystemExit(2)


VERBS = {
    "behaviour": make.behaviour,
    "collect": make.collect,
    "demos": make.demos,
    "pretrain": make.pretrain,
    "diffuser": make.diffuser,
    "record": make.record,
    "prompts": evaluate.prompts,
    "tune": evaluate.tune,
    "runs": evaluate.runs,
    "import": import_,
}


def main() -> None:
    """Run one verb; a problem with the input is one line on stderr and exit status 2."""
    # One thread is faster than two for models this small, and leaves a core free.
    torch.set_num_threads(int(os.environ.get("WORKBENCH_THREADS", "1")))
    try:
        tyro.extras.subcommand_cli_from_dict(VERBS, prog="python -m workbench")
    except (ValueError, OSError, ModuleNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    except KeyboardInterrupt as error:
        print("stopped; what was finished is kept", file=sys.stderr)
        raise SystemExit(130) from error


if __name__ == "__main__":
    main()
