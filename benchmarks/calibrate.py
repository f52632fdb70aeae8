"""Fit the calibration that goodnet ships, on the development zoo only.

    goodnet bench --zoo ZOO --half development --data DATA --seeds 0 --no-repair
    goodnet bench --zoo ZOO --half development --data DATA --seeds 0 --no-repair --images 8
    python benchmarks/calibrate.py --zoo ZOO --out src/goodnet/calibration.json

The first two commands train the networks and scan them, with 256 images and with 8; what each scan found stays in the
zoo. The third fits the four logistic models of a calibration, with no negative weights: `label` to the most suspicious
label of every scan, `blind` likewise to what is known without images, `mapping` to the trigger that moves every class
and `pair` to the pair of classes that stands out most. It prints how the whole verdict does with each network left out
in turn.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.metrics import roc_auc_score

from goodnet.evidence.statistics import Statistics, luck
from goodnet.verdict import Calibration, Logistic, blind_features, features, mapping_features, pair_features

Matrix = NDArray[np.float64]

OF_CLASSES = ("all_to_all", "source_specific")
"""Attacks under which no label stands out, so that the models of labels are not fitted to them."""

ACCUSED, CLEARED = 0.5, 0.3
"""Probabilities from which on, and up to which, a network is accused and cleared: in doubt, neither."""

STRENGTH = 0.3
"""Of the penalty on the squares of the weights."""


@dataclass(frozen=True, eq=False)
class Case:
    """What one scan of one network found.

    Attributes:
        name: of the network.
        images: how many clean images it was scanned with.
        kind: of its attack, "clean" for none.
        targets: the planted targets.
        labels: the labels that were searched.
        label: features of each (labels, F).
        blind: the same of what is known without images.
        mapping: features of the trigger that moves every class, (1, F); none where it was not searched.
        pair: features of the pair that stands out most, (1, F); none where pairs were not searched.
    """

    name: str
    images: int
    kind: str
    targets: tuple[int, ...]
    labels: tuple[int, ...]
    label: Matrix
    blind: Matrix
    mapping: Matrix | None
    pair: Matrix | None

    @property
    def infected(self) -> bool:
        """Whether there is a backdoor."""
        return bool(self.targets)


NAMES = {
    "label": tuple(features(Statistics(0, *[0.0] * 7, luck(2)))),
    "blind": tuple(blind_features(Statistics(0, *[0.0] * 7, luck(2)))),
    "mapping": tuple(mapping_features(0)),
    "pair": tuple(pair_features(1, 0, 2)),
}


def read(folder: Path, seed: int, count: int) -> Case | None:
    """Return what the scan of the network in a folder found; None where it was not scanned."""
    path = folder / f"scan_{seed}_{count}.json"
    if not path.exists():
        return None
    facts, report = json.loads((folder / "facts.json").read_text()), json.loads(path.read_text())["report"]
    searched = [entry for entry in report["labels"] if entry["status"] in ("found", "unreached", "failed")]
    known = [_statistics(entry, len(report["labels"])) for entry in searched]
    mapping, pair = report["all_to_all"], report["pair"]
    return Case(
        name=facts["name"],
        images=count,
        kind=facts["kind"],
        targets=tuple(facts["targets"]),
        labels=tuple(entry["label"] for entry in searched),
        label=np.array([list(features(each).values()) for each in known]),
        blind=np.array([list(blind_features(each).values()) for each in known]),
        mapping=mapping and _row(mapping_features(mapping["rate"])),
        pair=pair and _row(pair_features(pair["ratio"], pair["index"], pair["pairs"])),
    )


def _statistics(entry: Mapping[str, Any], labels: int) -> Statistics:
    same = {name: entry[name] for name in Statistics.__dataclass_fields__ if name in entry}
    return Statistics(**same, size_index=entry["anomaly_index"], ratio=entry["size_ratio"], luck=luck(labels))


def _row(named: Mapping[str, float]) -> Matrix:
    return np.array([list(named.values())])


def tables(cases: Sequence[Case], model: str) -> list[tuple[Matrix, bool]]:
    """Return what a model is fitted to: the features of each network's candidates, and whether one is planted."""
    found: list[tuple[Matrix | None, bool]]
    if model == "mapping":
        found = [(case.mapping, case.kind == "all_to_all") for case in cases]
    elif model == "pair":
        found = [(case.pair, case.kind == "source_specific") for case in cases if case.kind in ("clean", *OF_CLASSES)]
        found = [(table, planted) for table, planted in found if table is not None]
    else:
        found = [
            (case.label if model == "label" else case.blind, case.infected)
            for case in cases
            if case.kind not in OF_CLASSES
        ]
    return [(table, planted) for table, planted in found if table is not None]


