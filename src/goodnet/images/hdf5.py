"""Image sets in HDF5 files, such as the CSAW-HackML-2020 ones."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import h5py
import numpy as np

from goodnet.errors import ImagesError
from goodnet.images.names import choose_arrays
from goodnet.images.raw import Array, Indices, RawImages, Request, begins_with


def recognises(source: object) -> bool:
    """Whether `source` is an HDF5 file, by content."""
    # The signature alone as well: h5py does not recognise a truncated file.
    return begins_with(source, b"\x89HDF\r\n\x1a\n") or (
        isinstance(source, Path) and source.is_file() and bool(h5py.is_hdf5(source))
    )


def read(source: object, request: Request) -> RawImages:
    """Read an image set from the data sets of an HDF5 file; only the chosen rows are read."""
    path = cast(Path, source)
    shapes: dict[str, tuple[int, ...]] = {}

    def collect(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset):
            shapes[name] = node.shape

    try:
        with h5py.File(path, "r") as file:
            if "model_weights" in file or "layer_names" in file.attrs:
                raise ImagesError(f"{path} is a Keras model, not an image set")
            file.visititems(collect)
            image_key, label_key = choose_arrays(shapes, request, str(path))
            if not shapes[image_key]:
                raise ImagesError(f"{path}: expected an array of images in {image_key!r}, got a single number")
            labels = None if label_key is None else np.asarray(file[label_key][()])
    except OSError as error:
        raise _damaged(path, error) from error

    def rows(indices: Indices) -> Array:
        try:
            with h5py.File(path, "r") as file:
                if len(indices) and indices[-1] - indices[0] == len(indices) - 1:
                    return np.asarray(file[image_key][indices[0] : indices[-1] + 1])
                return np.asarray(file[image_key][indices])
        except OSError as error:
            raise _damaged(path, error) from error

    note = f"images: {image_key}, labels: {label_key or 'none'}"
    return RawImages(shapes[image_key][0], rows, labels, str(path), (), (note,))


def _damaged(path: Path, error: OSError) -> ImagesError:
    return ImagesError(f"{path}: the file is truncated or damaged ({error})")
