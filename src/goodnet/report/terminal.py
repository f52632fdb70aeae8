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

FLAGGED = 12
"""Flagged labels, at most, that the table shows."""

OTHERS = 3
"""Labels without a flag that the table shows, to compare with."""

REASONS = 4
"""Reasons, at most, that are shown."""

NOTES = {
    "found": "",
    "unreached": "out of reach",
    "screened": "screened out",
    "failed": "failed",
    "skipped": "not searched",
    "blind": "",
}
"""What the table says of a label that is not flagged, by its status."""

COLUMNS = ("label", "prob.", "index", "px", "ASR %", "empty %", "slight %", "surer")

EXPLANATION = (
    "prob.: probability of a backdoor; index: anomaly index of the trigger's size; px: pixels the trigger needs; ASR: "
    "images it sends to the label; empty: blank and noise images it sends there; slight: more images than "
    "usual that a slight warp or filter sends there; surer: how many times the usual margin any input reaches"
)


class ScanProgress:
    """A bar for each stage of a scan: labels, image-gradients and the time that is left; nothing but on a terminal."""

    def __init__(self, console: Console) -> None:
        self._bars = Bars(
            TextColumn("{task.description:<9}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("labels {task.fields[gradients]:>9,} image-gradients"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
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
    """Print a report: verdict and reasons, the suspicious labels, the rest in one line, cost and warnings.

    Fits a terminal of 80 columns.
    """
    console.print(_verdict(report), highlight=False)
    for reason in report.reasons[:REASONS]:
        console.print(f"  {escape(reason)}", highlight=False)
    if len(report.reasons) > REASONS:
        console.print(f"  and {len(report.reasons) - REASONS} more reasons (all are in the JSON report)")
    console.print()
    flagged = [entry for entry in report.labels if entry.flagged]
    others = [entry for entry in report.labels if not entry.flagged]
    changed = any(entry.warp_lead or entry.filter_lead for entry in report.labels)
    console.print(_table([*flagged[:FLAGGED], *others[:OTHERS]], changed))
    if len(flagged) > FLAGGED:
        console.print(f"and {len(flagged) - FLAGGED} more target labels", highlight=False)
    folded = others[OTHERS:]
    if folded:
        screened = sum(entry.status == "screened" for entry in folded)
        note = f", {screened} of them screened out early" if screened else ""
        if folded[0].status != "blind":
            note += f"; highest anomaly index {max(entry.anomaly_index for entry in folded):.1f}"
        console.print(f"and {len(folded)} more labels{note}", highlight=False)
    console.print(EXPLANATION, highlight=False, style="dim")
    console.print()
    console.print(_facts(report), highlight=False, style="dim")
    for warning in report.warnings:
        console.print(f"[yellow]note:[/] {escape(warning)}", highlight=False)


def _verdict(report: ScanReport) -> str:
    """Return the verdict in one line, with the target labels if there are any."""
    found = f"[bold {COLOURS[report.verdict]}]{report.verdict.upper()}[/]  "
    if report.target_labels:
        shown = ", ".join(map(str, report.target_labels[:FLAGGED]))
        more = ", ..." if len(report.target_labels) > FLAGGED else ""
        found += f"target label{'s' if len(report.target_labels) > 1 else ''} {shown}{more}; "
    return f"{found}probability of a backdoor {report.score:.2f}"


def _table(entries: list[LabelReport], changed: bool) -> Table:
    """Return the table of some labels; `changed` is whether slight changes were looked for."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for entry in entries:
        table.add_row(str(entry.label), *_figures(entry, changed), style="red" if entry.flagged else None)
    return table


def _figures(entry: LabelReport, changed: bool) -> tuple[str, ...]:
    """Return the cells of a label; dashes where nothing was measured."""
    note = "TARGET" if entry.flagged else NOTES[entry.status]
    note += "" if entry.victim is None else f" from {entry.victim}"
    note += " per image" if entry.family == "generator" else ""
    surer = _times(entry.margin_ratio)
    if entry.status in ("failed", "skipped"):
        return (*["-"] * 7, note)
    if entry.status == "blind":
        return (f"{entry.score:.2f}", *["-"] * 5, surer, note)
    return (
        f"{entry.score:.2f}",
        f"{entry.anomaly_index:.1f}",
        "-" if entry.trigger_size is None else f"{entry.trigger_size:.1f}",
        f"{100 * entry.asr:.0f}",
        f"{100 * entry.transfer:.0f}",
        f"{100 * max(entry.warp_lead, entry.filter_lead):.0f}" if changed else "-",
        surer,
        note,
    )


def _times(ratio: float) -> str:
    return f"{ratio:.1f}x" if ratio else "-"


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