def fit(cases: Sequence[Case], model: str) -> Logistic:
    """Return the logistic model of the most suspicious candidate of each network, with no negative weight."""
    data = tables(cases, model)

    def loss(theta: Matrix) -> float:
        total = STRENGTH * float((theta[1:] ** 2).sum()) / 2
        for matrix, planted in data:
            logit = float((theta[0] + matrix @ theta[1:]).max())
            total += math.log1p(math.exp(min(-logit if planted else logit, 500.0)))
        return total

    count = len(NAMES[model])
    bounds = [(None, None)] + [(0, None)] * count
    starts = [np.array([-2.0, *[0.5] * count])]
    starts += [np.array([-3.0, *(2.0 * (column == k) for column in range(count))]) for k in range(count)]
    theta = min((minimize(loss, start, bounds=bounds, method="L-BFGS-B") for start in starts), key=lambda r: r.fun).x
    weights = {name: round(float(weight), 4) for name, weight in zip(NAMES[model], theta[1:], strict=True)}
    return Logistic(round(float(theta[0]), 4), weights)


def judge(case: Case, models: Mapping[str, Logistic]) -> tuple[float, str, int | None]:
    """Return the probability of a backdoor, which model it comes from, and the most suspicious label."""

    def best(model: str, matrix: Matrix) -> tuple[float, int]:
        rows = [dict(zip(NAMES[model], row, strict=True)) for row in matrix.tolist()]
        scores = [models[model].probability(row) for row in rows]
        return max(scores), int(np.argmax(scores))

    score, row = best("label", case.label)
    found: list[tuple[float, str, int | None]] = [(score, "label", case.labels[row])]
    for model, matrix in (("mapping", case.mapping), ("pair", case.pair)):
        if matrix is not None:
            found.append((best(model, matrix)[0], model, None))
    return max(found, key=lambda each: each[0])


def left_out(cases: Sequence[Case]) -> list[tuple[Case, float, str, int | None]]:
    """Return the verdict on each network by models that were fitted to all others."""
    judged = []
    for case in cases:
        others = [other for other in cases if other.name != case.name]
        judged.append((case, *judge(case, {model: fit(others, model) for model in ("label", "mapping", "pair")})))
    return judged


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zoo", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--counts", type=int, nargs="*", default=[256, 8], help="images of the scans")
    parser.add_argument("--out", type=Path, help="where the calibration goes; nowhere by default")
    options = parser.parse_args()
    folders = sorted(path.parent for path in (options.zoo / "development").glob("*/facts.json"))
    scans = [read(folder, options.seed, count) for folder in folders for count in options.counts]
    cases = [case for case in scans if case]
    judged = left_out(cases)
    for case, score, model, label in sorted(judged, key=lambda each: each[1]):
        top = case.label[case.labels.index(label)] if label is not None else []
        print(
            f"{case.name:42} {case.images:4} images, targets {case.targets[:3]!s:12} {score:.3f} by {model} {label} "
            f"{np.round(top, 1)}"
        )
    auc = roc_auc_score([case.infected for case, *_ in judged], [score for _, score, *_ in judged])
    accused = sum(score >= ACCUSED and not case.infected for case, score, *_ in judged)
    missed = sum(score < ACCUSED and case.infected for case, score, *_ in judged)
    print(f"left out: AUC {auc:.3f}; of {len(cases)} scans {accused} clean ones accused, {missed} infected missed")
    calibration = Calibration(
        **{model: fit(cases, model) for model in NAMES},
        backdoored=ACCUSED,
        clean=CLEARED,
        source=f"benchmarks/calibrate.py on {len(cases)} scans of {len({case.name for case in cases})} development "
        f"networks, {len({case.name for case in cases if case.infected})} of them infected; leave-one-network-out AUC "
        f"{auc:.3f}",
    )
    text = json.dumps(asdict(calibration), indent=2) + "\n"
    print(text)
    if options.out:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
