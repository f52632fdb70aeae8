"""Run the benchmark: build, scan and repair a zoo, and compute the figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from goodnet.bench.build import Net, build, is_built
from goodnet.bench.figures import Measured, figures
from goodnet.bench.parallel import Failure, run_all
from goodnet.bench.repairs import RepairRow, RepairTask
from goodnet.bench.report import BenchReport
from goodnet.bench.rows import Measurement, RowT, fingerprint
from goodnet.bench.scans import ScanRow, ScanTask
from goodnet.calibration import shipped_calibration
from goodnet.redteam import Recipe
from goodnet.report.facts import versions

Tell = Callable[[str], None]


class Result(Protocol):
    """Something to tell of."""

    @property
    def line(self) -> str:
        """What came out, in one line."""


R = TypeVar("R", bound=Result)


@dataclass(frozen=True)
class BenchConfig:
    """What is measured, and how.

    Attributes:
        zoo: folder of the networks.
        data: folder of the image sets; None where the digits are enough.
        seeds: of the draws of images and the scans, at least one; figures are computed from the first.
        count: clean images that a scan and a repair are given; 0 for scans without any, and then no repairs.
        jobs: tasks that run at the same time, one thread each.
        repair: whether the networks in which a backdoor was found are repaired.
        fresh: whether rows that are there are measured again.
    """

    zoo: Path
    data: Path | None = None
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    count: int = 256
    jobs: int = 1
    repair: bool = True
    fresh: bool = False


def bench(recipes: Sequence[Recipe], config: BenchConfig, tell: Tell) -> BenchReport:
    """Build the networks that are missing, scan and repair them, and return the figures.

    Each network, scan and repair is kept in the zoo as soon as it is there, so an interrupted run goes on where it was.
    A failure is not kept: it is reported, the rest goes on, and the next run tries it again.

    Args:
        recipes: of the networks.
        config: what is measured, and how.
        tell: is told one line about each result.
    """
    failures: list[Failure] = []
    nets = _build(recipes, config, tell, failures)
    scan_tasks = [ScanTask(seed=seed, **_common(net, config)) for seed in config.seeds for net in nets]
    scans = _measure(scan_tasks, ScanRow, config, tell, failures)
    repair_tasks = [
        RepairTask(seed=scan.seed, scanned=scan.report, **_common(net, config))
        for net in nets
        for scan in scans
        if scan.net == net.name and scan.seed == config.seeds[0] and scan.verdict == "backdoored" and net.infected
    ]
    repairs = _measure(repair_tasks if config.repair and config.count else [], RepairRow, config, tell, failures)
    networks = _joined(nets, scans, repairs, config.seeds)
    return BenchReport(
        zoo=str(config.zoo),
        seeds=config.seeds,
        count=config.count,
        figures=figures(networks),
        networks=networks,
        failures=tuple(failures),
        calibration=shipped_calibration().sources,
        versions=versions(),
    )


def _build(recipes: Sequence[Recipe], config: BenchConfig, tell: Tell, failures: list[Failure]) -> list[Net]:
    """Return the networks that could be built, in the order of the recipes."""
    missing = [recipe for recipe in recipes if not is_built(recipe, config.zoo / recipe.name)]
    there = [Net.load(config.zoo / recipe.name) for recipe in recipes if recipe not in missing]
    _tell_of_kept("build", len(there), len(recipes), tell)
    built = _collect(build(missing, config.zoo, config.data, config.jobs), len(missing), tell, failures)
    order = [recipe.name for recipe in recipes]
    return sorted(there + built, key=lambda net: order.index(net.name))


def _common(net: Net, config: BenchConfig) -> dict[str, Any]:
    """Return the arguments that all measurements of a network have in common."""
    return {
        "net": net.name,
        "folder": config.zoo / net.name,
        "data": net.data,
        "data_folder": config.data,
        "count": config.count,
    }


def _measure(
    tasks: Sequence[Measurement[RowT]], kind: type[RowT], config: BenchConfig, tell: Tell, failures: list[Failure]
) -> list[RowT]:
    """Return a row for each task that does not fail: the one that is there, or else a new one."""
    kept = {} if config.fresh else {task: kind.load(task.path, fingerprint(task.model)) for task in tasks}
    missing = [task for task in tasks if kept.get(task) is None]
    if tasks:
        _tell_of_kept(tasks[0].stage, len(tasks) - len(missing), len(tasks), tell)
    rows = [row for row in kept.values() if row is not None]
    results = run_all(missing, config.jobs)
    return rows + _collect(results, len(missing), tell, failures)


def _tell_of_kept(stage: str, kept: int, total: int, tell: Tell) -> None:
    if kept:
        tell(f"{stage}: {kept} of {total} are there")


def _collect(results: Iterable[R | Failure], total: int, tell: Tell, failures: list[Failure]) -> list[R]:
    """Return the results; keep the failures apart; tell of each."""
    collected = []
    for number, result in enumerate(results, 1):
        tell(f"{number}/{total} {result.line}")
        if isinstance(result, Failure):
            failures.append(result)
        else:
            collected.append(result)
    return collected


def _joined(
    nets: Sequence[Net], scans: Sequence[ScanRow], repairs: Sequence[RepairRow], seeds: Sequence[int]
) -> tuple[Measured, ...]:
    """Return the networks that were scanned, each with its own rows in the order of the seeds."""
    ordered = sorted(scans, key=lambda scan: seeds.index(scan.seed))
    own = {net.name: tuple(scan for scan in ordered if scan.net == net.name) for net in nets}
    repaired = {row.net: row for row in repairs}
    return tuple(Measured(net, own[net.name], repaired.get(net.name)) for net in nets if own[net.name])
