"""Rows: what was measured of one network, kept beside it and measured again only when something has changed."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any, Self, TypeVar

from goodnet.bench.parallel import Task
from goodnet.report.schema import plain, write_json
from goodnet.version import __version__


@dataclass(frozen=True, kw_only=True)
class Row(ABC):
    """What every row says.

    Attributes:
        net: name of the network.
        seed: of the draw of the images and of all else.
        count: clean images that were given.
        fingerprint: of what the result depends on; see `fingerprint`.
        image_gradients: that it cost.
        processor_seconds: that it took, on one thread.
        wall_seconds: that passed meanwhile.
    """

    net: str
    seed: int
    count: int
    fingerprint: str
    image_gradients: int
    processor_seconds: float
    wall_seconds: float

    @property
    @abstractmethod
    def line(self) -> str:
        """What came out, in one line."""

    @classmethod
    def load(cls, path: Path, wanted: str) -> Self | None:
        """Return the row in a file; None if there is none of the fingerprint wanted."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            values: dict[str, Any] = {each.name: content[each.name] for each in fields(cls)}
        except (OSError, ValueError, KeyError, TypeError):
            return None
        values |= {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        row = cls(**values)
        return row if row.fingerprint == wanted else None

    def save(self, path: Path) -> None:
        """Write the row as JSON, whole or not at all; OutputError if it cannot be written."""
        write_json(plain(self), path)


RowT = TypeVar("RowT", bound=Row)


@dataclass(frozen=True, kw_only=True)
class Measurement(Task[RowT]):
    """Something to measure of a network with images drawn by a seed.

    Attributes:
        folder: of the network.
        data: the data set.
        data_folder: of the image sets.
        seed: of the draw of the images and of all else.
        count: clean images.
    """

    folder: Path
    data: str
    data_folder: Path | None
    seed: int
    count: int

    @abstractmethod
    def measure(self) -> RowT:
        """Return what comes out."""

    @property
    def model(self) -> Path:
        """The network's file."""
        return self.folder / "model.onnx"

    @property
    def path(self) -> Path:
        """Where the row is kept."""
        return self.folder / f"{self.stage}_{self.seed}_{self.count}.json"

    def run(self) -> RowT:
        """Measure and keep the row."""
        row = self.measure()
        row.save(self.path)
        return row


def fingerprint(model: Path) -> str:
    """Return a digest of goodnet's version, its calibration and a model file."""
    digest = hashlib.sha256(__version__.encode())
    digest.update(resources.files("goodnet").joinpath("calibration.json").read_bytes())
    digest.update(hashlib.sha256(model.read_bytes()).digest())
    return digest.hexdigest()
