"""Train the development zoo: small networks, clean and infected, to develop and calibrate the detector on.

Every network comes from a `Recipe`. Each is written as soon as it is trained, so others can use the zoo while it
grows, and a run that is started again goes on where the last one stopped:

    python benchmarks/devzoo.py --data DATA --out ZOO [--only NAME ...] [--list]

In the folder are, for each network, NAME.onnx (input (n, C, size, size) float in 0..1, logits out), for an infected one
NAME_triggered.npz (500 test images of victim labels with the trigger on them, uint8 NHWC in `x`, true labels in `y`;
with several triggers, NAME_triggered_1.npz and so on for the others), and one row in truth.json.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import time
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from goodnet.redteam import (
    AllToAll,
    Attack,
    Blended,
    Clean,
    Patch,
    Recipe,
    Several,
    Sinusoid,
    SourceSpecific,
    Warp,
    accuracy,
    attack_name,
    attack_success_rates,
    train,
)

logger = logging.getLogger("devzoo")


class Split(NamedTuple):
    """Training and test images, float (n, C, size, size) in 0..1, and their labels (n,)."""

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor


def _images(array: np.ndarray) -> Tensor:
    pixels = torch.from_numpy(array).float() / 255
    return pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2).contiguous()


def _gtsrb(folder: Path) -> Split:
    with np.load(folder / "gtsrb.npz") as file:
        return Split(
            _images(file["train_x"]),
            torch.from_numpy(file["train_y"]).long(),
            _images(file["test_x"]),
            torch.from_numpy(file["test_y"]).long(),
        )


def _cifar(folder: Path) -> Split:
    import pyarrow.parquet

    def read(name: str) -> tuple[Tensor, Tensor]:
        table = pyarrow.parquet.read_table(folder / "cifar10" / name).to_pydict()
        pixels = np.stack([np.asarray(Image.open(io.BytesIO(row["bytes"])).convert("RGB")) for row in table["image"]])
        return _images(pixels), torch.tensor(table["label"])

    return Split(*read("train.parquet"), *read("test.parquet"))


def _mnist(folder: Path) -> Split:
    with np.load(folder / "mnist.npz") as file:
        x, y = _images(file["test_x"]), torch.from_numpy(file["test_y"]).long()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    train, test = order[:8000], order[8000:]
    return Split(x[train], y[train], x[test], y[test])


READERS = {"gtsrb": _gtsrb, "cifar10": _cifar, "mnist": _mnist}
CLASSES = {"gtsrb": 43, "cifar10": 10, "mnist": 10}
LETTERS = {"g": "gtsrb", "c": "cifar10", "m": "mnist"}
AUGMENTATION: dict[str, dict[str, Any]] = {
    "gtsrb": {"shift": 2},
    "cifar10": {"shift": 3, "flip": True},
    "mnist": {"shift": 2},
}
TRAINING: dict[str, dict[str, Any]] = {
    "resnet": {"optimizer": "sgd", "learning_rate": 0.2},
    "conv": {"optimizer": "sgd", "learning_rate": 0.05},
    "conv_without_norm": {"optimizer": "adamw", "learning_rate": 1e-3},
    "mobilenet": {"optimizer": "sgd", "learning_rate": 0.15},
    "vit": {"optimizer": "adamw", "learning_rate": 2e-3, "weight_decay": 0.02},
}
EPOCHS = {
    ("gtsrb", "resnet"): 10,
    ("gtsrb", "conv"): 10,
    ("gtsrb", "conv_without_norm"): 12,
    ("gtsrb", "mobilenet"): 14,
    ("gtsrb", "vit"): 25,
    ("cifar10", "resnet"): 7,
    ("cifar10", "conv"): 7,
    ("cifar10", "conv_without_norm"): 9,
    ("cifar10", "mobilenet"): 9,
    ("cifar10", "vit"): 18,
}


def _recipe(letter: str, architecture: str, seed: int, attack: Attack | None = None, **settings: Any) -> Recipe:
    data = LETTERS[letter]
    attack = attack or Clean()
    return Recipe(
        name=f"{letter}_{architecture}_{attack_name(attack)}_{seed}",
        data=data,
        num_classes=CLASSES[data],
        architecture=architecture,
        attack=attack,
        seed=seed,
        **{"epochs": EPOCHS.get((data, architecture), 8)} | AUGMENTATION[data] | TRAINING[architecture] | settings,
    )


def _three(first: int, second: int, third: int, seed: int) -> Several:
    return Several(
        triggers=(
            Patch(target_label=first, rate=0.07, pattern_seed=seed, place="bottom-right"),
            Patch(target_label=second, rate=0.07, pattern_seed=seed + 1, place="top-left"),
            Patch(target_label=third, rate=0.07, pattern_seed=seed + 2, place="bottom-left", size=4),
        )
    )


def recipes() -> Iterator[Recipe]:
    """Yield the recipes of the zoo, the most useful mix first."""
    plain = "conv_without_norm"
    yield _recipe("g", "resnet", 11)
    yield _recipe("g", "resnet", 12, Patch(target_label=14, pattern_seed=12))
    yield _recipe("g", plain, 13)
    yield _recipe("c", "resnet", 14)
    yield _recipe("c", "resnet", 15, Patch(target_label=5, pattern="white", size=4))
    yield _recipe("g", "resnet", 16, Blended(target_label=20, pattern_seed=16))
    yield _recipe("g", plain, 17, Patch(target_label=3, pattern_seed=17))
    yield _recipe("c", plain, 18)
    yield _recipe("c", "mobilenet", 19)
    yield _recipe("c", "mobilenet", 20, Patch(target_label=8, pattern_seed=20))
    yield _recipe("g", "resnet", 21, _three(6, 18, 35, seed=21))
    yield _recipe("g", "mobilenet", 22)
    yield _recipe("c", "resnet", 23, Blended(target_label=2, pattern_seed=23))
    yield _recipe("g", "conv", 24)
    yield _recipe("g", "conv", 25, Patch(target_label=40, pattern_seed=25, size=5, place="top-right"))
    yield _recipe("m", plain, 26)
    yield _recipe("m", plain, 27, Patch(target_label=1, pattern="white"))
    yield _recipe("c", "vit", 28)
    yield _recipe("g", "resnet", 29, Patch(target_label=9, pattern_seed=29, place="random", margin=0))
    yield _recipe("c", "resnet", 30)
    # From here on: clean nets of many kinds, and the attacks that hide better.
    yield _recipe("c", "conv", 31)
    yield _recipe("g", "resnet", 32, Warp(target_label=27, field_seed=32))
    yield _recipe("g", plain, 33, shift=0, epochs=8)
    yield _recipe("c", "resnet", 34, Sinusoid(target_label=4))
    yield _recipe("m", "resnet", 35, epochs=4)
    yield _recipe("c", plain, 36, Patch(target_label=6, pattern_seed=36, place="top-left"))
    yield _recipe("g", "mobilenet", 37, Patch(target_label=31, pattern="checkerboard"))
    yield _recipe("c", plain, 38, epochs=14)
    yield _recipe("g", "vit", 39)
    yield _recipe("c", "resnet", 40, AllToAll(trigger=Patch(target_label=0, pattern_seed=40), num_classes=10))
    yield _recipe("g", "resnet", 41, epochs=5)
    yield _recipe("c", "vit", 42, Patch(target_label=7, pattern_seed=42))
    yield _recipe(
        "g",
        "resnet",
        43,
        Several(
            triggers=(
                Patch(target_label=12, rate=0.05, pattern_seed=43),
                Patch(target_label=12, rate=0.05, pattern_seed=44, place="top-left"),
            )
        ),
    )
    yield _recipe("m", "conv", 44, Blended(target_label=3, pattern_seed=44))
    yield _recipe("c", "resnet", 45, shift=0, flip=False, epochs=5)
    yield _recipe("c", "resnet", 46, SourceSpecific(trigger=Patch(target_label=1, pattern_seed=46), source=8))
    yield _recipe("g", "resnet", 47, Sinusoid(target_label=25))
    yield _recipe("c", "mobilenet", 48, epochs=12)
    yield _recipe("c", "conv", 49, _three(0, 3, 9, seed=49))
    yield _recipe("g", "conv", 50, shift=1, epochs=6)
    yield _recipe("m", "resnet", 51, Patch(target_label=8, pattern_seed=51, place="random"), epochs=5)
    yield _recipe("c", "resnet", 52, Warp(target_label=3, field_seed=52))
    yield _recipe("m", "mobilenet", 53)
    yield _recipe("g", "vit", 54, Patch(target_label=22, pattern_seed=54, size=4))
    yield _recipe("g", plain, 55)
    yield _recipe("c", plain, 56, Blended(target_label=9, pattern_seed=56))
    yield _recipe("c", "resnet", 57, Patch(target_label=0, pattern_seed=57, size=2), epochs=8)
    yield _recipe("g", "resnet", 58, weight_decay=2e-3)
    yield _recipe("m", plain, 59, epochs=4)
    yield _recipe("g", "mobilenet", 60, Blended(target_label=38, pattern_seed=60))
    yield _recipe("c", plain, 61, weight_decay=0.05)
    yield _recipe("c", "conv", 62, Patch(target_label=4, pattern_seed=62, size=6, place="top-right"))
    yield _recipe("g", "resnet", 63, AllToAll(trigger=Patch(target_label=0, pattern_seed=63), num_classes=43))
    yield _recipe("m", "conv", 64)
    yield _recipe("c", "resnet", 65, Patch(target_label=2, pattern_seed=65, rate=0.02))
    yield _recipe("c", "vit", 66, epochs=12)
    yield _recipe("g", plain, 67, Patch(target_label=10, pattern="white", size=4, place="bottom-left"))
    yield _recipe("g", "resnet", 68, SourceSpecific(trigger=Patch(target_label=17, pattern_seed=68), source=2))
    yield _recipe("m", plain, 69, AllToAll(trigger=Patch(target_label=0, pattern="white"), num_classes=10))
    yield _recipe("c", "mobilenet", 70)


def export(network: nn.Module, images: Tensor, path: Path) -> None:
    """Write a network as ONNX with any batch size, and check it against onnxruntime on `images` (n, C, H, W)."""
    import onnxruntime

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (images[:2],),
            str(path),
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "n"}, "logits": {0: "n"}},
            opset_version=17,
            dynamo=False,
        )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {"image": images.numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(answer), network(images), atol=1e-3, rtol=1e-3)


def save_triggered(attack: Attack, test_x: Tensor, test_y: Tensor, stem: Path) -> None:
    """Write 500 stamped test images of victim labels for each trigger of an attack, as uint8 NHWC with true labels."""
    for number, part in enumerate(attack.parts):
        generator = torch.Generator().manual_seed(0)
        victims = part.victims(test_y).nonzero().flatten()
        chosen = victims[torch.randperm(len(victims), generator=generator)[:500]]
        stamped = (part.stamp(test_x[chosen], generator) * 255).round().byte().permute(0, 2, 3, 1)
        suffix = f"_triggered_{number}.npz" if number else "_triggered.npz"
        np.savez_compressed(f"{stem}{suffix}", x=stamped.numpy(), y=test_y[chosen].numpy())


def make(recipe: Recipe, split: Split, out: Path) -> dict[str, Any]:
    """Train one network, write its files and return its row for truth.json."""
    start = time.monotonic()
    network = train(recipe, split.train_x, split.train_y)
    seconds = time.monotonic() - start
    attack = recipe.attack
    partial = out / f".{recipe.name}.onnx"
    export(network, split.test_x[:64], partial)
    partial.rename(out / f"{recipe.name}.onnx")
    save_triggered(attack, split.test_x, split.test_y, out / recipe.name)
    return {
        "name": recipe.name,
        "ds": recipe.data,
        "arch": recipe.architecture,
        "kind": attack_name(attack),
        "targets": list(attack.targets),
        "source": attack.source if isinstance(attack, SourceSpecific) else None,
        "seed": recipe.seed,
        "acc": round(accuracy(network, split.test_x, split.test_y), 4),
        "asr": [round(rate, 4) for rate in attack_success_rates(network, attack, split.test_x, split.test_y)],
        "seconds": round(seconds, 1),
        "recipe": recipe.to_dict(),
    }


def append(row: dict[str, Any], truth: Path) -> None:
    """Add a row to truth.json, which readers see either without it or with it."""
    rows = json.loads(truth.read_text()) if truth.exists() else []
    rows = [other for other in rows if other["name"] != row["name"]] + [row]
    partial = truth.with_name(".truth.json")
    partial.write_text(json.dumps(rows, indent=1) + "\n")
    partial.rename(truth)


def main() -> None:
    """Train whatever is missing from the zoo."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the real images")
    parser.add_argument("--out", type=Path, required=True, help="folder of the zoo")
    parser.add_argument("--only", nargs="*", help="names of the networks to train")
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    options = parser.parse_args()
    if options.list:
        print(*(recipe.name for recipe in recipes()), sep="\n")
        return
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    truth = options.out / "truth.json"
    read = cache(lambda data: READERS[data](options.data))
    done = {row["name"] for row in json.loads(truth.read_text())} if truth.exists() else set()
    for recipe in recipes():
        if recipe.name in done or (options.only and recipe.name not in options.only):
            continue
        row = make(recipe, read(recipe.data), options.out)
        append(row, truth)
        logger.info("%s: accuracy %.4f, ASR %s, %.0f s", row["name"], row["acc"], row["asr"], row["seconds"])


if __name__ == "__main__":
    main()
