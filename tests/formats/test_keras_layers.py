"""Keras layers, functions and whole models against Keras itself."""

from pathlib import Path

import numpy as np
import pytest
import torch

import goodnet
from goodnet.errors import ModelError, UnsafeModelError

SHAPE = (12, 10, 3)
pytestmark = pytest.mark.filterwarnings("ignore")


def head(layers, x, classes: int = 5):
    return layers.Dense(classes)(layers.Flatten()(x))


def squeeze_and_excite(k, x):
    x = k.layers.Conv2D(4, 3)(x)
    gate = k.layers.Dense(4, activation="sigmoid")(k.layers.GlobalAveragePooling2D()(x))
    return x * k.layers.Reshape((1, 1, 4))(gate)


MODELS = {
    "strides and same": lambda k, x: k.layers.Conv2D(4, 3, strides=2, padding="same")(x),
    "dilation and groups": lambda k, x: k.layers.Conv2D(6, 3, dilation_rate=2, groups=3, padding="same")(x),
    "separable": lambda k, x: k.layers.SeparableConv2D(4, 3, strides=2, padding="same")(x),
    "depthwise": lambda k, x: k.layers.DepthwiseConv2D(3, depth_multiplier=2, activation="hard_silu")(x),
    "transposed": lambda k, x: k.layers.Conv2DTranspose(4, 3, strides=2, padding="same", activation="gelu")(x),
    "activation object": lambda k, x: k.layers.Conv2D(4, 3, activation=k.layers.LeakyReLU(0.1))(x),
    "rare activations": lambda k, x: k.layers.Activation("squareplus")(
        k.layers.Activation("sparse_plus")(k.layers.Activation("tanh_shrink")(x))
    ),
    "PReLU": lambda k, x: k.layers.PReLU(alpha_initializer="uniform")(k.layers.Conv2D(4, 3)(x)),
    "layer norm": lambda k, x: k.layers.LayerNormalization()(k.layers.Conv2D(4, 3)(x)),
    "resize and crop": lambda k, x: k.layers.CenterCrop(9, 8)(k.layers.Resizing(17, 19)(x)),
    "nearest": lambda k, x: k.layers.Resizing(7, 13, interpolation="nearest")(k.layers.UpSampling2D()(x)),
    "pad and crop": lambda k, x: k.layers.Cropping2D(((1, 2), (0, 3)))(k.layers.ZeroPadding2D((2, 1))(x)),
    "permute": lambda k, x: k.layers.Permute((3, 1, 2))(x),
    "augmentation": lambda k, x: k.layers.RandomGrayscale()(k.layers.RandomFlip()(k.layers.GaussianNoise(0.1)(x))),
    "arithmetic": lambda k, x: (1.0 - k.layers.Conv2D(4, 3)(x * 2.0 - 1.0)) / 3.0,
    "constant": lambda k, x: x + np.array([-0.4, -0.5, -0.6], dtype="float32"),
    "constant image": lambda k, x: x / np.array([0.4, 0.5, 0.6], dtype="float32").reshape(1, 1, 1, 3),
    "stacked": lambda k, x: k.ops.stack([x[..., 2], x[..., 1], x[..., 0]], axis=-1),
    "slices": lambda k, x: k.layers.Conv2D(4, 3)(x)[:, 1:, :-2, :3],
    "functions": lambda k, x: k.ops.relu(-(k.layers.Conv2D(4, 3)(x) ** 2) + k.ops.exp(x[:, 2:, 2:, :1])),
    "mean": lambda k, x: k.ops.mean(k.layers.Conv2D(4, 3)(x), axis=1),
    "transpose": lambda k, x: k.ops.expand_dims(k.ops.max(k.ops.transpose(x, (0, 3, 2, 1)), axis=2), 1),
    "reshape": lambda k, x: k.ops.reshape(x, (-1, 60, 6)),
    "clip": lambda k, x: k.ops.clip(k.ops.maximum(k.layers.Conv2D(4, 3)(x), 0.1), 0.0, 0.6),
    "squeeze and excite": squeeze_and_excite,
}


