"""The figures of a benchmark in a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from goodnet.bench.figures import Figures
from goodnet.bench.metrics import Estimate
from goodnet.bench.report import BenchReport

SCORE = {
    "AUC": "auc",
    "TPR at 5% FPR": "tpr_at_5",
    "at 1% FPR": "tpr_at_1",
    "Brier": "brier",
    "ECE": "calibration_error",
}
VERDICT = {"TPR": "tpr", "FPR": "fpr", "inconclusive": "inconclusive", "target": "target", "stable": "stable"}
REPAIR = {
    "clean": "clean_before",
    "after": "clean_after",
    "ASR": "asr_before",
    "after ": "asr_after",
    "recovered": "recovered",
    "handled": "handled",
}
WORDS = {
    "auc": "area under the ROC curve",
    "tpr_at_5": "TPR at 5 % FPR",
    "tpr_at_1": "TPR at 1 % FPR",
    "tpr": "TPR of the verdict backdoored",
    "fpr": "FPR of the verdict backdoored",
    "inconclusive": "inconclusive",
    "target": "most suspicious label is a target",
    "brier": "Brier score",
    "calibration_error": "expected calibration error",
    "stable": "same verdict with all seeds",
    "clean_before": "clean accuracy before the repair",
    "clean_after": "clean accuracy after it",
    "drop": "drop in points",
    "asr_before": "ASR before the repair",
    "asr_after": "ASR after it",
    "recovered": "recovered accuracy",
    "handled": "recovered or called backdoored",
}
"""What each figure is called where there is room."""


def show(report: BenchReport, console: Console) -> None:
    """Print the figures of each kind of attack, those of all networks with intervals, and the failures."""
    if report.figures:
        console.print(_scores(report.figures))
        console.print()
        console.print(_verdicts(report.figures))
        console.print()
        if any(each.repair.clean_before for each in report.figures):
            console.print(_repairs(report.figures))
            console.print()
        console.print(_overall(report.figures[-1]))
    for failure in report.failures:
        console.print(f"[bold red]failed:[/] {escape(failure.line)}", highlight=False, soft_wrap=True)


def _scores(figures: tuple[Figures, ...]) -> Table:
    table = _table("Score, against all clean networks", "kind", "nets", *SCORE)
    for each in figures:
        if each.detection.auc is not None:
            cells = [_two_digits(getattr(each.detection, name)) for name in SCORE.values()]
            table.add_row(each.group, str(each.nets), *cells, style=_style(each))
    return table


def _verdicts(figures: tuple[Figures, ...]) -> Table:
    table = _table("Verdict, and median cost of a scan", "kind", "nets", *VERDICT, "gradients", "s")
    for each in figures:
        cells = [_two_digits(getattr(each.detection, name)) for name in VERDICT.values()]
        spent = f"{each.image_gradients.median:,.0f}", f"{each.seconds.median:.0f}"
        table.add_row(each.group, str(each.nets), *cells, *spent, style=_style(each))
    return table


def _repairs(figures: tuple[Figures, ...]) -> Table:
    table = _table("Repair, in per cent", "kind", "nets", *REPAIR, "drop")
    for each in figures:
        if (before := each.repair.clean_before) is None or (drop := each.repair.drop) is None:
            continue
        cells = [_per_cent(getattr(each.repair, name)) for name in REPAIR.values()]
        table.add_row(each.group, str(before.count), *cells, f"{drop.value:.2f}", style=_style(each))
    return table


def _overall(figures: Figures) -> Table:
    table = _table(f"All {figures.nets} networks", "figure", "value", "95 % interval", "networks")
    for part in (figures.detection, figures.repair):
        for name in part.__dataclass_fields__:
            estimate = getattr(part, name)
            if estimate is not None:
                interval = f"{estimate.low:.3f} .. {estimate.high:.3f}"
                table.add_row(WORDS[name], f"{estimate.value:.3f}", interval, str(estimate.count))
    for words, spent in (("image-gradients", figures.image_gradients), ("processor seconds", figures.seconds)):
        table.add_row(f"{words} of a scan", f"{spent.median:,.0f}", f"95th percentile {spent.percentile_95:,.0f}", "")
    return table


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="bold")
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _style(figures: Figures) -> str | None:
    return "bold" if figures.group == "all" else None


def _two_digits(estimate: Estimate | None) -> str:
    return "-" if estimate is None else f"{estimate.value:.2f}"


def _per_cent(estimate: Estimate | None) -> str:
    return "-" if estimate is None else f"{100 * estimate.value:.1f}"
