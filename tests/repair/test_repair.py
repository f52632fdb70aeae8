"""A planted backdoor is gone after the repair, and nothing else is."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys

import pytest
import torch

import goodnet
from goodnet.errors import ImagesError, ModelError, UsageError
from goodnet.redteam.demo import DemoNets
from goodnet.repair.choice import Criteria
from goodnet.repair.job import RepairConfig
from goodnet.repair.reversed import ReversalConfig
from goodnet.report import ScanReport
from goodnet.triggers import ChangedPatch, Filter


def accuracy(answers: torch.Tensor, labels: torch.Tensor) -> float:
    return float((answers == labels).float().mean())


def test_the_real_trigger_works_no_more(good: goodnet.GoodNet, nets: DemoNets) -> None:
    off = good.predict(nets.triggered, filter=False)
    assert nets.badnet_asr > 0.95
    assert accuracy(off, torch.full_like(off, nets.target_label)) <= 0.01
    assert accuracy(off, nets.triggered_labels) >= 0.95 * nets.badnet_accuracy
    on = good.predict(nets.triggered)
    assert float(((on == 10) | (on == nets.triggered_labels)).float().mean()) >= 0.99
    assert float((on == 10).float().mean()) >= 0.9


def test_clean_inputs_keep_their_answers(good: goodnet.GoodNet, nets: DemoNets) -> None:
    pixels, labels = nets.images.pixels, nets.images.labels
    assert labels is not None
    one_batch = pixels[:100]
    old = nets.badnet.logits(one_batch)
    kept = old.argmax(1) != nets.target_label
    assert torch.equal(good.scores(one_batch)[kept, :-1], old[kept])
    old = nets.badnet.logits(pixels)
    judged = old.argmax(1) == nets.target_label
    scores = good.scores(pixels)
    assert torch.equal(scores[~judged, :-1].argmax(1), old[~judged].argmax(1))
    assert not bool((scores[~judged].argmax(1) == 10).any())
    assert accuracy(good.predict(pixels), labels) >= nets.badnet_accuracy - 0.01
    assert accuracy(good.predict(pixels, filter=False), labels) >= nets.badnet_accuracy - 0.005  # one image of 256


def test_the_repaired_network_is_good_by_itself(good: goodnet.GoodNet, nets: DemoNets) -> None:
    assert good.repaired is not None
    assert nets.images.labels is not None
    alone = good.repaired.logits(nets.triggered).argmax(1)
    assert accuracy(alone, torch.full_like(alone, nets.target_label)) <= 0.02
    assert (
        accuracy(good.repaired.logits(nets.images.pixels).argmax(1), nets.images.labels) >= nets.badnet_accuracy - 0.02
    )


def test_the_report_says_what_was_measured(good: goodnet.GoodNet, nets: DemoNets) -> None:
    report = good.report
    assert report is not None
    assert report.status == "repaired"
    assert report.target_labels == (nets.target_label,)
    assert report.rounds[0].remaining == ()
    assert report.before is not None
    assert report.after is not None
    assert report.before.asr > 0.8 > 0.05 > report.after.asr
    low, high = report.after.interval
    assert low <= report.after.clean_accuracy <= high
    assert report.real_trigger is not None
    assert report.real_trigger.asr_before == pytest.approx(nets.badnet_asr, abs=0.01)
    assert report.real_trigger.asr_after <= 0.01
    assert report.real_trigger.handled >= 0.99
    assert report.cost.image_gradients > 1000
    plain = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert plain["rounds"][0]["method"] == "unlearn"


@pytest.mark.usefixtures("good")
def test_the_badnet_itself_is_left_alone(nets: DemoNets) -> None:
    answers = nets.badnet.logits(nets.triggered).argmax(1)
    assert accuracy(answers, torch.full_like(answers, nets.target_label)) > 0.95
    assert not any(weight.requires_grad for weight in nets.badnet.network.parameters())
    digest = hashlib.sha256()
    for value in nets.badnet.network.state_dict().values():
        digest.update(value.contiguous().numpy().tobytes())
    assert digest.hexdigest() == nets.badnet.sha256


def test_the_same_seed_gives_the_same_network(good: goodnet.GoodNet, nets: DemoNets) -> None:
    again = goodnet.repair(nets.badnet, nets.images, labels=[nets.target_label], method="unlearn", seed=1)
    pixels = nets.images.pixels[:16]
    assert torch.equal(again.scores(pixels), good.scores(pixels))


def test_a_clean_network_comes_back_bit_for_bit(nets: DemoNets, clean_report: ScanReport) -> None:
    good = goodnet.repair(nets.clean, nets.images, clean_report)
    assert good.report is not None
    assert good.report.status == "unchanged"
    assert "unchanged, bit for bit" in good.report.summary
    assert good.repaired is not None
    before, after = nets.clean.network.state_dict(), good.repaired.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    pixels = nets.images.pixels[:100]
    assert torch.equal(good.scores(pixels)[:, :-1], nets.clean.logits(pixels))
    assert int(good.predict(nets.triggered).max()) < 10


def test_pruning_removes_what_it_can_at_a_stated_loss(nets: DemoNets, triggered: goodnet.CleanImages) -> None:
    config = goodnet.RepairConfig(rounds=1)
    good = goodnet.repair(
        nets.badnet, nets.images, labels=[nets.target_label], method="prune", triggered=triggered, seed=1, config=config
    )
    assert good.report is not None
    assert good.report.alone is not None
    assert good.report.before is not None
    assert good.report.before.clean_accuracy - good.report.alone.clean_accuracy <= 0.06
    assert good.repaired is not None
    before, after = nets.badnet.network.state_dict(), good.repaired.network.state_dict()
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert len(changed) <= 1


def test_a_backdoor_that_is_left_is_named(nets: DemoNets) -> None:
    config = goodnet.RepairConfig(rounds=1)
    good = goodnet.repair(
        nets.badnet, nets.images, labels=[nets.target_label], method="finetune", seed=1, config=config
    )
    assert good.report is not None
    assert good.report.status == "incomplete"
    assert good.report.rounds[0].remaining == (nets.target_label,)
    assert "still finds a backdoor" in good.report.summary


def test_a_handful_of_images_is_enough(nets: DemoNets, triggered: goodnet.CleanImages) -> None:
    few = nets.images.take(torch.arange(12))
    good = goodnet.repair(nets.badnet, few, labels=[nets.target_label], method="unlearn", triggered=triggered, seed=1)
    assert good.report is not None
    assert good.report.real_trigger is not None
    assert good.report.real_trigger.asr_after <= 0.05
    assert good.report.real_trigger.handled >= 0.95
    assert nets.images.labels is not None
    assert accuracy(good.predict(nets.images.pixels, filter=False), nets.images.labels) >= nets.badnet_accuracy - 0.03
    assert any("only 12 images" in warning for warning in good.report.warnings)


def test_auto_picks_by_outcome_and_says_why(good: goodnet.GoodNet) -> None:
    assert good.report is not None
    (done,) = good.report.rounds
    assert set(done.attempts) == {"unlearn"}  # the first that is good enough is the last that is tried
    assert done.attempts[done.method]["asr"] <= 0.05
    assert done.reason.startswith(f"{done.method} was chosen")


def test_a_report_of_another_model_is_refused(nets: DemoNets, clean_report: ScanReport) -> None:
    with pytest.raises(UsageError, match="scan report of demo BadNet"):
        goodnet.repair(nets.badnet, nets.images, clean_report)


def test_too_few_images_and_wrong_settings_are_refused(nets: DemoNets) -> None:
    one = nets.images.take(torch.tensor([0]))
    with pytest.raises(ImagesError, match="at least 2"):
        goodnet.repair(nets.badnet, one, labels=[nets.target_label])
    with pytest.raises(UsageError, match="auto, unlearn"):
        goodnet.repair(nets.badnet, nets.images, labels=[0], method="magic")
    with pytest.raises(UsageError, match=r"0\.\.9"):
        goodnet.repair(nets.badnet, nets.images, labels=[10])


def test_a_network_without_weights_is_refused(nets: DemoNets) -> None:
    class Constant(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.flatten(1)[:, :10]

    model = dataclasses.replace(nets.badnet, network=Constant())
    unlabelled = nets.images.unlabelled()
    with pytest.raises(ModelError, match="no weights that can be trained"):
        goodnet.repair(model, unlabelled, labels=[nets.target_label])


def test_what_cannot_be_unlearned_as_a_change_of_the_whole_image_is_unlearned_as_patches(
    nets: DemoNets, monkeypatch: pytest.MonkeyPatch
) -> None:
    def filters(*asked: object) -> ReversalConfig:
        config = next(each for each in asked if isinstance(each, ReversalConfig))
        return dataclasses.replace(config, family=ChangedPatch(Filter()))

    monkeypatch.setattr(sys.modules["goodnet.repair.rounds"], "fitted_to", filters)
    few = ReversalConfig(per_label=2, inversion=goodnet.InversionConfig(steps=100))
    config = RepairConfig(criteria=Criteria(change_asr=-1.0), rounds=1, reversal=few)
    labels = [nets.target_label]
    good = goodnet.repair(nets.badnet, nets.images, labels=labels, method="unlearn", config=config, seed=1)
    assert good.report is not None
    assert {trigger.family for _, trigger in good.report.emergence[nets.target_label]} == {"patch"}
