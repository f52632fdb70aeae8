"""goodnet repair and goodnet predict as a user meets them: exit codes, messages, files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import goodnet
from goodnet.redteam.demo import DemoNets
from goodnet.report import ScanReport
from goodnet.report.reading import read_scan_report

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def files(nets: DemoNets, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with badnet.pt2, clean.pt2, images.npz and triggered.npz."""
    folder = tmp_path_factory.mktemp("files")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, model in (("badnet", nets.badnet), ("clean", nets.clean)):
            dynamic = ({0: torch.export.Dim("batch")},)
            program = torch.export.export(model.network, (nets.images.pixels[:2],), dynamic_shapes=dynamic)
            torch.export.save(program, folder / f"{name}.pt2")
    for name, pixels, labels in (
        ("images", nets.images.pixels, nets.images.labels),
        ("triggered", nets.triggered, nets.triggered_labels),
    ):
        assert labels is not None
        np.savez(folder / f"{name}.npz", x=whole(pixels), y=labels.numpy())
    return folder


def whole(pixels: torch.Tensor) -> np.ndarray:
    return (pixels * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "goodnet", *map(str, arguments)]
    environment = {**os.environ, "COLUMNS": "160"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)


def test_repair_writes_a_goodnet_with_which_predict_names_backdoored_inputs(
    files: Path, nets: DemoNets, tmp_path: Path
) -> None:
    good = tmp_path / "good.onnx"
    done = run(
        "repair", files / "badnet.pt2", "--images", files / "images.npz", "-o", good, "--seed", 1,
        "--labels", nets.target_label, "--method", "unlearn", "--triggered", files / "triggered.npz",
        "--json", tmp_path / "repair.json",
    )  # fmt: skip
    check_repair(done, tmp_path, nets)
    check_answers(good, nets, tmp_path)


def check_repair(done: subprocess.CompletedProcess[str], folder: Path, nets: DemoNets) -> None:
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("REPAIRED")
    assert "real trigger" in done.stdout
    report = json.loads((folder / "repair.json").read_text())
    assert report["schema_version"] == "1.0"
    assert report["status"] == "repaired"
    assert report["real_trigger"]["asr_before"] > 0.95
    assert report["real_trigger"]["asr_after"] <= 0.01
    assert report["real_trigger"]["handled"] >= 0.99
    assert not list(folder.glob(".partial*"))
    good = goodnet.load_goodnet(folder / "good.onnx")
    assert good.facts.target_labels == (nets.target_label,)


