"""The three qualities of demonstrations."""

from __future__ import annotations

from typing import Literal, get_args

Quality = Literal["expert", "medium", "random"]


QUALITIES: tuple[Quality, ...] = get_args(Quality)
