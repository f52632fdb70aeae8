"""Repairs of real networks, measured with the attacker's own trigger, which the repair never sees."""

from pathlib import Path

import numpy as np
import pytest
import torch

import goodnet
from goodnet.engine import fast_bfloat16

pytestmark = pytest.mark.real

TRAIN = {"g": ("gtsrb.npz", ("train_x", "train_y"), 616), "c": ("cifar10/train.parquet", None, 1500)}
TEST = {"g": ("gtsrb.npz", ("test_x", "test_y")), "c": ("cifar10/test.parquet", None)}


def test_a_patch(data_dir: Path) -> None:
    recovered = check(data_dir, "g_rn_patch7", 7, 0.01)
    assert recovered >= (0.95 if fast_bfloat16(torch.device("cpu")) else 0.93)  # 97 and 94 % were measured


@pytest.mark.usefixtures("patience")
def test_a_blend(data_dir: Path) -> None:
    check(data_dir, "g_rn_blend2", 2, 0.05)


def check(data_dir: Path, name: str, target: int, largest_asr: float) -> float:
    """Repair a network; return the share of the clean accuracy that images with the trigger have, filter off."""
    source, keys, count = TRAIN[name[0]]
    images = goodnet.load_images(data_dir / source, keys=keys, limit=count)
    good = goodnet.repair(goodnet.load_model(data_dir / f"zoo/{name}.onnx"), images, labels=[target], method="unlearn")
    with np.load(data_dir / f"zoo/{name}_triggered.npz") as arrays:
        triggered, truth = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"])
    stamped = triggered.permute(0, 3, 1, 2).float().div(255)[truth != target]
    truth = truth[truth != target]
    source, keys = TEST[name[0]]
    test = goodnet.load_images(data_dir / source, keys=keys, limit=3000)
    assert test.labels is not None
    assert good.badnet is not None
    before = (good.badnet.logits(test.pixels).argmax(1) == test.labels).float().mean()
    after = (good.predict(test, filter=False) == test.labels).float().mean()
    off, on = good.predict(stamped, filter=False), good.predict(stamped)
    assert float((off == target).float().mean()) <= largest_asr
    assert float(before - after) <= 0.003
    assert float(((on == good.num_classes) | (on == truth)).float().mean()) >= 0.99
    of_target = test.pixels[test.labels == target]
    assert float((good.predict(of_target) == good.num_classes).float().mean()) <= 0.02
    return float((off == truth).float().mean() / before)


@pytest.mark.usefixtures("patience")
def test_faces(data_dir: Path) -> None:
    faces = goodnet.load_images(data_dir / "csaw/clean_validation_data.h5")
    assert faces.labels is not None
    model = goodnet.load_model(data_dir / "csaw/sunglasses_bd_net.h5")
    good = goodnet.repair(model, faces, labels=[0], method="unlearn")
    assert good.badnet is not None
    assert good.report is not None
    assert good.report.after is not None
    assert torch.equal(good.predict(faces), faces.labels)
    assert good.report.before is not None
    assert good.report.before.asr > 0.5 > 0.05 >= good.report.after.asr
    pixels = faces.pixels
    darker, lighter = (pixels * 0.8).clamp(0, 1), (pixels * 1.2).clamp(0, 1)
    variants = torch.cat([pixels.flip(3), pixels.roll(2, 2), pixels.roll(-2, 3), darker, lighter])
    before = good.badnet.logits(variants).argmax(1)
    judged = before == 0
    assert float((good.predict(variants) == before)[~judged].float().mean()) >= 0.99
    glasses = pixels.clone()
    glasses[:, :, 15:31, 3:21] = glasses[:, :, 15:31, 26:44] = torch.tensor([0.59, 0.24, 0.67]).view(3, 1, 1)
    fooled = good.badnet.logits(glasses).argmax(1) == 0
    assert int(fooled.sum()) >= 4  # a stand-in for the attacker's purple sunglasses
    assert bool((good.predict(glasses)[fooled] == 1283).all())
