"""What the runners share: their arguments, the meter of what a peer spends, and the record they leave.

Needs numpy alone, because every peer has an environment of its own.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import TracebackType

import numpy as np

ANOMALY_THRESHOLD = 2.0
"""Above it Neural Cleanse calls a label with a small mask a target (Wang et al., IEEE S&P 2019)."""

AGREEMENT = 1e-3
"""Largest difference of two softmax outputs that counts as the same network."""


@dataclass(frozen=True)
class Task:
    """What one runner is asked to do.

    Attributes:
        variant: which of the peer's settings.
        network: an ONNX file.
        images: float32 (n, C, H, W) in 0..1.
        classes: int64 (n,), the true classes.
        probabilities: float32 (n, N), what the network answers on the images.
        labels: how many labels to search, from label 0 on.
        seconds: of processor time, after which the search is cut off.
        seed: of every random draw.
        record: file for the outcome.
    """

    variant: str
    network: Path
    images: np.ndarray
    classes: np.ndarray
    probabilities: np.ndarray
    labels: int
    seconds: float
    seed: int
    record: Path

    def check(self, probabilities: np.ndarray) -> None:
        """Make sure that the peer's copy of the network answers as the original does.

        Raises:
            RuntimeError: it does not.
        """
        difference = float(np.abs(probabilities - self.probabilities).max())
        if not difference <= AGREEMENT:
            raise RuntimeError(f"expected the network's own answers to within {AGREEMENT:g}, got {difference:g} off")


def read_task() -> Task:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("variant")
    parser.add_argument("network", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("record", type=Path)
    parser.add_argument("--labels", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    with np.load(options.images) as arrays:
        return Task(**{**vars(options), **arrays})


@dataclass
class Spent:
    """What a search costs.

    Attributes:
        image_gradients: images that went once forward and once backward.
        seconds: by the wall clock.
        processor_seconds: of processor time, summed over threads.
    """

    image_gradients: int = 0
    seconds: float = 0.0
    processor_seconds: float = 0.0

    def __sub__(self, earlier: Spent) -> Spent:
        return Spent(
            self.image_gradients - earlier.image_gradients,
            self.seconds - earlier.seconds,
            self.processor_seconds - earlier.processor_seconds,
        )


@dataclass(frozen=True)
class LabelRecord:
    """What a peer found out about one label.

    Attributes:
        trigger_size: sum of the mask as the peer itself counts it; None where no trigger reached the ASR.
        spent: None where the peer searches all labels at once.
    """

    label: int
    trigger_size: float | None
    spent: Spent | None = None


class Cut(BaseException):
    """Ends a search from within; not an Exception, so that no peer takes it for a failure of its own."""


@dataclass
class Meter:
    """Counts what a search spends and ends it when its labels or its time are used up.

    Attributes:
        labels: how many labels to search.
        limit: seconds of processor time.
        spent: up to the end of the search.
        records: one entry a finished label.
        cut: whether time ran out.
    """

    labels: int
    limit: float
    spent: Spent = field(default_factory=Spent)
    records: list[LabelRecord] = field(default_factory=list)
    cut: bool = False

    def __enter__(self) -> Meter:
        self._wall, self._processor = time.monotonic(), time.process_time()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        self._look()
        return isinstance(error, Cut)

    def count(self, images: int) -> None:
        """Count `images` image-gradients; end the search if it has taken too long."""
        self.spent.image_gradients += images
        self._look()
        if self.spent.processor_seconds > self.limit:
            self.cut = True
            raise Cut

    def begin(self, label: int) -> None:
        """Note that the search for a label's trigger starts; end the search if the label is not wanted."""
        self._look()
        if label >= self.labels:
            raise Cut
        self._before = Spent(**asdict(self.spent))

    def finish(self, label: int, trigger_size: float) -> None:
        """Note the outcome for the label that was begun last."""
        self._look()
        size = trigger_size if math.isfinite(trigger_size) else None
        self.records.append(LabelRecord(label, size, self.spent - self._before))

    def _look(self) -> None:
        self.spent.seconds = time.monotonic() - self._wall
        self.spent.processor_seconds = time.process_time() - self._processor


@dataclass(frozen=True)
class Outcome:
    """What a runner leaves behind.

    Attributes:
        anomaly_indices: per label, empty unless every label was searched; None where they are undefined.
        verdict: None unless every label of the network was searched.
        flagged: the labels the peer calls targets, most suspicious first.
        probability: of a backdoor, 0..1, where the peer gives one and every label was searched.
        most_per_label: image-gradients a label can take under the peer's settings; None where labels are not
            searched one by one.
        notes: what a reader must know about this run.
    """

    spent: Spent
    cut: bool
    records: list[LabelRecord]
    anomaly_indices: dict[int, float | None]
    verdict: str | None
    flagged: list[int]
    versions: dict[str, str]
    probability: float | None = None
    most_per_label: int | None = None
    notes: list[str] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(asdict(self)))


def neural_cleanse_outcome(
    meter: Meter, classes: int, packages: Sequence[str], most_per_label: int, notes: Sequence[str] = ()
) -> Outcome:
    """Return the outcome of a search by Neural Cleanse's own rule: a mask well below the median is a target's."""
    sizes = {each.label: each.trigger_size for each in meter.records if each.trigger_size is not None}
    indices = anomaly_indices(sizes)
    flagged = sorted(
        (label for label, index in indices.items() if index is not None and index > ANOMALY_THRESHOLD),
        key=lambda label: sizes[label],
    )
    complete = len(meter.records) == classes
    return Outcome(
        spent=meter.spent,
        cut=meter.cut,
        records=meter.records,
        anomaly_indices=indices if complete else {},
        verdict=("backdoored" if flagged else "clean") if complete else None,
        flagged=flagged if complete else [],
        versions=versions(packages),
        most_per_label=most_per_label,
        notes=list(notes),
    )


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Return the installed versions of packages."""
    return {package: version(package) for package in packages}


def anomaly_indices(sizes: Mapping[int, float]) -> dict[int, float | None]:
    """Return how far below the median each label's trigger is, in units of 1.4826 x MAD; None where that is zero."""
    if not sizes:
        return {}
    median = statistics.median(sizes.values())
    unit = 1.4826 * statistics.median(abs(size - median) for size in sizes.values())
    return {label: (median - size) / unit if unit else None for label, size in sizes.items()}
