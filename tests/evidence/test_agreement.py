"""What two searches from different starts found, taken together."""

import math
from dataclasses import replace

import pytest
import torch

from goodnet.evidence.agreement import agreed
from goodnet.search import Found
from goodnet.triggers import Trigger


def found(size: float, margin: float = 0.0) -> Found:
    trigger = Trigger(3, torch.zeros(1, 2, 2), torch.zeros(3, 2, 2))
    return Found(3, trigger, size, 2 * size, 1.0, {"margin_noise": margin})


def test_sizes_count_by_their_geometric_mean_and_the_smaller_trigger_is_kept() -> None:
    small, large = found(2.0, margin=1.0), found(8.0, margin=4.0)
    for pair in ([small], [large]), ([large], [small]):
        (both,) = agreed(*pair)
        assert both.size == pytest.approx(4.0)
        assert both.universal_size == pytest.approx(8.0)
        assert both.transfer == {"margin_noise": 2.5}
        assert both.trigger is small.trigger


def test_a_label_that_one_start_does_not_reach_is_not_reached() -> None:
    (both,) = agreed([found(2.0)], [found(math.inf)])
    assert both.size == math.inf


def test_a_failed_search_leaves_the_other_as_it_is() -> None:
    good, failed = found(2.0), found(math.nan)
    assert agreed([failed], [good]) == [good]
    (both,) = agreed([failed], [replace(failed)])
    assert math.isnan(both.size)
