"""Backdoors under which no label stands out, on small networks trained for it; and scans without images."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import goodnet
from goodnet import all_to_all, source_specific
from goodnet.all_to_all import ClassMapping
from goodnet.calibration import shipped_calibration
from goodnet.classifier import Classifier, freeze
from goodnet.engine import Engine
from goodnet.errors import ImagesError
from goodnet.images import CleanImages
from goodnet.inversion import ImagePool
from goodnet.progress import Silent
from goodnet.redteam import AllToAll, Attack, Patch, SourceSpecific, train
from goodnet.redteam.demo import DemoNets, digits, digits_recipe
from goodnet.repair.reversed import ReversalConfig, fitted_to
from goodnet.source_specific import Pair, PairConfig, answered
from goodnet.verdict import pair_probability


def planted(attack: Attack) -> tuple[Engine, ImagePool, ImagePool]:
    images, labels = digits()
    network = train(digits_recipe("hidden", attack), images[400:], labels[400:])
    pools = ImagePool(images[:200], labels[:200]), ImagePool(images[200:400], labels[200:400])
    return Engine(Classifier(freeze(network), (1, 16, 16), 10)), *pools


@pytest.fixture(scope="module")
def all_to_all_net() -> tuple[Engine, ImagePool, ImagePool]:
    return planted(AllToAll(trigger=Patch(target_label=0, pattern="white"), num_classes=10, rate=0.3))


@pytest.mark.slow
def test_the_trigger_of_the_usual_mapping_is_found_and_none_in_a_clean_network(
    all_to_all_net: tuple[Engine, ImagePool, ImagePool], nets: DemoNets
) -> None:
    _, pool, held_out = all_to_all_net
    found = all_to_all.usual(*all_to_all_net, seed=0)
    assert found.rate > 0.7
    assert sum(found.targets.get(label) == (label + 1) % 10 for label in range(10)) >= 8
    assert all_to_all.usual(Engine(nets.clean), pool, held_out, seed=0).rate < 0.4


class Renamed(torch.nn.Module):
    """A network of which class i is called what was called `order[i]`."""

    def __init__(self, network: torch.nn.Module, order: torch.Tensor) -> None:
        super().__init__()
        self.network, self.order = network, order

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(images)[:, self.order]


@pytest.mark.slow
def test_a_mapping_that_is_none_of_the_usual_ones_is_guessed(
    all_to_all_net: tuple[Engine, ImagePool, ImagePool], nets: DemoNets
) -> None:
    engine, *pools = all_to_all_net
    order = torch.tensor([3, 8, 5, 9, 0, 7, 4, 6, 1, 2])
    names = order.argsort()
    renamed = Engine(Classifier(freeze(Renamed(engine.classifier.network, order)), (1, 16, 16), 10))
    pool, held_out = (ImagePool(of.pixels, names[of.classes]) for of in pools)

    def guess(engine: Engine, pool: ImagePool, held_out: ImagePool) -> ClassMapping:
        every = source_specific.search_every(engine, pool, held_out, 0, Silent())
        triggers = [pair.trigger for pair in every.leading()]
        return all_to_all.guessed(engine, pool, held_out, triggers, seed=0)

    assert all_to_all.usual(renamed, pool, held_out, seed=0).rate < 0.5
    for found in (guess(renamed, pool, held_out), all_to_all.guessed(renamed, pool, held_out, [], seed=0)):
        assert found.rate > 0.7
        assert sum(found.targets.get(int(names[k])) == int(names[(k + 1) % 10]) for k in range(10)) >= 8
    assert guess(Engine(nets.clean), *pools).rate < 0.4


def probability(pair: Pair) -> float:
    return pair_probability(pair, shipped_calibration(), 0.0)


@pytest.mark.slow
def test_the_pair_of_a_trigger_that_works_on_one_class_stands_out_and_its_victim_is_named() -> None:
    engine, pool, held_out = planted(SourceSpecific(trigger=Patch(target_label=6, pattern_seed=3), source=1))
    every = source_specific.search_every(engine, pool, held_out, 0, Silent())
    found, *others = sorted(source_specific.confirm(engine, every, probability, 0), key=lambda pair: -pair.ratio)
    assert (found.victim, found.target) == (1, 6)
    assert found.ratio > 3 > max((pair.ratio for pair in others), default=0.0)  # others may work on no unseen images
    assert found.unseen > 0.8
    assert found.trigger.label == 6
    known, logits = answered(engine, pool.pixels, 0, PairConfig())
    doubting = PairConfig(doubtful=0.0)
    suspected = source_specific.search_suspects(engine, known, logits, [3, 6], probability, 0, Silent(), doubting)
    assert len(suspected) == doubting.verified
    surest = max(suspected, key=probability)
    assert (surest.victim, surest.target, surest.index) == (1, 6, None)
    assert surest.pairs == 2 * PairConfig().nearest
    assert surest.ratio > 3
    assert surest.unseen > 0.8
    trusting = replace(doubting, doubtful=1.0)
    suspected = source_specific.search_suspects(engine, known, logits, [3, 6], probability, 0, Silent(), trusting)
    first = max(suspected, key=probability)
    assert (first.victim, first.target, first.unseen) == (1, 6, None)
    assert source_specific.only_victim(engine, pool, 6, 0) == 1
    assert source_specific.only_victim(engine, pool, 3, 0) is None
    config = fitted_to(engine, [3, 6], pool.pixels, pool.classes, ReversalConfig(), 0)
    assert config.victims == {6: 1}


def test_pairs_need_images_of_two_classes() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 5))
    engine = Engine(Classifier(freeze(network), (1, 4, 4), 5))
    one_class = ImagePool(torch.rand(8, 1, 4, 4), torch.zeros(8, dtype=torch.int64))
    every = source_specific.search_every(engine, one_class, one_class, 0, Silent())
    assert source_specific.confirm(engine, every, probability, 0) == []
    one_image = answered(engine, one_class.pixels[:1], 0, PairConfig())
    assert source_specific.search_suspects(engine, *one_image, [1], probability, 0, Silent()) == []


def test_a_scan_without_images_says_how_much_weaker_it_is(nets: DemoNets) -> None:
    report = goodnet.scan(nets.badnet, None)
    assert report.labels[0].label == nets.target_label
    assert report.labels[0].margin_ratio > 2
    assert report.images.count == 0
    assert report.triggers == {}
    assert "without images" in report.warnings[-1]
    assert goodnet.scan(nets.clean, None).verdict != "backdoored"


def test_the_classic_preset_needs_images(nets: DemoNets) -> None:
    with pytest.raises(ImagesError, match="needs clean images"):
        goodnet.scan(nets.badnet, None, preset="classic")


def test_every_kind_of_evidence_is_in_the_report(nets: DemoNets) -> None:
    few = CleanImages(nets.images.pixels[:96], nets.images.labels[:96], source="digits")
    report = goodnet.scan(nets.clean, few, seed=3)
    assert report.all_to_all is not None and report.all_to_all.rate < 0.6
    assert report.pair is not None and report.pair.pairs == 90
    assert all(entry.margin_ratio for entry in report.labels if entry.status == "found")
    assert max(entry.warp_lead for entry in report.labels) > 0
