"""Statistics against independent implementations, and their branches."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from goodnet.classifier import Classifier, freeze
from goodnet.engine import Engine
from goodnet.evidence.outliers import median_deviation, outlier_index
from goodnet.evidence.size import size_at_rate
from goodnet.evidence.statistics import Elsewhere, statistics
from goodnet.evidence.transfer import empty_images, margin, transfer
from goodnet.search import Found
from goodnet.triggers import Patch, Trigger


def test_the_spread_is_scipys_median_absolute_deviation() -> None:
    values = np.random.default_rng(0).normal(5, 2, 101)
    median, spread = median_deviation(values)
    assert median == np.median(values)
    assert spread == pytest.approx(stats.median_abs_deviation(values, scale="normal"), rel=1e-4)


def test_an_outlier_index_counts_deviations_above_the_median() -> None:
    reference = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    assert outlier_index(np.array([3.0, 3 + 1.4826]), reference).tolist() == pytest.approx([0.0, 1.0])


def test_a_vanishing_spread_falls_back_to_the_mean_deviation_and_then_to_the_floor() -> None:
    mostly_equal = np.array([2.0] * 9 + [12.0])
    assert outlier_index(np.array([12.0]), mostly_equal)[0] == pytest.approx(10 / 1.2533, rel=1e-3)
    assert outlier_index(np.array([2.0, 3.0]), np.full(9, 2.0), floor=0.5).tolist() == [0.0, 2.0]
    assert outlier_index(np.array([math.nan]), np.arange(9.0))[0] == 0.0


def found(label: int, size: float, noise: float = 0.0, universal: float | None = None) -> Found:
    numbers = {"margin_noise": noise, "margin_blank": 0.0, "gained_noise": 0.0, "gained_blank": 0.0}
    trigger = Trigger(label, torch.zeros(1, 2, 2), torch.zeros(3, 2, 2))
    return Found(label, trigger, size, 2 * size if universal is None else universal, 1.0, numbers)


def test_the_label_with_the_small_trigger_stands_out_and_unreached_ones_do_not() -> None:
    sizes = [50.0, 55.0, 45.0, 52.0, 48.0, 5.0, math.inf]
    result = statistics([found(label, size, noise=label) for label, size in enumerate(sizes)])
    assert max(result.values(), key=lambda each: each.size_index).label == 5
    assert result[5].size_index > 8
    assert result[5].ratio == pytest.approx(49 / 5)
    assert result[6].size_index < 0
    assert result[6].ratio == 0


def test_where_few_triggers_can_be_universal_those_are_compared_with_each_other() -> None:
    universal = [math.inf, math.inf, 31.5, math.inf, 36.5, 13.0]
    sizes = [34.0, 32.0, 20.0, 34.0, 22.0, 8.0]
    each = statistics([found(label, size, 0.0, universal[label]) for label, size in enumerate(sizes)])
    assert each[5].universal_ratio == pytest.approx(34 / 13)
    assert each[2].universal_ratio == pytest.approx((36.5 + 13) / 2 / 31.5)
    assert each[0].universal_ratio == 0
    alone = statistics([found(label, size, 0.0, math.inf if label else 13.0) for label, size in enumerate(sizes)])
    assert not any(each.universal_ratio for each in alone.values())


def test_three_labels_are_too_few_to_say_what_is_usual() -> None:
    result = statistics([found(0, 1.0), found(1, 50.0), found(2, 52.0)])
    assert [each.size_index for each in result.values()] == [0.0, 0.0, 0.0]


@pytest.fixture
def corner_engine() -> Engine:
    """Says 1 where the mean of the image's first four columns exceeds one half, else 0."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    weight = torch.zeros(1, 8, 8)
    weight[:, :, :4] = 1 / 32
    network[1].weight.data = torch.stack([torch.zeros(64), weight.flatten()])
    network[1].bias.data = torch.tensor([0.0, -0.5])
    return Engine(Classifier(freeze(network), (1, 8, 8), 2))


def test_few_labels_are_not_compared_by_waves_and_patches_cover_a_share_of_the_image() -> None:
    for labels in (3, 4):
        leads = statistics([found(k, 2.0) for k in range(labels)], Elsewhere(waves=dict.fromkeys(range(labels), 1.5)))
        assert leads[0].wave_lead == (1.5 if labels > 3 else 0.0)
    covered = statistics([found(0, 2.0), found(1, math.inf), *[found(k, 8.0) for k in range(2, 6)]])
    pixels = found(0, 2.0).trigger.mask.numel()
    assert (covered[0].coverage, covered[1].coverage) == (pytest.approx(2.0 / pixels), 1.0)


def test_size_is_measured_where_the_rate_is_just_reached(corner_engine: Engine) -> None:
    mask = torch.full((1, 1, 8, 8), -9.0)
    mask[..., :4] = 3.0
    white = {"mask": mask, "pattern": torch.full((1, 1, 8, 8), 9.0)}
    size = size_at_rate(corner_engine, Patch(), white, torch.tensor([1]), torch.zeros(1, 5, 1, 8, 8), 0.5)
    assert float(size) == pytest.approx(16, rel=0.1)  # 32 pixels at half strength
    black = {"mask": mask, "pattern": torch.full((1, 1, 8, 8), -9.0)}
    assert (
        float(size_at_rate(corner_engine, Patch(), black, torch.tensor([1]), torch.zeros(1, 5, 1, 8, 8), 0.5))
        == math.inf
    )


def test_transfer_counts_what_the_trigger_adds(corner_engine: Engine) -> None:
    mask = torch.full((1, 1, 8, 8), -9.0)
    mask[..., :4] = 9.0
    white = {"mask": mask, "pattern": torch.full((1, 1, 8, 8), 9.0)}
    images = torch.stack([torch.zeros(1, 8, 8), torch.ones(1, 8, 8)])
    result = transfer(corner_engine, Patch(), white, torch.tensor([1]), images)
    assert float(result.wins) == 1.0
    assert float(result.gained) == 0.5  # the white image is a 1 anyway
    assert float(result.margin) == pytest.approx(0.5, abs=0.01)


def test_margin_is_the_lead_over_the_best_other() -> None:
    logits = torch.tensor([[1.0, 4.0, 2.5], [3.0, 0.0, 1.0]])
    assert margin(logits, torch.tensor([1, 2])).tolist() == [1.5, -2.0]


def test_empty_images_are_the_same_for_the_same_seed() -> None:
    (blank, noise), (_, again) = (empty_images((3, 9, 7), torch.tensor([0.2, 0.4, 0.6]), 3) for _ in range(2))
    assert blank.shape == noise.shape == (8, 3, 9, 7)
    assert torch.equal(noise, again)
    assert float(noise.min()) >= 0 and float(noise.max()) <= 1
    assert all(float(each.std(dim=(1, 2)).max()) == 0 for each in blank)
