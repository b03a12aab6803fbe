"""What makes two runs the same: the plain JSON that determines a run, and its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def id_of(canonical: Mapping[str, Any]) -> str:
    """Return the id of a run: a hash of ``RunSpec.canonical``."""
    text = json.dumps(canonical, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def untuned(canonical: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the untuned prompt of a run is determined by, with the same files.

    It is ``RunSpec.untuned.canonical``, even where other files stand in their place by now.
    """
    files = canonical["assets"]
    plain = {**canonical, "method": "prompt-dt", "settings": {}, "updates": 0}
    plain["assets"] = {"model": files["model"], "demos": files.get("prompts", files["demos"])}
    if canonical.get("prompts"):
        plain |= {"quality": canonical["prompts"], "prompts": ""}
    code = plain.pop("code", {})  # of plug-ins: the method does not matter any more
    if "family" in code:
        plain["code"] = {"family": code["family"]}
    if "variant" in canonical:
        from workbench.networks.variants import variant_of  # with all tasks, for few runs

        if not variant_of(canonical["variant"]).changes("prompt-dt"):
            del plain["variant"]
    return plain
