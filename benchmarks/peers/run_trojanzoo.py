"""Runs TrojanZoo's Neural Cleanse.

TrojanZoo inspects networks that it has trained and attacked itself. Here its dataset holds the benchmark's images,
both to search and to validate on, its model wraps the benchmark's network, and its attack is one that was never run.
An epoch of its search is one pass over the training images: the variant `default` keeps its 10 epochs, `full` takes as
many passes over the images as add up to 10 over the 50,000 training images of CIFAR-10.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import torch
import trojanvision
from measure import Meter, Outcome, Task, neural_cleanse_outcome, read_task
from PIL.Image import Image
from torch import Tensor, nn
from torchvision.transforms.functional import to_pil_image
from trojanvision.datasets import ImageSet
from trojanvision.defenses import NeuralCleanse
from trojanvision.models import ImageModel

import goodnet
from goodnet.classifier import Classifier

Transform = Callable[[Image], Tensor]
PACKAGES = "trojanzoo", "torch"
BATCH_SIZE = 96
"""Of TrojanZoo's configuration for CIFAR-10 and GTSRB."""

EPOCHS = 10
TRAINING_IMAGES = 50_000


class Images(ImageSet):
    """The benchmark's images, given to TrojanZoo with the transforms it has for images of 32 x 32 pixels."""

    name = "benchmark"
    data_type = "image"
    valid_set = True

    def __init__(self, task: Task) -> None:
        self.task = task
        self.num_classes = task.probabilities.shape[1]
        self.data_shape = list(task.images.shape[1:])
        super().__init__(batch_size=BATCH_SIZE, num_workers=0)

    def _get_org_dataset(self, mode: str, transform: Transform | None = None, **_: Any) -> Transformed:
        images = [to_pil_image(torch.from_numpy(image)) for image in self.task.images]
        return Transformed(images, self.task.classes.tolist(), transform)


class Transformed(torch.utils.data.Dataset):
    """Images with their classes, transformed anew each time."""

    def __init__(self, images: list[Image], classes: list[int], transform: Transform) -> None:
        self.images, self.classes, self.transform = images, classes, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index]), self.classes[index]


class Counted(nn.Module):
    """A network that tells the meter of each image that comes back through it."""

    def __init__(self, classifier: Classifier, meter: Meter) -> None:
        super().__init__()
        self.network, self.classifier, self.meter = classifier.network, classifier, meter

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (n, N) for images (n, C, H, W) in 0..1."""
        logits = self.classifier.logits(images)
        if logits.requires_grad:
            logits.register_hook(lambda gradient: self.meter.count(len(gradient)))
        return logits


def run(task: Task) -> Outcome:
    """Search for triggers with all settings but the number of passes as they ship."""
    meter = Meter(task.labels, task.seconds)
    network = Counted(goodnet.load_model(task.network), meter)
    with torch.no_grad():
        task.check(network(torch.from_numpy(task.images)).softmax(1).numpy())
    passes = EPOCHS if task.variant == "default" else math.ceil(EPOCHS * TRAINING_IMAGES / len(task.images))
    trojanvision.environ.create(device="cpu", seed=task.seed)
    dataset = Images(task)
    model = ImageModel(name="benchmark", model=network, dataset=dataset, modify_first_layer_channel=False)
    mark = trojanvision.marks.create(dataset=dataset)
    with tempfile.TemporaryDirectory() as folder:
        both = {"dataset": dataset, "model": model, "folder_path": folder}
        attack = trojanvision.attacks.create("badnet", mark=mark, **both)
        defence = trojanvision.defenses.create(
            "neural_cleanse", attack=attack, original=True, defense_remask_epoch=passes, **both
        )
        with patch.object(NeuralCleanse, "optimize_mark", watched(meter)), meter:
            defence.detect()
    return neural_cleanse_outcome(
        meter, dataset.num_classes, PACKAGES, passes * len(task.images), [f"{passes} passes over the images"]
    )


def watched(meter: Meter) -> Callable[..., tuple[Tensor, float]]:
    """Return TrojanZoo's search for one label's trigger, with the meter told of it."""
    search = NeuralCleanse.optimize_mark

    def optimize_mark(self: NeuralCleanse, label: int, **options: Any) -> tuple[Tensor, float]:
        meter.begin(label)
        mark, loss = search(self, label, **options)
        meter.finish(label, float(mark[-1].norm(p=1)))
        return mark, loss

    return optimize_mark


if __name__ == "__main__":
    task = read_task()
    torch.set_num_threads(1)
    run(task).write(task.record)
