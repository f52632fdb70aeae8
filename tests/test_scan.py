"""The whole scan, on the demo's networks: finds what was planted, accuses nobody else, repeats, resumes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import goodnet
from goodnet.engine import Cost
from goodnet.errors import ImagesError
from goodnet.images import CleanImages
from goodnet.inversion import MANY
from goodnet.redteam.demo import DemoNets
from goodnet.report import ScanReport


@pytest.fixture(scope="module")
def report(nets: DemoNets) -> ScanReport:
    return goodnet.scan(nets.badnet, nets.images, seed=1)


def comparable(report: ScanReport) -> dict:
    plain = report.to_dict()
    del plain["cost"]["seconds"]
    return plain


def test_the_planted_backdoor_is_found(nets: DemoNets, report: ScanReport) -> None:
    assert report.verdict == "backdoored"
    assert report.target_labels == (nets.target_label,)
    top = report.labels[0]
    assert top.label == nets.target_label
    assert top.flagged
    stamped = report.triggers[nets.target_label].stamp(nets.images.pixels[nets.images.labels != nets.target_label])
    answers = nets.badnet.logits(stamped).argmax(1)
    assert float((answers == nets.target_label).float().mean()) > 0.8


def test_the_clean_twin_is_not_accused(clean_report: ScanReport) -> None:
    assert clean_report.verdict != "backdoored"
    assert clean_report.target_labels == ()


def test_the_json_has_the_keys_of_the_contract(report: ScanReport, tmp_path: Path) -> None:
    report.save_json(tmp_path / "report.json")
    plain = json.loads((tmp_path / "report.json").read_text())
    contract = {"schema_version", "verdict", "score", "target_labels", "labels", "model", "images", "cost", "seed"}
    assert contract | {"versions", "warnings"} <= plain.keys()
    assert {"label", "anomaly_index", "trigger_size", "asr", "family", "status"} <= plain["labels"][0].keys()
    assert {"path", "sha256", "format", "num_classes", "input_shape"} <= plain["model"].keys()
    assert {"count", "labelled", "clean_accuracy"} <= plain["images"].keys()
    assert {"image_gradients", "seconds", "device"} <= plain["cost"].keys()
    assert len(plain["labels"]) == plain["model"]["num_classes"] == 10
    assert 0 <= plain["score"] <= 1


def test_the_same_seed_gives_the_same_report(nets: DemoNets, report: ScanReport) -> None:
    assert comparable(goodnet.scan(nets.badnet, nets.images, seed=1)) == comparable(report)


class Interrupter:
    """Stops a scan as soon as a batch is on disk, as Ctrl-C would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def update(self, stage: str, done: int, total: int, cost: Cost) -> None:
        assert 0 <= done <= total
        if list(self.folder.rglob("*.safetensors")):
            assert 0 < done < total
            raise KeyboardInterrupt


def test_an_interrupted_scan_goes_on_with_the_same_result(nets: DemoNets, tmp_path: Path) -> None:
    budget = goodnet.Budget(full=goodnet.InversionConfig(steps=30, images_per_step=32))  # two batches

    def scan(**settings: object) -> ScanReport:
        return goodnet.scan(nets.badnet, nets.images, seed=1, budget=budget, **settings)

    with pytest.raises(KeyboardInterrupt):
        scan(checkpoint=tmp_path, progress=Interrupter(tmp_path))
    kept = list(tmp_path.rglob("*.safetensors"))
    assert len(kept) == 1
    written = kept[0].stat().st_mtime_ns
    (kept[0].parent / "search-00001.safetensors").write_bytes(b"cut off by a power cut")

    class Watch:
        def update(self, stage: str, done: int, total: int, cost: Cost) -> None:
            assert kept[0].stat().st_mtime_ns == written  # not made anew

    resumed = scan(checkpoint=tmp_path, resume=True, progress=Watch())
    assert comparable(resumed) == comparable(scan())
    assert not list(tmp_path.rglob("*.safetensors"))  # done, so nothing is left behind


def test_where_the_first_start_leaves_no_doubt_the_search_ends(nets: DemoNets, report: ScanReport) -> None:
    assert report.score >= goodnet.Budget().certain
    assert report.all_to_all is None
    longer = goodnet.scan(nets.badnet, nets.images, seed=1, budget=goodnet.Budget(certain=2.0))
    assert longer.target_labels == report.target_labels
    assert longer.all_to_all is not None
    assert longer.cost.image_gradients > 1.5 * report.cost.image_gradients


def test_only_what_is_flagged_is_searched_to_the_end(nets: DemoNets, report: ScanReport) -> None:
    half = goodnet.InversionConfig().between(0, goodnet.Budget().looks[-1])
    early = goodnet.scan(nets.badnet, nets.images, seed=1, budget=goodnet.Budget(full=half))
    sizes, before = ({each.label: each.trigger_size for each in of.labels} for of in (report, early))
    assert [label for label in sizes if sizes[label] != before[label]] == [nets.target_label]
    assert {each.label: each.score for each in report.labels} == {each.label: each.score for each in early.labels}
    steps = goodnet.InversionConfig().steps - half.steps
    assert report.cost.image_gradients - early.cost.image_gradients == steps * half.images_per_step


