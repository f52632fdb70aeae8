"""Plots of a benchmark: ROC curve, reliability diagram, the scores of each kind of attack, and what a scan costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_curve

from goodnet.bench.figures import Spent
from goodnet.bench.metrics import BINS, bin_counts
from goodnet.bench.report import BenchReport
from goodnet.calibration import shipped_calibration
from goodnet.errors import MissingExtraError, OutputError
from goodnet.repair.measure import wilson
from goodnet.whole import written_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INFECTED, CLEAN, GREY = "#b03a2e", "#2471a3", "#909497"


def require_matplotlib() -> None:
    """Raise MissingExtraError unless matplotlib is installed."""
    if find_spec("matplotlib") is None:
        raise MissingExtraError("drawing the plots of a benchmark", "bench")


def save_plots(report: BenchReport, folder: Path) -> None:
    """Draw the plots of a benchmark of at least one network to a folder, as PNGs.

    Raises:
        MissingExtraError: matplotlib is missing.
        OutputError: a picture cannot be written.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write into {folder}: {error.strerror or error}") from error
    for name, draw in PLOTS.items():
        figure = Figure(figsize=(6.4, 4.8), dpi=150, layout="constrained")
        draw(figure, report)
        with written_whole(folder / f"{name}.png", "plot") as partial:
            figure.savefig(partial, format="png")


def draw_roc(figure: Figure, report: BenchReport) -> None:
    """Draw the ROC curve of the score over all networks, and where the verdict lies on it."""
    axes = _axes(figure, "False-positive rate on clean networks", "True-positive rate on infected networks")
    labels, scores = _scores(report)
    everything = report.figures[-1].detection
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1)
    if everything.auc is not None:
        false_positives, true_positives, _ = roc_curve(labels, scores, drop_intermediate=False)
        area = f"AUC {everything.auc.value:.3f} ({everything.auc.low:.3f} to {everything.auc.high:.3f})"
        axes.plot(false_positives, true_positives, color=INFECTED, linewidth=2, label=area, clip_on=False)
    if everything.tpr is not None and everything.fpr is not None:
        tpr, fpr = everything.tpr, everything.fpr
        axes.errorbar(
            fpr.value,
            tpr.value,
            xerr=[[fpr.value - fpr.low], [fpr.high - fpr.value]],
            yerr=[[tpr.value - tpr.low], [tpr.high - tpr.value]],
            fmt="o",
            color="black",
            capsize=3,
            label="verdict backdoored, 95 % intervals",
            zorder=3,
        )
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", frameon=False)


def draw_reliability(figure: Figure, report: BenchReport) -> None:
    """Draw the share of infected networks over the mean score of each bin."""
    axes = _axes(figure, "Mean score of the networks in a bin", "Share of them that is infected")
    labels, scores = _scores(report)
    shares, means = calibration_curve(labels, scores, n_bins=BINS)
    counts = bin_counts(scores)
    counts = counts[counts > 0]
    ends = np.array([wilson(round(share * count), int(count)) for share, count in zip(shares, counts, strict=True)])
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1)
    axes.errorbar(means, shares, yerr=np.abs(ends.T - shares), fmt="o", color=INFECTED, capsize=3)
    for mean, share, count in zip(means, shares, counts, strict=True):
        axes.annotate(f"{count}", (mean, share), xytext=(6, 4), textcoords="offset points", fontsize=8)
    axes.set_title("number of networks beside each point, 95 % intervals", fontsize=9, pad=16)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")


def draw_scores(figure: Figure, report: BenchReport) -> None:
    """Draw the scores of each kind of attack: the first seed as discs, the others as faint dots."""
    axes = _axes(figure, "Score (large: first seed; small: the other seeds)", "")
    kinds = [each.group for each in report.figures[:-1]]
    random = np.random.default_rng(0)
    for network in report.networks:
        place = kinds.index(network.net.kind) + random.uniform(-0.28, 0.28)
        colour = INFECTED if network.net.infected else CLEAN
        others = [scan.score for scan in network.scans[1:]]
        axes.plot(others, [place] * len(others), ".", color=colour, alpha=0.35, markersize=5, markeredgewidth=0)
        axes.plot(network.first.score, place, "o", color=colour, markersize=6, alpha=0.85, markeredgecolor="white")
    calibration = shipped_calibration()
    for threshold, word in ((calibration.clean, "clean up to here"), (calibration.backdoored, "backdoored from here")):
        axes.axvline(threshold, color=GREY, linestyle="--", linewidth=1, zorder=0)
        axes.annotate(
            word, (threshold, 1.01), xycoords=axes.get_xaxis_transform(), rotation=25, fontsize=8, color="#616a6b"
        )
    axes.set_yticks(range(len(kinds)), [kind.replace("_", " ") for kind in kinds])
    axes.set(xlim=(-0.03, 1.03), ylim=(len(kinds) - 0.5, -0.5))


def draw_cost(figure: Figure, report: BenchReport) -> None:
    """Draw the image-gradients and the processor seconds of all scans."""
    scans = [scan for network in report.networks for scan in network.scans]
    everything = report.figures[-1]
    upper, lower = (_axes(figure, "", "Scans", place=(2, 1, row)) for row in (1, 2))
    _histogram(upper, "Image-gradients of a scan", [scan.image_gradients for scan in scans], everything.image_gradients)
    _histogram(lower, "Processor seconds of a scan", [scan.processor_seconds for scan in scans], everything.seconds)


def _histogram(axes: Axes, name: str, values: Sequence[float], spent: Spent) -> None:
    axes.hist(values, bins=30, color=CLEAN)
    for value, word, style in ((spent.median, "median", "-"), (spent.percentile_95, "95th percentile", "--")):
        axes.axvline(value, color="black", linestyle=style, linewidth=1, label=f"{word} {value:,.0f}")
    axes.set_xlabel(name)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.legend(frameon=False, fontsize=8)


def _axes(figure: Figure, across: str, up: str, place: tuple[int, int, int] = (1, 1, 1)) -> Axes:
    axes = figure.add_subplot(*place)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set(xlabel=across, ylabel=up)
    return axes


def _scores(report: BenchReport) -> tuple[np.ndarray, np.ndarray]:
    """Return whether each network is infected, 0 or 1, and its score."""
    infected = np.array([int(network.net.infected) for network in report.networks])
    return infected, np.array([network.first.score for network in report.networks])


PLOTS: Mapping[str, Callable[[Figure, BenchReport], None]] = {
    "cost": draw_cost,
    "reliability": draw_reliability,
    "roc": draw_roc,
    "scores": draw_scores,
}
