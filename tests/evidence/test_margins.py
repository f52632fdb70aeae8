"""Margins and weights: what is known of a network without images."""

import numpy as np
import pytest
import torch
from torch import nn

from goodnet.classifier import Classifier, freeze
from goodnet.engine import Engine
from goodnet.evidence.margins import attractions, greatest_margins
from goodnet.evidence.statistics import Elsewhere, margin_ratios, without_images
from goodnet.evidence.weights import row_sums, weight_indices


def linear(weights: torch.Tensor) -> Classifier:
    network = nn.Sequential(nn.Flatten(), nn.Linear(weights.shape[1], len(weights), bias=False))
    network[1].weight.data = weights
    return Classifier(freeze(network), (1, 2, 4), len(weights))


def test_the_greatest_margin_of_a_linear_network_is_found() -> None:
    weights = torch.eye(6, 8)
    weights[4] *= 5
    found = greatest_margins(Engine(linear(weights)), range(6), (1, 2, 4), seed=0)
    assert 4 < found[4] < 5
    assert 0.8 < found[0] < 1
    ratios = margin_ratios(found)
    assert ratios[4] > 4
    assert max(ratios[label] for label in range(6) if label != 4) < 1.2


def test_a_margin_does_not_depend_on_which_other_labels_are_asked_for() -> None:
    engine = Engine(linear(torch.randn(70, 8, generator=torch.Generator().manual_seed(0))))
    everything = greatest_margins(engine, range(70), (1, 2, 4), seed=0)
    for labels in (range(30, 70), range(66, 70)):
        some = greatest_margins(engine, labels, (1, 2, 4), seed=0)
        assert all(everything[label] == some[label] for label in labels)


def test_margins_of_labels_that_nothing_reaches_are_no_evidence() -> None:
    assert margin_ratios({0: -3.0, 1: -2.0, 2: 0.4, 3: 0.5})[3] == 0.5
    assert margin_ratios({0: 1.0, 1: 50.0}) == {0: 0.0, 1: 0.0}


def test_rows_of_the_last_layer_are_summed_and_compared() -> None:
    weights = torch.randn(12, 8, generator=torch.Generator().manual_seed(0))
    weights[7] += 10
    sums = row_sums(linear(weights), torch.zeros(1, 1, 2, 4))
    assert sums is not None
    assert sums.every == pytest.approx(weights.sum(1).numpy(), rel=1e-5)
    assert sums.positive == pytest.approx(weights.clamp_min(0).sum(1).numpy(), rel=1e-5)
    indices = weight_indices(sums.every)
    assert indices.argmax() == 7
    assert indices[7] > 5


@pytest.mark.filterwarnings("ignore")  # TorchScript is on its way out
def test_rows_are_seen_where_the_network_hides_its_layers() -> None:
    torch.manual_seed(0)
    network = freeze(nn.Sequential(nn.Conv2d(1, 3, 1), nn.ReLU(), nn.Flatten(), nn.Linear(24, 6), nn.Softmax(1)))
    image, weights = torch.zeros(1, 1, 2, 4), network[3].weight
    exported = torch.export.export(network, (image,)).module()
    for hidden in (network, torch.jit.trace(network, image), exported):
        sums = row_sums(Classifier(hidden, (1, 2, 4), 6), image)
        assert sums is not None
        assert sums.every == pytest.approx(weights.sum(1).numpy(), rel=1e-5)
    assert row_sums(Classifier(network[:2], (1, 2, 4), 3), image) is not None  # a convolution
    assert row_sums(Classifier(network[:1].append(nn.Flatten()), (1, 2, 4), 24), image) is None


def test_a_row_stands_out_only_by_both_measures() -> None:
    close = np.array([0.0, 0.001, -0.001, 0.002, -0.002, 0.5, -0.5, 0.6, -0.6, 1.0])
    assert weight_indices(close)[9] < 3  # a vanishing MAD
    assert weight_indices(np.array([0.0, 0.1, -0.1, 0.2, -0.2, 0.1, 9.0, 9.5, 10.0, 9.2])).max() < 3  # four of ten
    assert weight_indices(np.zeros(10)).tolist() == [0.0] * 10
    assert weight_indices(np.array([0.0, 0.0, 9.0])).tolist() == [0.0] * 3


def test_without_images_only_margins_and_weights_are_known() -> None:
    known = without_images(Elsewhere(margins={0: 1.0, 1: 1.0, 2: 1.0, 3: 4.0}))
    assert [each.margin_ratio for each in known] == [1, 1, 1, 4]
    assert all(each.ratio == each.size_index == each.weight_index == each.positive_index == 0 for each in known)


def test_colour_and_place_of_a_pixel_are_not_mixed_up_in_any_memory_layout() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, (2, 4), bias=False), nn.Flatten())
    weight = torch.zeros(4, 3, 2, 4)
    for label, (channel, row, column) in enumerate([(0, 0, 0), (1, 1, 2), (2, 0, 3), (1, 0, 1)]):
        weight[label, channel, row, column] = 1.0
    network[0].weight.data = weight
    found = greatest_margins(Engine(Classifier(freeze(network), (3, 2, 4), 4)), range(4), (3, 2, 4), seed=0)
    assert min(found.values()) > 0.8


def test_attraction_is_the_share_of_empty_images_that_get_a_label() -> None:
    weights = torch.zeros(4, 8)
    weights[2, :4], weights[3, 4:] = 1.0, 1.0  # the half of the image that is brighter
    shares = attractions(Engine(linear(weights)), (1, 2, 4), seed=0)
    assert shares[1] == 0.0
    assert 0.3 < shares[2] < 1.0
    always = Classifier(freeze(Always()), (1, 2, 4), 4)
    assert attractions(Engine(always), (1, 2, 4), seed=0) == {0: 0.0, 1: 1.0, 2: 0.0, 3: 0.0}


class Always(nn.Module):
    """Answers 1, whatever it sees."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return nn.functional.one_hot(torch.ones(len(images), dtype=torch.int64), 4).float()
