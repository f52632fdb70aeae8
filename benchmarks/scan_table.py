"""The figures of the README: `goodnet scan` on real models, one process each, with time and peak memory.

    python benchmarks/scan_table.py --data DATA [--only faces mnist zoo] [--seeds 0 1 2 3 4] [--json OUT]

Every line is one run of the command line as a user would give it. Peak memory is that of the whole process, less
that of a process which only imports torch. The truth is read after the scan, to say whether it was right.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

FACES = ("sunglasses_bd_net.h5", (0,)), ("multi_trigger_multi_target_bd_net.h5", (1, 5, 8))
DIGITS = "mnist_all_to_all_bd_net.h5", "mnist_unlabelled_bd_net.h5"
ZOO_IMAGES = {"g": ("gtsrb.npz", "--keys", "test_x,test_y"), "c": ("cifar10/test.parquet",)}


def peak(command: list[str]) -> tuple[int, float]:
    """Run a command quietly; return its exit code and its peak memory in GiB."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    return os.waitstatus_to_exitcode(status), usage.ru_maxrss / 2**20


def scan(model: Path, images: list[str], seed: int, bare: float) -> dict[str, Any]:
    """Scan a model from the command line; return its JSON report with exit code and memory."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "report.json"
        command = [sys.executable, "-m", "goodnet", "scan", str(model), "--images", *images]
        code, memory = peak([*command, "--json", str(out), "--seed", str(seed)])
        report: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {"verdict": "error"}
    return report | {"exit_code": code, "memory": memory - bare}


def line(name: str, seed: int, truth: tuple[int, ...] | None, report: dict[str, Any]) -> str:
    """Return one line of the table."""
    if report["verdict"] == "error":
        return f"{name:34} seed {seed}  error, exit code {report['exit_code']}"
    flagged = report["target_labels"]
    index = {entry["label"]: entry["anomaly_index"] for entry in report["labels"]}
    others = max(value for label, value in index.items() if label not in (truth or ()))
    own = " ".join(f"{label}:{index[label]:.1f}" for label in truth or ())
    right = "" if truth is None else ("RIGHT" if judge(truth, report) else "WRONG")
    return (
        f"{name:34} seed {seed}  {report['verdict']:12} score {report['score']:.2f} flagged {flagged!s:14} "
        f"index of targets {own or '-':16} highest other {others:4.1f}  {report['cost']['image_gradients']:>8,} IG "
        f"{report['cost']['seconds']:5.0f} s  {report['memory']:+.2f} GiB  {right}"
    )


def judge(truth: tuple[int, ...], report: dict[str, Any]) -> bool:
    """Whether the verdict is right, with a true target first where there is one."""
    if not truth:
        return report["verdict"] == "clean"
    return report["verdict"] == "backdoored" and report["target_labels"][0] in truth


def cases(data: Path, only: list[str], seeds: list[int]) -> list[tuple[Path, list[str], int, tuple[int, ...] | None]]:
    """Return model, images, seed and truth of each run."""
    runs: list[tuple[Path, list[str], int, tuple[int, ...] | None]] = []
    if "faces" in only:
        images = [str(data / "csaw/clean_validation_data.h5")]
        runs += [(data / "csaw" / name, images, seeds[0], truth) for name, truth in FACES]
    if "mnist" in only:
        runs += [(data / "csaw" / name, [str(data / "mnist.npz")], seeds[0], None) for name in DIGITS]
    if "zoo" in only:
        for net, about in json.loads((data / "zoo/truth.json").read_text()).items():
            name, *more = ZOO_IMAGES[net[0]]
            truth = () if about["target"] is None else (int(about["target"]),)
            runs += [(data / f"zoo/{net}.onnx", [str(data / name), *more], seed, truth) for seed in seeds]
    return runs


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=["faces", "mnist", "zoo"])
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2, 3, 4])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    _, bare = peak([sys.executable, "-c", "import torch"])
    reports = []
    for model, images, seed, truth in cases(options.data, options.only, options.seeds):
        report = scan(model, images, seed, bare)
        print(line(model.name, seed, truth, report), flush=True)
        reports.append(report | {"truth": truth})
        if options.json:
            options.json.write_text(json.dumps(reports))


if __name__ == "__main__":
    main()
