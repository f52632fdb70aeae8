"""Where a Keras layer's weights are in a file: the two layouts, behind one interface."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol

import h5py
import numpy as np

from goodnet.errors import ModelError
from goodnet.formats.archive import LARGEST_EXPANSION
from goodnet.formats.keras.weighted import Arrays

MODELS = frozenset(["Functional", "Model", "Sequential"])
"""Classes of models, which have layers, where others have weights."""


class Weights(Protocol):
    """The weights below one layer or (nested) model."""

    def arrays(self) -> Arrays:
        """Return the layer's own weights in the order in which Keras lists them."""

    def children(self, layers: Sequence[tuple[str, str]]) -> dict[str, Weights]:
        """Return the weights of a model's layers, given as (name, class name) in order, by name."""


def _array(dataset: Any) -> np.ndarray[Any, Any]:
    if not isinstance(dataset, h5py.Dataset):
        raise ModelError(f"expected an array of weights at {dataset.name}, got a group")
    if dataset.is_virtual or dataset.external:
        raise ModelError(f"the weights at {dataset.name} are stored outside the file, which goodnet does not read")
    if dataset.nbytes > LARGEST_EXPANSION * max(dataset.id.get_storage_size(), 2**20):
        raise ModelError(f"the weights at {dataset.name} would expand to {dataset.nbytes} bytes, as a zip bomb does")
    return np.asarray(dataset[()])


def _link(group: h5py.Group, key: str) -> Any:
    """Return a member of a group, refusing links that lead out of the file."""
    if isinstance(group.get(key, getlink=True), h5py.ExternalLink):
        raise ModelError(f"{group.name}/{key} is a link to another file, which goodnet does not follow")
    return group[key]


class NumberedWeights:
    """Keras 3's layout: layers/<class name in snake case>_<k>/vars/<i>."""

    def __init__(self, group: h5py.Group | None) -> None:
        self.group = group

    def arrays(self) -> Arrays:
        """Return vars/0, vars/1, ..."""
        if self.group is None or "vars" not in self.group:
            return []
        variables = _link(self.group, "vars")
        return [_array(_link(variables, key)) for key in sorted(variables, key=int)]

    def children(self, layers: Sequence[tuple[str, str]]) -> dict[str, Weights]:
        """Number the layers of each class as Keras' saving_lib does; InputLayers count too."""
        container = None
        for key in ("layers", "_layer_checkpoint_dependencies"):
            if self.group is not None and key in self.group:
                container = _link(self.group, key)
                break
        used: dict[str, int] = {}
        found: dict[str, Weights] = {}
        for name, class_name in layers:
            snake = _snake_case(class_name)
            count = used[snake] = used.get(snake, -1) + 1
            key = f"{snake}_{count}" if count else snake
            found[name] = NumberedWeights(_link(container, key) if container is not None and key in container else None)
        return found


def _snake_case(name: str) -> str:
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


class NamedWeights:
    """The older HDF5 layout: model_weights/<layer name>, whose attribute weight_names lists paths in order."""

    def __init__(self, records: Sequence[tuple[str, np.ndarray[Any, Any]]]) -> None:
        self.records = records

    def arrays(self) -> Arrays:
        """Return the weights in the order listed."""
        paths = [path for path, _ in self.records]
        if len(set(paths)) < len(paths):
            raise ModelError(f"two layers keep weights under the same name {paths[0]!r}; save the model as .keras")
        return [array for _, array in self.records]

    def children(self, layers: Sequence[tuple[str, str]]) -> dict[str, Weights]:
        """Give each nested layer the weights whose path names it, trainable ones first as Keras does.

        A model among them may not be named in the paths of what is in it; it then chooses from all of them.
        """
        named = {name: [record for record in self.records if name in record[0].split("/")[:-1]] for name, _ in layers}
        return {
            name: NamedWeights(self.records if class_name in MODELS and not named[name] else named[name])
            for name, class_name in layers
        }


class NamedWeightsFile(NamedWeights):
    """The model_weights group of an HDF5 file."""

    def __init__(self, group: h5py.Group) -> None:
        super().__init__(())
        self.group = group

    def children(self, layers: Sequence[tuple[str, str]]) -> dict[str, Weights]:
        """Return each layer's weights by its name."""
        return {name: NamedWeights(self._records(name)) for name, _ in layers}

    def _records(self, name: str) -> list[tuple[str, np.ndarray[Any, Any]]]:
        if name not in self.group:
            return []
        group = _link(self.group, name)
        paths = [text(path) for path in names_attribute(group, "weight_names")]
        records = []
        for path in paths:
            inner = group
            for part in path.split("/"):
                inner = _link(inner, part)
            records.append((path, _array(inner)))
        return records


def text(value: Any) -> str:
    """Return an HDF5 string attribute as str."""
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def names_attribute(group: h5py.Group, name: str) -> list[Any]:
    """Return a list attribute, which Keras splits into name0, name1, ... where it is large."""
    if name in group.attrs:
        return list(group.attrs[name])
    names: list[Any] = []
    chunk = 0
    while f"{name}{chunk}" in group.attrs:
        names.extend(group.attrs[f"{name}{chunk}"])
        chunk += 1
    return names
