"""Coincidence: what chance explains is not surprising, one label that leads in most measures is."""

import math

import numpy as np

from goodnet.evidence.coincidence import coincidences

LABELS = range(43)


def random_measures(seed: int, count: int = 6) -> list[dict[int, float]]:
    drawn = np.random.default_rng(seed).normal(size=(count, len(LABELS)))
    return [dict(zip(LABELS, row.tolist(), strict=True)) for row in drawn]


def test_chance_seldom_reaches_much() -> None:
    most = [max(coincidences(random_measures(seed)).values()) for seed in range(200)]
    # -log of a p-value: at most one network in exp(x) reaches x, and some do.
    for reached in (0.5, 1.0, 2.0):
        assert np.mean(np.array(most) > reached) <= math.exp(-reached)
    assert np.mean(np.array(most) > 0.5) > 0.02


def test_a_label_that_leads_everywhere_stands_out_alone() -> None:
    measures = [{**measure, 7: 5.0} for measure in random_measures(0)]
    found = coincidences(measures)
    assert found[7] > 7
    assert max(value for label, value in found.items() if label != 7) < 3
    second = coincidences([{**measure, 3: 6.0} for measure in measures])[7]
    assert 3 < second < found[7]


def test_few_labels_can_hardly_stand_out() -> None:
    measures = [{0: 9.0, 1: 1.0, 2: 2.0, 3: 0.5, 4: 0.1}] * 6
    assert coincidences(measures)[0] < 1


def test_what_says_the_same_of_all_or_nothing_is_left_out() -> None:
    measures = random_measures(1)
    silent = dict.fromkeys(LABELS, 0.0)
    assert coincidences([*measures, silent]) == coincidences(measures)
    assert set(coincidences([silent]).values()) == {0.0}
    assert coincidences([]) == {}


def test_a_number_that_is_missing_comes_last() -> None:
    measures = [{**measure, 7: 5.0} for measure in random_measures(0)]
    missing = [{**measures[0], 7: math.nan}, *measures[1:]]
    assert 0 < coincidences(missing)[7] < coincidences(measures)[7]
