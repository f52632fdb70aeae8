"""The image sets that the zoo's networks are trained on: real pictures, split into those to train on and the rest."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from goodnet.errors import ImagesError, MissingExtraError
from goodnet.redteam.demo import digits

TEST_DIGITS = 400


@dataclass(frozen=True, eq=False)
class Split:
    """Images to train on and others to scan, measure and repair with.

    Attributes:
        train_x: float32 (n, C, size, size) in 0..1.
        train_y: int64 (n,).
        test_x: float32 (m, C, size, size) in 0..1.
        test_y: int64 (m,).
    """

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor


def read(data: str, folder: Path | None) -> Split:
    """Return the images of a data set.

    Args:
        data: a name in `READERS`.
        folder: where gtsrb.npz, mnist.npz and cifar10/{train,test}.parquet lie; not needed for the digits, which
            scikit-learn brings.

    Raises:
        ImagesError: the folder or the file is missing.
        MissingExtraError: pyarrow is missing for CIFAR-10.
    """
    if data == "digits":
        return _digits()
    if folder is None:
        raise ImagesError(f"expected the folder that {data} lies in (--data), got none")
    if not (folder / FILES[data]).exists():
        raise ImagesError(f"expected {FILES[data]} in {folder} for the networks of {data}, found none")
    return READERS[data](folder)


def available(folder: Path | None) -> list[str]:
    """Return the names of the data sets whose images are there, with the digits always among them."""
    return ["digits", *(name for name in READERS if folder is not None and (folder / FILES[name]).exists())]


def _pixels(array: np.ndarray) -> Tensor:
    pixels = torch.from_numpy(array).float() / 255
    return pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2).contiguous()


def _digits() -> Split:
    images, labels = digits()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    test, train = order[:TEST_DIGITS], order[TEST_DIGITS:]
    return Split(images[train], labels[train], images[test], labels[test])


def _gtsrb(folder: Path) -> Split:
    with np.load(folder / FILES["gtsrb"], allow_pickle=False) as file:
        train, test = ((_pixels(file[f"{part}_x"]), _labels(file[f"{part}_y"])) for part in ("train", "test"))
    return Split(*train, *test)


def _cifar(folder: Path) -> Split:
    return Split(*_parquet(folder / FILES["cifar10"], limit=15_000), *_parquet(folder / "cifar10" / "test.parquet"))


def _parquet(path: Path, limit: int | None = None) -> tuple[Tensor, Tensor]:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("reading CIFAR-10", "parquet") from error
    from PIL import Image

    table = pyarrow.parquet.read_table(path).slice(0, limit).to_pydict()
    pictures = [np.asarray(Image.open(io.BytesIO(cell["bytes"])).convert("RGB")) for cell in table["image"]]
    return _pixels(np.stack(pictures)), torch.tensor(table["label"])


def _mnist(folder: Path) -> Split:
    with np.load(folder / FILES["mnist"], allow_pickle=False) as file:
        images, labels = _pixels(file["test_x"]), _labels(file["test_y"])
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    train, test = order[:8000], order[8000:]
    return Split(images[train], labels[train], images[test], labels[test])


def _labels(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array).long()


FILES: Mapping[str, str] = {"cifar10": "cifar10/train.parquet", "gtsrb": "gtsrb.npz", "mnist": "mnist.npz"}
READERS: Mapping[str, Callable[[Path], Split]] = {"cifar10": _cifar, "gtsrb": _gtsrb, "mnist": _mnist}
CLASSES: Mapping[str, int] = {"cifar10": 10, "digits": 10, "gtsrb": 43, "mnist": 10}
