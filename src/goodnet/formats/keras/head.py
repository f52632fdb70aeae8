"""Take the final softmax off a Keras graph."""

from __future__ import annotations

from torch import nn

from goodnet.formats.keras.graph import LayerGraph
from goodnet.formats.keras.layers import is_sigmoid, is_softmax


def _outputs(graph: LayerGraph) -> int | None:
    dense = [module for module in graph.modules() if isinstance(module, nn.Linear)]
    return dense[-1].out_features if dense else None


def strip_head(graph: LayerGraph) -> str | None:
    """Replace the softmax or sigmoid that makes the graph's output by nothing; return what it was."""
    by_slot = dict(enumerate(graph.steps, start=1))
    step = by_slot.get(graph.output.index)
    while step is not None:
        module = graph.layers[step.layer]
        if isinstance(module, LayerGraph):
            return strip_head(module)
        if sum(each.layer == step.layer for each in graph.steps) > 1:
            return None  # the layer is also used elsewhere
        last = module[-1] if isinstance(module, nn.Sequential) else module
        kind = "softmax" if is_softmax(last) else "sigmoid" if is_sigmoid(last) else None
        if kind == "sigmoid" and _outputs(graph) == 1:
            return None  # two classes in one number, which only the probability tells
        if kind is not None:
            if isinstance(module, nn.Sequential):
                module[-1] = nn.Identity()
            else:
                graph.replace_layer(step.layer, nn.Identity())
            return kind
        if not isinstance(last, nn.Identity):
            return None
        (before,) = step.arguments
        step = by_slot.get(before.index)
    return None
