"""The three qualities of demonstrations: those of the published data sets.

``expert`` is recorded by the trained behaviour policy, ``medium`` by one that earns 40 to 70 % of
what it earns above a random one, ``random`` by one that never learned; ``upkeep/making.py`` picks
them.
"""

from __future__ import annotations

from typing import Literal, get_args

Quality = Literal["expert", "medium", "random"]
QUALITIES: tuple[Quality, ...] = get_args(Quality)
