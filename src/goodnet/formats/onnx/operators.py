"""ONNX operators as functions of tensors: activations, arithmetic, reductions, pooling and normalisation."""

from __future__ import annotations

import operator
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from goodnet.formats.clipping import clipped
from goodnet.formats.onnx.constants import KINDS, axes_of
from goodnet.formats.onnx.graph import Array, Attributes, Function
from goodnet.formats.onnx.pooling import average_pool, max_pool, power_pool
from goodnet.formats.onnx.shaping import all_tensors, as_tensor


def _product(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    for axis in sorted((axis % x.ndim for axis in axes), reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


def _shrink(attributes: Attributes, x: Tensor) -> Tensor:
    limit, bias = float(attributes.get("lambd", 0.5)), float(attributes.get("bias", 0.0))
    return torch.where(x < -limit, x + bias, torch.where(x > limit, x - bias, 0.0))


def _reduction(function: Function) -> Function:
    def reduced(attributes: Attributes, x: Tensor, axes: Array | None = None) -> Tensor:
        chosen = axes_of(attributes, axes)
        if not chosen:
            if attributes.get("noop_with_empty_axes"):
                return x
            chosen = list(range(x.ndim))
        output: Tensor = function(x, tuple(chosen), bool(attributes.get("keepdims", 1)))
        return output

    return reduced


def _softmax(function: Function) -> Function:
    def applied(attributes: Attributes, x: Tensor) -> Tensor:
        if attributes["opset"] < 13:  # over all axes from this one on
            flat: Tensor = function(x.flatten(int(attributes.get("axis", 1))), -1)
            return flat.reshape(x.shape)
        output: Tensor = function(x, int(attributes.get("axis", -1)))
        return output

    return applied


def _clip(attributes: Attributes, x: Tensor, low: Any = None, high: Any = None) -> Tensor:
    if low is None and high is None:  # bounds of older operator sets
        return clipped(x, attributes.get("min"), attributes.get("max"))
    bounds = (None if bound is None else as_tensor(bound, x) for bound in (low, high))
    return x.clamp(*bounds)


def _cast(attributes: Attributes, x: Tensor) -> Tensor:
    kind = KINDS.get(int(attributes["to"]))
    if kind is None:
        raise NotImplementedError(f"Cast to ONNX type {attributes['to']}")
    if kind == "f4":  # floating point numbers keep the precision that the user runs the network in
        return x if x.is_floating_point() else x.float()
    if x.is_floating_point() and kind != "?":
        return x  # images arrive as floating point numbers also where a model declares integers
    return x.to({"?": torch.bool, "i4": torch.int32, "i8": torch.int64}.get(kind, torch.int64))


def _divide(attributes: Attributes, *inputs: Any) -> Any:
    x, y = all_tensors(inputs)
    floating = any(not isinstance(each, Tensor) or each.is_floating_point() for each in (x, y))
    return torch.div(x, y, rounding_mode=None if floating else "trunc")


def _layer_norm(attributes: Attributes, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
    shape = x.shape[int(attributes.get("axis", -1)) :]
    scale = scale.reshape(shape)
    bias = None if bias is None else bias.reshape(shape)
    return functional.layer_norm(x, shape, scale, bias, float(attributes.get("epsilon", 1e-5)))


def _instance_norm(attributes: Attributes, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    scale, bias = scale.reshape(-1), bias.reshape(-1)
    epsilon = float(attributes.get("epsilon", 1e-5))
    if x.ndim == 3:  # (B, groups, n): how exporters write a group normalisation
        return functional.group_norm(x, x.shape[1], scale, bias, epsilon)
    return functional.instance_norm(x, weight=scale, bias=bias, eps=epsilon)


def _group_norm(attributes: Attributes, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    groups, epsilon = int(attributes["num_groups"]), float(attributes.get("epsilon", 1e-5))
    if scale.numel() != x.shape[1]:  # before operator set 21 there is one a group
        scale, bias = (each.repeat_interleave(x.shape[1] // groups) for each in (scale, bias))
    return functional.group_norm(x, groups, scale.reshape(-1), bias.reshape(-1), epsilon)


def _local_response(attributes: Attributes, x: Tensor) -> Tensor:
    alpha, beta, bias = (attributes.get(key, value) for key, value in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)))
    return functional.local_response_norm(x, int(attributes["size"]), float(alpha), float(beta), float(bias))


def _lp_normalize(attributes: Attributes, x: Tensor) -> Tensor:
    return functional.normalize(x, float(attributes.get("p", 2)), int(attributes.get("axis", -1)), eps=1e-12)


def _prelu(attributes: Attributes, x: Tensor, slope: Tensor) -> Tensor:
    return x.clamp(min=0) + slope * x.clamp(max=0)


def _gemm(attributes: Attributes, a: Tensor, b: Tensor, c: Any = None) -> Tensor:
    a = a.T if attributes.get("transA") else a
    b = b.T if attributes.get("transB") else b
    output = float(attributes.get("alpha", 1.0)) * (a @ b)
    return output if c is None else output + float(attributes.get("beta", 1.0)) * as_tensor(c, a)


def _running_sum(attributes: Attributes, x: Tensor, axis: Array) -> Tensor:
    along = int(axis.item())
    turned = x.flip(along) if attributes.get("reverse") else x
    total = turned.cumsum(along) - (turned if attributes.get("exclusive") else 0)
    return total.flip(along) if attributes.get("reverse") else total


def _arg_max(attributes: Attributes, x: Tensor) -> Tensor:
    return x.argmax(int(attributes.get("axis", 0)), bool(attributes.get("keepdims", 1)))


def _pointwise(function: Function) -> Function:
    return lambda attributes, *inputs: function(*all_tensors(inputs))


def _folded(function: Function) -> Function:
    return lambda attributes, *inputs: reduce(function, all_tensors(inputs))


OPERATORS: dict[str, Function] = {
    "Abs": _pointwise(torch.abs),
    "Acos": _pointwise(torch.acos),
    "Acosh": _pointwise(torch.acosh),
    "Add": _pointwise(operator.add),
    "And": _pointwise(torch.logical_and),
    "ArgMax": _arg_max,
    "Asin": _pointwise(torch.asin),
    "Asinh": _pointwise(torch.asinh),
    "Atan": _pointwise(torch.atan),
    "Atanh": _pointwise(torch.atanh),
    "AveragePool": average_pool,
    "Cast": _cast,
    "Ceil": _pointwise(torch.ceil),
    "Celu": lambda a, x: functional.celu(x, float(a.get("alpha", 1.0))),
    "Clip": _clip,
    "Cos": _pointwise(torch.cos),
    "Cosh": _pointwise(torch.cosh),
    "CumSum": _running_sum,
    "Div": _divide,
    "Dropout": lambda a, x, *rest: x,
    "Einsum": lambda a, *x: torch.einsum(a["equation"], *all_tensors(x)),
    "Elu": lambda a, x: functional.elu(x, float(a.get("alpha", 1.0))),
    "Equal": _pointwise(operator.eq),
    "Erf": _pointwise(torch.erf),
    "Exp": _pointwise(torch.exp),
    "Floor": _pointwise(torch.floor),
    "Gelu": lambda a, x: functional.gelu(x, approximate=a.get("approximate", "none")),
    "Gemm": _gemm,
    "GlobalAveragePool": lambda a, x: x.mean(tuple(range(2, x.ndim)), True),
    "GlobalMaxPool": lambda a, x: x.amax(tuple(range(2, x.ndim)), True),
    "Greater": _pointwise(operator.gt),
    "GreaterOrEqual": _pointwise(operator.ge),
    "GroupNormalization": _group_norm,
    "HardSigmoid": lambda a, x: (float(a.get("alpha", 0.2)) * x + float(a.get("beta", 0.5))).clamp(0, 1),
    "HardSwish": lambda a, x: functional.hardswish(x),
    "Identity": lambda a, x: x,
    "InstanceNormalization": _instance_norm,
    "LRN": _local_response,
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda a, x: functional.leaky_relu(x, float(a.get("alpha", 0.01))),
    "Less": _pointwise(operator.lt),
    "LessOrEqual": _pointwise(operator.le),
    "Log": _pointwise(torch.log),
    "LogSoftmax": _softmax(torch.log_softmax),
    "LpNormalization": _lp_normalize,
    "LpPool": power_pool,
    "MatMul": _pointwise(torch.matmul),
    "Max": _folded(torch.maximum),
    "MaxPool": max_pool,
    "Mean": lambda a, *x: reduce(operator.add, all_tensors(x)) / len(x),
    "Min": _folded(torch.minimum),
    "Mish": lambda a, x: functional.mish(x),
    "Mul": _pointwise(operator.mul),
    "Neg": _pointwise(operator.neg),
    "Not": _pointwise(torch.logical_not),
    "Or": _pointwise(torch.logical_or),
    "PRelu": _prelu,
    "Pow": _pointwise(operator.pow),
    "Reciprocal": _pointwise(torch.reciprocal),
    "ReduceL1": _reduction(lambda x, axes, keep: x.abs().sum(axes, keep)),
    "ReduceL2": _reduction(lambda x, axes, keep: torch.linalg.vector_norm(x, 2, axes, keep)),
    "ReduceLogSum": _reduction(lambda x, axes, keep: x.sum(axes, keep).log()),
    "ReduceLogSumExp": _reduction(torch.logsumexp),
    "ReduceMax": _reduction(torch.amax),
    "ReduceMean": _reduction(torch.mean),
    "ReduceMin": _reduction(torch.amin),
    "ReduceProd": _reduction(_product),
    "ReduceSum": _reduction(torch.sum),
    "ReduceSumSquare": _reduction(lambda x, axes, keep: x.square().sum(axes, keep)),
    "Relu": lambda a, x: functional.relu(x),
    "Round": _pointwise(torch.round),
    "Selu": lambda a, x: functional.selu(x),
    "Shrink": _shrink,
    "Sigmoid": _pointwise(torch.sigmoid),
    "Sign": _pointwise(torch.sign),
    "Sin": _pointwise(torch.sin),
    "Sinh": _pointwise(torch.sinh),
    "Softmax": _softmax(torch.softmax),
    "Softplus": lambda a, x: functional.softplus(x),
    "Softsign": lambda a, x: functional.softsign(x),
    "Sqrt": _pointwise(torch.sqrt),
    "Sub": _pointwise(operator.sub),
    "Sum": _folded(operator.add),
    "Swish": lambda a, x: x * torch.sigmoid(float(a.get("alpha", 1.0)) * x),
    "Tan": _pointwise(torch.tan),
    "Tanh": _pointwise(torch.tanh),
    "ThresholdedRelu": lambda a, x: torch.where(x > float(a.get("alpha", 1.0)), x, 0.0),
    "Where": _pointwise(torch.where),
}
