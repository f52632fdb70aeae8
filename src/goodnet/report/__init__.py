"""Reports: the schema first, and everything that is rendered from it."""

from goodnet.report.repair import RepairReport
from goodnet.report.schema import CostFacts, ImageFacts, LabelReport, ModelFacts, ScanReport

__all__ = ["CostFacts", "ImageFacts", "LabelReport", "ModelFacts", "RepairReport", "ScanReport"]
