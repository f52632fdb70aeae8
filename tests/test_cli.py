"""The command line as a user meets it: exit codes, messages, files."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from goodnet import cli
from goodnet.redteam.demo import DemoNets
from goodnet.report.schema import CostFacts, ImageFacts, ModelFacts, ScanReport

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def files(nets: DemoNets, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with badnet.pt, clean.pt (TorchScript) and images.npz."""
    folder = tmp_path_factory.mktemp("files")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, model in (("badnet", nets.badnet), ("clean", nets.clean)):
            torch.jit.save(torch.jit.trace(model.network, nets.images.pixels[:2]), str(folder / f"{name}.pt"))
    pixels = (nets.images.pixels * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    np.savez(folder / "images.npz", x=pixels, y=nets.images.labels.numpy())
    return folder


def run(*arguments: object, cache: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "160", "XDG_CACHE_HOME": str(cache or "/nonexistent")}
    command = [sys.executable, "-m", "goodnet", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)


def scan(folder: Path, model: str, *more: object, cache: Path) -> subprocess.CompletedProcess[str]:
    return run(
        "scan",
        folder / model,
        "--images",
        folder / "images.npz",
        "--input-shape",
        "1,16,16",
        "--seed",
        1,
        *more,
        cache=cache,
    )


@pytest.fixture(scope="module")
def whole(files: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """An uninterrupted scan of the BadNet, and a folder with its report.json and triggers."""
    folder = tmp_path_factory.mktemp("whole")
    done = scan(
        files, "badnet.pt", "--json", folder / "report.json", "--save-triggers", folder / "triggers", cache=folder
    )
    return done, folder


def test_a_badnet_gives_exit_code_1_with_report_and_pictures(
    whole: tuple[subprocess.CompletedProcess[str], Path], nets: DemoNets
) -> None:
    done, folder = whole
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith(f"BACKDOORED  target label {nets.target_label};")
    assert done.stderr == ""  # no terminal, so no progress
    report = json.loads((folder / "report.json").read_text())
    assert report["target_labels"] == [nets.target_label]
    assert report["verdict"] == "backdoored"
    with np.load(folder / "triggers" / f"label_{nets.target_label:04d}.npz") as arrays:
        assert arrays["mask"].shape == (1, 16, 16)
        assert arrays["pattern"].dtype == np.float32
    assert (folder / "triggers" / "overview.png").stat().st_size > 1000
    assert (folder / "triggers" / f"label_{nets.target_label:04d}.png").exists()
    assert not list(folder.rglob("*.safetensors"))


def test_a_clean_network_gives_exit_code_0(files: Path, tmp_path: Path) -> None:
    done = scan(files, "clean.pt", cache=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("CLEAN")


def report_of(verdict: str) -> ScanReport:
    return ScanReport(
        verdict,  # type: ignore[arg-type]
        0.5,
        ("reason",),
        (),
        (),
        ModelFacts("m", "", "torchscript", 10, (1, 16, 16), "--pixel-range 0,1"),
        ImageFacts("images", 8, False, None),
        CostFacts(0, 0, 0, "cpu", "float32"),
        "fast",
        0,
        {},
    )


SCAN = ("scan", "MODEL", "--images", "IMAGES")
BAD: dict[str, tuple[tuple[object, ...], str]] = {
    "no such model": (("scan", "nowhere.onnx", "--images", "IMAGES"), "cannot read the model file"),
    "no such images": (("scan", "MODEL", "--images", "nowhere.npz", "--input-shape", "1,16,16"), "nowhere.npz"),
    "label out of range": ((*SCAN, "--labels", "3,12"), "got 12"),
    "labels are words": ((*SCAN, "--labels", "three"), "--labels expects"),
    "labels backwards": ((*SCAN, "--labels", "9-7"), "--labels expects"),
    "labels without end": ((*SCAN, "--labels", "0-99999999999"), "at most 1,000,000"),
    "bad range": ((*SCAN, "--pixel-range", "1"), "two different numbers"),
    "infinite range": ((*SCAN, "--pixel-range", "0,inf"), "--pixel-range expects numbers"),
    "mean is a word": ((*SCAN, "--mean", "grey"), "--mean expects numbers"),
    "std is zero": ((*SCAN, "--std", "0"), "--std expects numbers above 0"),
    "shape of two": ((*SCAN, "--input-shape", "16,16"), "channels,height,width"),
    "three keys": ((*SCAN, "--keys", "x,y,z"), "one or two names"),
    "no keys": ((*SCAN, "--keys", ","), "one or two names"),
    "no limit": ((*SCAN, "--limit", "0"), "--limit"),
    "negative seed": ((*SCAN, "--seed", "-1"), "--seed"),
    "bad preset": ((*SCAN, "--preset", "best"), "fast or classic"),
    "no such device": ((*SCAN, "--device", "abacus"), "device"),
    "no folder for the report": ((*SCAN, "--json", "/nowhere/report.json"), "there is no folder /nowhere"),
    "report into a folder": ((*SCAN, "--json", "/"), "got the folder /"),
    "report into a device": ((*SCAN, "--json", os.devnull), "a device or a pipe"),
    "triggers into a file": ((*SCAN, "--save-triggers", __file__), "is not a folder"),
    "checkpoints into a file": ((*SCAN, "--checkpoint", __file__), "is not a folder"),
    "wrong range": ((*SCAN, "--pixel-range", "0,0.001"), "--pixel-range 0,1"),
    "how images were read": ((*SCAN, "--pixel-range", "0,0.001"), "uint8 pixels, 0..255 taken as black..white"),
    "unknown option": ((*SCAN, "--frobnicate"), "No such option"),
    "no images named": (("scan", "MODEL"), "--images"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gives_one_message_and_exit_code_2(case: str, files: Path, inside: Run) -> None:
    arguments, message = BAD[case]
    real = {"MODEL": files / "badnet.pt", "IMAGES": files / "images.npz"}
    code, out, err = inside(*(real.get(str(each), each) for each in arguments))
    assert code == 2, out + err
    assert message in err
    assert "Traceback" not in err
    assert out == ""


def test_unwritable_places_are_noticed_before_anything_is_read(inside: Run) -> None:
    code, _, err = inside("scan", "nowhere.onnx", "--images", "nowhere.npz", "--json", "/nowhere/report.json")
    assert code == 2
    assert "nowhere.onnx" not in err


@pytest.mark.parametrize(
    ("happens", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "--resume goes on from there"),
        (RuntimeError("[bold]what?[/]"), 2, "a mistake in goodnet"),
        (MemoryError(), 2, "out of memory"),
    ],
)
def test_what_is_no_verdict_never_exits_as_one(
    happens: BaseException, code: int, message: str, files: Path, inside: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise happens

    monkeypatch.setattr(cli.scan, "run_scan", fails)
    got, _, err = inside("scan", files / "badnet.pt", "--images", files / "images.npz")
    assert got == code
    assert message in err


@pytest.mark.parametrize(("verdict", "code"), [("clean", 2), ("backdoored", 1), ("inconclusive", 3)])
def test_a_report_that_cannot_be_written_after_all_is_rescued(
    verdict: str, code: int, files: Path, inside: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def scans(*_: object, **__: object) -> ScanReport:
        folder.rmdir()
        return report_of(verdict)

    monkeypatch.setattr(cli.scan, "run_scan", scans)
    got, out, err = inside(
        "scan", files / "badnet.pt", "--images", files / "images.npz", "--json", folder / "report.json"
    )
    assert got == code
    assert out.startswith(verdict.upper())
    (rescued,) = tmp_path.glob("goodnet-*/report.json")
    assert f"it was written to {rescued} instead" in err
    assert json.loads(rescued.read_text())["verdict"] == verdict


def test_without_a_cache_a_scan_goes_on_and_says_so(
    files: Path, inside: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").touch()
    kept: list[object] = []

    def scans(*_: object, checkpoint: object, **__: object) -> ScanReport:
        kept.append(checkpoint)
        return report_of("clean")

    monkeypatch.setattr(cli.scan, "run_scan", scans)
    code, _, err = inside("scan", files / "badnet.pt", "--images", files / "images.npz")
    assert (code, kept) == (0, [None])
    assert "could not be resumed" in err
    code, _, err = inside("scan", files / "badnet.pt", "--images", files / "images.npz", "--resume")
    assert code == 2
    assert "--checkpoint" in err


def test_labels_can_be_left_out_however_wrong(
    files: Path, inside: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with np.load(files / "images.npz") as arrays:
        np.savez(tmp_path / "wrong.npz", x=arrays["x"], y=arrays["y"] - 1)
    monkeypatch.setattr(cli.scan, "run_scan", lambda *_, **__: report_of("clean"))
    code, _, err = inside("scan", files / "badnet.pt", "--images", tmp_path / "wrong.npz")
    assert code == 2
    assert "--no-labels" in err
    assert inside("scan", files / "badnet.pt", "--images", tmp_path / "wrong.npz", "--no-labels")[0] == 0


@pytest.mark.skipif(os.name == "nt", reason="pipes close otherwise there")
def test_a_reader_that_leaves_does_not_change_the_verdict() -> None:
    code = """
import typer
from goodnet.cli import app as cli
@cli.app.command()
@cli.exit_codes()
def talk() -> None:
    for _ in range(20_000):
        cli.output.print("line")
    raise typer.Exit(3)
cli.app(["talk"])
"""
    command = f"{sys.executable} -c '{code}' | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (3, "line\n"), done.stderr


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_scan_resumes_with_the_same_result(
    files: Path, whole: tuple[subprocess.CompletedProcess[str], Path], stop: signal.Signals, tmp_path: Path
) -> None:
    first, second = whole[1] / "report.json", tmp_path / "resumed.json"
    command = [sys.executable, "-m", "goodnet", "scan", str(files / "badnet.pt"), "--images", str(files / "images.npz")]
    command += ["--input-shape", "1,16,16", "--seed", "1", "--json", str(second)]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "b")}
    # Jobs that a script starts in the background ignore Ctrl-C, and so would their children.
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not list((tmp_path / "b").rglob("*.safetensors")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(stop)
    _, errors = process.communicate(timeout=60)
    assert not second.exists()
    assert list((tmp_path / "b").rglob("*.safetensors"))
    if stop is signal.SIGINT:
        assert process.returncode == 130
        assert "--resume" in errors
    done = scan(files, "badnet.pt", "--json", second, "--resume", cache=tmp_path / "b")
    assert done.returncode == 1, done.stderr
    whole, resumed = (json.loads(path.read_text()) for path in (first, second))
    for report in (whole, resumed):
        del report["cost"]["seconds"]
    assert whole == resumed


def test_help_and_version(inside: Run) -> None:
    assert "scan" in inside("--help")[1]
    explained = inside("scan", "--help")[1]
    assert "goodnet scan net.onnx --images photos/" in explained
    assert "3 inconclusive" in explained
    for option in ("--save-triggers", "--pixel-range", "--resume"):
        assert option in explained
    assert inside("--version")[1].startswith("goodnet ")


def test_a_scan_without_images_says_so_and_draws_no_triggers(files: Path, nets: DemoNets, tmp_path: Path) -> None:
    blind = ("scan", files / "badnet.pt", "--images", "none", "--input-shape", "1,16,16")
    done = run(*blind, "--json", tmp_path / "report.json", cache=tmp_path)
    assert done.returncode in (0, 1, 3), done.stderr
    assert "scanned without images" in done.stdout.replace("\n", " ")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["images"]["count"] == 0
    assert report["labels"][0]["label"] == nets.target_label
    refused = run(*blind, "--save-triggers", tmp_path / "triggers", cache=tmp_path)
    assert refused.returncode == 2
    assert "--save-triggers needs images" in refused.stderr
