"""Fit the calibration that goodnet ships, on the development zoo only.

    python benchmarks/calibrate.py collect --zoo ZOO --data DATA --out features.json [--digits 12] [--count 8]
    python benchmarks/calibrate.py fit --features features.json --out src/goodnet/calibration.json

`collect` scans every network of a zoo made by benchmarks/devzoo.py, and pairs of demo nets of the seeds from 100 on,
and writes down what each label's evidence was; scans that are there already are not made again. `--count` is how many
images each gets. `fit` fits a logistic model with few weights, none negative, to the most suspicious label of every
scan, and prints how well it separates them under leave-one-network-out. Where that leaves a gap between clean and
infected scans, the score crosses one half in its middle.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize

import goodnet
from goodnet.evidence.statistics import Statistics, luck
from goodnet.redteam.demo import make_demo_nets
from goodnet.verdict import features

IMAGES = {
    "gtsrb": ("gtsrb.npz", "test_x,test_y"),
    "cifar10": ("cifar10/test.parquet", None),
    "mnist": ("mnist.npz", None),
}
FIRST_DIGITS_SEED = 100
"""Seeds of demo nets for development; the demo itself, and what is measured on it, use seeds below."""

KINDS_LEFT_OUT = ("all_to_all", "source_specific", "warp", "sinusoid")
"""Attacks that the patch family alone is not expected to find, so that it is not fitted to them."""


FEATURES = tuple(features(Statistics(0, *[0.0] * 7, luck(2))))


def collect(zoo: Path, data: Path, out: Path, seeds: list[int], digits: int, count: int) -> None:
    """Scan the zoo, and demo nets of other seeds than the demo's, and write the evidence of all labels to `out`."""
    rows: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {}
    for net in json.loads((zoo / "truth.json").read_text()):
        name, keys = IMAGES[net["ds"]]
        known = {field: net[field] for field in ("name", "kind", "targets", "arch", "ds", "acc", "asr")}
        for seed in seeds:
            if f"{net['name']}/{seed}/{count}" in rows:
                continue
            images = goodnet.load_images(data / name, keys=keys.split(",") if keys else None, limit=count, seed=seed)
            model = goodnet.load_model(zoo / f"{net['name']}.onnx")
            _add(rows, known, goodnet.scan(model, images, seed=seed), out, count)
    for seed in range(FIRST_DIGITS_SEED, FIRST_DIGITS_SEED + digits):
        if f"digits_clean_{seed}/{seed}/{count}" in rows:
            continue
        nets = make_demo_nets(seed)
        images = goodnet.load_images(nets.images, limit=count, seed=seed)
        known = {"arch": "demo", "ds": "digits", "acc": nets.badnet_accuracy, "asr": [nets.badnet_asr]}
        known |= {"name": f"digits_patch_{seed}", "kind": "patch", "targets": [nets.target_label]}
        _add(rows, known, goodnet.scan(nets.badnet, images, seed=seed), out, count)
        known |= {"name": f"digits_clean_{seed}", "kind": "clean", "targets": [], "acc": nets.clean_accuracy, "asr": []}
        _add(rows, known, goodnet.scan(nets.clean, images, seed=seed), out, count)


def _add(rows: dict[str, Any], known: dict[str, Any], report: goodnet.ScanReport, out: Path, count: int) -> None:
    """Add what a scan found to the rows, save them, and print a line."""
    evidence = [
        (
            e.label,
            e.anomaly_index,
            e.size_ratio,
            e.universal_ratio,
            e.classic_index,
            e.noise_index,
            e.blank_index,
            e.transfer,
        )
        for e in report.labels
    ]
    rows[f"{known['name']}/{report.seed}/{count}"] = {
        **known,
        "seed": report.seed,
        "images": count,
        "verdict": report.verdict,
        "found": list(report.target_labels),
        "cost": report.to_dict()["cost"],
        "labels": evidence,
    }
    out.write_text(json.dumps(rows))
    top = report.labels[0]
    print(
        f"{known['name']:34} {report.seed} targets {known['targets']} {report.verdict} ({report.score:.2f}) "
        f"top {top.label} ratio {top.size_ratio:.1f} {top.universal_ratio:.1f} index {top.anomaly_index:.1f} "
        f"{top.noise_index:.1f} {top.blank_index:.1f} transfer {top.transfer:.2f}; "
        f"{report.cost.image_gradients} gradients {report.cost.seconds:.0f} s",
        flush=True,
    )


