"""Preflight: do model, images and settings belong together? Asked before a scan spends anything."""

from goodnet.preflight.check import PreflightResult, Trial, check

__all__ = ["PreflightResult", "Trial", "check"]
