"""goodnet beside other tools from the package index: the same networks, images and machine, one thread each.

    nice -n 5 python benchmarks/against_peers.py DATA/zoo/c_patch0.onnx DATA/zoo/c_clean0.onnx --data DATA \
        --envs ENVS --json OUT [--peers art trojanzoo ...] [--images N] [--labels N] [--seconds S] [--seed S]

A network is a file of DATA/zoo or a folder that `goodnet bench` made. Every peer runs in a virtual environment of its
own, made under ENVS from the requirements in benchmarks/peers and kept there, on all labels or on the first N, until it
is done or has used S seconds of processor time. What is cut off is extrapolated to all labels of the network and marked
with ~; a verdict is given only where all of them were searched. The second table says how each peer did over the
networks that it finished: by goodnet's probability and by the highest index of the others. OUT is written after each
run; runs it already holds are not repeated, and the tables show all it holds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from sklearn.metrics import roc_auc_score

import goodnet
from goodnet.bench.build import Net
from goodnet.bench.sample import draw
from goodnet.images import CleanImages
from scan_table import ZOO_IMAGES, judge

ROOT = Path(__file__).parents[1]
RUNNERS = Path(__file__).parent / "peers"
WIDTH = 150
"""Columns of the table where it does not go to a terminal."""

THREADS = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "2"}


@dataclass(frozen=True)
class Peer:
    """A tool with one of its settings.

    Attributes:
        runner: file in benchmarks/peers that runs it, run_{runner}.py.
        variant: what the runner knows the settings as.
        own_environment: whether it needs other packages, from {runner}.txt, than this script.
    """

    runner: str
    variant: str
    own_environment: bool = True


PEERS = {
    "goodnet-fast": Peer("goodnet", "fast", own_environment=False),
    "goodnet-classic": Peer("goodnet", "classic", own_environment=False),
    "trojanzoo": Peer("trojanzoo", "default"),
    "trojanzoo-full": Peer("trojanzoo", "full"),
    "art": Peer("art", "shipped"),
    "art-repaired": Peer("art", "repaired"),
}


@dataclass(frozen=True)
class Network:
    """A network whose truth is known.

    Attributes:
        name: of the network.
        file: of the network, ONNX.
        targets: planted target labels; none for a clean network.
        images: clean images.
    """

    name: str
    file: Path
    targets: tuple[int, ...]
    images: CleanImages


def read_network(path: Path, data: Path, count: int, seed: int) -> Network:
    """Return a network of DATA/zoo, or one that `goodnet bench` made, with clean images of its data set."""
    if path.is_dir():
        net = Net.load(path)
        return Network(net.name, path / "model.onnx", net.targets, draw(net.data, data, count, seed).clean)
    target = json.loads((data / "zoo/truth.json").read_text())[path.stem]["target"]
    name, *options = ZOO_IMAGES[path.stem[0]]
    keys = options[1].split(",") if options else None
    images = goodnet.load_images(data / name, keys=keys, limit=count, seed=seed)
    return Network(path.stem, path, () if target is None else (int(target),), images)


def interpreter(peer: Peer, environments: Path) -> Path:
    """Return the Python to run a peer with; its environment is made where absent or made from other requirements."""
    if not peer.own_environment:
        return Path(sys.executable)
    folder = environments.absolute() / peer.runner
    requirements = RUNNERS / f"{peer.runner}.txt"
    made_from = folder / "requirements.txt"
    python = folder / "bin" / "python"
    if not made_from.exists() or made_from.read_text() != requirements.read_text():
        venv.create(folder, clear=True, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--requirement", str(requirements)]
        subprocess.run(install, check=True, cwd=ROOT)
        made_from.write_text(requirements.read_text())
    return python


def write_images(network: Network, path: Path) -> int:
    """Write clean images, their classes and the network's answers as npz; return how many labels the network has."""
    model = goodnet.load_model(network.file)
    with torch.no_grad():
        probabilities = model.logits(network.images.pixels).softmax(1)
    np.savez(path, images=network.images.pixels, classes=network.images.labels, probabilities=probabilities)
    return probabilities.shape[1]


