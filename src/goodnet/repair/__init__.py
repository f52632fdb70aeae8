"""Repair: remove the backdoor from a network; one file a method, and the choice between them."""

from goodnet.repair.run import RepairConfig, repair

__all__ = ["RepairConfig", "repair"]
