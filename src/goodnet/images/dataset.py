"""Image sets that are torch data sets, and torchvision's by name."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset

from goodnet.errors import ImagesError, MissingExtraError
from goodnet.images.arrays import as_array
from goodnet.images.labels import class_indices
from goodnet.images.pictures import as_eight_bits, stack
from goodnet.images.raw import Array, RawImages, Request
from goodnet.images.sampling import choose

_PREFIX = "torchvision:"


def recognises(source: object) -> bool:
    """Whether `source` is a torch data set or loader, or names one of torchvision (torchvision:NAME@ROOT)."""
    return isinstance(source, (Dataset, DataLoader)) or (isinstance(source, str) and source.startswith(_PREFIX))


def read(source: object, request: Request) -> RawImages:
    """Take images, and labels where items are pairs, from a map-style data set or the one of a loader.

    Only the chosen items are made. The set's own `targets` or `labels` make the sample class-balanced;
    without them it is uniform.
    """
    if isinstance(source, str):
        return _read_items(_torchvision(source, request), source, request)
    if isinstance(source, DataLoader):
        source = source.dataset
    if isinstance(source, IterableDataset) or not hasattr(source, "__len__"):
        raise ImagesError("an iterable data set cannot be sampled; pass a map-style one, or arrays (x, y)")
    return _read_items(source, type(source).__name__, request)


def _read_items(dataset: Any, source: str, request: Request) -> RawImages:
    count = len(dataset)
    chosen = choose(_targets(dataset, count, source), count, request.limit, request.seed)
    items = [dataset[int(i)] for i in chosen]
    pairs = [isinstance(item, (tuple, list)) and len(item) >= 2 for item in items]
    if any(pairs) != all(pairs):
        raise ImagesError(f"{source}: some items have a label and some have none")
    labelled = any(pairs)
    images = _stack([item[0] if labelled else item for item in items], source, request) if items else np.empty(0)
    labels = np.array([as_array(item[1]) for item in items]) if labelled else None
    # The sample is already drawn, so what is handed on is the whole of it.
    return RawImages(len(items), lambda indices: images[indices], labels, source)


def _stack(images: Sequence[object], source: str, request: Request) -> Array:
    if isinstance(images[0], Image.Image):
        pictures = [cast(Image.Image, image) for image in images]
        pictures = [as_eight_bits(picture, f"an item of {source}") for picture in pictures]
        return stack(pictures, [f"an item of {source}"] * len(pictures), request)
    arrays = [as_array(image) for image in images]
    if len({array.shape for array in arrays}) > 1:
        raise ImagesError(f"{source}: the images have different shapes; resize them in the data set's transform")
    return np.stack(arrays)


def _targets(dataset: object, count: int, source: str) -> Array | None:
    for name in ("targets", "labels"):
        values = getattr(dataset, name, None)
        if values is not None and hasattr(values, "__len__") and len(values) == count:
            return class_indices(as_array(values), count, source)
    return None


def _torchvision(source: str, request: Request) -> Dataset[Any]:
    """Open the data set that torchvision:NAME@ROOT names; ROOT is `data` where it is left out."""
    try:
        from torchvision import datasets
    except ImportError as error:
        raise MissingExtraError(f"opening {source}", "torchvision") from error
    name, _, root = source.removeprefix(_PREFIX).partition("@")
    names = {known.lower(): known for known in datasets.__all__}
    if name.lower() not in names:
        raise ImagesError(f"torchvision has no data set {name!r}; it has: {', '.join(datasets.__all__)}")
    kind = getattr(datasets, names[name.lower()])
    accepted = inspect.signature(kind).parameters
    options: dict[str, object] = {"root": root or "data", "download": request.download}
    options |= {"train": request.split == "train"} if "train" in accepted else {"split": request.split}
    if kind is datasets.FakeData:
        options = {}
    try:
        return cast("Dataset[Any]", kind(**{key: value for key, value in options.items() if key in accepted}))
    except (RuntimeError, ValueError, TypeError, OSError) as error:
        advice = "" if request.download else "; give --download (download=True) to fetch it"
        if "split" in str(error):
            advice = "; choose with --split (split=...)"
        raise ImagesError(f"cannot open {source} in {root or 'data'}: {error}{advice}") from error
