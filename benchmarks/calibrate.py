"""Fit the calibration that goodnet ships, on the development zoo only.

    goodnet bench --zoo ZOO --half development --data DATA --seeds 0 --no-repair
    goodnet bench --zoo ZOO --half development --data DATA --seeds 0 --no-repair --images 8
    python benchmarks/calibrate.py --zoo ZOO --out src/goodnet/calibration.json

The first two commands train the networks and scan them, with 256 images and with 8; what each scan found stays in the
zoo. The third fits the logistic models of a calibration, with no negative weights: `label` to the most suspicious label
of every scan, `blind` likewise to what is known without images, `mapping` to the trigger that moves every class, `pair`
and `suspect` to the pair of classes that stands out most. It prints how the whole verdict does with each network left
out in turn. With `--models pair suspect` these two are fitted and the others stay as they ship, for a zoo that was not
scanned as a whole; with `--features far_margin` so are all weights of a model but those named, for evidence that was
not looked for when the zoo was scanned. `--strangers FOLDER` takes the networks of scan_strangers.py too.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from goodnet.calibration import Calibration, Logistic, shipped_calibration
from goodnet.evidence.statistics import Statistics, luck
from goodnet.verdict.features import features, mapping_features, pair_features, suspect_features

Matrix = NDArray[np.float64]

OF_CLASSES = ("all_to_all", "source_specific")
"""Attacks under which no label stands out, so that the models of labels are not fitted to them."""

STRANGE = {"all_to_all": "all_to_all", "source_specific": "one_class"}
"""What these are called in the names of the networks of scan_strangers.py."""

ACCUSED, CLEARED = 0.6, 0.4
"""Probabilities from which on, and up to which, a network is accused and cleared: in doubt, neither."""

STRENGTH: Mapping[str, float] = {"mapping": 0.3}
"""Of the penalty on the squares of a model's weights, else 1; less where few networks are infected, but not for pairs,
where no feature is to carry a verdict alone."""

CLEAN: Mapping[str, float] = {"pair": 2.0, "suspect": 4.0}
"""How often a clean network counts. Chosen by hand: with less a clean network of the development half was still accused
when it was left out, or nearer to it."""


Judged = tuple["Case", float, str, int | None]
"""A scan, the probability of a backdoor, the model that it comes from and the most suspicious label."""


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
        mapping: features of the trigger that moves every class, (1, F); none where it was not searched.
        pair: features of the pair that stands out most, (1, F); none where not all pairs were searched.
        suspect: the same where only those of suspicious targets were.
        right_pair: whether that is the planted one.
    """

    name: str
    images: int
    kind: str
    targets: tuple[int, ...]
    labels: tuple[int, ...]
    label: Matrix
    mapping: Matrix | None
    pair: Matrix | None
    suspect: Matrix | None
    right_pair: bool

    @property
    def infected(self) -> bool:
        """Whether there is a backdoor."""
        return bool(self.targets)


NAMES = {
    "label": tuple(features(Statistics(0, *[0.0] * 7, luck(2)))),
    "blind": ("margin", "far_margin", "weights", "positive"),
    "mapping": tuple(mapping_features(0)),
    "pair": tuple(pair_features(1, 0, 2, 1, 0)),
    "suspect": tuple(suspect_features(1, 0, 1, 0)),
}


def read(folder: Path, seed: int, count: int) -> Case | None:
    """Return what the scan of the network in a folder found; None where it was not scanned."""
    path = folder / f"scan_{seed}_{count}.json"
    if not path.exists():
        return None
    facts, report = json.loads((folder / "facts.json").read_text()), json.loads(path.read_text())["report"]
    return _case(facts, report, count)


def read_stranger(folder: Path, seed: int) -> Case | None:
    """Return the same of a network of scan_strangers.py."""
    path = folder / f"scan_{seed}.json"
    if not path.exists():
        return None
    facts, report = json.loads((folder / "facts.json").read_text()), json.loads(path.read_text())
    kind = next((kind for kind, of in STRANGE.items() if of in folder.name), "other" if facts["targets"] else "clean")
    return _case({**facts, "name": folder.name, "kind": kind, "source": None}, report, report["images"]["count"])


