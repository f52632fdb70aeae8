"""Progress: what a long run tells whoever watches."""

from __future__ import annotations

from typing import Protocol

from goodnet.engine import Cost


class Progress(Protocol):
    """Is told after each step and each finished batch of labels; the command line draws it."""

    def update(self, stage: str, done: int, total: int, cost: Cost) -> None:
        """`done` of `total` labels' worth of a stage is done, for `cost` in all so far."""


class Silent:
    """Shows nothing."""

    def update(self, stage: str, done: int, total: int, cost: Cost) -> None:
        """Do nothing."""
