"""goodnet bench as a user meets it: what is listed, left out and refused, and one run on tiny networks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from goodnet.bench import metrics
from goodnet.bench import zoo as zoos
from goodnet.cli.app import app
from goodnet.redteam import Attack, Clean, Patch, Recipe


def recipe(name: str, attack: Attack, data: str = "digits") -> Recipe:
    """A network that is trained within seconds."""
    settings = {"num_classes": 10, "architecture": "resnet_small", "batch_size": 64, "learning_rate": 0.1, "shift": 1}
    return Recipe(name=name, data=data, attack=attack, epochs=4, **settings)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A zoo of two networks that can be made and one whose images are nowhere; intervals from few resamples."""
    made = (
        recipe("digits_small_clean_1", Clean()),
        recipe("digits_small_patch_2", Patch(target_label=3, pattern="white")),
        recipe("mnist_small_clean_3", Clean(), data="mnist"),
    )
    monkeypatch.setattr(zoos, "recipes", lambda half: made)
    monkeypatch.setattr(metrics, "RESAMPLES", 10)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["bench", *map(str, arguments)], env={"COLUMNS": "80"})


@pytest.mark.usefixtures("tiny")
def test_the_list_says_what_there_is_and_what_is_left_out(tmp_path: Path) -> None:
    done = run("--zoo", tmp_path, "--half", "development", "--list", "--data", tmp_path)
    assert done.exit_code == 0
    assert done.stdout == "digits_small_clean_1\tclean\t-\t-\ndigits_small_patch_2\tpatch\t3\t-\n"
    assert f"left out 1 networks of mnist, whose images are not in {tmp_path}" in done.stderr
    assert run("--zoo", tmp_path, "--half", "test", "--list", "--kinds", "patch").stdout.startswith(
        "digits_small_patch"
    )
    assert run("--zoo", tmp_path, "--half", "test", "--list", "--only", "vgg,ch_2").stdout.count("\n") == 1


BAD = {
    "no such half": (("--half", "third"), "expects development or test, got 'third'"),
    "no such kind": (("--kinds", "patch,magic"), "(clean, patch), got magic"),
    "nothing left": (("--only", "vgg"), "no network of the development half is left"),
    "images missing": (("--only", "mnist"), "a folder given by --data"),
    "no seeds": (("--seeds", "0,one"), "got '0,one'"),
    "too few images": (("--images", "7"), "a whole number of at least 8, or none; got '7'"),
    "a seed twice": (("--seeds", "0,0"), "different whole numbers"),
    "unwritable report": (("--json", "/nowhere/bench.json"), "cannot write /nowhere/bench.json"),
    "zoo is a file": (("--zoo", __file__), "is not a folder"),
}


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("case", BAD)
def test_bad_options_give_one_message_and_exit_code_2(case: str, tmp_path: Path) -> None:
    extra, message = BAD[case]
    done = run("--zoo", tmp_path / "zoo", "--half", "development", *extra)
    assert done.exit_code == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "zoo").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("tiny")
def test_a_run_finds_the_planted_backdoor_and_is_not_repeated(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    scans = ("--zoo", tmp_path, "--half", "development", "--only", "patch", "--seeds", "0")
    common = (*scans, "--images", "64", "--no-repair")
    done = run(*common, "--json", tmp_path / "bench.json", "--plots", tmp_path / "plots")
    assert done.exit_code == 0, done.stderr
    report = json.loads((tmp_path / "bench.json").read_text())
    (patch,) = report["networks"]
    assert patch["scans"][0]["verdict"] == "backdoored"
    assert patch["scans"][0]["target_labels"][0] == 3
    assert report["figures"][-1]["detection"]["tpr"]["value"] == 1
    assert not report["failures"]
    assert "TPR of the verdict backdoored" in done.stdout
    assert (tmp_path / "plots" / "roc.png").exists()
    row = tmp_path / "development" / "digits_small_patch_2" / "scan_0_64.json"
    assert json.loads(row.read_text())["report"]["schema_version"] == "1.10"
    measured = row.stat().st_mtime_ns
    again = run(*common)
    assert again.exit_code == 0
    assert again.stdout == done.stdout
    assert "scan: 1 of 1 are there" in again.stderr
    assert row.stat().st_mtime_ns == measured
    without = run(*scans, "--images", "none")
    assert without.exit_code == 0, without.stderr
    assert "repair" not in without.stderr
    assert json.loads((row.parent / "scan_0_0.json").read_text())["report"]["images"]["count"] == 0
