"""The figures of a zoo whose rows are known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_up import measured, repaired, report
from rich.console import Console

from goodnet.bench.figures import Figures, figures
from goodnet.bench.metrics import Estimate
from goodnet.bench.parallel import Failure
from goodnet.bench.plots import PLOTS, save_plots
from goodnet.bench.report import BenchReport
from goodnet.bench.terminal import show

ZOO = [
    measured("clean_1", "clean", (), (0.1, 0.1)),
    measured("clean_2", "clean", (), (0.6, 0.1)),
    measured("clean_3", "clean", (), (0.2, 0.2)),
    measured("clean_4", "clean", (), (0.4,)),
    measured("patch_1", "patch", (3,), (0.9, 0.9), repaired("patch_1", (0.90, 0.88), (0.02, 0.04), 0.8)),
    measured("patch_2", "patch", (4,), (0.8, 0.4), repaired("patch_2", (0.80, 0.81), (0.01,), 0.6)),
    measured("warp_1", "warp", (5,), (0.3, 0.2)),
]


@pytest.fixture(scope="module")
def result() -> BenchReport:
    return report(ZOO, (Failure("scan", "warp_2", 1, "broken\nin two"),))


@pytest.fixture(scope="module")
def groups(result: BenchReport) -> dict[str, Figures]:
    return {each.group: each for each in result.figures}


def value(estimate: Estimate | None) -> float:
    assert estimate is not None
    return estimate.value


def test_groups_are_the_kinds_clean_first_and_all_last(groups: dict[str, Figures]) -> None:
    assert list(groups) == ["clean", "patch", "warp", "all"]
    assert [each.nets for each in groups.values()] == [4, 2, 1, 7]


def test_each_kind_is_compared_with_all_clean_networks(groups: dict[str, Figures]) -> None:
    assert value(groups["patch"].detection.auc) == 1
    assert value(groups["warp"].detection.auc) == 0.5
    assert value(groups["all"].detection.auc) == pytest.approx(10 / 12)
    assert value(groups["warp"].detection.tpr_at_5) == 0
    assert groups["clean"].detection.auc is None
    assert value(groups["patch"].detection.brier) == pytest.approx((0.01 + 0.36 + 0.04 + 0.16 + 0.01 + 0.04) / 6)


def test_verdicts_are_those_of_the_first_seed(groups: dict[str, Figures]) -> None:
    assert value(groups["patch"].detection.tpr) == 1
    assert value(groups["all"].detection.tpr) == pytest.approx(2 / 3)
    assert value(groups["clean"].detection.fpr) == 1 / 4
    assert value(groups["clean"].detection.inconclusive) == 1 / 4
    assert groups["clean"].detection.tpr is None


def test_flips_count_over_networks_with_several_seeds(groups: dict[str, Figures]) -> None:
    assert value(groups["patch"].detection.stable) == 1 / 2
    assert value(groups["clean"].detection.stable) == pytest.approx(2 / 3)
    assert value(groups["warp"].detection.stable) == 1


def test_the_most_suspicious_label_has_to_be_a_target() -> None:
    wrong = measured("patch_3", "patch", (2,), (0.9,))
    found = measured("several_1", "several", (1, 6), (0.9,))
    (scan,) = found.scans
    assert scan.target_labels == (1,)
    mistaken = type(wrong)(wrong.net, measured("patch_3", "clean", (), (0.9,)).scans)
    groups = {each.group: each for each in figures([found, wrong, mistaken])}
    assert value(groups["patch"].detection.target) == 1 / 2
    assert value(groups["several"].detection.target) == 1


def test_repairs_are_averaged_over_networks(groups: dict[str, Figures]) -> None:
    repair = groups["all"].repair
    assert value(repair.clean_before) == pytest.approx(0.85)
    assert value(repair.drop) == pytest.approx((2 - 1) / 2)
    assert value(repair.asr_after) == pytest.approx((0.03 + 0.01) / 2)
    assert value(repair.recovered) == pytest.approx(0.7)
    assert groups["warp"].repair.drop is None


def test_costs_are_over_all_scans(groups: dict[str, Figures]) -> None:
    assert (groups["all"].image_gradients.median, groups["all"].seconds.percentile_95) == (100, 2)


def test_json_is_versioned_and_has_every_row_without_its_report(result: BenchReport, tmp_path: Path) -> None:
    result.save_json(tmp_path / "bench.json")
    content = json.loads((tmp_path / "bench.json").read_text())
    assert content["schema_version"] == "1.1"
    assert len(content["networks"]) == 7
    row = content["networks"][4]
    assert row["net"]["targets"] == [3]
    assert [scan["score"] for scan in row["scans"]] == [0.9, 0.9]
    assert row["repair"]["asr_after"] == [0.02, 0.04]
    assert "report" not in row["scans"][0] and "report" not in row["repair"]
    assert content["figures"][-1]["detection"]["tpr"]["value"] == pytest.approx(2 / 3)
    assert content["failures"][0]["net"] == "warp_2"


def test_the_terminal_fits_80_columns_and_names_failures(result: BenchReport) -> None:
    console = Console(width=80)
    with console.capture() as capture:
        show(result, console)
    text = capture.get()
    assert "…" not in text
    assert "failed: scan warp_2 seed 1 failed: broken in two" in text
    assert [line.split()[0] for line in text.splitlines() if line.startswith("patch")] == ["patch"] * 3


@pytest.mark.parametrize("kinds", [{"clean"}, {"patch"}, {"clean", "patch", "warp"}])
def test_plots_are_drawn_whatever_is_there(kinds: set[str], result: BenchReport, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    some = [each for each in ZOO if each.net.kind in kinds]
    save_plots(result if len(some) == len(ZOO) else report(some), tmp_path / "plots")
    pictures = sorted((tmp_path / "plots").iterdir())
    assert [picture.stem for picture in pictures] == sorted(PLOTS)
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)
