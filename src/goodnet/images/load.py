"""load_images: the one door for image sets, and the registry of their readers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from goodnet.classifier import PartialShape
from goodnet.errors import ImagesError
from goodnet.images import arrays, dataset, folder, hdf5, numpy_files, parquet
from goodnet.images.clean import CleanImages
from goodnet.images.labels import class_indices, describe_names
from goodnet.images.layout import channels_first
from goodnet.images.raw import RawImages, Request, begins_with
from goodnet.images.sampling import choose
from goodnet.images.values import Float32, to_unit


@dataclass(frozen=True)
class Reader:
    """One kind of image set: how to tell it, and how to open it."""

    name: str
    recognises: Callable[[object], bool]
    read: Callable[[object, Request], RawImages]


# In this order: a folder of parquet files is a folder too.
READERS = (
    Reader("an array, a tensor or a pair (x, y)", arrays.recognises, arrays.read),
    Reader("a torch data set or torchvision:NAME@ROOT", dataset.recognises, dataset.read),
    Reader(".npz or .npy", numpy_files.recognises, numpy_files.read),
    Reader("HDF5", hdf5.recognises, hdf5.read),
    Reader("Hugging Face image parquet", parquet.recognises, parquet.read),
    Reader("pictures or a folder of them", folder.recognises, folder.read),
)


def load_images(
    source: object,
    *,
    keys: Sequence[str] | None = None,
    labels: bool = True,
    limit: int | None = None,
    seed: int = 0,
    split: str = "test",
    shape: PartialShape | None = None,
    resize: bool = False,
    value_range: tuple[float, float] | None = None,
    download: bool = False,
) -> CleanImages:
    """Read an image set of any kind: pixels to float32 (n, C, H, W) in 0..1, labels to class indices.

    Args:
        source: path of an .npz, .npy, HDF5 or parquet file, of a folder of pictures (with or without a
            subfolder a class) or of parquet shards, of a picture or a list of them, whatever their suffixes;
            "torchvision:NAME@ROOT"; an array or tensor; a pair (images, labels); a map-style torch data set;
            or CleanImages.
        keys: names of the image array and, if any, of the label array, where they are not the usual ones.
        labels: whether to take the set's labels; False passes over them, however wrong they are.
        limit: at most so many images, class-balanced where there are labels. Only these are decoded.
        seed: of that sample.
        split: the part to read of sets that come in several.
        shape: (C, H, W) of the model's input, None where open; settles a layout that can be read two ways.
        resize: bring pictures of different sizes to one: that of `shape`, or else the commonest.
        value_range: the values of black and white, where they cannot be told.
        download: whether torchvision may fetch the set.

    Raises:
        ImagesError: the set cannot be read, or not in one way only. The message says what to do.
        MissingExtraError: an optional package is needed.

    >>> images = load_images((np.zeros((2, 8, 8, 3), np.float32), [0, 1]))
    >>> images.shape, images.labels.tolist()
    ((3, 8, 8), [0, 1])
    """
    if isinstance(source, CleanImages):
        known = source if labels else source.unlabelled()
        return known.take(choose(None if known.labels is None else known.labels.numpy(), len(known), limit, seed))
    request = Request(None if keys is None else tuple(keys), labels, limit, seed, split, shape, resize, download)
    raw = _open(source, request)
    if raw.count == 0:
        raise ImagesError(f"{raw.source} holds no images")
    given = raw.labels if labels else None
    classes = None if given is None else class_indices(given, raw.count, raw.source)
    chosen = choose(classes, raw.count, limit, seed)
    laid_out, layout_note = channels_first(raw.read(chosen), shape, raw.source)
    if laid_out.size == 0:
        raise ImagesError(f"{raw.source} holds images without pixels: {laid_out.shape}")
    unit, value_note = to_unit(laid_out, value_range, chosen, raw.source)
    notes = [*raw.notes, *(() if given is None else describe_names(given)), layout_note, value_note]
    if unit.shape[1] == 4 and (shape is None or shape[0] != 4):
        unit = _without_alpha(unit, raw.source)
        notes.append("dropped the alpha channel, which is opaque everywhere")
    if len(chosen) < raw.count:
        notes.append(
            f"took {len(chosen)} of {raw.count} images, {'at random' if classes is None else 'class-balanced'}"
        )
    return CleanImages(
        pixels=torch.from_numpy(np.ascontiguousarray(unit)),
        labels=None if classes is None else torch.from_numpy(classes[chosen]),
        source=raw.source,
        paths=tuple(raw.paths[i] for i in chosen) if raw.paths else (),
        notes=tuple(notes),
    )


def _open(source: object, request: Request) -> RawImages:
    """Hand `source` to the reader that recognises it."""
    if isinstance(source, str) and not source.startswith("torchvision:"):
        source = Path(source)
    if isinstance(source, Path):
        source = source.expanduser()
        if not source.name and not source.is_absolute():
            raise ImagesError("expected the path of an image set, got the current folder or no path at all")
        if not source.exists():
            raise ImagesError(f"there is no file or folder {source}")
    try:
        for reader in READERS:
            if reader.recognises(source):
                return reader.read(source, request)
        raise ImagesError(_unknown(source))
    except OSError as error:
        raise ImagesError(f"cannot read {source}: {error.strerror or error}") from error


def _unknown(source: object) -> str:
    known = "; ".join(reader.name for reader in READERS)
    if not isinstance(source, Path):
        return f"cannot read images from a {type(source).__name__}; expected a path, or {known}"
    if source.stat().st_size == 0:
        return f"{source} is empty"
    if begins_with(source, b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        return f"{source} is a Python pickle, which can run code and is not read; save the arrays as .npz"
    return f"{source} is no image set that goodnet knows by its content; expected {known}"


def _without_alpha(unit: Float32, source: str) -> Float32:
    if not (unit[:, 3] == 1).all():
        raise ImagesError(
            f"{source}: the images have a fourth channel that is not opaque alpha; give images with 1 or 3 "
            "channels, transparent ones put on a background first"
        )
    return unit[:, :3]