def test_a_second_look_is_for_what_is_suspicious_after_the_first(nets: DemoNets) -> None:
    once = goodnet.Budget(looks=(40, 240), suspicious=2.0, doubtful=2.0, slight=())
    budgets = [once, replace(once, suspicious=0.0)]
    short, long = (goodnet.scan(nets.clean, nets.images, seed=1, labels=range(10), budget=each) for each in budgets)
    config, labels = goodnet.InversionConfig(), len(short.labels)
    assert long.cost.image_gradients - short.cost.image_gradients == 200 * config.images_per_step * labels
    early, late = ({each.label: each.trigger_size for each in of.labels if each.trigger_size} for of in (short, long))
    assert all(early[label] > late[label] for label in early.keys() & late.keys())


def test_what_is_beyond_doubt_at_the_first_look_is_not_looked_at_again(nets: DemoNets, report: ScanReport) -> None:
    late = goodnet.scan(nets.badnet, nets.images, seed=1, budget=goodnet.Budget(looks=(240, 240), suspicious=0.0))
    assert late.target_labels == report.target_labels
    config, labels = goodnet.InversionConfig(), len(report.labels)
    # The flagged one is searched to the end either way.
    spared = (240 - goodnet.Budget().looks[0]) * config.images_per_step * (labels - 1)
    assert late.cost.image_gradients - report.cost.image_gradients == spared


def test_margins_of_many_labels_take_fewer_steps() -> None:
    budget = goodnet.Budget()
    assert budget.among(MANY - 1) == budget
    assert budget.among(MANY) == budget.among(43) == budget.among(43).among(43)
    assert budget.among(MANY).margins.steps < budget.margins.steps


def test_doubts_are_asked_of_a_second_start(nets: DemoNets) -> None:
    budgets = [goodnet.Budget(doubtful=doubtful, slight=()) for doubtful in (0.0, 2.0)]
    doubtful, sure = (goodnet.scan(nets.clean, nets.images, seed=1, labels=range(10), budget=each) for each in budgets)
    assert doubtful.verdict == sure.verdict
    sizes, once = ({each.label: each.trigger_size for each in of.labels} for of in (doubtful, sure))
    assert sizes != once
    config, labels = goodnet.InversionConfig(), len(sizes)
    again = goodnet.Budget().looks[-1] * config.images_per_step * labels
    assert doubtful.cost.image_gradients - sure.cost.image_gradients == again


def test_many_labels_are_screened_first(nets: DemoNets) -> None:
    budget = goodnet.Budget(screen_above=6, best_on_clean=2, best_on_noise=1, control=4)
    report = goodnet.scan(nets.badnet, nets.images, seed=1, budget=budget)
    status = {entry.label: entry.status for entry in report.labels}
    assert len(status) == 10
    assert status[nets.target_label] != "screened"
    assert 3 <= sum(each == "screened" for each in status.values()) <= 6
    assert len(report.triggers) == sum(each != "screened" for each in status.values())


def test_labels_can_be_chosen_and_their_result_stays_the_same(nets: DemoNets) -> None:
    budget = goodnet.Budget(doubtful=2.0)  # whether there is another start depends on what the first one found
    some, every = (
        goodnet.scan(nets.badnet, nets.images, seed=1, budget=budget, labels=labels) for labels in ([2, 5, 7, 8], None)
    )
    whole = {entry.label: entry for entry in every.labels}
    assert [entry.trigger_size for entry in some.labels] == [whole[e.label].trigger_size for e in some.labels]
    with pytest.raises(ImagesError, match=r"0\.\.9, got 10"):
        goodnet.scan(nets.badnet, nets.images, labels=[10])


def test_a_label_without_images_of_other_classes_is_skipped_with_a_word(nets: DemoNets) -> None:
    sevens = nets.images.take(torch.nonzero(nets.images.labels == 7).flatten()[:8])
    report = goodnet.scan(nets.badnet, sevens)
    assert {entry.label for entry in report.labels if entry.status == "skipped"} == {7}
    assert any("label" in warning and "7" in warning for warning in report.warnings)
    assert report.verdict != "clean"


def test_a_network_with_two_classes_gets_no_verdict_from_comparison(nets: DemoNets) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(256, 2))
    torch.manual_seed(0)
    model = goodnet.load_model(network, input_shape=(1, 16, 16))
    images = CleanImages(nets.images.pixels[:32])
    report = goodnet.scan(model, images)
    assert report.verdict == "inconclusive"


def test_classic_reverses_one_label_the_original_way(nets: DemoNets) -> None:
    from goodnet.classic import ClassicConfig, CostSchedule, reverse
    from goodnet.engine import Engine
    from goodnet.inversion import ImagePool

    pool = ImagePool(nets.images.pixels, nets.images.labels)
    facts, tensors = reverse(Engine(nets.badnet), pool, nets.target_label, 0, ClassicConfig(steps=12, mini_batches=8))
    assert facts["asr"] >= 0.99
    assert facts["size"] < 128
    assert tensors["mask"].shape == (1, 16, 16)
    schedule = CostSchedule(ClassicConfig())
    for _ in range(5):
        schedule.update(1.0)
    assert schedule.cost == pytest.approx(1e-3)
    for _ in range(5):
        schedule.update(1.0)
    assert schedule.cost == pytest.approx(2e-3)
    for _ in range(5):
        schedule.update(0.5)
    assert schedule.cost == pytest.approx(2e-3 / 2**1.5)
