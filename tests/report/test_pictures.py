"""Triggers on disk: exact arrays, and pictures that show them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from samples import entry, report

from goodnet.errors import OutputError
from goodnet.images import CleanImages
from goodnet.report.pictures import FLAGGED, examples_for, save_triggers, tile
from goodnet.triggers.kernel import identity

IMAGES = CleanImages(torch.rand(9, 3, 12, 8, generator=torch.Generator().manual_seed(0)), torch.arange(9) % 3)


def test_arrays_are_exact_and_pictures_show_the_trigger(tmp_path: Path) -> None:
    made = report(entry(2, flagged=True), *(entry(label) for label in range(3, 9)))
    paths = save_triggers(made, IMAGES, tmp_path / "new" / "folder")
    assert [path.name for path in paths] == ["overview.png", *(f"label_000{label}.png" for label in (2, 3, 4, 5))]
    with np.load(paths[0].with_name("label_0008.npz")) as arrays:
        assert sorted(arrays) == ["mask", "pattern"]
        assert arrays["mask"].dtype == arrays["pattern"].dtype == np.float32
        np.testing.assert_array_equal(arrays["mask"], made.triggers[8].mask)
        np.testing.assert_array_equal(arrays["pattern"], made.triggers[8].pattern)
    with Image.open(paths[1]) as drawn:
        picture = np.asarray(drawn)
    stamped, clean = tile(made.triggers[2].stamp(IMAGES.pixels[:1])[0]), tile(IMAGES.pixels[0])
    for wanted in (stamped, clean, tile(made.triggers[2].mask)):
        assert holds(picture, np.asarray(wanted))
    assert not holds(picture, np.asarray(tile(IMAGES.pixels[2])))  # of the label itself


def test_a_warp_is_kept_with_its_flow_and_drawn_by_how_far_it_moves_pixels(tmp_path: Path) -> None:
    made = report(entry(2, flagged=True))
    flow = torch.zeros(2, 12, 8)
    flow[1, :6] = torch.arange(8) / 7
    trigger = replace(made.triggers[2], family="warp", mask=torch.zeros(1, 12, 8), flow=flow)
    paths = save_triggers(replace(made, triggers={2: trigger}), IMAGES, tmp_path)
    with np.load(tmp_path / "label_0002.npz") as arrays:
        assert sorted(arrays) == ["flow", "mask", "pattern"]
        np.testing.assert_array_equal(arrays["flow"], flow)
    with Image.open(paths[1]) as drawn:
        picture = np.asarray(drawn)
    for wanted in (flow[1:], trigger.stamp(IMAGES.pixels[:1])[0]):
        assert holds(picture, np.asarray(tile(wanted)))


def test_a_filter_is_kept_with_its_kernel_and_drawn_by_what_it_does(tmp_path: Path) -> None:
    made = report(entry(2, flagged=True))
    kernel = identity(3)
    kernel[0, 3, 1, 1] = 0.2  # more red everywhere
    trigger = replace(made.triggers[2], family="filter", mask=torch.zeros(1, 12, 8), kernel=kernel)
    paths = save_triggers(replace(made, triggers={2: trigger}), IMAGES, tmp_path)
    with np.load(tmp_path / "label_0002.npz") as arrays:
        np.testing.assert_array_equal(arrays["kernel"], kernel)
    with Image.open(paths[1]) as drawn:
        picture = np.asarray(drawn)
    for wanted in (torch.ones(1, 12, 8), trigger.stamp(IMAGES.pixels[:1])[0]):
        assert holds(picture, np.asarray(tile(wanted)))


def test_a_trigger_that_works_on_one_class_is_drawn_on_its_images(tmp_path: Path) -> None:
    made = report(entry(2, flagged=True))
    trigger = replace(made.triggers[2], victim=1)
    paths = save_triggers(replace(made, triggers={2: trigger}), IMAGES, tmp_path)
    with Image.open(paths[1]) as drawn:
        picture = np.asarray(drawn)
    assert holds(picture, np.asarray(tile(IMAGES.pixels[1])))
    assert not holds(picture, np.asarray(tile(IMAGES.pixels[0])))


def test_examples_show_each_class_before_any_comes_twice() -> None:
    sorted_by_class = CleanImages(IMAGES.pixels, torch.arange(9) // 3)
    trigger = report(entry(2, flagged=True)).triggers[2]
    assert examples_for(trigger, sorted_by_class).labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert examples_for(trigger, sorted_by_class, 2).labels.tolist() == [0, 1]
    assert examples_for(replace(trigger, victim=1), sorted_by_class).labels.tolist() == [1, 1, 1]
    assert len(examples_for(trigger, sorted_by_class.unlabelled())) == 6


def test_many_targets_do_not_make_a_picture_without_end(tmp_path: Path) -> None:
    paths = save_triggers(report(*(entry(label, flagged=True) for label in range(40))), IMAGES, tmp_path)
    assert len(paths) == 1 + FLAGGED
    assert len(list(tmp_path.glob("*.npz"))) == 40


@pytest.mark.parametrize(
    ("shape", "size"), [((3, 12, 8), (85, 128)), ((1, 200, 200), (200, 200)), ((4, 512, 9), (4, 256))]
)
def test_tiles(shape: tuple[int, int, int], size: tuple[int, int]) -> None:
    assert tile(torch.rand(shape)).size == size


def test_unwritable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot write triggers to .*file"):
        save_triggers(report(entry(2)), IMAGES, tmp_path / "file")


def holds(picture: np.ndarray, part: np.ndarray) -> bool:
    """Whether `part` occurs somewhere in `picture`."""
    height, width = part.shape[:2]
    rows, columns = np.nonzero((picture[: -height + 1, : -width + 1] == part[0, 0]).all(-1))
    return any(
        (picture[y : y + height, x : x + width] == part).all()
        for y, x in zip(rows.tolist(), columns.tolist(), strict=True)
    )