def run(peer: Peer, python: Path, network: Path, images: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Run a peer on a network; return its outcome as measure.Outcome has it, or an error."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "record.json"
        command = [python, RUNNERS / f"run_{peer.runner}.py", peer.variant, network, images, record]
        seconds = "inf" if settings["seconds"] is None else str(settings["seconds"])
        command += ["--labels", str(settings["labels"]), "--seconds", seconds, "--seed", str(settings["seed"])]
        done = subprocess.run(
            command, env=os.environ | THREADS, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        if done.returncode:
            return {"error": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else str(done.returncode)}
        outcome: dict[str, Any] = json.loads(record.read_text())
    return outcome


def whole(outcome: dict[str, Any], classes: int) -> tuple[dict[str, float], bool] | None:
    """Return what all labels cost and whether that is extrapolated; None where there is nothing to go by.

    From the mean of the finished labels, or else from the most that a label can take, at the pace measured.
    """
    spent: dict[str, float] = outcome["spent"]
    finished = [each["spent"] for each in outcome["records"] if each["spent"]]
    if len(outcome["records"]) == classes:
        return spent, False
    if finished:
        return {key: classes * sum(each[key] for each in finished) / len(finished) for key in spent}, True
    if outcome["most_per_label"] is None or not spent["image_gradients"]:
        return None
    return {key: classes * spent[key] * outcome["most_per_label"] / spent["image_gradients"] for key in spent}, True


def row(entry: dict[str, Any]) -> list[str]:
    """Return one line of the table."""
    outcome, classes = entry["outcome"], entry["classes"]
    if "error" in outcome:
        return [entry["network"], entry["peer"], *["-"] * 6, f"error: {outcome['error']}"]
    spent, total = outcome["spent"], entry["all_labels"]
    mark = "~" if entry["extrapolated"] else ""
    return [
        entry["network"],
        entry["peer"],
        f"{len(outcome['records'])}/{classes}",
        f"{spent['image_gradients']:,}",
        f"{spent['processor_seconds']:,.0f} ({spent['seconds']:,.0f})",
        f"{mark}{total['image_gradients']:,.0f}" if total else "-",
        f"{mark}{total['processor_seconds']:,.0f}" if total else "-",
        indices(entry),
        verdict(entry),
    ]


def indices(entry: dict[str, Any]) -> str:
    """Return the highest anomaly index of a target and of the other labels."""
    known = {int(label): index for label, index in entry["outcome"]["anomaly_indices"].items() if index is not None}
    own = max((index for label, index in known.items() if label in entry["targets"]), default=None)
    other = max((index for label, index in known.items() if label not in entry["targets"]), default=None)
    return " / ".join("-" if index is None else f"{index:.1f}" for index in (own, other))


def verdict(entry: dict[str, Any]) -> str:
    """Return a run's verdict and whether it is right."""
    outcome = entry["outcome"]
    if outcome["verdict"] is None:
        return "none, not all labels"
    flagged = f" {outcome['flagged']}" if outcome["flagged"] else ""
    return f"{outcome['verdict']}{flagged}, {'right' if entry['right'] else 'WRONG'}"


def show(runs: list[dict[str, Any]], console: Console) -> None:
    """Print the tables: IG are image-gradients, s seconds of processor time, (wall) those of the wall clock."""
    table = Table("network", "peer", "labels", box=None, pad_edge=False, header_style="bold")
    for column in ("IG", "s (wall)", "IG, all labels", "s, all labels", "index: target / others"):
        table.add_column(column, justify="right")
    table.add_column("verdict")
    for entry in runs:
        table.add_row(*row(entry))
    console.print(table)
    table = Table("peer", box=None, pad_edge=False, header_style="bold")
    for column in ("networks", "AUC", "found, target first", "clean ones accused", "IG, median", "s, median"):
        table.add_column(column, justify="right")
    for peer in PEERS:
        finished = [entry for entry in runs if entry["peer"] == peer and entry.get("right") is not None]
        if finished:
            table.add_row(peer, *figures(finished))
    console.print()
    console.print(table)


def figures(runs: list[dict[str, Any]]) -> list[str]:
    """Return one line of the second table, from a peer's complete runs."""
    infected = [entry for entry in runs if entry["targets"]]
    clean = [entry for entry in runs if not entry["targets"]]
    both = infected and clean
    auc = roc_auc_score([bool(entry["targets"]) for entry in runs], list(map(score, runs))) if both else None
    accused = sum(entry["outcome"]["verdict"] == "backdoored" for entry in clean)
    spent = [entry["outcome"]["spent"] for entry in runs]
    return [
        str(len(runs)),
        "-" if auc is None else f"{auc:.2f}",
        f"{sum(entry['right'] for entry in infected)} of {len(infected)}",
        f"{accused} of {len(clean)}",
        *(f"{np.median([each[key] for each in spent]):,.0f}" for key in ("image_gradients", "processor_seconds")),
    ]


def score(entry: dict[str, Any]) -> float:
    """Return how suspicious a peer found a network: its probability, or else the highest index; 0 for none."""
    outcome = entry["outcome"]
    if outcome["probability"] is not None:
        return float(outcome["probability"])
    return max((index for index in outcome["anomaly_indices"].values() if index is not None), default=0.0)


def compare(options: argparse.Namespace, console: Console) -> list[dict[str, Any]]:
    """Run every peer on every network and return all runs, those of earlier calls included."""
    runs: list[dict[str, Any]] = json.loads(options.json.read_text()) if options.json.exists() else []
    for path in options.networks:
        network = read_network(path.absolute(), options.data, options.images, options.seed)
        with tempfile.TemporaryDirectory() as folder:
            images = Path(folder) / "images.npz"
            classes = write_images(network, images)
            labels = min(options.labels or classes, classes)
            settings = {"labels": labels, "seconds": options.seconds, "seed": options.seed, "images": options.images}
            for peer in options.peers:
                case = {"network": network.name, "peer": peer, "settings": settings}
                earlier = [known for known in runs if case.items() <= known.items()]
                if any("error" not in known["outcome"] for known in earlier):
                    continue
                console.print(f"{peer} on {network.name} ...")
                python = interpreter(PEERS[peer], options.envs)
                outcome = run(PEERS[peer], python, network.file, images, settings)
                runs = [known for known in runs if known not in earlier]
                runs.append(case | {"targets": network.targets, "classes": classes})
                runs[-1] |= judged(outcome, classes, network.targets)
                options.json.write_text(json.dumps(runs, indent=1))
    return runs


def judged(outcome: dict[str, Any], classes: int, targets: tuple[int, ...]) -> dict[str, Any]:
    """Return an outcome with its cost for all labels and whether its verdict is right."""
    if "error" in outcome:
        return {"outcome": outcome}
    total = whole(outcome, classes)
    report = {"verdict": outcome["verdict"], "target_labels": outcome["flagged"]}
    return {
        "outcome": outcome,
        "all_labels": total and total[0],
        "extrapolated": total is not None and total[1],
        "right": None if outcome["verdict"] is None else judge(targets, report),
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--envs", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--labels", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    show(compare(options, console), console)


if __name__ == "__main__":
    main()
