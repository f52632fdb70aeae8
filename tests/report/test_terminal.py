"""What a scan prints is readable at 80 columns."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from samples import entry, report

from goodnet.engine import Cost
from goodnet.report.schema import ScanReport
from goodnet.report.terminal import ScanProgress, show


def printed(made: ScanReport, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    show(made, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 120])
def test_verdict_then_suspects_then_the_rest_folded(width: int) -> None:
    labels = [entry(1282, flagged=True), *(entry(label) for label in range(20)), entry(20, "screened", size=None)]
    lines = printed(report(*labels), width)
    assert lines[0] == "BACKDOORED  target label 1282; probability of a backdoor 0.99"
    assert "because [of] this" in lines[1]
    header = next(place for place, line in enumerate(lines) if line.startswith("label "))
    columns = ["label", "prob.", "index", "px", "ASR", "%", "empty", "%", "slight", "%", "surer"]
    assert lines[header].split() == columns
    assert lines[header + 1].split() == ["1282", "0.99", "-12.3", "1107.2", "100", "100", "100", "1.0x", "TARGET"]
    assert [line.split()[0] for line in lines[header + 2 : header + 5]] == ["0", "1", "2"]
    assert lines[header + 5] == "and 18 more labels, 1 of them screened out early; highest anomaly index -12.3"
    assert max(map(len, lines)) <= width


def test_what_was_not_measured_is_a_dash() -> None:
    lines = printed(report(entry(0, "skipped"), entry(1, "failed"), entry(2, "unreached", size=None)), 80)
    rows = {line.split()[0]: line.rstrip() for line in lines if line.startswith("    ")}
    assert rows["0"].split(maxsplit=8)[1:] == ["-"] * 7 + ["not searched"]
    assert rows["1"].split(maxsplit=8)[1:] == ["-"] * 7 + ["failed"]
    assert rows["2"].endswith("out of reach")


def test_without_images_there_is_no_anomaly_index() -> None:
    lines = printed(report(*(entry(label, "blind") for label in range(10))), 80)
    assert "and 7 more labels" in lines


def test_hundreds_of_target_labels_are_folded() -> None:
    lines = printed(report(*(entry(label, flagged=True) for label in range(300))), 80)
    assert len(lines) < 40
    assert "and 288 more target labels" in lines
    assert any("and 296 more reasons" in line for line in lines)


def test_progress_is_shown_on_a_terminal_only() -> None:
    for terminal in (False, True):
        file = io.StringIO()
        with ScanProgress(Console(file=file, force_terminal=terminal, width=80)) as progress:
            progress.update("screening", 96, 1283, Cost(image_gradients=123_456))
        assert ("96/1283" in file.getvalue()) == terminal
        if terminal:
            assert "123,456 image-gradients" in file.getvalue()
        else:
            assert file.getvalue() == ""
