"""From statistics to a verdict."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from goodnet.all_to_all import ClassMapping
from goodnet.calibration import shipped_calibration
from goodnet.evidence.statistics import Elsewhere, Statistics, luck, without_images
from goodnet.evidence.weights import RowSums
from goodnet.source_specific import Pair
from goodnet.triggers import Trigger
from goodnet.verdict import Decision, by_what_it_does, change_of, decide, decide_blind, pair_probability
from goodnet.verdict.features import NATURAL_LEAD, features


def label(number: int, index: float, ratio: float, transfer: float = 0.1, total: int = 43) -> Statistics:
    return Statistics(number, index, ratio, ratio, index / 2, 1.0, 1.0, transfer, luck(total))


USUAL = [label(k, 0.05 * k - 1, 1.0) for k in range(1, 40)]


def test_a_much_smaller_trigger_is_a_backdoor() -> None:
    decision = decide([*USUAL, label(41, 11.0, 5.0, 0.9)], [], shipped_calibration())
    assert decision.verdict == "backdoored"
    assert decision.flagged == (41,)
    assert decision.score > 0.9
    assert "label 41" in decision.reasons[0]


def test_several_targets_are_flagged_most_suspicious_first() -> None:
    decision = decide([*USUAL, label(41, 9.0, 4.0, 0.9), label(42, 12.0, 7.0, 0.9)], [], shipped_calibration())
    assert decision.flagged == (42, 41)


def test_beside_a_label_that_weights_accuse_too_a_small_trigger_alone_accuses_no_other() -> None:
    planted = replace(label(41, 12.0, 9.0), coverage=0.002, positive_index=6.0)
    alone = replace(label(42, 9.0, 5.0), coverage=0.003, weight_index=0.2)
    too = replace(alone, weight_index=3.0)

    def flagged(*labels: Statistics) -> tuple[int, ...]:
        return decide([*USUAL, *labels], [], shipped_calibration()).flagged

    assert flagged(alone) == (42,)
    assert flagged(planted, alone) == (41,)
    assert flagged(planted, too) == (41, 42)
    assert flagged(replace(planted, positive_index=0.5), alone) == (41, 42)
    assert flagged(*(replace(each, luck=luck(10)) for each in (planted, alone))) == (41, 42)


def test_nothing_unusual_is_clean() -> None:
    decision = decide(USUAL, [], shipped_calibration())
    assert decision.verdict == "clean"
    assert decision.flagged == ()
    assert decision.score < 0.3


def test_labels_that_could_not_be_searched_make_a_clean_verdict_inconclusive() -> None:
    decision = decide(USUAL, [0], shipped_calibration())
    assert decision.verdict == "inconclusive"
    assert "could not be searched" in decision.reasons[-1]


def test_too_few_labels_to_compare_are_inconclusive() -> None:
    few = [Statistics(k, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, luck(2)) for k in range(2)]
    assert decide(few, [], shipped_calibration()).verdict == "inconclusive"


@pytest.mark.parametrize("model", ["label", "blind", "mapping", "pair", "suspect"])
def test_no_evidence_counts_for_innocence_the_more_there_is_of_it(model: str) -> None:
    weights = getattr(shipped_calibration(), model).weights
    assert min(weights.values()) >= 0
    assert max(weights.values()) > 0


def test_a_trigger_that_moves_every_class_is_a_backdoor_of_all_labels() -> None:
    trigger = Trigger(-1, torch.zeros(1, 2, 2), torch.zeros(3, 2, 2))
    moved = ClassMapping(0.95, {label: (label + 1) % 40 for label in range(40)}, trigger)
    decision = decide(USUAL, [], shipped_calibration(), moved)
    assert decision.verdict == "backdoored"
    assert set(decision.flagged) == set(range(40))
    assert decision.victims == {label: (label - 1) % 40 for label in range(40)}
    assert "all-to-all" in decision.reasons[0]
    assert decide(USUAL, [], shipped_calibration(), ClassMapping(0.1, {}, trigger)).verdict == "clean"


def test_a_pair_of_classes_that_is_too_close_is_a_backdoor_of_its_target() -> None:
    trigger = Trigger(3, torch.zeros(1, 2, 2), torch.zeros(3, 2, 2))
    decision = decide(USUAL, [], shipped_calibration(), None, Pair(8, 3, 30.0, 15.0, None, 90, trigger))
    assert decision.flagged == (3,)
    assert decision.victims == {3: 8}
    assert "from 8 to 3 alone" in decision.reasons[0]
    assert decide(USUAL, [], shipped_calibration(), None, Pair(8, 3, 1.5, 2.0, None, 90, trigger)).verdict == "clean"


def test_a_pair_counts_less_where_the_targets_weights_are_like_those_of_others() -> None:
    trigger = Trigger(3, torch.zeros(1, 2, 2), torch.zeros(3, 2, 2))
    pair = Pair(8, 3, 4.0, 6.0, None, 90, trigger)
    heavy = [replace(each, positive_index=3.0) if each.label == 3 else each for each in USUAL]
    light, heavier = (decide(each, [], shipped_calibration(), None, pair) for each in (USUAL, heavy))
    assert light.verdict == "clean"
    assert heavier.victims == {3: 8}
    assert "index of the weights of 3 3.0" in heavier.reasons[0]
    without = shipped_calibration().without("positive", "weights")
    assert decide(heavy, [], without, None, pair).score == light.score


def test_of_many_labels_a_pair_counts_by_its_size_and_nearness_and_by_the_targets_weights() -> None:
    trigger = Trigger(3, torch.zeros(1, 2, 2), torch.zeros(3, 2, 2))
    near, far = (Pair(8, 3, 8.0, None, nearness, 12, trigger, 1.0) for nearness in (2.0, 0.0))
    shipped = shipped_calibration()
    assert pair_probability(near, shipped, 2.5) > pair_probability(far, shipped, 2.5)
    assert pair_probability(near, shipped, 2.5) > pair_probability(replace(near, unseen=0.2), shipped, 2.5)
    assert pair_probability(near, shipped, 2.5) > pair_probability(near, shipped, 0.5)
    heavy = [replace(each, positive_index=2.5) if each.label == 3 else each for each in USUAL]
    decision = decide(heavy, [], shipped, None, near)
    assert decision.victims == {3: 8}
    assert "8.0 times smaller than from other classes and works on 100% of images" in decision.reasons[0]
    assert "nearer to 3 than their like, index 2.0; index of the weights of 3 2.5" in decision.reasons[0]
    assert decide(USUAL, [], shipped, None, near).verdict == "clean"


def test_a_clean_verdict_says_first_what_its_probability_comes_from() -> None:
    trigger = Trigger(3, torch.zeros(1, 2, 2), torch.zeros(3, 2, 2))
    pairs = [Pair(8, 3, ratio, 2 * ratio, None, 90, trigger) for ratio in (1.0, 2.0, 3.0, 4.0, 6.0)]
    decisions = [decide(USUAL, [], shipped_calibration(), None, pair) for pair in pairs]
    usual, *_, likelier = [each for each in decisions if each.verdict == "clean"]
    assert likelier.score > usual.score
    assert f"from 8 to 3 alone (probability {likelier.score:.2f})" in likelier.reasons[0]
    assert "no label's trigger stands out" in likelier.reasons[1]
    assert len(usual.reasons) == 1
    assert f"is {pairs[decisions.index(likelier)].ratio:.1f} times smaller than" in likelier.reasons[0]
    beside = [*USUAL, replace(label(41, 0.0, 1.0), weight_index=2.9)]
    raised = decide(beside, [], shipped_calibration(), None, Pair(8, 41, 0.0, None, 1.0, 12, trigger, 0.0))
    assert raised.verdict == "clean"
    assert "the trigger of this pair is no smaller than from other classes" in raised.reasons[0]


def test_among_many_labels_a_small_trigger_counts_less_where_sizes_differ_widely_anyway() -> None:
    alone, one_of_several = label(41, 9.0, 4.5), label(41, 1.8, 4.5)
    assert decide([*USUAL, alone], [], shipped_calibration()).flagged == (41,)
    assert decide([*USUAL, one_of_several], [], shipped_calibration()).flagged == ()
    few = replace(one_of_several, luck=luck(10))
    assert decide([*USUAL, few], [], shipped_calibration()).flagged == (41,)


def test_what_carries_the_verdict_is_said_first() -> None:
    surest = replace(label(41, 1.0, 1.0), margin_ratio=9.0)
    reason = decide([*USUAL, surest], [], shipped_calibration()).reasons[0]
    assert reason.split(": ", 2)[-1].startswith("the greatest margin")


def test_margins_and_what_a_trigger_does_to_blank_images_count_where_these_do_not_get_the_label_anyway() -> None:
    usual = label(41, 1.0, 1.0)
    sure, blank = replace(usual, margin_ratio=9.0), replace(usual, blank_index=9.0)

    def decided(one: Statistics, attraction: float) -> Decision:
        return decide([*USUAL, replace(one, attraction=attraction)], [], shipped_calibration())

    both = replace(sure, blank_index=9.0)
    assert decided(both, 0.05).flagged == (41,)
    assert decided(both, 0.5).verdict == "clean"
    for one in (sure, blank):
        assert decided(one, 0.0).score > 3 * decided(one, 0.5).score
        assert decided(one, 0.5).score == decided(one, 1.0).score
    said = decided(both, 0.05).reasons[0]
    assert "9.0 times the median one, and without a trigger 5% of empty images get this label" in said
    assert "on blank images, few of which get this label anyway, its index is 9.0" in said
    few = decided(replace(usual, margin_ratio=2.9, blank_index=4.0), 0.05).reasons[0]
    assert "blank images, few" not in few
    assert "empty images get" not in few


def test_without_images_margin_and_weights_out_of_the_ordinary_are_a_backdoor() -> None:
    usual = {number: 1.0 + 0.01 * number for number in range(40)}
    even = np.linspace(-1.0, 1.0, 40)
    one = even + 8.0 * (np.arange(40) == 7)

    def decided(margins: dict[int, float], weights: RowSums, attraction: float = 0.0) -> Decision:
        known = Elsewhere(margins=margins, attractions={7: attraction}, weights=weights)
        return decide_blind(without_images(known), shipped_calibration())

    assert decided(usual, RowSums(even, even)).verdict == "clean"
    assert decided(usual | {7: 15.0}, RowSums(one, one)).flagged == (7,)
    assert decided(usual | {7: 15.0}, RowSums(even, even)).flagged == (7,)
    assert decided(usual | {7: 15.0}, RowSums(even, even), attraction=1.0).verdict == "clean"
    assert decided(usual | {7: 3.0}, RowSums(even, even)).verdict == "clean"


def test_a_feature_can_be_left_out() -> None:
    heavy = replace(label(41, 0.0, 1.0), weight_index=20.0, positive_index=20.0)
    assert decide([*USUAL, heavy], [], shipped_calibration()).flagged == (41,)
    assert decide([*USUAL, heavy], [], shipped_calibration().without("weights", "positive")).flagged == ()


def test_a_large_trigger_is_believed_where_weights_are_raised_or_nothing_is_known_of_them() -> None:
    large = replace(label(41, 11.0, 5.0), coverage=0.03)
    natural, planted = (replace(large, positive_index=index) for index in (-0.5, 2.5))
    verdicts = [decide([*USUAL, each], [], shipped_calibration()).verdict for each in (large, natural, planted)]
    assert verdicts == ["backdoored", "clean", "backdoored"]
    small = replace(natural, coverage=0.003)
    assert decide([*USUAL, small], [], shipped_calibration()).verdict == "backdoored"
    more, less = (features(replace(natural, coverage=share))["far"] for share in (0.008, 0.01))
    assert features(small)["far"] > more > less > features(natural)["far"] == 0
    works = features(replace(natural, coverage=0.01, transfer=1.0))["far"]
    assert works == features(small)["far"]


def test_a_warp_or_a_filter_or_a_wave_counts_from_what_clean_networks_reach() -> None:
    usual = replace(USUAL[0], **{f"{name}_lead": lead for name, lead in NATURAL_LEAD.items()})
    assert all(features(usual)[name] == 0 for name in NATURAL_LEAD)
    assert change_of(usual, shipped_calibration()) is None
    for name, lead, said in (("warp", 0.8, "80% more"), ("filter", 0.9, "90% more"), ("wave", 4.0, "55 times the")):
        suspicious = replace(USUAL[0], **{f"{name}_lead": lead})
        assert change_of(suspicious, shipped_calibration()) == (None if name == "wave" else name)
        decision = decide([suspicious, *USUAL[1:]], [], shipped_calibration())
        # What a tint does to clean networks varies much, so that a filter alone accuses nobody.
        assert decision.verdict == ("clean" if name == "filter" else "backdoored")
        assert decision.score > 4 * decide(USUAL, [], shipped_calibration()).score
        assert f"label {suspicious.label} " in decision.reasons[0] and said in decision.reasons[0]


def test_what_must_be_added_counts_from_where_clean_networks_end() -> None:
    usual, less = (replace(USUAL[0], additive_ratio=ratio) for ratio in (1.3, 2.5))
    assert features(usual)["additive"] == 0
    assert change_of(usual, shipped_calibration()) is None
    assert change_of(less, shipped_calibration()) == "additive"
    small = replace(less, size_index=9.0, ratio=9.0, universal_ratio=9.0)
    assert change_of(small, shipped_calibration()) is None  # a patch shows it better
    decision = decide([less, *USUAL[1:]], [], shipped_calibration())
    assert decision.flagged == (less.label,)
    assert "added to each pixel is 2.5 times less" in decision.reasons[0]


def test_a_trigger_for_each_image_is_looked_for_only_where_the_patch_tells_next_to_nothing() -> None:
    weighty = {"positive_index": 9.0, "weight_index": 8.0, "margin_ratio": 4.0}
    large, small = (replace(label(3, index, ratio), **weighty) for index, ratio in ((0.5, 1.4), (10.0, 8.0)))
    assert by_what_it_does(large, shipped_calibration())
    assert not by_what_it_does(small, shipped_calibration())
    assert not by_what_it_does(replace(large, warp_lead=0.9, filter_lead=0.9), shipped_calibration())