def _case(facts: Mapping[str, Any], report: Mapping[str, Any], count: int) -> Case:
    searched = [entry for entry in report["labels"] if entry["status"] in ("found", "unreached", "failed")]
    known = {entry["label"]: _statistics(entry, len(report["labels"])) for entry in searched}
    mapping, pair = report["all_to_all"], report["pair"]
    every = pair and pair["nearness"] is None
    raised = known[pair["target"]].raised if pair else 0.0
    return Case(
        name=facts["name"],
        images=count,
        kind=facts["kind"],
        targets=tuple(facts["targets"]),
        labels=tuple(known),
        label=np.array([list(features(each).values()) for each in known.values()]),
        mapping=mapping and _row(mapping_features(mapping["rate"])),
        pair=_row(pair_features(pair["ratio"], pair["index"], pair["pairs"], pair["unseen"], raised))
        if every
        else None,
        suspect=_row(suspect_features(pair["ratio"], pair["nearness"], pair["unseen"], raised))
        if pair and not every
        else None,
        right_pair=pair is not None and [pair["victim"], pair["target"]] == [facts["source"], *facts["targets"]],
    )


def _statistics(entry: Mapping[str, Any], labels: int) -> Statistics:
    same = {name: entry[name] for name in Statistics.__dataclass_fields__ if name in entry}
    return Statistics(**same, size_index=entry["anomaly_index"], ratio=entry["size_ratio"], luck=luck(labels))


def _row(named: Mapping[str, float]) -> Matrix:
    return np.array([list(named.values())])


def tables(cases: Sequence[Case], model: str) -> list[tuple[Matrix, bool, float]]:
    """Return what a model is fitted to: the candidates' features of each scan, whether one is planted, and a weight.

    Scans of one network see much the same of its labels and count together as one; what they see of pairs scatters.
    """
    scans = Counter(case.name for case in cases)
    found: list[tuple[Matrix | None, bool, float]]
    if model == "mapping":
        found = [(case.mapping, case.kind == "all_to_all", 1.0) for case in cases]
    elif model in ("pair", "suspect"):
        found = [(getattr(case, model), case.right_pair, 1.0) for case in cases if case.kind in ("clean", *OF_CLASSES)]
    else:
        columns = [NAMES["label"].index(name) for name in NAMES[model]]
        found = [
            (case.label[:, columns], case.infected, 1 / scans[case.name])
            for case in cases
            if case.kind not in OF_CLASSES
        ]
    return [(table, planted, weight) for table, planted, weight in found if table is not None]


