"""What is no usable model is refused with one clear message, and nothing in it is ever run."""

import pickle
import zipfile
from pathlib import Path

import h5py
import pytest
import torch
from torch import nn

import goodnet
from goodnet.errors import ModelError, UnsafeModelError


class Payload:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = str(target)

    def __reduce__(self):
        return (open, (self.target, "w"))


def whole_module(path: Path, trap: Path) -> None:
    torch.save(nn.Linear(2, 2), path)


def raw_pickle(path: Path, trap: Path) -> None:
    path.write_bytes(pickle.dumps(Payload(trap)))


def in_state_dict(path: Path, trap: Path) -> None:
    torch.save({"weight": torch.zeros(2), "extra": Payload(trap)}, path)


@pytest.mark.parametrize("make", [whole_module, raw_pickle, in_state_dict])
def test_code_in_a_pickle_is_never_run(make, tmp_path: Path) -> None:
    path, trap = tmp_path / "model.pt", tmp_path / "trap"
    make(path, trap)
    with pytest.raises(UnsafeModelError, match="wants to import"):
        goodnet.load_model(path, arch="torchvision:resnet18")
    assert not trap.exists()


def lambda_layer(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        config = (
            '{"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": [{"module": '
            '"keras.layers", "class_name": "Lambda", "config": {"name": "evil", "function": {}}}]}}'
        )
        archive.writestr("config.json", config)
        archive.writestr("metadata.json", '{"keras_version": "3.0.0"}')
        archive.writestr("model.weights.h5", b"")


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
    "cut off ONNX": (truncated_onnx, "cut off"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_files_have_one_clear_message(case: str, tmp_path: Path) -> None:
    make, message = CASES[case]
    path = tmp_path / "model.onnx"
    make(path)
    with pytest.raises(ModelError, match=message):
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
