"""What is no usable model is refused with one clear message, and nothing in it is ever run."""

import io
import json
import os
import pickle
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import nn

import goodnet
from goodnet.errors import MissingExtraError, ModelError, UnsafeModelError


class Payload:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = str(target)

    def __reduce__(self):
        return (open, (self.target, "w"))


def in_a_module(path: Path, trap: Path) -> None:
    network = nn.Linear(2, 2)
    network.extra = Payload(trap)
    torch.save(network, path)


def of_a_blocked_module(path: Path, trap: Path) -> None:
    class Removes:
        def __reduce__(self):
            return (os.makedirs, (str(trap),))

    torch.save({"network": nn.Linear(2, 2), "extra": Removes()}, path)


def raw_pickle(path: Path, trap: Path) -> None:
    path.write_bytes(pickle.dumps(Payload(trap)))


def in_state_dict(path: Path, trap: Path) -> None:
    torch.save({"weight": torch.zeros(2), "extra": Payload(trap)}, path)


@pytest.mark.parametrize("make", [in_a_module, of_a_blocked_module, raw_pickle, in_state_dict])
def test_code_in_a_pickle_is_never_run(make, tmp_path: Path) -> None:
    path, trap = tmp_path / "model.pt", tmp_path / "trap"
    make(path, trap)
    with pytest.raises(UnsafeModelError, match="wants to import"):
        goodnet.load_model(path, arch="torchvision:resnet18")
    assert not trap.exists()


def test_a_network_that_holds_itself_does_not_hang_its_reader(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Linear(2, 2))
    network._modules["again"] = network
    torch.save(network, tmp_path / "model.pt")
    with pytest.raises(UnsafeModelError, match="more than 10000 modules"):
        goodnet.load_model(tmp_path / "model.pt", arch="torchvision:resnet18")


def lambda_layer(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        config = (
            '{"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": [{"module": '
            '"keras.layers", "class_name": "Lambda", "config": {"name": "evil", "function": {}}}]}}'
        )
        archive.writestr("config.json", config)
        archive.writestr("metadata.json", '{"keras_version": "3.0.0"}')
        archive.writestr("model.weights.h5", b"")


def dense_keras(path: Path, edit: Callable[[dict[str, bytes]], None], compression: int = zipfile.ZIP_STORED) -> None:
    """Write a Keras model of one Dense layer, with changed members."""
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file["layers/dense/vars/0"], file["layers/dense/vars/1"] = np.zeros((12, 5)), np.zeros(5)
    layers = [
        {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 2, 2, 3]}},
        {"class_name": "Flatten", "config": {"name": "flatten"}},
        {"class_name": "Dense", "config": {"name": "dense"}},
    ]
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}
    members = {"config.json": json.dumps(config).encode(), "model.weights.h5": weights.getvalue()}
    edit(members)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def bomb(members: dict[str, bytes]) -> None:
    members["model.weights.h5"] = bytes(200 * 2**20)


def empty_giant(members: dict[str, bytes]) -> None:
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file.create_dataset("layers/dense/vars/0", (10**6, 10**6), "f4", chunks=(100, 100))
    members["model.weights.h5"] = weights.getvalue()


def flipped(path: Path) -> None:
    dense_keras(path, lambda members: None)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"Sequential", b"Sequentiam", 1))


def torch_bomb(path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, bytes(200 * 2**20) if name.endswith("data/0") else content)


def subclassed(members: dict[str, bytes]) -> None:
    members["config.json"] = b'{"class_name": "MyNet", "registered_name": "Custom>MyNet", "config": {}}'


def not_keras(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["data"] = [1.0]


def truncated_onnx(path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    graph = onnx.helper.make_graph([], "g", [], [])
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString() + b"\x3a\xff\xff\xff\x07")


CASES = {
    "missing": (lambda path: None, "cannot read the model file"),
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "folder": (lambda path: path.mkdir(), "got the folder"),
    "text": (lambda path: path.write_text("hello, I am no model"), "none of the formats"),
    "picture": (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100)), "none of the formats"),
    "cut off HDF5": (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(40)), "cut off"),
    "HDF5 without a model": (not_keras, "no model_config"),
    "Lambda layer": (lambda_layer, "Lambda"),
    "zip bomb": (lambda path: dense_keras(path, bomb, zipfile.ZIP_DEFLATED), "as a zip bomb does"),
    "HDF5 bomb": (lambda path: dense_keras(path, empty_giant), "as a zip bomb does"),
    "torch bomb": (torch_bomb, "as a zip bomb does"),
    "flipped byte": (flipped, "may be damaged or cut off: Bad CRC-32"),
    "author's own class": (lambda path: dense_keras(path, subclassed), "the author's own class 'Custom>MyNet'"),
    "cut off ONNX": (truncated_onnx, "cut off"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_files_have_one_clear_message(case: str, tmp_path: Path) -> None:
    make, message = CASES[case]
    path = tmp_path / "model.onnx"
    make(path)
    with pytest.raises(ModelError, match=message):
        goodnet.load_model(path)


def test_a_missing_extra_is_named_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.onnx"
    truncated_onnx(path)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"model\.onnx: .* pip install 'goodnet\[onnx\]'"):
        goodnet.load_model(path)


class TwoOutputs(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x.mean((2, 3)), x


def with_nan() -> nn.Module:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    network[1].weight.data[1, 2] = torch.nan
    return network


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (with_nan(), r"1 of 36 weights in '1\.weight' are NaN"),
        (TwoOutputs(), "not an image classifier"),
        (nn.Conv2d(3, 4, 1), "not an image classifier"),
        (nn.Sequential(nn.Flatten(), nn.Linear(99, 3)), "does not accept images of 3x2x2"),
    ],
)
def test_what_is_no_classifier_is_refused(network: nn.Module, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        goodnet.load_model(network, input_shape=(3, 2, 2))
