"""What tests of whole runs need to be fast: tasks in this process, and a scan that only pretends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
import torch
from made_up import FakeScan

from goodnet.bench import build, metrics, run, scans
from goodnet.bench.parallel import Failure, Task
from goodnet.bench.parallel import _attempt as attempt


@pytest.fixture
def serial(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run tasks one after the other in this process, and take few resamples."""

    def run_all(tasks: Sequence[Task[object]], jobs: int) -> Iterator[object | Failure]:
        return (attempt(task) for task in tasks)

    threads = torch.get_num_threads()
    monkeypatch.setattr(build, "run_all", run_all)
    monkeypatch.setattr(run, "run_all", run_all)
    monkeypatch.setattr(metrics, "RESAMPLES", 10)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def fake_scan(monkeypatch: pytest.MonkeyPatch) -> FakeScan:
    fake = FakeScan()
    monkeypatch.setattr(scans, "scan", fake)
    return fake
