"""Networks that others might have trained: scanned, and repaired where a backdoor was found.

    python benchmarks/scan_strangers.py --data DATA --folder FOLDER [--only gtsrb,_205] [--seed S] [--no-repair]

Their architectures, attacks and training (benchmarks/strangers) are written apart from goodnet's red team, and they
come as TorchScript, which hides the layers. FOLDER keeps networks and results; what is there is not made again. DATA is
the folder that `goodnet bench` takes. 256 test images are given to the scan and the repair; repairs are measured on the
other ones, with the attacker's triggers, filter off.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

import goodnet
from goodnet.bench.build import Triggered
from goodnet.bench.data import read
from goodnet.bench.repairs import figures, unseen
from goodnet.bench.sample import Sample, draw
from goodnet.report.reading import scan_report
from goodnet.report.schema import write_json
from strangers.listing import STRANGERS
from strangers.training import Stranger, Trained, train

IMAGES = 256
TAKES = 0.15
"""A backdoor that works on less than this share of the images is none."""

Facts = dict[str, Any]


def kept(path: Path, make: Callable[[], Facts]) -> Facts:
    """Return what is in a file, or make it and keep it there."""
    if not path.exists():
        write_json(make(), path)
    found: Facts = json.loads(path.read_text())
    return found


class Case:
    """One network, with what is known and found of it."""

    def __init__(self, stranger: Stranger, data: Path, folder: Path, seed: int) -> None:
        self.stranger, self.data, self.seed = stranger, data, seed
        self.folder = folder / stranger.name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.facts = kept(self.folder / "facts.json", self._train)

    @property
    def infected(self) -> bool:
        """Whether a backdoor was planted and works."""
        return any(asr >= TAKES for asr in self.facts["asr"])

    def scan(self) -> Facts:
        """Return the report of a scan."""
        return kept(self.folder / f"scan_{self.seed}.json", self._scan)

    def repair(self) -> Facts:
        """Return what a repair came to."""
        return kept(self.folder / f"repair_{self.seed}.json", self._repair)

    def _train(self) -> Facts:
        split = read(self.stranger.data, self.data)
        trained = train(self.stranger, split)
        torch.jit.trace(trained.network, split.test_x[:2]).save(str(self.folder / "model.pt"))
        torch.save(_triggered(trained, split.test_x, split.test_y), self.folder / "triggered.pt")
        planted = trained.planted
        return {"targets": planted.targets, "accuracy": trained.accuracy, "asr": trained.asr}

    def _sample(self) -> Sample:
        return draw(self.stranger.data, self.data, IMAGES, self.seed)

    def _scan(self) -> Facts:
        return goodnet.scan(
            goodnet.load_model(self.folder / "model.pt"), self._sample().clean, seed=self.seed
        ).to_dict()

    def _repair(self) -> Facts:
        sample, model = self._sample(), goodnet.load_model(self.folder / "model.pt")
        good = goodnet.repair(model, sample.clean, scan_report(self.scan(), self.stranger.name), seed=self.seed)
        assert good.report is not None
        attacked = [Triggered(**each) for each in torch.load(self.folder / "triggered.pt")]
        return {"status": good.report.status, **figures(model, good, sample, unseen(attacked, sample))}


def _triggered(trained: Trained, images: torch.Tensor, labels: torch.Tensor, most: int = 500) -> list[Facts]:
    """Return for each trigger up to `most` test images that it concerns, stamped: the parts of a `Triggered`."""
    found, classes = [], int(labels.max()) + 1
    for number, stamp in enumerate(trained.planted.stamps):
        index = trained.planted.concerns(number, labels, classes).nonzero().flatten()[:most]
        targets = trained.planted.target(number, labels[index], classes)
        found.append({"pixels": stamp(images[index]), "labels": labels[index], "targets": targets, "index": index})
    return found


def _asr(repaired: Facts) -> tuple[float, float]:
    """Return the mean ASR over the triggers before and after a repair."""
    return fmean(repaired["asr_before"]), fmean(repaired["asr_after"])


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--only", default="", help="networks with one of these in their names")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-repair", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    chosen = [each for each in STRANGERS if any(part in each.name for part in options.only.split(","))]
    infected, clean, repairs = list[str](), list[str](), list[Facts]()
    for stranger in chosen:
        case = Case(stranger, options.data, options.folder, options.seed)
        facts, report = case.facts, case.scan()
        verdict, labels = report["verdict"], report["target_labels"][:10]
        asr = ", ".join(f"{share:.1%}" for share in facts["asr"])
        planted = f"targets {facts['targets'][:10]}, ASR {asr}" if facts["targets"] else "clean"
        line = (
            f"{stranger.name}, {planted}, accuracy {facts['accuracy']:.1%}: {verdict} {labels} ({report['score']:.2f})"
        )
        if case.infected:
            infected.append(verdict)
        elif not facts["targets"]:
            clean.append(verdict)
        if case.infected and verdict == "backdoored" and not options.no_repair:
            repairs.append(case.repair())
            done, (works, left) = repairs[-1], _asr(repairs[-1])
            line += f", {done['status']}: ASR {works:.1%} -> {left:.1%}, {done['handled']:.1%} handled, "
            line += f"accuracy {done['clean_before']:.1%} -> {done['clean_after']:.1%}"
        print(line, flush=True)
    print(f"found {infected.count('backdoored')} of {len(infected)} backdoors that work")
    print(f"accused {clean.count('backdoored')} of {len(clean)} clean ones, in doubt {clean.count('inconclusive')}")
    if repairs:
        works, left = (fmean(side) for side in zip(*map(_asr, repairs), strict=True))
        lost = fmean(each["clean_before"] - each["clean_after"] for each in repairs)
        print(f"{len(repairs)} repairs: ASR {works:.1%} -> {left:.1%}, clean accuracy lost {100 * lost:.2f} points")


if __name__ == "__main__":
    main()
