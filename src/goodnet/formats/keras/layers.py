"""Which torch module stands for which Keras layer."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from goodnet.formats.keras import resizing, shaping
from goodnet.formats.keras.activations import Elementwise, activation
from goodnet.formats.keras.normalization import BatchNormalization, LayerNormalization
from goodnet.formats.keras.weighted import (
    Arrays,
    Convolution,
    Dense,
    ParametricReLU,
    Scale,
    SeparableConvolution,
    TransposedConvolution,
)

Config = dict[str, Any]


@dataclass(frozen=True)
class Dialect:
    """What a whole Keras file has in common.

    Attributes:
        keras_2: whether Keras 2 wrote it.
        channels_first: whether its images are (B, C, H, W).
    """

    keras_2: bool
    channels_first: bool


TRAINING_ONLY = frozenset(
    [
        "ActivityRegularization",
        "AlphaDropout",
        "AugMix",
        "CutMix",
        "Dropout",
        "GaussianDropout",
        "GaussianNoise",
        "Identity",
        "InputLayer",
        "MixUp",
        "RandAugment",
        "RandomBrightness",
        "RandomColorJitter",
        "RandomContrast",
        "RandomElasticTransform",
        "RandomErasing",
        "RandomFlip",
        "RandomGaussianBlur",
        "RandomGrayscale",
        "RandomHeight",
        "RandomHue",
        "RandomInvert",
        "RandomPerspective",
        "RandomPosterization",
        "RandomRotation",
        "RandomSaturation",
        "RandomSharpness",
        "RandomShear",
        "RandomTranslation",
        "RandomWidth",
        "RandomZoom",
        "SpatialDropout1D",
        "SpatialDropout2D",
        "SpatialDropout3D",
    ]
)
"""Layers that pass their input through when not training."""


def _over_channels(config: Config, dialect: Dialect) -> Config:
    """Return the config of a normalisation, with the dialect that tells which axis the channels are."""
    axis = config.get("axis", -1)
    (axis,) = axis if isinstance(axis, list) and len(axis) == 1 else (axis,)
    # On a vector the channels are axis 1, on an image the last or, channels first, axis 1.
    if axis not in ((1,) if dialect.channels_first else (-1, 1, 2, 3)):
        raise NotImplementedError(f"normalisation over axis {axis}")
    return {**config, "channels_first": dialect.channels_first}


def _batch_normalization(config: Config, weights: Arrays, dialect: Dialect) -> nn.Module:
    return BatchNormalization(_over_channels(config, dialect), weights)


def _layer_normalization(config: Config, weights: Arrays, dialect: Dialect) -> nn.Module:
    if dialect.channels_first:
        raise NotImplementedError("layer normalisation of a channels-first model")
    return LayerNormalization(_over_channels(config, dialect), weights)


def _group_normalization(config: Config, weights: Arrays, dialect: Dialect) -> nn.Module:
    return LayerNormalization(_over_channels(config, dialect), weights, groups=int(config.get("groups", 32)))


def _normalization(config: Config, weights: Arrays, dialect: Dialect) -> nn.Module:
    mean, variance = (config.get("mean"), config.get("variance")) if not weights else weights[:2]
    if mean is None or config.get("axis") not in (None, -1, [-1], 3, [3], [], 1, [1]):
        raise NotImplementedError(f"normalisation over axis {config.get('axis')}")
    deviation = np.maximum(np.sqrt(np.array(variance, dtype=np.float64)), 1e-7)
    middle = np.array(mean, dtype=np.float64)
    if config.get("invert"):
        return shaping.Affine(deviation, middle, dialect.channels_first)
    return shaping.Affine(1.0 / deviation, -middle / deviation, dialect.channels_first)


def _dense(config: Config, weights: Arrays, dialect: Dialect) -> nn.Module:
    if config.get("lora_rank") or config.get("quantization_config"):
        raise NotImplementedError("a quantised or LoRA layer")
    return Dense(weights)


def _activation(config: Config, weights: Arrays, dialect: Dialect) -> nn.Module:
    given = config.get("activation")
    module = activation(given, config["name"], dialect.keras_2)
    if module is None and isinstance(given, dict) and given["class_name"] in ACTIVATION_LAYERS:
        module = BUILDERS[given["class_name"]](given["config"], [], dialect)
    if module is None:
        raise NotImplementedError(f"the activation {given['class_name'] if isinstance(given, dict) else given}")
    return module


def _flatten(config: Config, weights: Arrays, dialect: Dialect) -> nn.Module:
    if dialect.channels_first:  # Keras then transposes only if the Flatten itself says channels_first.
        return shaping.Flatten(channels_first=config.get("data_format") != "channels_first")
    return shaping.Flatten(channels_first=False)


def _layer_scale(config: Config, weights: Arrays, dialect: Dialect) -> nn.Module:
    if "projection_dim" not in config or len(weights) != 1 or dialect.channels_first:
        raise NotImplementedError("a LayerScale layer other than that of ConvNeXt")
    return Scale(weights)


def _scaled_sum(config: Config, weights: Arrays, dialect: Dialect) -> nn.Module:
    """Return the residual sum of InceptionResNetV2."""
    scale = float(config["scale"])
    return shaping.Merge(lambda x, y: x + scale * y)


def _slope(config: Config) -> nn.Module:
    slope: Any = config.get("negative_slope", config.get("alpha", 0.3))
    return nn.LeakyReLU(float(slope))


def _elu(config: Config) -> nn.Module:
    return nn.ELU(float(config.get("alpha", 1.0)))


def _weightless(build: Callable[[Config], nn.Module]) -> Callable[[Config, Arrays, Dialect], nn.Module]:
    return lambda config, weights, dialect: build(config)


Builder = Callable[[Config, Arrays, Dialect], nn.Module]

BUILDERS: dict[str, Builder] = {
    "Activation": _activation,
    "Add": _weightless(lambda c: shaping.Merge(operator.add)),
    "Average": _weightless(lambda c: shaping.Merge(operator.add, average=True)),
    "AveragePooling2D": _weightless(lambda c: shaping.Pooling(c, maximum=False)),
    "BatchNormalization": _batch_normalization,
    "Concatenate": lambda c, w, d: shaping.Concatenate(int(c.get("axis", -1)), d.channels_first),
    "CenterCrop": _weightless(lambda c: resizing.CentreCrop(int(c["height"]), int(c["width"]))),
    "Conv2D": lambda c, w, d: Convolution(c, w),
    "Conv2DTranspose": lambda c, w, d: TransposedConvolution(c, w),
    "Cropping2D": _weightless(lambda c: resizing.Pad(c.get("cropping", 0), -1)),
    "CustomScaleLayer": _scaled_sum,
    "Dense": _dense,
    "DepthwiseConv2D": lambda c, w, d: Convolution(c, w, depthwise=True),
    "ELU": _weightless(_elu),
    "Flatten": _flatten,
    "GlobalAveragePooling2D": _weightless(lambda c: shaping.GlobalPooling(c, maximum=False)),
    "GlobalMaxPooling2D": _weightless(lambda c: shaping.GlobalPooling(c, maximum=True)),
    "GroupNormalization": _group_normalization,
    "LayerNormalization": _layer_normalization,
    "LayerScale": _layer_scale,
    "LeakyReLU": _weightless(_slope),
    "MaxPooling2D": _weightless(lambda c: shaping.Pooling(c, maximum=True)),
    "Maximum": _weightless(lambda c: shaping.Merge(shaping.larger)),
    "Minimum": _weightless(lambda c: shaping.Merge(shaping.smaller)),
    "Multiply": _weightless(lambda c: shaping.Merge(operator.mul)),
    "Normalization": _normalization,
    "PReLU": lambda c, w, d: ParametricReLU(w),
    "Permute": lambda c, w, d: shaping.Permute(c["dims"], d.channels_first),
    "ReLU": _weightless(shaping.BoundedReLU),
    "Rescaling": lambda c, w, d: shaping.Affine(c.get("scale", 1.0), c.get("offset", 0.0), d.channels_first),
    "Reshape": lambda c, w, d: shaping.Reshape(c["target_shape"], d.channels_first),
    "Resizing": _weightless(resizing.Resizing),
    "SeparableConv2D": lambda c, w, d: SeparableConvolution(c, w),
    "Softmax": lambda c, w, d: shaping.Softmax(int(c.get("axis", -1)), d.channels_first),
    "Subtract": _weightless(lambda c: shaping.Merge(operator.sub)),
    "TrueDivide": _weightless(lambda c: shaping.Merge(operator.truediv)),
    "UpSampling2D": _weightless(resizing.UpSampling),
    "ZeroPadding2D": _weightless(lambda c: resizing.Pad(c.get("padding", 1), 1)),
}

WEIGHTED = frozenset(
    ["BatchNormalization", "Conv2D", "Conv2DTranspose", "Dense", "DepthwiseConv2D", "PReLU", "SeparableConv2D"]
)
ACTIVATION_LAYERS = frozenset(["ELU", "LeakyReLU", "ReLU", "Softmax"])
FUSED_ACTIVATION = frozenset(["Conv2D", "Conv2DTranspose", "Dense", "DepthwiseConv2D", "SeparableConv2D"])


def build_layer(class_name: str, config: Config, weights: Arrays, dialect: Dialect) -> list[nn.Module]:
    """Return the torch modules for one Keras layer, to be applied in order: the layer, then its activation.

    Raises:
        NotImplementedError: torch has no stand-in here for the layer or one of its settings.
        UnsafeModelError: the layer needs the author's own code.
    """
    if class_name in TRAINING_ONLY:
        return [nn.Identity()]
    if class_name not in BUILDERS:
        raise NotImplementedError(f"the layer type {class_name}")
    if class_name in WEIGHTED and not weights:
        raise NotImplementedError(f"a {class_name} layer without weights in the file")
    layout = config.get("data_format")
    if class_name != "Flatten" and layout is not None and (layout == "channels_first") != dialect.channels_first:
        raise NotImplementedError("a mix of channels-first and channels-last layers")
    modules = [BUILDERS[class_name](config, weights, dialect)]
    if class_name in FUSED_ACTIVATION:
        after = _activation(config, weights, dialect)
        if not isinstance(after, nn.Identity):
            modules.append(after)
    return modules


def is_softmax(module: nn.Module) -> bool:
    """Whether a module turns logits into probabilities of classes."""
    return isinstance(module, shaping.Softmax) or (isinstance(module, Elementwise) and module.name == "softmax")


def is_sigmoid(module: nn.Module) -> bool:
    """Whether a module turns logits into independent probabilities."""
    return isinstance(module, Elementwise) and module.name == "sigmoid"
