"""One-to-one mappings of classes, and pairs that are too close."""

import numpy as np
import pytest

from goodnet.evidence.mapping import follow, leads, likeliest, residuals, unexplained
from goodnet.evidence.outliers import Numbers


def furthest_ahead(table: Numbers) -> tuple[int, int]:
    each, _ = leads(table)
    row, column = divmod(int(np.nanargmax(each)), each.shape[1])
    return row, column


NEXT = np.roll(np.arange(10), -1)


def test_classes_that_all_move_on_follow_a_mapping() -> None:
    classes = np.repeat(np.arange(10), 5)
    assert follow(classes, (classes + 1) % 10, NEXT) == (1.0, {label: (label + 1) % 10 for label in range(10)})


def test_images_that_stay_follow_none() -> None:
    classes = np.repeat(np.arange(10), 5)
    assert follow(classes, classes, NEXT) == (0.0, {})


def test_images_that_all_go_to_one_label_follow_it_with_one_class_only() -> None:
    rate, targets = follow(np.repeat(np.arange(10), 5), np.full(50, 3), NEXT)
    assert rate == pytest.approx(0.1)
    assert targets == {2: 3}


def test_the_likeliest_mapping_is_one_to_one_and_needs_no_majority() -> None:
    classes = np.repeat(np.arange(10), 5)
    outputs = np.full((50, 10), 0.06)
    outputs[np.arange(50), classes] = 0.2
    outputs[:, 3] = 0.3  # what most images go to
    outputs[np.arange(50), NEXT[classes]] += 0.05
    share, mapping = likeliest(classes, outputs)
    assert mapping.tolist() == NEXT.tolist()
    assert share == pytest.approx((9 * 0.11 + 0.35) / 10)


def test_rows_and_columns_leave_no_residual() -> None:
    table = np.arange(5.0)[:, None] + 10 * np.arange(4.0)
    np.testing.assert_allclose(residuals(table), 0, atol=1e-9)


def test_the_entry_that_is_too_small_is_found_among_missing_ones() -> None:
    table = np.random.default_rng(0).normal(0, 0.2, (8, 8)) + np.arange(8.0)[:, None]
    np.fill_diagonal(table, np.nan)
    table[5, 2] -= 3
    each, spread = leads(table)
    assert furthest_ahead(table) == (5, 2)
    assert each[5, 2] == pytest.approx(3, abs=0.6)
    assert each[5, 2] > 8 * spread
    nothing, spread = leads(np.full((8, 8), np.nan))
    assert np.isnan(nothing).all()
    assert spread > 0


def test_what_another_table_explains_is_taken_off_unless_it_rises_with_it() -> None:
    draw = np.random.default_rng(1)
    near, noise = draw.normal(0, 3, (8, 8)), draw.normal(0, 0.05, (8, 8))
    np.fill_diagonal(near, np.nan)
    explained = unexplained(noise - 0.2 * near, near)
    assert np.nanstd(residuals(explained)) < 0.1
    natural, planted = (2, 6), (5, 1)
    near[natural], table = 12, noise - 0.2 * near
    table[natural], table[planted] = -2.4, table[planted] - 1.5
    assert furthest_ahead(table) == natural
    assert furthest_ahead(unexplained(table, near)) == planted
    np.testing.assert_array_equal(unexplained(0.2 * near, near), 0.2 * near)
