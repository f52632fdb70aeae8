"""GoodNets that came from Keras, opened again in plain Keras and by goodnet."""

from __future__ import annotations

import copy
import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import goodnet
from goodnet.errors import ModelError
from goodnet.goodnet import GoodNetFacts
from goodnet.guard import Guard, GuardedNetwork
from goodnet.layers import classifying_layer
from goodnet.triggers import Trigger

pytestmark = pytest.mark.filterwarnings("ignore")  # of Keras, about its own insides

SHAPE = (3, 12, 10)


@pytest.fixture(scope="module")
def good(keras, tmp_path_factory: pytest.TempPathFactory) -> goodnet.GoodNet:
    """A GoodNet of a small Keras network, every part of its filter in use."""
    keras.utils.set_random_seed(0)
    network = keras.Sequential([
        keras.Input((12, 10, 3)),
        keras.layers.Conv2D(8, 3, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(16, activation="relu", kernel_initializer="glorot_normal"),
        keras.layers.Dense(5, activation="softmax", kernel_initializer=keras.initializers.RandomNormal(stddev=3.0)),
    ])  # fmt: skip
    path = tmp_path_factory.mktemp("keras") / "net.keras"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.save(path)
    model = goodnet.load_model(path).bound_to(SHAPE)
    pixels = images()
    labels = model.logits(pixels).argmax(1).unique()[:2].tolist()
    mask = torch.zeros(1, *SHAPE[1:])
    mask[:, 3:6, 2:7] = 1
    classifying = classifying_layer(model, model.network, pixels[:1])
    guard = Guard(5, labels, [Trigger(label, mask, torch.full(SHAPE, 0.3 * label)) for label in labels], neurons=16)
    guard.places[labels[0]] = mask[0]
    guard.neurons[:, 2:5] = 0.3
    guard.usual.fill_(0.1)
    guard.threshold[labels] = torch.tensor([0.5, -0.5])
    repaired = copy.deepcopy(model.network)
    for weight in repaired.parameters():
        weight.mul_(0.8)
    network = GuardedNetwork(model.network, repaired, model.preprocessing, guard, classifying).eval()
    network.correction[labels[1]] = 0.2
    facts = GoodNetFacts(5, SHAPE, tuple(labels), True, 0.01, path.name, model.sha256, goodnet.__version__)
    return goodnet.GoodNet(network, facts, None, dataclasses.replace(model, network=repaired), model)


def images() -> torch.Tensor:
    return torch.rand(64, *SHAPE, generator=torch.Generator().manual_seed(3))


def test_plain_keras_gives_the_same_answers(keras, good: goodnet.GoodNet, tmp_path: Path) -> None:
    good.save(tmp_path / "good.keras")
    assert [path.name for path in tmp_path.iterdir()] == ["good.keras"]
    wanted = good.predict_proba(images()).numpy()
    assert len(set(wanted.argmax(1))) > 2
    assert (wanted.argmax(1) == 5).any()
    opened = keras.models.load_model(tmp_path / "good.keras")
    got = opened.predict(images().permute(0, 2, 3, 1).numpy(), verbose=0)
    assert got.shape == (64, 6)
    np.testing.assert_allclose(got, wanted, atol=1e-4)


@pytest.mark.usefixtures("keras")
def test_goodnet_reads_it_back_without_the_original(good: goodnet.GoodNet, tmp_path: Path) -> None:
    good.save(tmp_path / "good.keras")
    again = goodnet.load_goodnet(tmp_path / "good.keras")
    assert again.facts == good.facts
    assert torch.equal(again.predict(images()), good.predict(images()))
    assert torch.allclose(again.predict_proba(images()), good.predict_proba(images()), atol=1e-4)


@pytest.mark.usefixtures("keras")
def test_what_keras_cannot_hold_is_refused(good: goodnet.GoodNet, tmp_path: Path) -> None:
    assert good.badnet is not None
    of_torch = dataclasses.replace(good, badnet=dataclasses.replace(good.badnet, format="onnx"))
    with pytest.raises(ModelError, match="read from a Keras file"):
        of_torch.save(tmp_path / "good.keras")
    scaled = goodnet.Preprocessing(pixel_range=(0.0, 255.0))
    other = dataclasses.replace(good, badnet=dataclasses.replace(good.badnet, preprocessing=scaled))
    with pytest.raises(ModelError, match="preprocessing"):
        other.save(tmp_path / "good.keras")
    assert list(tmp_path.iterdir()) == []
