"""The command line: ``python -m workbench VERB``, each verb with ``--help`` and ``--json``."""

from __future__ import annotations

import os
import sys

import torch
import tyro

from workbench.commands import assets, data, evaluate, make, methods, table

VERBS = {
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
    "doctor": assets.doctor,
    "methods": methods.methods,
    "prompts": evaluate.prompts,
    "tune": evaluate.tune,
    "runs": evaluate.runs,
    "table": table.table,
    "findings": table.findings,
    "import": data.import_,
    "export": data.export,
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
