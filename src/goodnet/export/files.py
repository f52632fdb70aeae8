"""The door for GoodNet files: which format, written whole or not at all."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from goodnet.errors import MissingExtraError, ModelError, OutputError
from goodnet.export import keras, notes, onnx, program, torchscript
from goodnet.formats import load_model
from goodnet.goodnet import GoodNet, GoodNetFacts
from goodnet.version import __version__
from goodnet.whole import written_whole


@dataclass(frozen=True)
class Export:
    """A format that GoodNets are written in.

    Attributes:
        write: writes a GoodNet to a path that is not there yet.
        require: raises MissingExtraError where a package is missing that `write` needs.
    """

    write: Callable[[GoodNet, Path], None]
    require: Callable[[], object]


EXPORTS = {
    ".onnx": Export(onnx.write, onnx.import_onnx),
    ".pt2": Export(program.write, lambda: None),
    ".ts": Export(torchscript.write, lambda: None),
    ".keras": Export(keras.write, keras.import_keras),
}


def export_for(path: Path) -> Export:
    """Return how to write a file of that name.

    Raises:
        OutputError: no format goes by that suffix.
        MissingExtraError: an optional package is needed.
    """
    if path.suffix.lower() not in EXPORTS:
        raise OutputError(f"expected a file name that ends in {', '.join(EXPORTS)} to write a GoodNet to, got {path}")
    export = EXPORTS[path.suffix.lower()]
    export.require()
    return export


def save(good: GoodNet, path: Path) -> None:
    """Write a GoodNet to a file, whole or not at all.

    Raises:
        OutputError: the suffix is unknown or the file cannot be written.
        ModelError: the network cannot be exported.
        MissingExtraError: an optional package is needed.
    """
    write = export_for(path).write
    with written_whole(path, "GoodNet") as partial, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporters, about their own insides
        write(good, partial)


def save_somehow(good: GoodNet, path: Path) -> tuple[Path, ModelError | None]:
    """Write a GoodNet to a file or, if its network cannot be exported so, beside it in the next format that takes it.

    Returns:
        Where it was written, and what stood against the format that was asked for.

    Raises:
        ModelError: no format takes it.
        OutputError: the suffix is unknown or the file cannot be written.
        MissingExtraError: an optional package is needed.
    """
    try:
        save(good, path)
    except ModelError as error:
        for suffix in (".pt2", ".onnx", ".ts"):
            try:
                save(good, path.with_suffix(suffix))
            except (ModelError, MissingExtraError):
                continue
            return path.with_suffix(suffix), error
        raise
    return path, None


def load_goodnet(path: str | Path, *, device: str | torch.device = "cpu") -> GoodNet:
    """Read a GoodNet that `GoodNet.save` wrote. A model file of another origin is taken as a network without filter.

    Raises:
        ModelError: the file cannot be read, or does not hold what it says.
        UnsafeModelError: reading it would mean to run code from it.
    """
    path = Path(path)
    model = load_model(path, device=device)
    found = notes.in_archive(path) or onnx.facts(path)
    if found is None:
        facts = GoodNetFacts(model.classes, model.shape, (), False, 0.0, path.name, model.sha256, __version__)
        from goodnet.guard import UnguardedNetwork

        network = UnguardedNetwork(model.network, model.preprocessing).eval()
        return GoodNet(network, facts, None, model, model, model.device)
    facts = GoodNetFacts.from_json(found)
    if model.bound_to(facts.input_shape).classes != facts.num_classes + 1:
        raise ModelError(
            f"{path} says it has {facts.num_classes} classes and one more, but answers with {model.classes}"
        )
    return GoodNet(model.network, facts, device=model.device)
