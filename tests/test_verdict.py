"""From statistics to a verdict."""

import pytest

from goodnet.evidence.statistics import Statistics, luck
from goodnet.verdict import decide, shipped_calibration


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


@pytest.mark.parametrize("feature", ["ratio", "universal", "size", "noise", "blank", "transfer"])
def test_no_evidence_counts_for_innocence_the_more_there_is_of_it(feature: str) -> None:
    assert shipped_calibration().weights.get(feature, 0.0) >= 0
