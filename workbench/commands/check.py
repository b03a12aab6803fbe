"""The verb that holds families and methods of one's own to the rules of ours."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from workbench.commands.output import Json, print_result
from workbench.methods import METHODS
from workbench.tasks import FAMILIES, plugins
from workbench.upkeep.family_rules import Checked, check_family
from workbench.upkeep.method_rules import check_method


def check(
    things: Positional[
        Annotated[
            tuple[str, ...], arg(help="Plug-ins (files, modules), or names of families, methods.")
        ]
    ],
    as_json: Json = False,
) -> None:
    """Hold families and methods of your own to the rules; exit status 1 if one is broken.

    Of a family: Gymnasium's check_env, same seed same episode, nothing constant or telling the
    goal, rewards. Of a method: same seed same stream, the frozen model untouched, the loss falls.
    """
    if not things:
        raise ValueError("Name what to check: `python -m workbench check my_family.py`.")
    rows, broken = [], 0
    for thing in things:
        for title, found in _found(thing):
            if not as_json:
                print(f"\n{title}")
            for one in found:
                broken += bool(one.problem)
                rows.append({"of": title, **dataclasses.asdict(one)})
                if not as_json:
                    mark = "PROBLEM" if one.problem else "ok     "
                    print(f"  {mark}  {one.rule}{f': {one.note}' if one.note else ''}")
                    if one.problem:
                        print(f"           → {one.problem}")
    if as_json:
        print_result({"problems": broken, "rules": rows}, True)
    else:
        print(f"\n{broken or 'no'} problem{'' if broken == 1 else 's'}")
    if broken:
        raise SystemExit(1)


def _found(thing: str) -> Iterator[tuple[str, Iterator[Checked]]]:
    """Yield what a word names, and its rules as they are looked at."""
    if thing in FAMILIES:
        yield f"family {thing}", check_family(FAMILIES[thing])
    elif thing in METHODS:
        yield f"method {thing}", check_method(thing, METHODS[thing])
    else:
        known = [
            p for p in plugins.plugins() if thing == p.name or Path(thing).absolute() == p.path
        ]
        (added,) = [p for p in known if not p.error] or [plugins.add(thing)]
        for family in added.families:
            yield f"family {family.name}", check_family(family)
        for name, kind in added.methods:
            yield f"method {name}", check_method(name, kind)
