"""The report and the progress of a scan in a terminal."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table

from goodnet.engine import Cost
from goodnet.report.schema import LabelReport, ScanReport

COLOURS = {"clean": "green", "backdoored": "red", "inconclusive": "yellow"}

SHOWN = 5
"""Labels without a flag that the table shows."""


class ScanProgress:
    """A bar for each stage of a scan: labels, image-gradients and the time that is left."""

    def __init__(self, console: Console) -> None:
        self._bars = Bars(
            TextColumn("{task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("labels, {task.fields[gradients]:>9,} image-gradients,"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            transient=True,
        )
        self._tasks: dict[str, int] = {}

    def __enter__(self) -> ScanProgress:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def update(self, stage: str, done: int, total: int, cost: Cost) -> None:
        """Move the bar of a stage."""
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total, gradients=0)
        self._bars.update(self._tasks[stage], completed=done, gradients=cost.image_gradients)  # type: ignore[arg-type]


def show(report: ScanReport, console: Console) -> None:
    """Print a report: verdict and reasons, the most suspicious labels, the rest in one line, cost and warnings."""
    colour = COLOURS[report.verdict]
    console.print(
        f"[bold {colour}]{report.verdict.upper()}[/]  probability of a backdoor {report.score:.2f}", highlight=False
    )
    for reason in report.reasons:
        console.print(f"  {escape(reason)}", highlight=False)
    console.print()
    flagged = [entry for entry in report.labels if entry.flagged]
    others = [entry for entry in report.labels if not entry.flagged]
    console.print(_table([*flagged, *others[:SHOWN]]))
    folded = others[SHOWN:]
    if folded:
        highest = max(entry.anomaly_index for entry in folded)
        screened = sum(entry.status == "screened" for entry in folded)
        note = f", {screened} of them screened out early" if screened else ""
        console.print(f"and {len(folded)} more labels{note}; highest anomaly index {highest:.1f}", highlight=False)
    console.print()
    console.print(_facts(report), highlight=False, style="dim")
    for warning in report.warnings:
        console.print(f"[yellow]note:[/] {escape(warning)}", highlight=False)


def _table(entries: list[LabelReport]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in (
        "label",
        "probability",
        "anomaly index",
        "times smaller",
        "trigger size",
        "ASR",
        "noise index",
        "on empty images",
        "status",
    ):
        table.add_column(name, justify="right" if name != "status" else "left")
    for entry in entries:
        size = "-" if entry.trigger_size is None else f"{entry.trigger_size:.1f} px"
        table.add_row(
            str(entry.label),
            f"{entry.score:.2f}",
            f"{entry.anomaly_index:.1f}",
            f"{entry.size_ratio:.1f}",
            size,
            f"{entry.asr:.0%}",
            f"{entry.noise_index:.1f}",
            f"{entry.transfer:.0%}",
            "backdoor target" if entry.flagged else entry.status,
            style="red" if entry.flagged else None,
        )
    return table


def _facts(report: ScanReport) -> str:
    model, images, cost = report.model, report.images, report.cost
    accuracy = "without labels" if images.clean_accuracy is None else f"{images.clean_accuracy:.1%} classified right"
    shape = "x".join(map(str, model.input_shape))
    return (
        f"{escape(model.path)} ({model.format}, {model.num_classes} classes, input {shape}, {model.preprocessing})\n"
        f"{images.count} images from {escape(images.source)}, {accuracy}\n"
        f"{cost.image_gradients:,} image-gradients, {cost.seconds:.0f} s on {cost.device} in {cost.precision}, "
        f"preset {report.preset}, seed {report.seed}"
    )
