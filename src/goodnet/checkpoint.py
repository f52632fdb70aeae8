"""Checkpoint: what a scan has finished, on disk, so that an interrupted scan goes on with the same result."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from goodnet.engine import Cost
from goodnet.errors import CheckpointError

logger = logging.getLogger(__name__)


Facts = dict[int, dict[str, float]]
ByLabel = dict[int, dict[str, Tensor]]


@dataclass(frozen=True, eq=False)
class Batch:
    """A finished batch of labels.

    Attributes:
        cost: what it took.
        facts: for each label, numbers by their names.
        tensors: for each label, or for those worth keeping, tensors by their names.
    """

    cost: Cost
    facts: Facts
    tensors: ByLabel


class Checkpoint:
    """A folder with one file for each finished batch of labels; files appear whole or not at all.

    Args:
        folder: where the checkpoints of all scans are.
        fingerprint: what identifies this scan; see `fingerprint`.
        resume: whether to keep what an earlier run left; else it is thrown away.
    """

    def __init__(self, folder: Path, fingerprint: str, resume: bool) -> None:
        self.folder = folder / fingerprint
        self._failed = False
        try:
            if resume and not any(self.folder.glob("*.safetensors")):
                logger.warning(
                    "there is nothing to resume in %s (another model, images or settings?): starting anew", folder
                )
            if not resume:
                shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CheckpointError(
                f"cannot keep the scan's progress in {self.folder}: {error.strerror}; "
                "name a writable folder with --checkpoint"
            ) from error

    def load(self, stage: str, number: int) -> Batch | None:
        """Return a finished batch, or None; a damaged file counts as not finished."""
        path = self._path(stage, number)
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                head = json.loads(file.metadata()["batch"])
                tensors: ByLabel = {}
                for key in file.keys():  # noqa: SIM118 - not a dict
                    label, _, name = key.partition("/")
                    tensors.setdefault(int(label), {})[name] = file.get_tensor(key)
                facts = {int(label): numbers for label, numbers in head["facts"].items()}
                return Batch(Cost(**head["cost"]), facts, tensors)
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("%s is damaged and is made anew: %s", path, error)
            return None

    def save(self, stage: str, number: int, batch: Batch) -> None:
        """Write a finished batch. Where that fails, the scan goes on without: what it has found is not to be lost."""
        path = self._path(stage, number)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        tensors = {
            f"{label}/{name}": value.detach().cpu().contiguous()
            for label, each in batch.tensors.items()
            for name, value in each.items()
        }
        head = json.dumps({"cost": dataclasses.asdict(batch.cost), "facts": batch.facts})
        try:
            self.folder.mkdir(parents=True, exist_ok=True)  # another run of the same scan may have removed it
            save_file(tensors, partial, metadata={"batch": head})
            partial.replace(path)
        except (OSError, SafetensorError) as error:
            if not self._failed:
                logger.warning("cannot keep the scan's progress in %s, going on without: %s", self.folder, error)
            self._failed = True
            with contextlib.suppress(OSError):
                partial.unlink()

    def remove(self) -> None:
        """Throw the finished scan's files away."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, stage: str, number: int) -> Path:
        return self.folder / f"{stage}-{number:05d}.safetensors"


def fingerprint(model_sha256: str, settings: Sequence[object], tensors: Sequence[Tensor]) -> str:
    """Return what identifies a scan: equal for equal model, settings and images, whatever the files are called."""
    digest = hashlib.sha256(model_sha256.encode())
    digest.update(repr((torch.__version__, *settings)).encode())
    for tensor in tensors:
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]