@pytest.mark.parametrize("kind", [".keras", ".h5"])
@pytest.mark.parametrize("name", MODELS)
def test_layers_answer_as_in_keras(keras, name: str, kind: str, tmp_path: Path) -> None:
    if name == "augmentation" and kind == ".h5":
        pytest.skip("Keras cannot save these layers as HDF5")
    keras.utils.set_random_seed(1)
    inputs = keras.Input(SHAPE)
    network = keras.Model(inputs, head(keras.layers, MODELS[name](keras, inputs)))
    path = tmp_path / f"model{kind}"
    network.save(path)
    x = np.random.default_rng(0).random((3, *SHAPE), dtype=np.float32)
    wanted = torch.from_numpy(np.asarray(keras.ops.convert_to_numpy(network(x, training=False))))
    got = goodnet.load_model(path).logits(torch.from_numpy(x).permute(0, 3, 1, 2))
    torch.testing.assert_close(got, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", [".keras", ".h5"])
def test_channels_are_turned_around_as_in_preprocess_input(keras, kind: str, tmp_path: Path) -> None:
    inputs = keras.Input(SHAPE)  # Keras' own torch backend cannot run this slice
    dense = keras.layers.Dense(5)
    keras.Model(inputs, dense(keras.layers.Flatten()(inputs[..., ::-1]))).save(tmp_path / f"model{kind}")
    x = np.random.default_rng(0).random((3, *SHAPE), dtype=np.float32)
    wanted = keras.ops.convert_to_numpy(dense(x[..., ::-1].reshape(3, -1)))
    got = goodnet.load_model(tmp_path / f"model{kind}").logits(torch.from_numpy(x).permute(0, 3, 1, 2))
    torch.testing.assert_close(got, torch.from_numpy(wanted))


def test_nested_models_and_layers_used_twice(keras, tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    layers = keras.layers
    inner_input = keras.Input(SHAPE)
    inner = keras.Model(inner_input, layers.BatchNormalization()(layers.Conv2D(3, 3, padding="same")(inner_input)))
    twice_input = keras.Input(SHAPE)
    twice = keras.Model(twice_input, inner(inner(twice_input)))
    network = keras.Sequential([keras.Input(SHAPE), keras.Sequential([twice, layers.ReLU()]), layers.Flatten()])
    network.add(layers.Dense(5, activation="softmax"))
    x = np.random.default_rng(0).random((3, *SHAPE), dtype=np.float32)
    wanted = torch.from_numpy(np.asarray(keras.ops.convert_to_numpy(network(x, training=False))))
    for source in (network, tmp_path / "model.keras", tmp_path / "model.h5"):
        if source is not network:
            network.save(source)
        got = goodnet.load_model(source).logits(torch.from_numpy(x).permute(0, 3, 1, 2)).softmax(1)
        torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)


def test_one_sigmoid_is_two_classes(keras, tmp_path: Path) -> None:
    layers = keras.layers
    network = keras.Sequential([keras.Input(SHAPE), layers.Flatten(), layers.Dense(1, activation="sigmoid")])
    network.save(tmp_path / "model.keras")
    x = np.random.default_rng(0).random((3, *SHAPE), dtype=np.float32)
    model = goodnet.load_model(tmp_path / "model.keras")
    got = model.logits(torch.from_numpy(x).permute(0, 3, 1, 2)).softmax(1)[:, 1:]
    torch.testing.assert_close(got, torch.from_numpy(np.asarray(keras.ops.convert_to_numpy(network(x)))))


def test_functions_of_keras_2_are_read() -> None:
    """preprocess_input of VGG and ResNet, as Keras 2 wrote it into a model's config."""
    from goodnet.formats.keras.config import build_model
    from goodnet.formats.keras.layers import Dialect
    from goodnet.formats.keras.weights import NumberedWeights

    index = [{"class_name": "__ellipsis__"}, {"start": None, "stop": None, "step": -1}]
    layers = [
        {"class_name": "InputLayer", "config": {"name": "x"}, "name": "x", "inbound_nodes": []},
        {
            "class_name": "SlicingOpLambda",
            "config": {"name": "slice", "function": "__operators__.getitem"},
            "inbound_nodes": [["x", 0, 0, {"slice_spec": index}]],
        },
        {
            "class_name": "TFOpLambda",
            "config": {"name": "bias", "function": "nn.bias_add"},
            "inbound_nodes": [["slice", 0, 0, {"bias": [-1.0, -2.0, -3.0], "data_format": "channels_last"}]],
        },
    ]
    config = {"layers": layers, "input_layers": [["x", 0, 0]], "output_layers": [["bias", 0, 0]]}
    graph = build_model({"class_name": "Functional", "config": config}, NumberedWeights(None), Dialect(True, False))
    x = torch.rand(2, 3, 4, 5)
    torch.testing.assert_close(graph(x), x.flip(1) - torch.tensor([1.0, 2.0, 3.0])[:, None, None])


def bad_model(keras, kind: str):
    layers = keras.layers
    if kind == "nested Lambda":
        inner = keras.Sequential([layers.Lambda(lambda x: x * 2)])
        return keras.Sequential([keras.Input(SHAPE), inner, layers.Flatten(), layers.Dense(5)])
    if kind == "own activation":
        return keras.Sequential(
            [keras.Input(SHAPE), layers.Conv2D(3, 1, activation=lambda x: x * 2), layers.Flatten(), layers.Dense(5)]
        )
    if kind == "rows normalised":
        return keras.Sequential(
            [keras.Input((4, 4, 4)), layers.BatchNormalization(axis=1), layers.Flatten(), layers.Dense(5)]
        )
    return keras.Sequential([keras.Input(SHAPE), layers.Reshape((12, 30)), layers.LSTM(4), layers.Dense(5)])


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("nested Lambda", UnsafeModelError, "Lambda layer, which holds code"),
        ("own activation", UnsafeModelError, "the author's own activation"),
        ("rows normalised", ModelError, "normalisation of images over axis 1"),
        ("recurrent", ModelError, "needs the layer type LSTM, which goodnet cannot convert; export the model to ONNX"),
    ],
)
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_code_and_unknown_layers_are_refused(
    keras, kind: str, error: type[ModelError], message: str, suffix: str, tmp_path: Path
) -> None:
    bad_model(keras, kind).save(tmp_path / f"model{suffix}")
    with pytest.raises(error, match=message):
        goodnet.load_model(tmp_path / f"model{suffix}")
