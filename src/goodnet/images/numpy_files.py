"""Image sets in .npz and .npy files. Pickled objects inside them are never read."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import IO, cast

import numpy as np

from goodnet.errors import ImagesError
from goodnet.images.names import choose_arrays
from goodnet.images.raw import Array, RawImages, Request, begins_with

_UNREADABLE = (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError)


def recognises(source: object) -> bool:
    """Whether `source` is a zip archive (.npz) or an .npy file, by content."""
    return begins_with(source, b"\x93NUMPY", b"PK\x03\x04", b"PK\x05\x06")


def read(source: object, request: Request) -> RawImages:
    """Read an image set from an .npz file (named arrays) or an .npy file (one array, no labels)."""
    path = cast(Path, source)
    notes: tuple[str, ...] = ()
    if begins_with(path, b"\x93NUMPY"):
        images, labels = _read_npy(path), None
    else:
        images, labels, notes = _read_npz(path, request)
    if images.ndim == 0:
        raise ImagesError(f"{path}: expected an array of images, got a single number")
    return RawImages(len(images), lambda indices: np.asarray(images[indices]), labels, str(path), (), notes)


def _read_npy(path: Path) -> Array:
    try:
        return cast(Array, np.load(path, mmap_mode="r", allow_pickle=False))
    except _UNREADABLE as error:
        raise ImagesError(f"{path}: {_reason(error)}") from error


def _read_npz(path: Path, request: Request) -> tuple[Array, Array | None, tuple[str, ...]]:
    try:
        with zipfile.ZipFile(path) as archive:
            shapes = {
                name.removesuffix(".npy"): _shape(archive.open(name))
                for name in archive.namelist()
                if name.endswith(".npy")
            }
            others = len(archive.namelist()) - len(shapes)
        if not shapes:
            raise ImagesError(f"{path} is a zip archive without arrays ({others} other files), not an .npz image set")
        image_key, label_key = choose_arrays(shapes, request, str(path))
        with np.load(path, allow_pickle=False) as arrays:
            labels = None if label_key is None else arrays[label_key]
            return arrays[image_key], labels, (f"images: {image_key}, labels: {label_key or 'none'}",)
    except _UNREADABLE as error:
        raise ImagesError(f"{path}: {_reason(error)}") from error


def _shape(file: IO[bytes]) -> tuple[int, ...]:
    """The shape in an .npy header, without reading the array."""
    with file:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            return np.lib.format.read_array_header_1_0(file)[0]
        return np.lib.format.read_array_header_2_0(file)[0]


def _reason(error: Exception) -> str:
    if "pickle" in str(error).lower():
        return (
            "the array holds pickled Python objects, which goodnet does not read because they can run code; "
            "save it as plain numbers"
        )
    return f"the file is truncated or damaged ({error or type(error).__name__})"
