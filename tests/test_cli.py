"""The command line as a user meets it: exit codes, messages, files."""

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from goodnet.redteam.demo import DemoNets, make_demo_nets


@pytest.fixture(scope="module")
def nets() -> DemoNets:
    return make_demo_nets(1)


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


def test_a_badnet_gives_exit_code_1_with_report_and_pictures(files: Path, nets: DemoNets, tmp_path: Path) -> None:
    out, triggers = tmp_path / "report.json", tmp_path / "triggers"
    done = scan(files, "badnet.pt", "--json", out, "--save-triggers", triggers, cache=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "BACKDOORED" in done.stdout
    report = json.loads(out.read_text())
    assert report["target_labels"] == [nets.target_label]
    assert report["verdict"] == "backdoored"
    with np.load(triggers / f"label_{nets.target_label:04d}.npz") as arrays:
        assert arrays["mask"].shape == (1, 16, 16)
        assert arrays["pattern"].dtype == np.float32
    assert (triggers / "overview.png").stat().st_size > 1000
    assert (triggers / f"label_{nets.target_label:04d}.png").exists()


def test_a_clean_network_gives_exit_code_0(files: Path, tmp_path: Path) -> None:
    done = scan(files, "clean.pt", cache=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("CLEAN")


BAD = {
    "no such model": (("scan", "nowhere.onnx", "--images", "IMAGES"), "cannot read the model file"),
    "no such images": (("scan", "MODEL", "--images", "nowhere.npz", "--input-shape", "1,16,16"), "nowhere.npz"),
    "label out of range": (("scan", "MODEL", "--images", "IMAGES", "--labels", "3,12"), "got 12"),
    "labels are words": (("scan", "MODEL", "--images", "IMAGES", "--labels", "three"), "--labels expects"),
    "bad range": (("scan", "MODEL", "--images", "IMAGES", "--pixel-range", "1"), "two different numbers"),
    "bad preset": (("scan", "MODEL", "--images", "IMAGES", "--preset", "best"), "fast or classic"),
    "no such device": (("scan", "MODEL", "--images", "IMAGES", "--device", "abacus"), "device"),
    "unwritable report": (("scan", "MODEL", "--images", "IMAGES", "--json", "/nowhere/report.json"), "cannot write"),
    "wrong range": (("scan", "MODEL", "--images", "IMAGES", "--pixel-range", "0,0.001"), "--pixel-range 0,1"),
    "unknown option": (("scan", "MODEL", "--images", "IMAGES", "--frobnicate"), "No such option"),
    "no images named": (("scan", "MODEL"), "--images"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gives_one_message_and_exit_code_2(case: str, files: Path, tmp_path: Path) -> None:
    arguments, message = BAD[case]
    real = {"MODEL": files / "badnet.pt", "IMAGES": files / "images.npz"}
    done = run(*(real.get(each, each) for each in arguments), cache=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_scan_resumes_with_the_same_result(files: Path, stop: signal.Signals, tmp_path: Path) -> None:
    first, second = tmp_path / "whole.json", tmp_path / "resumed.json"
    assert scan(files, "badnet.pt", "--json", first, cache=tmp_path / "a").returncode == 1
    command = [sys.executable, "-m", "goodnet", "scan", str(files / "badnet.pt"), "--images", str(files / "images.npz")]
    command += ["--input-shape", "1,16,16", "--seed", "1", "--json", str(second)]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "b")}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
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


def test_help_and_version() -> None:
    assert "scan" in run("--help").stdout
    assert "--save-triggers" in run("scan", "--help").stdout
    assert run("--version").stdout.startswith("goodnet ")
