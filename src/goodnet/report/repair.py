"""RepairReport: the result of a repair, and its JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from goodnet.report.schema import CostFacts, ImageFacts, ModelFacts, plain, write_json
from goodnet.triggers import Trigger
from goodnet.verdict import Verdict

REPAIR_SCHEMA_VERSION = "1.0"

Status = Literal["repaired", "unchanged", "incomplete", "inconclusive"]


@dataclass(frozen=True)
class Figures:
    """How a classifier does, all shares in 0..1.

    Attributes:
        clean_accuracy: on held-out clean images; against the BadNet's own answers where they have no labels.
        interval: its 95 % confidence interval (Wilson).
        asr: mean ASR, on held-out images, of reversed triggers that the repair did not use.
        highest_asr: of the one among these that works best.
        recovered: share of the images stamped with them that get their true class.
        images: clean images measured.
        stamped: stamped images measured.
    """

    clean_accuracy: float
    interval: tuple[float, float]
    asr: float
    highest_asr: float
    recovered: float
    images: int
    stamped: int


@dataclass(frozen=True)
class FilterFigures:
    """How the input filter does on inputs that the BadNet sends to a flagged label, shares in 0..1.

    Attributes:
        set_to: the false-positive rate it was set to.
        false_positive_rate: held-out clean inputs of flagged labels called backdoored; None where there were none.
        false_negative_rate: stamped inputs that come out neither as backdoored nor as their true class.
        clean: clean inputs measured, variants of the images among them.
        stamped: stamped inputs measured.
    """

    set_to: float
    false_positive_rate: float | None
    false_negative_rate: float | None
    clean: int
    stamped: int


@dataclass(frozen=True)
class RealTriggerFigures:
    """What becomes of images with the attacker's own trigger, which the repair never saw; shares in 0..1.

    Attributes:
        images: how many of them are of another class than the flagged labels.
        asr_before: sent to a flagged label by the BadNet.
        asr_after: by the GoodNet with the filter off.
        recovered: given their true class with the filter off.
        caught: called backdoored with the filter on.
        handled: called backdoored or given their true class with the filter on.
    """

    images: int
    asr_before: float
    asr_after: float
    recovered: float
    caught: float
    handled: float


@dataclass(frozen=True)
class Round:
    """One round of repair.

    Attributes:
        labels: the flagged labels that were worked on.
        method: the method that was chosen.
        reason: why, in words.
        attempts: the clean accuracy, ASR and recovered accuracy that each method tried came to.
        verdict: of the scan after the round.
        remaining: flagged labels that this scan still finds.
    """

    labels: tuple[int, ...]
    method: str
    reason: str
    attempts: Mapping[str, Mapping[str, float]]
    verdict: Verdict
    remaining: tuple[int, ...]


@dataclass(frozen=True)
class RepairReport:
    """The result of a repair.

    Attributes:
        status: "repaired" where the last scan finds no backdoor any more, "incomplete" where it still does,
            "inconclusive" where it cannot tell or nothing could be done, "unchanged" for a network without a backdoor.
        summary: in words.
        verdict_before: of the scan that the repair started from.
        verdict_after: of the scan of what came out; of the first scan where nothing was changed.
        target_labels: the labels that were repaired, ascending.
        before: the BadNet; None where nothing had to be repaired.
        after: the GoodNet with the filter off; None as above.
        alone: the repaired network without the BadNet beside it; None as above.
        filter: the input filter; None as above.
        real_trigger: None unless triggered images were given.
        rounds: what was done.
        model: which model.
        images: which images.
        cost: what it took, scans after each round included.
        seed: of every random draw.
        versions: of goodnet and what the result depends on.
        warnings: what the user should know.
        emergence: for each label the steps of a search and what the trigger looked like then; not part of the JSON.
    """

    status: Status
    summary: str
    verdict_before: Verdict
    verdict_after: Verdict
    target_labels: tuple[int, ...]
    before: Figures | None
    after: Figures | None
    alone: Figures | None
    filter: FilterFigures | None
    real_trigger: RealTriggerFigures | None
    rounds: tuple[Round, ...]
    model: ModelFacts
    images: ImageFacts
    cost: CostFacts
    seed: int
    versions: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    emergence: Mapping[int, tuple[tuple[int, Trigger], ...]] = field(default_factory=dict, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data that JSON can hold."""
        facts = {each.name: plain(getattr(self, each.name)) for each in fields(self) if each.name != "emergence"}
        return {"schema_version": REPAIR_SCHEMA_VERSION, **facts}

    def save_json(self, path: str | Path) -> None:
        """Write the report as JSON, whole or not at all.

        Raises:
            OutputError: the file cannot be written.
        """
        write_json(self.to_dict(), Path(path))