def table(row: dict[str, Any]) -> tuple[np.ndarray, list[int]]:
    """Return features (labels, F) and the labels."""
    labels = row["labels"]
    matrix = []
    for label, *numbers in labels:
        statistics = Statistics(label, *numbers, luck(len(labels)))
        matrix.append(list(features(statistics).values()))
    return np.array(matrix), [label for label, *_ in labels]


def fit_weights(rows: list[dict[str, Any]], strength: float = 0.3) -> np.ndarray:
    """Return intercept and weights; each network counts once, by its most suspicious label."""
    tables = [(table(row)[0], bool(row["targets"])) for row in rows]

    def loss(theta: np.ndarray) -> float:
        total = strength * float((theta[1:] ** 2).sum()) / 2
        for matrix, infected in tables:
            logit = float((theta[0] + matrix @ theta[1:]).max())
            total += math.log1p(math.exp(-logit if infected else logit))
        return total

    count = len(FEATURES)
    bounds = [(None, None)] + [(0, None)] * count
    starts = (np.array([-2.0, *[0.5] * count]), np.array([-3.0, 3.0, *[0.0] * (count - 1)]))
    return min((minimize(loss, start, bounds=bounds, method="L-BFGS-B") for start in starts), key=lambda r: r.fun).x


def fit(source: Path, out: Path) -> None:
    """Fit, report leave-one-network-out, and write the calibration."""
    rows = [row for row in json.loads(source.read_text()).values() if row["kind"] not in KINDS_LEFT_OUT]
    names = sorted({row["name"] for row in rows})
    judged = []
    for name in names:
        theta = fit_weights([row for row in rows if row["name"] != name])
        for row in (row for row in rows if row["name"] == name):
            matrix, labels = table(row)
            logits = theta[0] + matrix @ theta[1:]
            best = int(logits.argmax())
            logit = float(logits[best])
            judged.append((logit, bool(row["targets"])))
            print(
                f"{name:34} {row['images']:3} images, targets {row['targets']!s:12} left-out logit {logit:6.2f} "
                f"label {labels[best]} features {np.round(matrix[best], 2).tolist()}"
            )
    infected = [logit for logit, bad in judged if bad]
    clean = [logit for logit, bad in judged if not bad]
    auc = np.mean([(a > b) + 0.5 * (a == b) for a in infected for b in clean])
    print(f"left-out AUC {auc:.3f} over {len(infected)} infected and {len(clean)} clean scans")
    theta = fit_weights(rows)
    if min(infected) > max(clean):
        # A penalised fit crosses one half anywhere in the gap between the two; it belongs in the middle.
        middle = (min(infected) + max(clean)) / 2
        print(f"left-out logits: clean up to {max(clean):.2f}, infected from {min(infected):.2f}")
        theta[0] -= middle
    calibration = {
        "intercept": round(float(theta[0]), 4),
        "weights": {name: round(float(w), 4) for name, w in zip(FEATURES, theta[1:], strict=True)},
        "backdoored": 0.5,
        "clean": 0.3,
        "source": f"benchmarks/calibrate.py on {len(names)} development networks, "
        f"{len({r['name'] for r in rows if r['targets']})} of them infected; leave-one-network-out AUC {auc:.3f}",
    }
    print(json.dumps(calibration, indent=2))
    out.write_text(json.dumps(calibration, indent=2) + "\n")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    collecting = commands.add_parser("collect")
    collecting.add_argument("--zoo", type=Path, required=True)
    collecting.add_argument("--data", type=Path, required=True)
    collecting.add_argument("--out", type=Path, required=True)
    collecting.add_argument("--seeds", type=int, nargs="*", default=[0])
    collecting.add_argument("--digits", type=int, default=12)
    collecting.add_argument("--count", type=int, default=256, help="images of each scan")
    fitting = commands.add_parser("fit")
    fitting.add_argument("--features", type=Path, required=True)
    fitting.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if options.command == "collect":
        collect(options.zoo, options.data, options.out, options.seeds, options.digits, options.count)
    else:
        fit(options.features, options.out)


if __name__ == "__main__":
    main()
