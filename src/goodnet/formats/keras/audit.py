"""What a Keras model's config holds that is code."""

from __future__ import annotations

from goodnet.errors import UnsafeModelError
from goodnet.formats.keras.layers import Config
from goodnet.formats.keras.weights import MODELS

CODE_LAYERS = frozenset(["Lambda", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "TFSMLayer"])


def audit(config: Config) -> None:
    """Refuse a model config that holds code or needs the author's own code.

    Raises:
        UnsafeModelError: naming the layer.
    """
    for layer in config.get("config", {}).get("layers", []) if isinstance(config.get("config"), dict) else []:
        class_name = layer.get("class_name", "?")
        name = layer.get("name") or layer.get("config", {}).get("name", class_name)
        module = layer.get("module")
        registered = layer.get("registered_name")
        if class_name in CODE_LAYERS:
            raise UnsafeModelError(
                f"layer {name!r} is a {class_name} layer, which holds code; goodnet never runs code from a model "
                "file: export the model to ONNX where that code is trusted"
            )
        own = module is not None and module.split(".")[0] != "keras"
        if own or (registered is not None and registered != class_name and ">" in registered):
            raise UnsafeModelError(
                f"layer {name!r} is of the author's own type {registered or class_name!r}, which needs the author's "
                "code; export the model to ONNX where that code is trusted"
            )
        if class_name in MODELS:
            audit(layer)
