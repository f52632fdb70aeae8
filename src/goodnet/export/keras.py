"""GoodNets as `.keras` files that plain Keras opens, for networks that came from Keras.

The original file gives the layers, the repaired torch network the weights; the filter is built of Keras' own layers and
operations, so that no code of goodnet's is needed to open the file.
"""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from goodnet.classifier import Preprocessing
from goodnet.errors import MissingExtraError, ModelError, in_short
from goodnet.export.notes import NAME
from goodnet.formats.keras.graph import LayerGraph
from goodnet.guard import MOST_EVIDENCE, NEVER, NOT_ITSELF, TINY, Guard, GuardedNetwork

if TYPE_CHECKING:
    from goodnet.goodnet import GoodNet

FORMATS = ("keras", "keras-h5")
TOLERANCE = 1e-3


def write(good: GoodNet, path: Path) -> None:
    """Write a GoodNet: input (batch, H, W, C) in 0..1 as the original takes it, output N + 1 probabilities.

    Raises:
        ModelError: the network did not come from a Keras file, needs preprocessing, or Keras cannot read that file.
        MissingExtraError: keras is missing.
    """
    original = good.badnet
    if original is None or original.format not in FORMATS or not Path(original.path).is_file():
        raise ModelError("only a network that was read from a Keras file can be written as .keras; save it as .onnx")
    if original.preprocessing != Preprocessing():
        raise ModelError("a .keras file cannot hold this preprocessing; save the GoodNet as .onnx or .pt2")
    keras = import_keras()
    try:
        template = keras.models.load_model(original.path, compile=False)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        reason = in_short(error)
        raise ModelError(
            f"Keras {keras.__version__} cannot open {original.path} ({reason}); save it as .onnx"
        ) from error
    badnet = _copy(keras, template, original.network, "badnet")
    inputs = keras.Input(badnet.input_shape[1:], name="images")
    if isinstance(good.network, GuardedNetwork):
        repaired = _copy(keras, template, good.network.repaired, "repaired")
        logits, fired = _tapped(keras, inputs, badnet, original.network, good.network)
        scores = _guarded(keras, inputs, logits, fired, repaired, good.network)
    else:
        logits = badnet(inputs)
        scores = keras.ops.concatenate([logits, keras.ops.max(logits, axis=1, keepdims=True) - NEVER], axis=1)
    model = keras.Model(inputs, keras.layers.Softmax(name="scores")(scores), name="goodnet")
    _compare(good, model)
    named = path.with_name(path.name + ".keras")
    try:
        model.save(named)
        with zipfile.ZipFile(named, "a") as archive:
            archive.writestr(NAME, good.facts.to_json())
        named.replace(path)
    finally:
        named.unlink(missing_ok=True)


def import_keras() -> Any:
    """Return Keras, on torch unless it is already running on something else.

    Raises:
        MissingExtraError: keras is missing.
    """
    if "keras" not in sys.modules:
        os.environ.setdefault("KERAS_BACKEND", "torch")
    try:
        import keras
    except ImportError as error:
        raise MissingExtraError("writing Keras models", "keras") from error
    return keras


def _copy(keras: Any, template: Any, network: nn.Module, name: str) -> Any:
    """Return a copy of a Keras model with a torch network's weights, its softmax taken off."""
    copied = keras.models.clone_model(template)
    if not isinstance(network, LayerGraph):
        raise ModelError("the layers of this network are not known by their Keras names; save it as .onnx")
    copied.set_weights(template.get_weights())
    _fill(copied, network)
    last = copied.layers[-1]
    softmax = keras.activations.softmax
    if getattr(last, "activation", None) is softmax and last.get_weights():
        last.activation = keras.activations.linear
        output = copied.outputs[0]
        return keras.Model(copied.inputs, output, name=name)
    if isinstance(last, keras.layers.Softmax) or getattr(last, "activation", None) is softmax:
        return keras.Model(copied.inputs, last.input, name=name)
    return keras.Model(copied.inputs, copied.outputs, name=name)


def _fill(model: Any, graph: LayerGraph) -> None:
    """Give Keras layers the weights of the torch layers of the same name."""
    for layer in model.layers:
        if not layer.get_weights():
            continue
        module = graph.layers[layer.name]
        if isinstance(module, LayerGraph):
            _fill(layer, module)
            continue
        holders: list[Any] = [each for each in module.modules() if hasattr(each, "dump")]
        if not holders:
            raise ModelError(f"the weights of the Keras layer {layer.name} cannot be written back; save it as .onnx")
        layer.set_weights(holders[0].dump())


def _tapped(keras: Any, images: Any, badnet: Any, graph: nn.Module, network: GuardedNetwork) -> tuple[Any, Any]:
    """Return the BadNet's logits (B, N) for images, and what its classifying layer is given, (B, F).

    The BadNet is cut in two before that layer, because a file can hold the weights of a layer only once.
    """
    assert isinstance(graph, LayerGraph)
    if network.badnet.classifying is None:
        logits = badnet(images)
        return logits, logits[:, :0]
    classifying = graph.get_submodule(network.badnet.classifying)
    name = next((name for name, module in graph.layers.items() if classifying in module.modules()), None)
    if name is None:
        raise ModelError("the neurons of this network cannot be reached in Keras; save it as .onnx")
    given = badnet.get_layer(name).input
    fired = keras.Model(badnet.inputs, given, name="badnet_neurons")(images)
    logits = keras.Model(given, badnet.outputs[0], name="badnet_logits")(fired)
    if len(fired.shape) > 2:
        fired = keras.ops.mean(fired, axis=tuple(range(1, len(fired.shape) - 1)))
    return logits, fired


