"""Checkpoints outlive what happens to a disk."""

import logging
from pathlib import Path

import pytest
import torch

from goodnet.checkpoint import Batch, Checkpoint
from goodnet.engine import Cost
from goodnet.errors import CheckpointError

BATCH = Batch(
    Cost(image_gradients=12, forward_passes=3),
    {3: {"size": float("inf"), "asr": 0.1}, 10: {"size": float("nan"), "asr": 0.25}},
    {3: {"mask": torch.rand(1, 4, 4)}, 10: {"mask": torch.rand(1, 4, 4).to(torch.bfloat16)}},
)


def test_a_batch_comes_back_bit_for_bit(tmp_path: Path) -> None:
    Checkpoint(tmp_path, "scan", resume=False).save("search", 7, BATCH)
    loaded = Checkpoint(tmp_path, "scan", resume=True).load("search", 7)
    assert loaded is not None
    assert loaded.cost == BATCH.cost
    assert repr(loaded.facts) == repr(BATCH.facts)
    for label, tensors in BATCH.tensors.items():
        assert torch.equal(loaded.tensors[label]["mask"], tensors["mask"])
        assert loaded.tensors[label]["mask"].dtype == tensors["mask"].dtype


@pytest.mark.parametrize("kept", [0, 7, 8, 100, -1])
def test_a_damaged_file_counts_as_not_finished(tmp_path: Path, kept: int) -> None:
    Checkpoint(tmp_path, "scan", resume=False).save("search", 0, BATCH)
    (path,) = tmp_path.rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:kept])
    assert Checkpoint(tmp_path, "scan", resume=True).load("search", 0) is None


def test_what_cannot_be_kept_does_not_end_the_scan(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keeper = Checkpoint(tmp_path, "scan", resume=False)
    keeper.remove()
    keeper.save("search", 0, BATCH)  # a second run of the same scan may have ended and removed the folder
    assert keeper.load("search", 0) is not None
    keeper.remove()
    (tmp_path / "scan").touch()
    with caplog.at_level(logging.WARNING):
        keeper.save("search", 1, BATCH)
        keeper.save("search", 2, BATCH)
    assert [record.message.count("going on without") for record in caplog.records] == [1]


def test_an_unusable_folder_is_an_error_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="--checkpoint"):
        Checkpoint(tmp_path / "file", "scan", resume=False)


def test_nothing_to_resume_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Checkpoint(tmp_path, "scan", resume=True)
    assert "nothing to resume" in caplog.text
    caplog.clear()
    Checkpoint(tmp_path, "scan", resume=False).save("search", 0, BATCH)
    Checkpoint(tmp_path, "scan", resume=True)
    assert caplog.text == ""
