"""ScanReport: the result of a scan, and its JSON form."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from goodnet.triggers import Trigger
from goodnet.verdict import Verdict
from goodnet.whole import written_whole

SCHEMA_VERSION = "1.10"

Status = Literal["found", "unreached", "screened", "failed", "skipped", "blind"]


@dataclass(frozen=True)
class LabelReport:
    """What the scan found about one label.

    Attributes:
        label: the label.
        anomaly_index: how far the logarithm of its trigger's size lies below the median, in 1.4826 x MAD.
        size_ratio: how many times smaller its trigger is than the median one; 0 where there is none.
        universal_ratio: the same for the sizes at which nine tenths of the images go to the label.
        classic_index: how far the size itself lies below the median, as Neural Cleanse has it.
        noise_index: how far its trigger's margin on noise images lies above the median, in 1.4826 x MAD.
        blank_index: the same on blank images.
        transfer: share of blank and noise images that the trigger newly sends to the label, 0..1.
        warp_lead: share of images that a slight warp sends to it, above the median label's, 0..1.
        filter_lead: the same for a slight filter of colours and frequencies.
        additive_ratio: how many times less must be added to every pixel than for the median label.
        wave_lead: log-odds of its mean softmax output under the one plane wave that suits it best, less those under
            any wave but its neighbours (at least even odds).
        margin_ratio: the greatest margin that any input was made to reach for it, over the median one; 0 where it was
            not searched.
        attraction: share of empty images (noise, smoothed noise or blank, the greatest of the three) that the network
            answers with the label without any trigger, 0..1.
        weight_index: how far the sum of its weights in the classifying layer stands out, in deviations.
        positive_index: the same for the sum of its positive weights.
        coincidence: how much it leads in most measures at once: -log of the chance of that, were they independent.
        coverage: share of the image that its patch covers, 0..1, at the strength where sizes are compared; 1 where
            it has none.
        trigger_size: L1 norm of the mask in pixels, at the strength where half of the images go to the label, so that
            sizes can be compared, or as it is where it works on one class only; None where there is none.
        asr: share of clean images of other classes, or of the victim, that the trigger sends to the label, 0..1.
        score: probability that this label is the target of a backdoor, 0..1.
        flagged: whether the verdict counts it as a target.
        family: trigger family: "patch", or "warp", "filter" or "additive" where one of these is what speaks for the
            label, or "generator" where what speaks for it is something else than any of them, and a network that draws
            a trigger for each image does with a far smaller one, or "coarse" for a large trigger: where a patch that is
            even within the cells of a coarse grid is hardly larger than the finest one.
        victim: the only class that the trigger works on; None for all but the label's own.
        status: "found"; "unreached" where no strength of the trigger reaches the ASR; "screened" where the search
            ended early because other labels were more suspicious, with figures from that short search; "failed" where
            it ended in NaN; "skipped" where there were no images of other classes; "blind" where there were no images.
    """

    label: int
    anomaly_index: float = 0.0
    size_ratio: float = 0.0
    universal_ratio: float = 0.0
    classic_index: float = 0.0
    noise_index: float = 0.0
    blank_index: float = 0.0
    transfer: float = 0.0
    warp_lead: float = 0.0
    filter_lead: float = 0.0
    additive_ratio: float = 0.0
    wave_lead: float = 0.0
    margin_ratio: float = 0.0
    attraction: float = 0.0
    weight_index: float = 0.0
    positive_index: float = 0.0
    coincidence: float = 0.0
    coverage: float = 1.0
    trigger_size: float | None = None
    asr: float = 0.0
    score: float = 0.0
    flagged: bool = False
    family: str = "patch"
    victim: int | None = None
    status: Status = "skipped"


@dataclass(frozen=True)
class AllToAllReport:
    """What the trigger that moves every class does.

    Attributes:
        rate: share of held-out images that one mapping of the classes, one to one, explains, 0..1.
        targets: where the classes go of which most images follow it.
        trigger_size: L1 norm of the mask in pixels.
    """

    rate: float
    targets: Mapping[int, int]
    trigger_size: float


@dataclass(frozen=True)
class PairReport:
    """The pair of victim and target that stands out most.

    Attributes:
        victim: the class that the trigger works on.
        target: the class it is sent to.
        ratio: how many times smaller its trigger is than victim and target let expect.
        index: the same on the logarithm, in 1.4826 x MAD over all pairs; None where only those of suspicious targets
            and the victims nearest to them were searched.
        nearness: then, by how much nearer to the target images of the victim are than expected without any trigger, in
            1.4826 x MAD over all pairs.
        unseen: share of the victim's images, 0..1, on which a trigger works that was searched on the other half; None
            where that was not looked at, since the pair is improbable anyway.
        pairs: of how many.
    """

    victim: int
    target: int
    ratio: float
    index: float | None
    nearness: float | None
    unseen: float | None
    pairs: int


@dataclass(frozen=True)
class ModelFacts:
    """Which model was scanned: file, digest of its content, format, N, (C, H, W) and preprocessing in words."""

    path: str
    sha256: str
    format: str
    num_classes: int
    input_shape: tuple[int, int, int]
    preprocessing: str


@dataclass(frozen=True)
class ImageFacts:
    """Which images were used: where from, how many, whether labelled, and the model's accuracy on them in 0..1."""

    source: str
    count: int
    labelled: bool
    clean_accuracy: float | None


@dataclass(frozen=True)
class CostFacts:
    """What the scan took: image-gradients, images forward only, seconds, and the device with its number format."""

    image_gradients: int
    forward_passes: int
    seconds: float
    device: str
    precision: str


@dataclass(frozen=True)
class ScanReport:
    """The result of a scan.

    Attributes:
        verdict: "clean", "backdoored" or "inconclusive".
        score: calibrated probability that the network has a backdoor, 0..1.
        reasons: why, in words.
        target_labels: the flagged labels, most suspicious first.
        labels: one entry a label, most suspicious first.
        triggers: reversed triggers by label, of the labels that were searched fully.
        model: which model.
        images: which images.
        cost: what it took.
        preset: "fast" or "classic".
        seed: of every random draw.
        versions: of goodnet and what the result depends on.
        warnings: what the user should know.
        all_to_all: the trigger that moves every class; None where it was not searched.
        pair: the pair of classes that stands out most; None where pairs were not searched.
    """

    verdict: Verdict
    score: float
    reasons: tuple[str, ...]
    target_labels: tuple[int, ...]
    labels: tuple[LabelReport, ...]
    model: ModelFacts
    images: ImageFacts
    cost: CostFacts
    preset: str
    seed: int
    versions: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    all_to_all: AllToAllReport | None = None
    pair: PairReport | None = None
    triggers: Mapping[int, Trigger] = field(default_factory=dict, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data that JSON can hold; the triggers' arrays are left out."""
        facts: dict[str, Any] = {"schema_version": SCHEMA_VERSION}
        for name in (f for f in self.__dataclass_fields__ if f != "triggers"):
            facts[name] = plain(getattr(self, name))
        return facts

    def save_json(self, path: str | Path) -> None:
        """Write the report as JSON, whole or not at all.

        Raises:
            OutputError: the file cannot be written.
        """
        write_json(self.to_dict(), Path(path))


def write_json(content: Any, path: Path) -> None:
    """Write plain data as JSON, whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    with written_whole(path, "report") as partial:
        partial.write_text(text, encoding="utf-8")


def plain(value: Any) -> Any:
    """Return dataclasses, mappings and sequences as what JSON can hold; what is not finite becomes None."""
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
