"""Every format gives the logits of the network that was saved."""

import copy
import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import goodnet


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