def fit(cases: Sequence[Case], model: str, near: Logistic | None = None, free: Sequence[str] = ()) -> Logistic:
    """Return the logistic model of the most suspicious candidate of each network, with no negative weight.

    The loss has several minima: the least of those found from several starts counts, or the one beside a model that is
    near. Where it is named which features are `free`, all other weights stay as they are there.
    """
    data = tables(cases, model)

    def loss(theta: Matrix) -> tuple[float, Matrix]:
        penalty = STRENGTH.get(model, 1.0)
        total, slope = penalty * float((theta[1:] ** 2).sum()) / 2, np.array([0.0, *penalty * theta[1:]])
        for matrix, planted, weight in data:
            logits = theta[0] + matrix @ theta[1:]
            most, sign = int(logits.argmax()), 1.0 if planted else -1.0
            weight *= 1.0 if planted else CLEAN.get(model, 1.0)
            total += weight * float(np.logaddexp(0.0, -sign * logits[most]))
            slope -= weight * sign * expit(-sign * logits[most]) * np.array([1.0, *matrix[most]])
        return total, slope

    count = len(NAMES[model])
    if near is None:
        starts = [np.array([-2.0, *[0.5] * count])]
        starts += [np.array([-3.0, *(2.0 * (column == k) for column in range(count))]) for k in range(count)]
    else:
        starts = [np.array([near.intercept, *near.weights.values()])]
    bounds: list[tuple[float | None, float | None]] = [(None, None)] + [(0, None)] * count
    if near is not None and free:
        fixed = [(value, value) for value in starts[0].tolist()]
        bounds = [fixed[0]] + [
            bound if name in free else at for name, bound, at in zip(NAMES[model], bounds[1:], fixed[1:], strict=True)
        ]
    found = [minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B") for start in starts]
    theta = min(found, key=lambda each: each.fun).x
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
    for model, matrix in (("mapping", case.mapping), ("pair", case.pair), ("suspect", case.suspect)):
        if matrix is not None:
            found.append((best(model, matrix)[0], model, None))
    return max(found, key=lambda each: each[0])


def left_out(
    cases: Sequence[Case], shipped: Mapping[str, Logistic], fitted: Sequence[str], free: Sequence[str]
) -> list[Judged]:
    """Return the verdict on each network by models that were fitted to all others, or ship."""
    near = {model: shipped[model] if free else fit(cases, model) for model in fitted if model != "blind"}
    judged = []
    for case in cases:
        others = [other for other in cases if other.name != case.name]
        models = {model: fit(others, model, each, free) for model, each in near.items()}
        judged.append((case, *judge(case, {**shipped, **models})))
    return judged


def _summary(judged: Sequence[Judged], count: int) -> str:
    """Return how the verdicts do on the scans with so many images."""
    infected = [score for case, score, *_ in judged if case.images == count and case.infected]
    clean = [score for case, score, *_ in judged if case.images == count and not case.infected]
    if not infected or not clean:
        return f"{count} images: too few networks"
    auc = roc_auc_score([True] * len(infected) + [False] * len(clean), infected + clean)
    found, accused = sum(score >= ACCUSED for score in infected), sum(score >= ACCUSED for score in clean)
    return (
        f"{count} images: AUC {auc:.3f}, {found} of {len(infected)} infected found, {accused} of {len(clean)} clean "
        "ones accused"
    )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zoo", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0], help="seeds of the scans")
    parser.add_argument("--counts", type=int, nargs="*", default=[256, 8], help="images of the scans")
    parser.add_argument("--models", nargs="*", choices=NAMES, default=list(NAMES), help="models that are fitted")
    parser.add_argument("--features", nargs="*", default=[], help="whose weights alone are fitted; all by default")
    parser.add_argument("--strangers", type=Path, help="networks of scan_strangers.py, as well")
    parser.add_argument("--out", type=Path, help="where the calibration goes; nowhere by default")
    options = parser.parse_args()
    folders = sorted(path.parent for path in (options.zoo / "development").glob("*/facts.json"))
    scans = [read(folder, seed, count) for folder in folders for seed in options.seeds for count in options.counts]
    if options.strangers:
        folders = sorted(path.parent for path in options.strangers.glob("*/facts.json"))
        scans += [read_stranger(folder, seed) for folder in folders for seed in options.seeds]
    cases = [case for case in scans if case]
    shipped = shipped_calibration()
    ship = {model: getattr(shipped, model) for model in NAMES}
    judged = left_out(cases, ship, options.models, options.features)
    for case, score, model, label in sorted(judged, key=lambda each: each[1]):
        top = case.label[case.labels.index(label)] if label is not None else []
        print(
            f"{case.name:42} {case.images:4} images, targets {case.targets[:3]!s:12} {score:.3f} by {model} {label} "
            f"{np.round(top, 1)}"
        )
    summary = "; ".join(_summary(judged, count) for count in options.counts)
    asked = f"--models {' '.join(options.models)} --seeds {' '.join(map(str, options.seeds))}"
    if options.features:
        asked += f" --features {' '.join(options.features)}"
    networks = len({case.name for case in cases})
    zoos = "the development zoo" + (" and of scan_strangers.py" if options.strangers else "")
    source = f"benchmarks/calibrate.py {asked} on {networks} networks of {zoos}; each left out in turn: {summary}"
    print(source)
    sources = {model: f"{shipped.sources[model]}; then {source}" if options.features else source for model in NAMES}
    calibration = Calibration(
        **{
            model: fit(cases, model, ship[model] if options.features else None, options.features)
            if model in options.models
            else ship[model]
            for model in NAMES
        },
        backdoored=ACCUSED,
        clean=CLEARED,
        sources={**shipped.sources, **{model: sources[model] for model in options.models}},
    )
    text = json.dumps(asdict(calibration), indent=2) + "\n"
    print(text)
    if options.out:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
