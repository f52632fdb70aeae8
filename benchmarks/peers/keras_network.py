"""The benchmark's small ONNX networks as Keras models.

Knows the operators of residual networks with the batch norm folded in: Sub, Div, Conv, Relu, Add, ReduceMean,
Reshape, Gemm.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
from onnx import NodeProto, numpy_helper


def keras_network(path: Path) -> keras.Model:
    """Return the network with a softmax at its end, from images (n, H, W, C) in 0..1 to probabilities (n, N).

    Raises:
        ValueError: an operator that is not known here.
    """
    graph = onnx.load(path).graph
    constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    _, channels, height, width = (each.dim_value for each in graph.input[0].type.tensor_type.shape.dim)
    images = keras.Input((height, width, channels))
    values = {graph.input[0].name: images}
    for node in graph.node:
        tensors = [values[name] for name in node.input if name in values]
        arrays = [constants[name] for name in node.input if name in constants]
        attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
        values[node.output[0]] = _apply(node, tensors, arrays, attributes)
    return keras.Model(images, keras.layers.Softmax()(values[graph.output[0].name]))


def _apply(node: NodeProto, tensors: list[Any], arrays: list[np.ndarray], attributes: dict[str, Any]) -> Any:
    layers = keras.layers
    match node.op_type:
        case "Sub":
            return layers.Rescaling(1.0, offset=(-arrays[0].ravel()).tolist())(tensors[0])
        case "Div":
            return layers.Rescaling((1 / arrays[0].ravel()).tolist())(tensors[0])
        case "Relu":
            return layers.ReLU()(tensors[0])
        case "Add":
            return layers.Add()(tensors)
        case "ReduceMean":
            return layers.GlobalAveragePooling2D()(tensors[0])
        case "Reshape" if len(tensors[0].shape) == 2:
            return tensors[0]  # the mean over all pixels has left one number a channel
        case "Gemm":
            kernel, bias = arrays
            dense = layers.Dense(len(bias))
            output = dense(tensors[0])
            dense.set_weights([kernel.T if attributes.get("transB") else kernel, bias])
            return output
        case "Conv":
            kernel, bias = arrays
            # Keras' own "same" padding differs from the file's where the stride is 2.
            top, left, bottom, right = attributes["pads"]
            padded = layers.ZeroPadding2D(((top, bottom), (left, right)))(tensors[0])
            convolution = layers.Conv2D(kernel.shape[0], kernel.shape[2:], strides=attributes["strides"])
            output = convolution(padded)
            convolution.set_weights([kernel.transpose(2, 3, 1, 0), bias])
            return output
    raise ValueError(f"expected an operator of a small residual network, got {node.op_type}")
