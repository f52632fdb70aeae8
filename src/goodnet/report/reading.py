"""Read a scan report back from its JSON form."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from goodnet.errors import UsageError
from goodnet.report.schema import SCHEMA_VERSION, CostFacts, ImageFacts, LabelReport, ModelFacts, ScanReport

T = TypeVar("T")


def read_scan_report(path: str | Path) -> ScanReport:
    """Return the scan report that `ScanReport.save_json` wrote, without the triggers, which JSON does not hold.

    Raises:
        UsageError: the file cannot be read, or is no scan report of this version.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the scan report {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"expected a scan report as JSON in {path}: {error}") from error
    return scan_report(content, str(path))


def scan_report(content: object, source: str) -> ScanReport:
    """Return the scan report that `ScanReport.to_dict` made `content` of, without the triggers.

    Args:
        content: as it was read from JSON.
        source: what to call it in messages.

    Raises:
        UsageError: it is no scan report of this version.
    """
    if not isinstance(content, dict) or "target_labels" not in content or "verdict" not in content:
        raise UsageError(f"{source} is no scan report; goodnet scan --json writes one")
    if content.get("schema_version", "").split(".")[0] != SCHEMA_VERSION.split(".")[0]:
        raise UsageError(f"expected a scan report of version {SCHEMA_VERSION}, got {content.get('schema_version')}")
    try:
        parts = {
            "labels": tuple(_build(LabelReport, entry) for entry in content["labels"]),
            "model": _build(ModelFacts, content["model"]),
            "images": _build(ImageFacts, content["images"]),
            "cost": _build(CostFacts, content["cost"]),
        }
        return _build(ScanReport, {**content, **parts})
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"the scan report {source} is damaged or of another version: {error}") from error


def _build(kind: type[T], content: Mapping[str, Any]) -> T:
    names = {each.name for each in dataclasses.fields(kind)}  # type: ignore[arg-type]
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in content.items()}
    return kind(**{name: value for name, value in given.items() if name in names})
