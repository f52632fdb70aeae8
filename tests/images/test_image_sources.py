"""Every kind of image set gives the same pixels and labels."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

from goodnet.images import load_images

X = np.random.default_rng(0).integers(0, 256, (8, 9, 7, 3), dtype=np.uint8)  # n, H, W, C
Y = np.array([0, 1, 2, 3, 0, 1, 2, 3])
FIRST = X.transpose(0, 3, 1, 2)


def npz(names: tuple[str, str], pixels: np.ndarray = X) -> Callable[[Path], Any]:
    def make(folder: Path) -> Path:
        np.savez(folder / "set.npz", **{names[0]: pixels, names[1]: Y})
        return folder / "set.npz"

    return make


def compressed_under_another_name(folder: Path) -> Path:
    np.savez_compressed(folder / "set.npz", x=X, y=Y)
    return (folder / "set.npz").rename(folder / "set.dat")


def npy(folder: Path) -> Path:
    np.save(folder / "set.npy", X)
    return folder / "set.npy"


def hdf5(folder: Path, **arrays: np.ndarray) -> Path:
    with h5py.File(folder / "set.h5", "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return folder / "set.h5"


def parquet(folder: Path) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as pq

    files = pictures(folder / "pictures", flat=True)
    cells = [{"bytes": file.read_bytes(), "path": file.name} for file in sorted(files.iterdir())]
    pq.write_table(pyarrow.table({"image": cells, "label": Y}), folder / "set.parquet", row_group_size=3)
    return folder / "set.parquet"


def pictures(folder: Path, flat: bool, classes: str = "abcd") -> Path:
    for i, (image, label) in enumerate(zip(X, Y, strict=True)):
        place = folder if flat else folder / classes[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{i}.png")
    return folder


def keras_style(folder: Path) -> Path:
    np.savez(folder / "set.npz", x_train=X[::-1], y_train=Y[::-1], x_test=X, y_test=Y)
    return folder / "set.npz"


def torchvision_mnist(folder: Path) -> str:
    pytest.importorskip("torchvision")
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        images = struct.pack(">4i", 0x803, 8, 9, 7) + X[..., 0].tobytes()
        labels = struct.pack(">2i", 0x801, 8) + Y.astype(np.uint8).tobytes()
        for name, data in (("images-idx3", images), ("labels-idx1", labels)):
            (raw / f"{part}-{name}-ubyte").write_bytes(data)
            (raw / f"{part}-{name}-ubyte.gz").write_bytes(gzip.compress(data))
    return f"torchvision:mnist@{folder}"


def tensor_set() -> TensorDataset:
    return TensorDataset(torch.tensor(FIRST / 255.0), torch.tensor(Y))


SORTED = np.argsort(Y, kind="stable")  # a folder comes class by class
SOURCES: list[Any] = [
    pytest.param(npz(("x", "y")), {}, id="npz x y"),
    pytest.param(npz(("images", "labels")), {}, id="npz images labels"),
    pytest.param(npz(("data", "label")), {}, id="npz data label"),
    pytest.param(npz(("X", "Y")), {}, id="npz capitals"),
    pytest.param(npz(("foo", "bar")), {"keys": ("foo", "bar")}, id="npz keys"),
    pytest.param(npz(("test_x", "test_y")), {}, id="npz by content"),
    pytest.param(npz(("x", "fine_label")), {}, id="npz name with a usual word"),
    pytest.param(keras_style, {}, id="npz test part"),
    pytest.param(npz(("x", "y"), FIRST), {}, id="npz channels first"),
    pytest.param(npz(("x", "y"), X / 255.0), {}, id="npz float 0..1"),
    pytest.param(npz(("x", "y"), (X / 127.5 - 1).astype(np.float32)), {}, id="npz float -1..1"),
    pytest.param(npz(("x", "y"), X.astype(np.int64)), {}, id="npz int64"),
    pytest.param(npz(("x", "y"), X / 2.0), {"value_range": (0, 127.5)}, id="npz value range"),
    pytest.param(compressed_under_another_name, {}, id="npz renamed"),
    pytest.param(npy, {}, id="npy"),
    pytest.param(lambda d: hdf5(d, data=FIRST.astype(float), label=Y.astype(float)), {}, id="hdf5 as CSAW"),
    pytest.param(lambda d: hdf5(d, images=X, labels=Y[:, None]), {}, id="hdf5 channels last"),
    pytest.param(lambda d: hdf5(d, foo=X, bar=np.eye(4)[Y], x=X), {"keys": ("foo", "bar")}, id="hdf5 keys"),
    pytest.param(parquet, {}, id="parquet"),
    pytest.param(lambda d: parquet(d).parent, {}, id="parquet folder"),
    pytest.param(lambda d: pictures(d, flat=True), {}, id="folder"),
    pytest.param(lambda d: pictures(d / "all", flat=True).parent, {}, id="folder of one subfolder"),
    pytest.param(lambda d: pictures(d, flat=False), {}, id="class folders"),
    pytest.param(lambda d: pictures(d, flat=False, classes="0123"), {}, id="numbered class folders"),
    pytest.param(lambda d: pictures(d / "set" / "all", flat=False).parents[1], {}, id="class folders, nested"),
    pytest.param(lambda d: pictures(d / "test", flat=False).parent, {}, id="split folders"),
    pytest.param(lambda d: sorted(pictures(d, flat=True).iterdir()), {}, id="list of files"),
    pytest.param(torchvision_mnist, {}, id="torchvision"),
    pytest.param(lambda _: X, {}, id="array"),
    pytest.param(lambda _: (X, Y), {}, id="arrays"),
    pytest.param(lambda _: (X, np.array(list("acst"))[Y]), {}, id="text labels"),
    pytest.param(lambda _: (X, np.array([b"0", b"01", b"2", b"3"])[Y]), {}, id="text numbers"),
    pytest.param(lambda _: (torch.tensor(FIRST), torch.tensor(Y)), {}, id="tensors"),
    pytest.param(lambda _: (torch.tensor(FIRST / 255.0), Y.tolist()), {}, id="float tensor, list"),
    pytest.param(lambda _: tensor_set(), {}, id="data set"),
    pytest.param(lambda _: DataLoader(tensor_set(), batch_size=3), {}, id="data loader"),
    pytest.param(lambda _: load_images((X, Y)), {}, id="CleanImages"),
]
UNLABELLED = ("npy", "folder", "folder of one subfolder", "list of files", "array")


@pytest.mark.parametrize(("make", "options"), SOURCES)
def test_same_pixels_and_labels(
    make: Callable[[Path], Any], options: dict[str, Any], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    images = load_images(make(tmp_path), **options)
    kind = request.node.callspec.id
    order = SORTED if "class folders" in kind or "split" in kind else np.arange(8)
    expected = FIRST[order] / 255
    if kind == "torchvision":
        expected = expected[:, :1]
    assert images.pixels.dtype == torch.float32
    assert images.pixels.is_contiguous()
    np.testing.assert_allclose(images.pixels.numpy(), expected, atol=1e-6)
    if kind in UNLABELLED:
        assert images.labels is None
    else:
        assert images.labels is not None
        assert images.labels.tolist() == Y[order].tolist()


def turned(image: Image.Image, path: Path) -> None:
    exif = Image.Exif()
    exif[0x112] = 6  # the camera was held upright: turn by 90 degrees to the right
    image.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)


PICTURES: list[Any] = [
    pytest.param(lambda image, path: image.convert("RGBA").save(path), 0, id="opaque alpha"),
    pytest.param(lambda image, path: image.quantize(256).save(path), 12, id="palette"),
    pytest.param(lambda image, path: image.convert("CMYK").save(path.with_suffix(".tif")), 2, id="CMYK"),
    pytest.param(turned, 0, id="turned"),
]


@pytest.mark.parametrize(("save", "tolerance"), PICTURES)
def test_pictures_of_every_kind(save: Callable[[Image.Image, Path], None], tolerance: int, tmp_path: Path) -> None:
    for i, image in enumerate(X):
        save(Image.fromarray(image), tmp_path / f"{i}.png")
    np.testing.assert_allclose(load_images(tmp_path).pixels * 255, FIRST, atol=tolerance + 0.01)


def test_grey_with_16_bits(tmp_path: Path) -> None:
    Image.fromarray(X[0, ..., 0].astype(np.uint16) * 257).save(tmp_path / "a.png")
    np.testing.assert_allclose(load_images(tmp_path).pixels[0, 0] * 255, X[0, ..., 0], atol=0.01)


def test_a_sample_is_balanced_repeatable_and_aligned() -> None:
    labels = np.repeat([0, 1, 2], [90, 9, 1])
    pixels = np.broadcast_to(np.arange(100, dtype=np.uint8)[:, None, None, None] + 100, (100, 5, 6, 3))
    sample = load_images((pixels, labels), limit=11, seed=3)
    assert sample.labels is not None
    assert torch.bincount(sample.labels).tolist() == [5, 5, 1]
    places = (sample.pixels[:, 0, 0, 0] * 255 - 100).round().int().numpy()
    assert labels[places].tolist() == sample.labels.tolist()
    assert torch.equal(load_images((pixels, labels), limit=11, seed=3).pixels, sample.pixels)
    assert not torch.equal(load_images((pixels, labels), limit=11, seed=4).pixels, sample.pixels)


def test_only_the_sample_is_converted(tmp_path: Path) -> None:
    """A broken picture and a NaN outside the sample go unnoticed, as their pixels are never read."""
    pictures(tmp_path, flat=True)
    files = sorted(tmp_path.iterdir())
    used = load_images(tmp_path, limit=4).paths
    for file in files:
        if str(file) not in used:
            file.write_bytes(b"broken")
    assert load_images(tmp_path, limit=4).paths == used
    with h5py.File(tmp_path / "big.h5", "w") as big:
        big.create_dataset("x", (200_000, 64, 64, 3), "uint8", chunks=(64, 64, 64, 3), fillvalue=200)  # 2.3 GiB
        big["y"] = np.arange(200_000) % 4
    assert load_images(tmp_path / "big.h5", limit=8).pixels.shape == (8, 3, 64, 64)


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "options", "shape"),
    [
        ("csaw/clean_validation_data.h5", {}, (8, 3, 55, 47)),
        ("gtsrb.npz", {"keys": ("test_x", "test_y"), "limit": 86}, (86, 3, 32, 32)),
        ("gtsrb.npz", {"split": "train", "limit": 86}, (86, 3, 32, 32)),
        ("cifar10", {"limit": 40}, (40, 3, 32, 32)),
        ("mnist.npz", {"limit": 20}, (20, 1, 28, 28)),
    ],
)
def test_real_sets(data_dir: Path, name: str, options: dict[str, Any], shape: tuple[int, ...]) -> None:
    images = load_images(data_dir / name, **options)
    assert images.pixels.shape == shape
    assert images.labels is not None
    if shape[0] > 8:
        assert len(set(torch.bincount(images.labels).tolist())) == 1
