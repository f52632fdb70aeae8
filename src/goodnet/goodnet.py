"""GoodNet: the repaired classifier over N + 1 classes; class N means "backdoored input"."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from goodnet.classifier import Classifier, Shape
from goodnet.errors import ImagesError, ModelError
from goodnet.explain import Explanation, explain
from goodnet.images import CleanImages, fit_to, load_images

if TYPE_CHECKING:
    from goodnet.report.repair import RepairReport

FACTS_VERSION = 1
BATCH = 128


@dataclass(frozen=True)
class GoodNetFacts:
    """What a GoodNet says of itself; it travels inside the saved file.

    Attributes:
        num_classes: N, without the class of backdoored inputs.
        input_shape: (C, H, W) of an image in 0..1; preprocessing is part of the network.
        target_labels: the labels whose inputs are judged; empty for a network that needed no repair.
        changed: whether anything was repaired.
        false_positive_rate: what the filter was set to, 0..1.
        original: file name of the network it was made from.
        original_sha256: digest of that file.
        goodnet: the version that made it.
    """

    num_classes: int
    input_shape: Shape
    target_labels: tuple[int, ...]
    changed: bool
    false_positive_rate: float
    original: str
    original_sha256: str
    goodnet: str

    def to_json(self) -> str:
        """Return the facts as JSON."""
        return json.dumps({"facts_version": FACTS_VERSION, **dataclasses.asdict(self)})

    @classmethod
    def from_json(cls, text: str) -> GoodNetFacts:
        """Return the facts that `to_json` wrote down.

        Raises:
            ModelError: they are damaged, or of a version that this goodnet does not know.
        """
        try:
            plain: Mapping[str, Any] = json.loads(text)
            if plain["facts_version"] != FACTS_VERSION:
                raise ModelError(f"expected a GoodNet of version {FACTS_VERSION}, got {plain['facts_version']}")
            channels, height, width = (int(size) for size in plain["input_shape"])
            return cls(
                num_classes=int(plain["num_classes"]),
                input_shape=(channels, height, width),
                target_labels=tuple(int(label) for label in plain["target_labels"]),
                changed=bool(plain["changed"]),
                false_positive_rate=float(plain["false_positive_rate"]),
                original=str(plain["original"]),
                original_sha256=str(plain["original_sha256"]),
                goodnet=str(plain["goodnet"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(f"the file's notes on the GoodNet are damaged: {error}") from error


@dataclass(frozen=True, eq=False)
class GoodNet:
    """A classifier over N + 1 classes, of which class N means that the input carries a trigger.

    `repair` makes one, `load_goodnet` reads one back.

    Attributes:
        network: takes images (B, C, H, W) in 0..1, returns scores (B, N + 1), logits.
        facts: what it says of itself.
        report: of the repair; None after loading.
        repaired: the repaired network by itself, over N classes and without the filter; None after loading. It is the
            BadNet itself where nothing had to be repaired.
        badnet: the network it was made from; None after loading.
        device: where the network lives.
    """

    network: nn.Module
    facts: GoodNetFacts
    report: RepairReport | None = None
    repaired: Classifier | None = None
    badnet: Classifier | None = None
    device: torch.device = dataclasses.field(default_factory=lambda: torch.device("cpu"))

    @property
    def num_classes(self) -> int:
        """N: the classes without that of backdoored inputs, which is number N itself."""
        return self.facts.num_classes

    @torch.no_grad()
    def scores(self, images: object) -> Tensor:
        """Return float32 scores (n, N + 1), logits, for images as `predict` takes them."""
        pixels = self._pixels(images)
        rows = [self.network(batch.to(self.device)).float().cpu() for batch in pixels.split(BATCH)]
        return torch.cat(rows) if rows else torch.zeros(0, self.num_classes + 1)

    def predict(self, images: object, *, filter: bool = True) -> Tensor:  # noqa: A002 - the field's word
        """Return the class of each image, int64 (n,): 0..N - 1, or N for a backdoored input.

        Args:
            images: float tensor (n, C, H, W) or (C, H, W) in 0..1, CleanImages, or whatever `load_images` reads.
            filter: whether inputs may be called backdoored; without, each gets the class the repaired network gives it.

        Raises:
            ImagesError: the images cannot be read or do not fit the network.
        """
        scores = self.scores(images)
        return (scores if filter else scores[:, :-1]).argmax(1)

    def predict_proba(self, images: object) -> Tensor:
        """Return probabilities (n, N + 1), float32 in 0..1, for images as `predict` takes them."""
        return self.scores(images).softmax(1)

    def explain(self, images: object) -> list[Explanation]:
        """Return for each image why it was called backdoored or not, with the place of its trigger and a picture."""
        return [explain(self, each) for each in self._pixels(images)]

    def save(self, path: str | Path) -> None:
        """Write the GoodNet as one self-contained file: `.onnx`, `.pt2` or `.ts` (TorchScript), or
        `.keras` where it came from Keras.

        Raises:
            OutputError: the file cannot be written; nothing is left half-written.
            ModelError: the network cannot be exported in that format.
            MissingExtraError: an optional package is needed.
        """
        from goodnet.export import save

        save(self, Path(path))

    def _pixels(self, images: object) -> Tensor:
        channels, height, width = shape = self.facts.input_shape
        if isinstance(images, Tensor) and images.is_floating_point():
            pixels = images.unsqueeze(0) if images.ndim == 3 else images
            if pixels.ndim != 4 or tuple(pixels.shape[1:]) != shape:
                got = "x".join(map(str, images.shape))
                raise ImagesError(f"expected images of shape (n, {channels}, {height}, {width}), got {got}")
            if pixels.numel() and not (float(pixels.min()) >= -1e-4 and float(pixels.max()) <= 1 + 1e-4):
                raise ImagesError(f"expected pixels in 0..1, got {float(pixels.min()):g}..{float(pixels.max()):g}")
            return pixels.float()
        read = images if isinstance(images, CleanImages) else load_images(images, shape=shape)
        return fit_to(read, shape).pixels
