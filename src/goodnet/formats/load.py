"""load_model: any model that goodnet reads, as a Classifier."""

from __future__ import annotations

import hashlib
import pickle
import struct
import zipfile
import zlib
from pathlib import Path

import torch
from torch import nn

from goodnet.classifier import Classifier, PartialShape, Preprocessing, Shape, freeze
from goodnet.errors import GoodnetError, ModelError, in_short
from goodnet.formats import live
from goodnet.formats.exported import EXPORT_FORMAT
from goodnet.formats.keras import HDF5_FORMAT, KERAS_FORMAT
from goodnet.formats.loaded import Format, LoadedNetwork, ReadOptions
from goodnet.formats.onnx import ONNX_FORMAT
from goodnet.formats.torch_files import PICKLE_FORMAT, SAFETENSORS_FORMAT, WEIGHTS_FORMAT
from goodnet.formats.torchscript import SCRIPT_FORMAT

# In this order: what a signature tells comes before what has none.
FORMATS: tuple[Format, ...] = (
    KERAS_FORMAT,
    HDF5_FORMAT,
    EXPORT_FORMAT,
    SCRIPT_FORMAT,
    WEIGHTS_FORMAT,
    SAFETENSORS_FORMAT,
    PICKLE_FORMAT,
    ONNX_FORMAT,
)

DAMAGE = (
    ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError,
    TypeError, ValueError, pickle.UnpicklingError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What libraries raise at files that are damaged."""


def load_model(
    source: object,
    *,
    input_shape: Shape | None = None,
    pixel_range: tuple[float, float] = (0.0, 1.0),
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    bgr: bool = False,
    transposed: bool = False,
    arch: str | None = None,
    num_classes: int | None = None,
    device: str | torch.device = "cpu",
) -> Classifier:
    """Read a model and freeze it. A file's content decides what it is, not its name; nothing in it is executed.

    Args:
        source: path of a Keras `.keras` or `.h5` file, of an ONNX, TorchScript or torch.export file, or of weights
            (`.safetensors`, or a state dict by torch.save) for `arch`; a live torch.nn.Module, ExportedProgram
            or keras.Model, which is copied; or a Classifier, which is returned as it is.
        input_shape: (C, H, W) of an image, where the model does not say.
        pixel_range: values of black and white that the network wants.
        mean: per-channel mean that is taken off after that, in the same units; None for none.
        std: per-channel standard deviation to divide by; None for none.
        bgr: the network wants blue before red.
        transposed: the network wants (C, W, H).
        arch: architecture for a file of weights: "torchvision:resnet18", "timm:resnet18", the bare name, or
            "FILE.py:NAME" for a class or function of a Python file, which is run.
        num_classes: N for a file of weights, where its last layer does not tell.
        device: where the network is to run.

    Raises:
        ModelError: the file cannot be read, or holds no image classifier with usable weights.
        UnsafeModelError: reading it would mean to run code from it.
        MissingExtraError: an optional package is needed.
    """
    if isinstance(source, Classifier):
        return source
    preprocessing = Preprocessing(pixel_range, mean, std, bgr, transposed)
    asked: PartialShape = input_shape or (None, None, None)
    options = ReadOptions(_swapped(asked) if transposed else asked, num_classes, arch)
    where = _device(device)
    if live.recognises(source):
        name, digest, loaded = type(source).__name__, "", live.read(source, options)
    elif isinstance(source, (str, Path)):
        path = Path(source)
        name, loaded = str(path), _read(path, options)
        digest = _sha256(path)
    else:
        raise ModelError(
            f"expected a path, a torch.nn.Module, an ExportedProgram or a keras.Model, got a {type(source).__name__}"
        )
    network = freeze(loaded.network.float())
    _require_finite(network, name)
    shape = _swapped(loaded.input_shape) if transposed else loaded.input_shape
    classifier = Classifier(
        network=network.to(where),
        input_shape=shape,
        num_classes=loaded.num_classes,
        preprocessing=preprocessing,
        path=name,
        sha256=digest or weights_sha256(network),
        format=loaded.format,
        device=where,
        warnings=loaded.warnings,
    )
    if input_shape is not None:
        return classifier.bound_to(input_shape)
    channels, height, width = shape
    if channels is None or height is None or width is None:
        return classifier
    return classifier.bound_to((channels, height, width))


def weights_sha256(network: nn.Module) -> str:
    """Return the digest of a network's parameters and buffers."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        if isinstance(value, torch.Tensor):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _read(path: Path, options: ReadOptions) -> LoadedNetwork:
    """Read a file by its content; whatever a library complains of becomes one ModelError."""
    if path.is_dir():
        raise ModelError(
            f"expected a model file, got the folder {path}; TensorFlow SavedModels are not read: save as .keras"
        )
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise ModelError(f"cannot read the model file {path}: {error.strerror or error}") from error
    if not head:
        raise ModelError(f"the model file {path} is empty")
    form = next((form for form in FORMATS if form.matches(path, head)), None)
    if form is None:
        known = ", ".join(form.name for form in FORMATS)
        raise ModelError(f"{path} is none of the formats that goodnet reads ({known}), or it is damaged or cut off")
    try:
        return form.read(path, options)
    except GoodnetError as error:
        if str(path) not in str(error):
            error.args = (f"{path}: {error}",)  # whatever else the error is made of
        raise
    except DAMAGE as error:
        reason = in_short(error)
        raise ModelError(
            f"{path} looks like {form.name} but cannot be read; it may be damaged or cut off: {reason}"
        ) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _device(name: str | torch.device) -> torch.device:
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = in_short(error)
        raise ModelError(
            f"expected a device that torch can use here, such as cpu or cuda, got {name!r}: {reason}"
        ) from error
    return device


def _require_finite(network: nn.Module, name: str) -> None:
    for key, value in network.state_dict().items():
        if isinstance(value, torch.Tensor) and value.is_floating_point() and not bool(torch.isfinite(value).all()):
            bad = int((~torch.isfinite(value)).sum())
            raise ModelError(f"{name}: {bad} of {value.numel()} weights in {key!r} are NaN or infinite; it is unusable")


def _swapped(shape: PartialShape) -> PartialShape:
    return shape[0], shape[2], shape[1]