def check_answers(good: Path, nets: DemoNets, tmp_path: Path) -> None:
    clean = nets.images.labels != nets.target_label
    assert nets.images.labels is not None
    pictures = {"clean.png": whole(nets.images.pixels)[clean.numpy()][0], "triggered.png": whole(nets.triggered)[0]}
    for name, pixels in pictures.items():
        Image.fromarray(pixels[:, :, 0]).save(tmp_path / name)
    done = run(
        "predict", good, tmp_path / "clean.png", tmp_path / "triggered.png",
        "--json", tmp_path / "answers.json", "--explain", tmp_path / "why",
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{tmp_path / 'clean.png'}\t")
    assert lines[0].split("\t")[1].isdigit()
    assert lines[1] == f"{tmp_path / 'triggered.png'}\t10 backdoored input"
    answers = json.loads((tmp_path / "answers.json").read_text())
    assert [answer["backdoored"] for answer in answers] == [False, True]
    assert answers[1]["class"] == 10
    assert answers[1]["score"] > 0.5 > answers[0]["score"]
    assert len(list((tmp_path / "why").glob("*.png"))) == 1
    alone = run("predict", good, tmp_path / "clean.png")
    assert alone.returncode == 0
    assert run("predict", good, tmp_path / "triggered.png", "--no-filter").returncode == 0


def test_a_clean_model_file_is_copied_byte_for_byte(files: Path, tmp_path: Path) -> None:
    out = tmp_path / "good.pt2"
    done = run("repair", files / "clean.pt2", "--images", files / "images.npz", "-o", out, "--seed", 1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("UNCHANGED")
    assert out.read_bytes() == (files / "clean.pt2").read_bytes()
    assert run("predict", out, files / "images.npz").returncode == 0


BAD = {
    "report of another model": (("--report", "OTHER"), "expected a scan report of"),
    "report is no JSON": (("--report", "IMAGES"), "scan report"),
    "no such report": (("--report", "nowhere.json"), "nowhere.json"),
    "no such method": (("--method", "magic"), "auto, unlearn"),
    "label out of range": (("--labels", "12"), "got 12"),
    "unknown suffix": (("-o", "good.txt"), ".onnx"),
    "unwritable": (("-o", "/nowhere/good.onnx"), "cannot write"),
    "images without labels to measure with": (("--triggered", "PLAIN"), "no labels"),
    "images of another shape": (("--images", "WIDE"), "--resize"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gives_one_message_and_exit_code_2(
    case: str, files: Path, nets: DemoNets, clean_report: ScanReport, inside: Run, tmp_path: Path
) -> None:
    np.savez(tmp_path / "plain.npz", x=whole(nets.triggered))
    wide = np.arange(50 * 16 * 20).astype(np.uint8).reshape(50, 16, 20, 1)
    np.savez(tmp_path / "wide.npz", x=wide, y=np.arange(50) % 10)
    clean_report.save_json(tmp_path / "other.json")
    real = {
        "OTHER": tmp_path / "other.json",
        "IMAGES": files / "images.npz",
        "PLAIN": tmp_path / "plain.npz",
        "WIDE": tmp_path / "wide.npz",
    }
    extra, message = BAD[case]
    out = tmp_path / "good.onnx"
    arguments: list[object] = ["repair", files / "badnet.pt2", "--images", files / "images.npz", "-o", out]
    if "--report" not in extra and "--labels" not in extra:
        arguments += ["--labels", nets.target_label, "--method", "finetune"]
    code, told, error = inside(*arguments, *(real.get(each, each) for each in extra))
    assert code == 2, told + error
    assert message in error
    assert "Traceback" not in error
    assert told == ""
    assert not out.exists()


def test_the_scan_of_a_repair_that_stops_is_kept(
    files: Path, nets: DemoNets, inside: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    def fail(*_: object) -> None:
        raise goodnet.GoodnetError("it cannot be trained")

    run, kept = sys.modules["goodnet.repair.run"], tmp_path / "good.scan.json"
    arguments = ["repair", files / "badnet.pt2", "--images", files / "images.npz", "-o", tmp_path / "good.onnx"]
    monkeypatch.setattr(run, "run_rounds", stop)
    code, told, error = inside(*arguments)
    assert (code, told) == (130, "")
    assert f"--report {kept}" in error
    scanned = read_scan_report(kept.rename(tmp_path / "scan.json"))
    assert scanned.target_labels == (nets.target_label,)
    monkeypatch.setattr(run, "run_rounds", fail)
    code, _, error = inside(*arguments, "--report", tmp_path / "scan.json")
    assert code == 2
    assert not kept.exists()  # what was given need not be kept
    monkeypatch.setattr(run, "scan", lambda *_, **__: scanned)
    code, _, error = inside(*arguments)
    assert code == 2
    assert "it cannot be trained" in error
    assert kept.exists()


def test_predict_goes_on_after_a_bad_image_and_tells(
    files: Path, nets: DemoNets, clean_report: ScanReport, tmp_path: Path
) -> None:
    good = tmp_path / "good.onnx"
    goodnet.repair(nets.clean, nets.images, clean_report).save(good)
    done = run("predict", good, tmp_path / "nowhere.png", files / "images.npz")
    assert len(done.stdout.splitlines()) == 256
    assert "nowhere.png" in done.stderr
    assert "Traceback" not in done.stderr
    done = run("predict", files / "nowhere.onnx", files / "images.npz")
    assert done.returncode == 2
    assert "nowhere.onnx" in done.stderr
