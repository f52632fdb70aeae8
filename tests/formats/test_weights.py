"""Weights are read from whatever holds them, and loaded into the architecture that is named."""

import argparse
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import goodnet
from goodnet.errors import ModelError
from goodnet.formats import torch_files
from goodnet.formats.pickles import foreign_imports


@pytest.mark.parametrize("kind", ["safetensors", "torch", "wrapped", "in a trainer", "in a checkpoint", "whole"])
def test_weights_are_loaded_into_a_named_architecture(kind: str, tmp_path: Path) -> None:
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    network = models.squeezenet1_1(num_classes=7).eval()
    path = tmp_path / "weights"
    if kind == "safetensors":
        from safetensors.torch import save_file

        save_file(network.state_dict(), path)
    elif kind == "torch":
        torch.save(network.state_dict(), path)
    elif kind == "whole":
        torch.save(nn.DataParallel(network), path)
    elif kind == "in a trainer":
        torch.save({"epoch": 3, "ema": {f"model.{k}": v for k, v in network.state_dict().items()}}, path)
    elif kind == "in a checkpoint":
        beside = {"args": argparse.Namespace(lr=0.1, out=Path("here")), "order": np.arange(3), "loss": np.float64(0.5)}
        adam = torch.optim.Adam(network.parameters())
        sum(value.sum() for value in network.parameters()).backward()
        adam.step()
        averaged = {key: torch.zeros_like(value) for key, value in network.state_dict().items()}
        weights = {"averaged": averaged, "model": network.state_dict(), "optimizer": adam.state_dict()}
        torch.save({**beside, "mean": torch.zeros(3), **weights}, path)
    else:
        torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in network.state_dict().items()}}, path)
    x = torch.rand(2, 3, 64, 64)
    model = goodnet.load_model(path, arch="torchvision:squeezenet1_1", input_shape=(3, 64, 64))
    torch.testing.assert_close(model.logits(x), network(x).detach())
    with pytest.raises(ModelError, match="--arch"):
        goodnet.load_model(path)
    with pytest.raises(ModelError, match="the weights are not for"):
        goodnet.load_model(path, arch="torchvision:resnet18")


class Parted(nn.Module):
    """Has what a state dict holds, and what it does not."""

    def __init__(self) -> None:
        super().__init__()
        self.kept, self.again = nn.BatchNorm2d(3), None
        self.inner = nn.ModuleDict({"a": nn.Linear(3, 2), "b": nn.Sequential(nn.Conv2d(1, 2, 3, bias=False))})
        self.shared = self.inner["a"]
        self.register_buffer("passing", torch.zeros(2), persistent=False)
        self.activation = functional.relu


@pytest.mark.parametrize("wrap", [lambda network: network, lambda network: {"epoch": 3, "network": network}])
def test_the_weights_of_a_network_that_was_pickled_whole_are_read_without_its_classes(wrap, tmp_path: Path) -> None:
    network = Parted()
    torch.save(wrap(network), tmp_path / "whole.pt")
    with zipfile.ZipFile(tmp_path / "whole.pt") as archive:
        foreign = foreign_imports(archive.read("whole/data.pkl"))
    assert f"{__name__}.Parted" in foreign
    found = torch_files._tensors(torch_files._load(tmp_path / "whole.pt", foreign))
    assert found.keys() == network.state_dict().keys()
    assert all(torch.equal(found[key], value) for key, value in network.state_dict().items())


ARCHITECTURE = """
import argparse
from torch import nn
from widths import WIDTH

class Net(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(12, WIDTH), nn.Linear(WIDTH, num_classes))
    def forward(self, images):
        return self.layers(images)

def fixed():
    return Net(7)

def asks(width):
    return Net(width)

def none():
    return None
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(ARCHITECTURE)
    (tmp_path / "widths.py").write_text("WIDTH = 5")
    layers = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Linear(5, 7))
    torch.save({"net": {f"module.layers.{k}": v for k, v in layers.state_dict().items()}}, tmp_path / "net.pt")
    return tmp_path


@pytest.mark.parametrize("name", ["Net", "fixed"])
def test_weights_are_loaded_into_an_architecture_of_the_users_own(own: Path, name: str) -> None:
    model = goodnet.load_model(own / "net.pt", arch=f"{own}/net.py:{name}", input_shape=(3, 2, 2))
    assert model.num_classes == 7
    weights = torch.load(own / "net.pt")["net"]
    torch.testing.assert_close(dict(model.network.named_parameters())["layers.2.bias"], weights["module.layers.2.bias"])


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ("net.py:Other", "no class or function 'Other'; networks may come from Net, fixed, asks, none"),
        ("net.py:asks", "asks of .* makes no network when called with nothing: .*width"),
        ("net.py:none", "expected none of .* to make a torch.nn.Module, got a NoneType"),
        ("other.py:Net", "there is no file"),
        ("broken.py:Net", "broken.py cannot be run: no such name"),
        ("exits.py:Net", "exits.py cannot be run: 3"),
    ],
)
def test_an_architecture_that_cannot_be_built_is_refused(own: Path, arch: str, message: str) -> None:
    (own / "broken.py").write_text("raise NameError('no such name')")
    (own / "exits.py").write_text("raise SystemExit(3)")
    with pytest.raises(ModelError, match=message):
        goodnet.load_model(own / "net.pt", arch=f"{own}/{arch}")


def test_heads_that_only_answer_in_training_may_be_missing(tmp_path: Path) -> None:
    models = pytest.importorskip("torchvision.models")
    network = models.googlenet(num_classes=7, init_weights=False).eval()
    torch.save({k: v for k, v in network.state_dict().items() if not k.startswith("aux")}, tmp_path / "weights")
    x = torch.rand(2, 3, 64, 64)
    model = goodnet.load_model(tmp_path / "weights", arch="googlenet", input_shape=(3, 64, 64))
    torch.testing.assert_close(model.logits(x), network(x).detach())
