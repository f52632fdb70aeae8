"""What is wrong with an image set is said in words that help."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from goodnet.errors import ImagesError
from goodnet.images import CleanImages, check_labels, fit_to, load_images

X = np.random.default_rng(0).integers(0, 256, (8, 9, 7, 3), dtype=np.uint8)
Y = np.arange(8) % 4


def saved(folder: Path, **arrays: Any) -> Path:
    np.savez_compressed(folder / "set.npz", **arrays)
    return folder / "set.npz"


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def written(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def hdf5(folder: Path) -> Path:
    with h5py.File(folder / "set.h5", "w") as file:
        file["data"], file["label"] = X, Y
    return folder / "set.h5"


def picture(path: Path, size: tuple[int, int] = (7, 9), mode: str = "L") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise(size, 80).convert(mode).save(path)
    return path


def empty_class(folder: Path) -> Path:
    for name in "abc":
        picture(folder / name / "1.png")
    (folder / "a" / "1.png").unlink()
    return folder


def two_sizes(folder: Path) -> Path:
    return picture(picture(folder / "a.png").with_name("b.png"), (5, 5)).parent


def mixed(folder: Path) -> Path:
    return picture(picture(folder / "class" / "a.png").parents[1] / "b.png").parent


def with_nan(value: float) -> np.ndarray:
    pixels = X / 255.0
    pixels[5, 0, 0, 0] = value
    return pixels


BAD: list[Any] = [
    pytest.param(lambda d: d / "no.npz", "there is no file or folder .*no.npz", id="missing"),
    pytest.param(lambda d: written(d / "a.npz", b""), "a.npz is empty", id="empty file"),
    pytest.param(lambda d: cut(saved(d, x=X, y=Y)), "truncated or damaged", id="npz truncated"),
    pytest.param(lambda d: cut(hdf5(d)), "truncated or damaged", id="hdf5 truncated"),
    pytest.param(lambda d: cut(picture(d / "a.png")).parent, "a.png is not a readable picture", id="png cut"),
    pytest.param(lambda d: written(d / "a.npz", b"text" * 99), "no image set .* by its content", id="no set"),
    pytest.param(lambda d: written(d / "a.npz", b"\x80\x04x"), "pickle, which can run code", id="pickle"),
    pytest.param(lambda d: saved(d, x=np.array([{}, {}])), "pickled Python objects", id="pickle in npz"),
    pytest.param(lambda d: written(d / "set" / "a.txt", b"text").parent, "holds no pictures", id="no pictures"),
    pytest.param(mixed, "beside class subfolders", id="pictures beside classes"),
    pytest.param(two_sizes, "2 different sizes.*--resize", id="two sizes"),
    pytest.param(lambda d: saved(d, x=X[:0], y=Y[:0]), "holds no images", id="zero images"),
    pytest.param(lambda _: (X[:, :0], Y), "images without pixels", id="zero pixels"),
    pytest.param(lambda _: with_nan(np.nan), "1 pixels in 1 images are NaN.*in image 5", id="NaN"),
    pytest.param(lambda _: with_nan(np.inf), "NaN or infinite", id="infinite"),
    pytest.param(lambda _: with_nan(7.0), "from 0 to 7, expected 0..1, 0..255", id="outlier"),
    pytest.param(lambda _: X / 1000.0 * 20, "value-range", id="dark floats"),
    pytest.param(lambda _: (X / 255 - 0.45) / 0.25, "normalised by mean", id="normalised"),
    pytest.param(lambda _: X.astype(int) // 16, "from 0 to 15, expected 0 to 255", id="0..16"),
    pytest.param(lambda _: X.astype("<U3"), "pixels that are numbers", id="text pixels"),
    pytest.param(lambda _: (X, Y[:5]), "8 images and 5 labels", id="label count"),
    pytest.param(lambda _: (X, Y - 1), "whole numbers from 0, got -1", id="negative label"),
    pytest.param(lambda _: (X, Y + 0.5), "whole numbers from 0, got 0.5", id="half label"),
    pytest.param(lambda _: (X, np.array([1, "a", None] * 2 + [2, 3], object)), "got 1 at image 0", id="mixed labels"),
    pytest.param(lambda _: (X, Y.astype(complex)), "indices or names, got complex128", id="complex labels"),
    pytest.param(lambda _: (X, np.ones((8, 4))), "neither", id="not one-hot"),
    pytest.param(lambda d: saved(d, a=X, b=X, c=Y), "no array has a usual name.*--keys a,c", id="two sets"),
    pytest.param(
        lambda d: saved(d, x_train=X, y_train=Y, x_val=X, y_val=Y),
        "several arrays.*--keys x_train,y_train",
        id="splits",
    ),
    pytest.param(lambda d: saved(d, image=X, coarse_label=Y, fine_label=Y), "several arrays", id="two label sets"),
    pytest.param(lambda d: saved(d, x=X * 0, y=Y), "from 0 to 0, expected more than one value", id="black"),
    pytest.param(empty_class, "subfolder a of .* holds no pictures", id="empty class"),
    pytest.param(lambda d: picture(d / "a.tif", mode="F").parent, "floating-point pixels", id="float picture"),
    pytest.param(lambda _: "", "expected the path of an image set", id="no path"),
    pytest.param(lambda d: saved(d, x=X, images=X, y=Y), "several arrays could be", id="two names"),
    pytest.param(lambda _: X[0], "expected images as|different", id="one image"),
    pytest.param(lambda _: X.transpose(0, 3, 1, 2)[:, :, :, :3], "first or last", id="ambiguous layout"),
    pytest.param(lambda _: np.ones((8, 5, 6, 7)), "none can be the channels", id="no channel axis"),
    pytest.param(lambda _: "torchvision:nothing@x", "has no data set 'nothing'", id="torchvision name"),
    pytest.param(lambda d: f"torchvision:mnist@{d}", "--download", id="torchvision not there"),
    pytest.param(lambda d: f"torchvision:emnist@{d}", "choose with --split", id="torchvision split"),
    pytest.param(lambda _: 7, "cannot read images from a int", id="a number"),
]


@pytest.mark.parametrize(("make", "message"), BAD)
def test_bad_sets(make: Callable[[Path], Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ImagesError, match=message):
        load_images(make(tmp_path))


def test_bad_options(tmp_path: Path) -> None:
    path = saved(tmp_path, x=X, y=Y)
    for options, message in (
        ({"keys": ("x", "z")}, "no array 'z'; it has: x .*, y"),
        ({"limit": 0}, "at least 1 image, got 0"),
        ({"value_range": (0, 1)}, "expected pixels in 0..1, got 0..255"),
        ({"value_range": (3, 3)}, "different values"),
    ):
        with pytest.raises(ImagesError, match=message):
            load_images(path, **options)


def test_labels_that_are_not_wanted_may_be_wrong() -> None:
    for labels in (Y - 1, Y[:5], np.full(8, np.nan)):
        assert load_images((X, labels), labels=False).labels is None


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as pq

    picture(tmp_path / "a.png")
    encoded = (tmp_path / "a.png").read_bytes()

    def table(image: object, **columns: object) -> Path:
        folder = tmp_path / "shards"
        folder.mkdir(exist_ok=True)
        pq.write_table(pyarrow.table({"image": [image] * 2, **columns}), folder / "1.parquet")
        return folder

    for columns, message in (
        ({"image": {"bytes": None, "path": "a.png"}}, "picture in another file, a.png"),
        ({"image": [1, 2]}, "expected its encoded bytes, got list"),
        ({"image": encoded, "label": [1, None]}, "got nan at image 1"),
        ({"image": encoded, "fine_label": [0, 1], "coarse_label": [0, 0]}, "one column label, found"),
    ):
        with pytest.raises(ImagesError, match=message):
            load_images(table(**columns))
    written(table(encoded, label=[0, 1]) / "2.parquet", b"PAR1junk")
    with pytest.raises(ImagesError, match=r"2\.parquet: the parquet file is truncated or damaged"):
        load_images(tmp_path / "shards")


def test_big_pictures_are_refused_at_the_first_or_resized_one_by_one(tmp_path: Path) -> None:
    for name in "abc":
        picture(tmp_path / f"{name}.png", (70, 50))
    with pytest.raises(ImagesError, match=r"a\.png is 70 wide and 50 high, but the model wants 7 wide and 9 high"):
        load_images(tmp_path, shape=(1, 9, 7))
    assert load_images(tmp_path, shape=(1, 9, 7), resize=True).shape == (1, 9, 7)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ((1, 9, 7), "are RGB, 9 high and 7 wide, but the model wants grey.*--resize"),
        ((3, 32, 32), "wants RGB, 32 high and 32 wide.*--resize"),
        ((5, 9, 7), "wants 5-channel.*converts only between grey and RGB"),
    ],
)
def test_images_that_do_not_fit(wanted: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ImagesError, match=message):
        fit_to(load_images(X), wanted)


def test_fitting() -> None:
    images = load_images((X, Y))
    assert fit_to(images, (3, None, None)) is images
    turned = fit_to(images, (3, 7, 9))
    assert torch.equal(turned.pixels, images.pixels.transpose(2, 3))
    assert "transposed" in turned.notes[-1]
    grey = fit_to(images, (1, 9, 7), resize=True)
    pillow = np.stack([np.asarray(Image.fromarray(x).convert("L")) for x in X])
    np.testing.assert_allclose(grey.pixels[:, 0].numpy() * 255, pillow, atol=1)
    assert fit_to(images, (3, 32, 32), resize=True).shape == (3, 32, 32)


@pytest.mark.parametrize(
    ("labels", "message"),
    [([0, 9], "from 0 to 9, 1 of 2 out of range"), ([1, 4], "count from 1"), ([2, 4], "count from 1")],
)
def test_labels_out_of_range(labels: list[int], message: str) -> None:
    with pytest.raises(ImagesError, match=message):
        check_labels(load_images((X[:2], labels)), 4)


def test_one_class_only_is_a_warning() -> None:
    (warning,) = check_labels(load_images((X, np.full(8, 2))), 4)
    assert "label 2 cannot be scanned" in warning
    assert check_labels(load_images(X), 4) == ()


@pytest.mark.parametrize(
    ("pixels", "labels", "message"),
    [
        (torch.zeros(2, 3, 4), None, "float32 pixels"),
        (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), None, "got torch.uint8"),
        (torch.full((2, 3, 4, 4), 2.0), None, r"in 0..1, got 2..2"),
        (torch.full((2, 3, 4, 4), torch.nan), None, r"in 0..1, got nan"),
        (torch.zeros(2, 3, 4, 4), torch.zeros(3, dtype=torch.int64), "for 2 images"),
    ],
)
def test_clean_images_hold_what_they_promise(pixels: torch.Tensor, labels: torch.Tensor | None, message: str) -> None:
    with pytest.raises(ImagesError, match=message):
        CleanImages(pixels, labels)
