"""Tasks in processes: their results, their failures and their deaths."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import ClassVar

import torch

from goodnet.bench.parallel import Failure, Task, run_all
from goodnet.errors import MissingExtraError


@dataclass(frozen=True, kw_only=True)
class Do(Task[int]):
    stage: ClassVar[str] = "do"
    what: str

    def run(self) -> int:
        match self.what:
            case "count threads":
                return torch.get_num_threads()
            case "miss an extra":
                raise MissingExtraError("this", "that")
            case "divide":
                return 1 // 0
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
        return 0


def test_failures_and_deaths_leave_the_other_tasks_alone() -> None:
    what = ["miss an extra", "divide", "count threads", "count threads", "die"]
    results = list(run_all([Do(net=f"{number}", seed=3, what=each) for number, each in enumerate(what)], jobs=2))
    failures = {result.net: result for result in results if isinstance(result, Failure)}
    assert [result for result in results if not isinstance(result, Failure)] == [1, 1]
    assert set(failures) == {"0", "1", "4"}
    assert "goodnet[that]" in failures["0"].error and not failures["0"].details
    assert failures["1"].error.startswith("ZeroDivisionError") and "1 // 0" in failures["1"].details
    assert "ended from outside" in failures["4"].error
    assert failures["4"].line.startswith("do 4 seed 3 failed: ")


def test_no_tasks_need_no_processes() -> None:
    assert list(run_all([], jobs=2)) == []
