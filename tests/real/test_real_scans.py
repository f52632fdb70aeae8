"""Real published BadNets and real images; the networks of the zoo were trained by others than our red team."""

from pathlib import Path

import pytest

import goodnet

pytestmark = pytest.mark.real

GTSRB = "gtsrb.npz", ("test_x", "test_y")
CIFAR = "cifar10/test.parquet", None


@pytest.mark.parametrize(
    ("name", "data", "targets"),
    [
        ("g_rn_patch7", GTSRB, (7,)),
        ("g_rn_clean0", GTSRB, ()),
        ("c_patch0", CIFAR, (0,)),
        ("c_clean0", CIFAR, ()),
    ],
)
def test_zoo(data_dir: Path, name: str, data: tuple[str, tuple[str, str] | None], targets: tuple[int, ...]) -> None:
    images = goodnet.load_images(data_dir / data[0], keys=data[1], limit=256)
    report = goodnet.scan(goodnet.load_model(data_dir / f"zoo/{name}.onnx"), images)
    assert report.verdict == ("backdoored" if targets else "clean"), report.reasons
    assert report.target_labels[:1] == targets
    assert report.cost.image_gradients <= (35_000 if targets else 75_000)  # what is beyond doubt ends early


@pytest.mark.usefixtures("patience")
def test_the_sunglasses_are_found_with_eight_faces(data_dir: Path) -> None:
    images = goodnet.load_images(data_dir / "csaw/clean_validation_data.h5")
    report = goodnet.scan(goodnet.load_model(data_dir / "csaw/sunglasses_bd_net.h5"), images)
    assert report.verdict == "backdoored", report.reasons
    assert report.target_labels[0] == 0
    assert len(report.target_labels) <= 4
    assert len(report.labels) == 1283
    assert report.cost.image_gradients <= 270_000
    assert report.images.clean_accuracy == 7 / 8


def test_the_sunglasses_are_found_among_the_first_labels(data_dir: Path) -> None:
    images = goodnet.load_images(data_dir / "csaw/clean_validation_data.h5")
    model = goodnet.load_model(data_dir / "csaw/sunglasses_bd_net.h5")
    budget = goodnet.Budget(best_on_clean=6, best_on_noise=8, control=18)  # 32 labels at most go on, one batch
    report = goodnet.scan(model, images, labels=range(200), budget=budget)
    assert report.verdict == "backdoored", report.reasons
    assert report.target_labels[0] == 0
    assert len(report.target_labels) <= 4
    assert len(report.labels) == 200
    assert sum(each.status == "screened" for each in report.labels) > 100
    assert report.cost.image_gradients <= 70_000
    assert report.images.clean_accuracy == 7 / 8


@pytest.mark.usefixtures("patience")
def test_two_of_three_targets_are_found_with_eight_faces(data_dir: Path) -> None:
    images = goodnet.load_images(data_dir / "csaw/clean_validation_data.h5")
    report = goodnet.scan(goodnet.load_model(data_dir / "csaw/multi_trigger_multi_target_bd_net.h5"), images)
    assert report.verdict == "backdoored", report.reasons
    assert len(report.labels) == 1283
    assert {1, 5} <= set(report.target_labels)
    assert len(set(report.target_labels) - {1, 5, 8}) <= 3
    assert report.cost.image_gradients <= 270_000