def _guarded(keras: Any, images: Any, old: Any, fired: Any, repaired: Any, network: GuardedNetwork) -> Any:
    """Return N + 1 scores, as `GuardedNetwork` computes them."""
    ops, layers, guard = keras.ops, keras.layers, network.guard
    own = ops.one_hot(ops.argmax(old, axis=-1), old.shape[-1])

    def odds(logits: Any) -> Any:
        others = ops.logsumexp(logits - NOT_ITSELF * own, axis=1, keepdims=True)
        return ops.sum(logits * own, axis=1, keepdims=True) - others

    def normal(logits: Any) -> Any:
        return logits - ops.logsumexp(logits, axis=1, keepdims=True)

    table = np.stack([guard.flagged.cpu(), guard.threshold.cpu(), 1 / guard.unit.cpu()], axis=1)
    facts = _fixed(layers, table, None, "guard_labels")(own)
    judged, threshold, inverse = (facts[:, place : place + 1] for place in range(3))
    new = repaired(images)
    suspicion = (odds(old) - odds(new) - threshold) * inverse + float(guard.evidence_weight) * (
        _pixel_evidence(keras, images, guard) + _neuron_evidence(keras, fired, guard)
    )
    other = normal(new) - NOT_ITSELF * own
    if network.covers:
        other = other + normal(repaired(_covered(keras, images, own, guard)))
    caught = judged * ops.relu(ops.sign(suspicion))
    answers = caught * other + (1 - caught) * _shifted(keras, old, network)
    backdoored = ops.max(answers, axis=1, keepdims=True) + judged * suspicion - (1 - judged) * NEVER
    return ops.concatenate([answers, backdoored], axis=1)


def _covered(keras: Any, images: Any, own: Any, guard: Guard) -> Any:
    """Return images with what surrounds the place of their answer's trigger painted over it."""
    height, width = guard.places.shape[1:]
    places = guard.places.flatten(1).cpu().numpy()
    place = keras.layers.Reshape((height, width, 1))(_fixed(keras.layers, places, None, "guard_places")(own))
    kept = 1 - place
    mean = keras.layers.AveragePooling2D(guard.surroundings, strides=1, padding="same")
    return images * kept + place * mean(images * kept) / (mean(kept) + TINY)


def _shifted(keras: Any, logits: Any, network: GuardedNetwork) -> Any:
    """Return logits with the network's correction added."""
    correction = network.correction.cpu().numpy()
    if not correction.any():
        return logits
    layer = keras.layers.BatchNormalization(center=True, scale=False, epsilon=0.0, name="correction")
    layer.build((None, len(correction)))
    layer.set_weights([correction, np.zeros_like(correction), np.ones_like(correction)])
    layer.trainable = False
    return layer(logits)


def _pixel_evidence(keras: Any, images: Any, guard: Guard) -> Any:
    """Return how much closer to a trigger inputs are than any clean image was, (B, 1)."""
    ops, layers = keras.ops, keras.layers
    height, width, channels = images.shape[1:]

    def keras_order(values: Any) -> Any:
        planes = values.cpu().numpy().reshape(-1, channels, height, width)
        return planes.transpose(0, 2, 3, 1).reshape(len(planes), -1)

    masks, patterns = keras_order(guard.masks), keras_order(guard.patterns)
    usual, deviation = guard.usual.cpu().numpy(), guard.deviation.cpu().numpy()
    flat = layers.Flatten()(images)
    bias = (usual - (masks * patterns**2).sum(1)) / deviation
    linear = _fixed(layers, (2 * masks * patterns / deviation[:, None]).T, bias, "guard_pixels")(flat)
    square = _fixed(layers, (-masks / deviation[:, None]).T, None, "guard_squares")(ops.square(flat))
    return ops.clip(ops.max(linear + square, axis=1, keepdims=True), 0.0, MOST_EVIDENCE)


def _neuron_evidence(keras: Any, fired: Any, guard: Guard) -> Any:
    """Return by how many standard deviations neurons fire harder than on any clean image, (B, 1)."""
    deviation = guard.firing_deviation.cpu().numpy()
    kernel, bias = guard.neurons.cpu().numpy().T / deviation, -guard.usual_firing.cpu().numpy() / deviation
    beyond = _fixed(keras.layers, kernel, bias, "guard_neurons")(fired)
    return keras.ops.clip(keras.ops.max(beyond, axis=1, keepdims=True), 0.0, MOST_EVIDENCE)


def _fixed(layers: Any, kernel: Any, bias: Any, name: str) -> Any:
    """Return a Dense layer with these weights."""
    layer = layers.Dense(kernel.shape[1], use_bias=bias is not None, name=name)
    layer.build((None, kernel.shape[0]))
    layer.set_weights([kernel] if bias is None else [kernel, bias])
    layer.trainable = False
    return layer


def _compare(good: GoodNet, model: Any) -> None:
    """Make sure that Keras answers as the network itself does."""
    pixels = torch.rand(4, *good.facts.input_shape, generator=torch.Generator().manual_seed(0))
    if isinstance(good.network, GuardedNetwork):
        guard = good.network.guard
        shape = (-1, *good.facts.input_shape)
        masks, patterns = guard.masks.cpu().view(shape), guard.patterns.cpu().view(shape)
        pixels = torch.cat([pixels, torch.where(masks > 0, patterns, pixels[:1])])
    wanted = good.predict_proba(pixels).numpy()
    got = np.asarray(model.predict(pixels.permute(0, 2, 3, 1).numpy(), verbose=0))
    if not np.allclose(got, wanted, atol=TOLERANCE):
        raise ModelError("the Keras model does not answer as the network does; save the GoodNet as .onnx")
