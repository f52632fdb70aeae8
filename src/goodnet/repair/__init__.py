"""Repair: remove the backdoor from a network; one file a method, and the choice between them."""

from goodnet.repair.job import RepairConfig
from goodnet.repair.run import repair

__all__ = ["RepairConfig", "repair"]
