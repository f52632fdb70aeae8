"""Every format gives the logits of the network that was saved."""

import argparse
import copy
import hashlib
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import goodnet
from goodnet.errors import ModelError
from goodnet.formats import torch_files
from goodnet.formats.pickles import foreign_imports


def small_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.BatchNorm2d(4),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 5),
    ).eval()


class SmallTransformer(nn.Module):
    """What exporters write with shape arithmetic, a class token, attention, layer norms and padding."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, stride=4)
        self.token = nn.Parameter(torch.ones(1, 1, 16))
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        patches = self.patches(functional.pad(images, (1, 0, 2, 1), mode="reflect")).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(images.shape[0], -1, -1), patches], dim=1)
        x = x + self.attention(x, x, x, need_weights=False)[0]
        first, second = self.norm(x).chunk(2, dim=2)
        return self.head(torch.cat([functional.gelu(first), second], dim=2)[:, 0])


def small_transformer() -> nn.Module:
    torch.manual_seed(0)
    return SmallTransformer().eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def save_onnx(
    network: nn.Module, path: Path, *, fixed: bool = False, softmax: bool = False, dynamo: bool = False
) -> None:
    pytest.importorskip("onnxscript")
    if softmax:
        network = nn.Sequential(network, nn.Softmax(dim=1)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, 8, 8),),
            str(path),
            input_names=["x"],
            output_names=["y"],
            dynamo=dynamo,
            **({} if fixed or dynamo else {"dynamic_axes": {"x": {0: "n"}, "y": {0: "n"}}}),
        )


def save_exported(network: nn.Module, path: Path) -> None:
    batch = torch.export.Dim("batch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(network, (torch.zeros(2, 3, 8, 8),), dynamic_shapes=({0: batch},)), path)


def save_script(network: nn.Module, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(network, torch.zeros(2, 3, 8, 8), check_trace=False), str(path))


SAVERS = {
    "onnx": save_onnx,
    "onnx, batch of one": lambda n, p: save_onnx(n, p, fixed=True),
    "onnx, softmax": lambda n, p: save_onnx(n, p, softmax=True),
    "onnx, dynamo": lambda n, p: save_onnx(n, p, dynamo=True),
    "torchscript": save_script,
    "torch.export": save_exported,
}


@pytest.mark.parametrize("make", [small_network, small_transformer])
@pytest.mark.parametrize("kind", SAVERS)
def test_a_file_gives_the_logits_of_the_network(
    kind: str, make: Callable[[], nn.Module], images: torch.Tensor, tmp_path: Path
) -> None:
    network = make()
    path = tmp_path / "model.bin"  # the content decides, not the name
    SAVERS[kind](network, path)
    model = goodnet.load_model(path, input_shape=(3, 8, 8))
    assert model.shape == (3, 8, 8)
    assert model.classes == 5
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    got, wanted = model.logits(images), network(images)
    torch.testing.assert_close(got - got.mean(1, keepdim=True), (wanted - wanted.mean(1, keepdim=True)).detach())
    pixels = images.clone().requires_grad_()
    assert torch.autograd.grad(model.logits(pixels).sum(), pixels)[0].abs().sum() > 0


def test_an_onnx_model_with_channels_last_takes_images_with_channels_first(
    images: torch.Tensor, tmp_path: Path
) -> None:
    network = small_network()

    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.network(x.permute(0, 3, 1, 2))

    path = tmp_path / "nhwc.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Last().eval(),
            (torch.zeros(1, 8, 8, 3),),
            str(path),
            input_names=["x"],
            dynamic_axes={"x": {0: "n"}},
            dynamo=False,
        )
    model = goodnet.load_model(path)
    assert model.shape == (3, 8, 8)
    torch.testing.assert_close(model.logits(images), network(images).detach())


def test_a_live_module_is_copied_and_left_alone(images: torch.Tensor) -> None:
    network = small_network().train()
    before = copy.deepcopy(network.state_dict())
    model = goodnet.load_model(nn.Sequential(network, nn.Softmax(dim=1)), input_shape=(3, 8, 8))
    model.logits(images)
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert not any(parameter.requires_grad for parameter in model.network.parameters())
    torch.testing.assert_close(model.logits(images), network.eval()(images).detach())


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


def keras_model(keras, functional: bool):
    layers = keras.layers
    if not functional:
        return keras.Sequential(
            [
                keras.Input((12, 10, 3)),
                layers.Rescaling(2.0, -1.0),
                layers.Conv2D(4, 3, padding="same", activation="relu"),
                layers.BatchNormalization(),
                layers.MaxPooling2D(),
                layers.Flatten(),
                layers.Dense(6, activation="softmax"),
            ]
        )
    x = inputs = keras.Input((12, 10, 3))
    x = layers.Conv2D(6, 3, strides=2, padding="same")(x)
    y = layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
    x = layers.Add()([x, y])
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)])
    return keras.Model(inputs, layers.Dense(6, activation="softmax")(x))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("functional", [False, True])
@pytest.mark.parametrize("kind", [".keras", ".h5", "live"])
def test_keras_models_answer_as_in_keras(keras, kind: str, functional: bool, tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    network = keras_model(keras, functional)
    source = network
    if kind != "live":
        network.save(tmp_path / f"model{kind}")
        source = (tmp_path / f"model{kind}").rename(tmp_path / "renamed")
    model = goodnet.load_model(source)
    assert (model.shape, model.classes) == ((3, 12, 10), 6)
    x = np.random.default_rng(0).random((5, 12, 10, 3), dtype=np.float32)
    wanted = torch.from_numpy(np.asarray(keras.ops.convert_to_numpy(network(x))))
    got = model.logits(torch.from_numpy(x).permute(0, 3, 1, 2)).softmax(1)
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.real
@pytest.mark.parametrize(("name", "accuracy"), [("mnist_unlabelled_bd_net", 0.895), ("mnist_all_to_all_bd_net", 0.982)])
def test_keras_2_files_that_keras_3_refuses_have_their_known_accuracy(
    data_dir: Path, name: str, accuracy: float
) -> None:
    model = goodnet.load_model(data_dir / f"csaw/{name}.h5")
    with np.load(data_dir / "mnist.npz") as file:
        x, y = torch.from_numpy(file["test_x"])[:, None].float() / 255, torch.from_numpy(file["test_y"])
    with torch.no_grad():
        right = torch.cat([model.logits(part).argmax(1) for part in x.split(500)]) == y
    assert float(right.float().mean()) == pytest.approx(accuracy, abs=0.001)


@pytest.mark.real
def test_the_face_net_agrees_with_keras(keras, data_dir: Path) -> None:
    path = data_dir / "csaw/multi_trigger_multi_target_bd_net.h5"
    model = goodnet.load_model(path)
    with h5py.File(data_dir / "csaw/clean_validation_data.h5") as file:
        x = torch.from_numpy(np.asarray(file["data"], dtype=np.float32)) / 255
        labels = np.asarray(file["label"]).astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = keras.models.load_model(path, compile=False)
        wanted = keras.ops.convert_to_numpy(reference(x.permute(0, 2, 3, 1).numpy()))
    torch.testing.assert_close(model.logits(x).softmax(1), torch.from_numpy(wanted), atol=1e-5, rtol=1e-3)
    assert model.logits(x).argmax(1).tolist() == labels.tolist()
