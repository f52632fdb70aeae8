"""Whole runs on tiny networks: what is there is not made again, and one failure does not end the run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch
from made_up import FakeScan, recipe

from goodnet.bench import repairs, rows
from goodnet.bench.build import Net, Triggered, load_triggered, make
from goodnet.bench.data import read
from goodnet.bench.repairs import figures, unseen
from goodnet.bench.run import BenchConfig, bench
from goodnet.bench.sample import Sample, draw
from goodnet.classifier import Classifier
from goodnet.errors import ImagesError
from goodnet.formats import load_model
from goodnet.goodnet import GoodNet
from goodnet.images import CleanImages
from goodnet.redteam import AllToAll, Patch, Recipe, Several
from goodnet.repair import repair

CLEAN, PATCH = recipe("digits_clean"), recipe("digits_patch", Patch(target_label=2))


def silent(line: str) -> None:
    pass


@pytest.fixture
def config(tmp_path: Path) -> BenchConfig:
    return BenchConfig(tmp_path / "zoo", seeds=(0, 1), count=64, repair=False)


@pytest.mark.usefixtures("serial")
def test_rows_that_are_there_are_not_made_again(
    config: BenchConfig, fake_scan: FakeScan, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = bench([CLEAN, PATCH], config, silent)
    assert sorted(fake_scan.calls) == [(name, seed) for name in ("digits_clean", "digits_patch") for seed in (0, 1)]
    model = config.zoo / "digits_clean" / "model.onnx"
    made = model.stat().st_mtime_ns
    fake_scan.calls.clear()

    assert bench([CLEAN, PATCH], config, silent) == first
    assert not fake_scan.calls and model.stat().st_mtime_ns == made

    bench([CLEAN, PATCH], dataclasses.replace(config, seeds=(0, 7)), silent)
    assert sorted(fake_scan.calls) == [("digits_clean", 7), ("digits_patch", 7)]
    fake_scan.calls.clear()

    bench([dataclasses.replace(CLEAN, seed=1), PATCH], config, silent)
    assert fake_scan.calls == [("digits_clean", 0), ("digits_clean", 1)] and model.stat().st_mtime_ns > made
    fake_scan.calls.clear()

    (config.zoo / "digits_patch" / "scan_1_64.json").write_text("{}")
    bench([PATCH], config, silent)
    assert fake_scan.calls == [("digits_patch", 1)]
    bench([PATCH], dataclasses.replace(config, fresh=True), silent)
    assert len(fake_scan.calls) == 3
    monkeypatch.setattr(rows, "__version__", "99")
    bench([PATCH], config, silent)
    assert len(fake_scan.calls) == 5


@pytest.mark.usefixtures("serial")
def test_a_failure_does_not_end_the_run_and_is_tried_again(config: BenchConfig, fake_scan: FakeScan) -> None:
    fake_scan.fails_on = "digits_clean"
    too_big = recipe("digits_big", Patch(target_label=1, size=40))
    told: list[str] = []
    report = bench([too_big, CLEAN, PATCH], config, told.append)
    assert [each.net.name for each in report.networks] == ["digits_patch"]
    assert [(each.stage, each.net, each.seed) for each in report.failures] == [
        ("build", "digits_big", None),
        ("scan", "digits_clean", 0),
        ("scan", "digits_clean", 1),
    ]
    assert "does not fit" in report.failures[0].error
    assert report.failures[1].error == "ValueError: no such luck"
    assert sum("failed" in line for line in told) == 3
    fake_scan.fails_on = "nothing"
    again = bench([CLEAN, PATCH], config, silent)
    assert not again.failures and len(again.networks) == 2


@pytest.mark.usefixtures("serial", "fake_scan")
def test_only_found_backdoors_are_repaired(config: BenchConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []

    def leave(model: Classifier, images: CleanImages, scanned: str, *, seed: int) -> GoodNet:
        given.append(scanned)
        return repair(model, images, labels=(), seed=seed)

    monkeypatch.setattr(repairs, "repair", leave)
    monkeypatch.setattr(repairs, "scan_report", lambda content, source: f"{content['verdict']} {source}")
    report = bench([CLEAN, PATCH], dataclasses.replace(config, repair=True), silent)
    assert given == ["made up of digits_patch"]
    clean, patch = report.networks
    assert clean.repair is None and patch.repair is not None
    assert patch.repair.clean_after == patch.repair.clean_before
    assert patch.repair.asr_after == patch.repair.asr_before
    kept = json.loads((config.zoo / "digits_patch" / "repair_0_64.json").read_text())
    assert kept["status"] == kept["report"]["status"] == "inconclusive"
    assert bench([CLEAN, PATCH], dataclasses.replace(config, repair=True), silent) == report
    assert len(given) == 1


ATTACKS = {
    "several": Several(triggers=(Patch(target_label=1), Patch(target_label=2, place="top-left"))),
    "all_to_all": AllToAll(trigger=Patch(target_label=0), num_classes=10),
}


@pytest.mark.parametrize("kind", ATTACKS)
def test_a_folder_has_the_network_and_each_trigger(kind: str, tmp_path: Path) -> None:
    attack = ATTACKS[kind]
    net = make(recipe(kind, attack), tmp_path, None)
    assert net == Net.load(tmp_path) and (net.kind, net.targets) == (kind, attack.targets)
    assert Recipe.load(tmp_path / "recipe.json").attack == attack
    split = read("digits", None)
    triggered = load_triggered(tmp_path, split)
    model = load_model(tmp_path / "model.onnx")
    for part, each, rate in zip(attack.parts, triggered, net.asr, strict=True):
        generator = torch.Generator().manual_seed(0)
        assert torch.equal(split.test_y[each.index], each.labels)
        assert float((each.pixels - part.stamp(split.test_x[each.index], generator)).abs().max()) <= 0.5 / 255 + 1e-6
        assert torch.equal(each.targets, part.target(each.labels))
        with torch.no_grad():
            said = model.logits(each.pixels).argmax(1)
        assert float((said == each.targets).float().mean()) == pytest.approx(rate, abs=0.01)
    other = dataclasses.replace(split, test_y=split.test_y.flip(0))
    with pytest.raises(ImagesError, match="another data set"):
        load_triggered(tmp_path, other)


def test_a_sample_is_balanced_repeats_and_leaves_the_rest() -> None:
    sample, again = (draw("digits", None, 100, seed=3) for _ in range(2))
    assert torch.equal(sample.clean.pixels, again.clean.pixels)
    assert not torch.equal(sample.clean.pixels, draw("digits", None, 100, seed=4).clean.pixels)
    assert sample.clean.labels is not None and torch.bincount(sample.clean.labels).tolist() == [10] * 10
    assert len(sample.clean) + len(sample.rest) == len(sample.drawn) == 400


def images(labels: list[int]) -> CleanImages:
    return CleanImages(torch.zeros(len(labels), 1, 2, 2), torch.tensor(labels, dtype=torch.int64))


def test_repairs_are_measured_on_images_they_were_not_given() -> None:
    triggered = Triggered(
        torch.zeros(3, 1, 2, 2), torch.tensor([0, 1, 0]), torch.tensor([1, 2, 1]), torch.tensor([4, 0, 2])
    )
    sample = Sample(images([0, 0]), images([1]), np.array([True, False, True, False, False]))
    (left,) = unseen([triggered], sample)
    assert left.index.tolist() == [4]
    with pytest.raises(ImagesError, match="give fewer"):
        unseen([triggered], Sample(images([0]), images([]), np.ones(5, dtype=bool)))


def test_figures_of_a_repair_by_hand() -> None:
    def says(classes: list[int], count: int) -> torch.Tensor:
        return torch.nn.functional.one_hot(torch.tensor(classes), count).float()

    def scores(given: object) -> torch.Tensor:
        if isinstance(given, CleanImages):  # with the filter off, class 2 never counts: 0 0 1 1 -> 0 0 1 0
            return says([0, 0, 1, 2], 3)
        return says([0, 2, 1], 3)

    model = SimpleNamespace(logits=lambda pixels: says([0, 1, 1, 1][: len(pixels)], 2))
    good = SimpleNamespace(scores=scores, num_classes=2)
    sample = Sample(images([0]), images([0, 0, 1, 1]), np.zeros(5, dtype=bool))
    attacked = Triggered(torch.zeros(3, 1, 2, 2), torch.tensor([0, 0, 0]), torch.tensor([1, 1, 1]), torch.arange(3))
    assert figures(cast(Classifier, model), cast(GoodNet, good), sample, [attacked]) == {
        "clean_before": 0.75,
        "clean_after": 0.75,
        "clean_filtered": 0.75,
        "asr_before": (pytest.approx(2 / 3),),
        "asr_after": (pytest.approx(1 / 3),),
        "recovered": pytest.approx(2 / 3),
        "handled": pytest.approx(2 / 3),
    }
