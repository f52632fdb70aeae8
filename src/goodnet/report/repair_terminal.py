"""The repair report in a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from goodnet.report.repair import Figures, FilterFigures, RealTriggerFigures, RepairReport

COLOURS = {"repaired": "green", "unchanged": "green", "incomplete": "red", "inconclusive": "yellow"}


def show_repair(report: RepairReport, console: Console) -> None:
    """Print a repair report: what came of it, before and after, the filter, the rounds, cost and warnings."""
    console.print(
        f"[bold {COLOURS[report.status]}]{report.status.upper()}[/]  {escape(report.summary)}", highlight=False
    )
    for number, done in enumerate(report.rounds, start=1):
        labels = ", ".join(map(str, done.labels))
        console.print(f"  round {number}, label {labels}: {escape(done.reason)}", highlight=False)
    if report.before is not None and report.after is not None and report.alone is not None:
        console.print()
        console.print(_table(report.before, report.after, report.alone))
    if report.filter is not None:
        console.print(_filter(report.filter), highlight=False)
    if report.real_trigger is not None:
        console.print(_real(report.real_trigger), highlight=False)
    console.print()
    cost = report.cost
    console.print(
        f"{escape(report.model.path)}, {report.images.count} images from {escape(report.images.source)}\n"
        f"{cost.image_gradients:,} image-gradients, {cost.seconds:.0f} s on {cost.device} in {cost.precision}, "
        f"seed {report.seed}",
        highlight=False,
        style="dim",
    )
    for warning in report.warnings:
        console.print(f"[yellow]note:[/] {escape(warning)}", highlight=False)


def _table(before: Figures, after: Figures, alone: Figures) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("held-out images", "BadNet", "GoodNet, filter off", "repaired network alone"):
        table.add_column(name, justify="left" if name == "held-out images" else "right")
    columns = (before, after, alone)
    table.add_row("clean accuracy", *(_with_interval(each) for each in columns))
    table.add_row("ASR of unseen reversed triggers", *(f"{each.asr:.1%}" for each in columns))
    table.add_row("highest ASR of one of them", *(f"{each.highest_asr:.1%}" for each in columns))
    table.add_row("true class under the trigger", *(f"{each.recovered:.1%}" for each in columns))
    return table


def _with_interval(figures: Figures) -> str:
    low, high = figures.interval
    return f"{figures.clean_accuracy:.1%} ({low:.1%} to {high:.1%})"


def _filter(found: FilterFigures) -> str:
    clean = (
        "no clean inputs of a flagged label to measure on"
        if found.false_positive_rate is None
        else f"{found.false_positive_rate:.1%} of {found.clean} clean inputs of flagged labels called backdoored"
    )
    missed = "-" if found.false_negative_rate is None else f"{found.false_negative_rate:.1%}"
    return (
        f"filter, set to {found.set_to:.1%}: {clean}; {missed} of {found.stamped} stamped inputs get a wrong class "
        "unnoticed; inputs of other labels are not judged"
    )


def _real(found: RealTriggerFigures) -> str:
    return (
        f"real trigger, {found.images} images: ASR {found.asr_before:.1%} -> {found.asr_after:.1%}, true class "
        f"{found.recovered:.1%} with the filter off; with it {found.caught:.1%} called backdoored, {found.handled:.1%} "
        "backdoored or their true class"
    )
