"""What every report says of the model, the images, the cost and the versions."""

from __future__ import annotations

import platform

import torch

from goodnet.classifier import Classifier
from goodnet.engine import Cost
from goodnet.images import CleanImages
from goodnet.report.schema import CostFacts, ImageFacts, ModelFacts
from goodnet.version import __version__


def model_facts(model: Classifier, settings: str) -> ModelFacts:
    """Return which model it is, with its preprocessing in words."""
    return ModelFacts(model.path, model.sha256, model.format, model.classes, model.shape, settings)


def image_facts(images: CleanImages, clean_accuracy: float | None) -> ImageFacts:
    """Return which images were used, with the model's accuracy on them, 0..1."""
    return ImageFacts(images.source, len(images), images.labels is not None, clean_accuracy)


def cost_facts(cost: Cost, seconds: float, device: torch.device, bfloat16: bool) -> CostFacts:
    """Return what a run took."""
    return CostFacts(
        image_gradients=cost.image_gradients,
        forward_passes=cost.forward_passes,
        seconds=round(seconds, 2),
        device=str(device),
        precision="bfloat16" if bfloat16 else "float32",
    )


def versions() -> dict[str, str]:
    """Return the versions of goodnet and of what a result depends on."""
    return {"goodnet": __version__, "torch": torch.__version__, "python": platform.python_version()}
