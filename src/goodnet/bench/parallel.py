"""Run many tasks in processes of one thread each; a task that fails does not end the run."""

from __future__ import annotations

import multiprocessing
import traceback
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

import torch

from goodnet.errors import GoodnetError, in_short

R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class Task(ABC, Generic[R]):
    """Something to do for one network, in a process of its own.

    Attributes:
        stage: what is done.
        net: name of the network.
        seed: of the draw of the images and of all else; None where the recipe has it.
    """

    stage: ClassVar[str]
    net: str
    seed: int | None = None

    @abstractmethod
    def run(self) -> R:
        """Do it."""


@dataclass(frozen=True)
class Failure:
    """A task that ended in an error.

    Attributes:
        stage: of the task.
        net: of the task.
        seed: of the task.
        error: what went wrong, in one line or a few.
        details: the traceback of an error that goodnet does not raise on purpose; empty for others.
    """

    stage: str
    net: str
    seed: int | None
    error: str
    details: str = ""

    @property
    def line(self) -> str:
        """What went wrong, in one line."""
        seed = "" if self.seed is None else f" seed {self.seed}"
        return f"{self.stage} {self.net}{seed} failed: {' '.join(self.error.split())}"


def run_all(tasks: Sequence[Task[R]], jobs: int) -> Iterator[R | Failure]:
    """Yield the result of each task as soon as it is there.

    Every task has one thread, so its result does not depend on how many run beside it.

    Args:
        tasks: what to do; they and their results are pickled.
        jobs: tasks that run at the same time.
    """
    lost: list[Task[R]] = []
    yield from _pooled(tasks, jobs, lost)
    # One process that is killed takes the pool with it, so what was lost is tried again, each task by itself.
    for task in lost:
        culprit: list[Task[R]] = []
        yield from _pooled([task], 1, culprit)
        if culprit:
            yield _failure(task, "its process was ended from outside, perhaps for lack of memory; try --jobs 1")


def _pooled(tasks: Sequence[Task[R]], jobs: int, lost: list[Task[R]]) -> Iterator[R | Failure]:
    """Yield the results of tasks; collect those in `lost` whose process ended."""
    if not tasks:
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(tasks)), context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        futures = {pool.submit(_attempt, task): task for task in tasks}
        try:
            for future in as_completed(futures):
                if isinstance(future.exception(), BrokenProcessPool):
                    lost.append(futures[future])
                else:
                    yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _attempt(task: Task[R]) -> R | Failure:
    # Errors become plain data here: not every exception survives pickling.
    try:
        return task.run()
    except GoodnetError as error:
        return _failure(task, str(error))
    except Exception as error:
        return _failure(task, f"{type(error).__name__}: {in_short(error)}", traceback.format_exc())


def _failure(task: Task[R], error: str, details: str = "") -> Failure:
    return Failure(task.stage, task.net, task.seed, error, details)
