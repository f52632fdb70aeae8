"""Filters: what the family promises the optimiser and the reports."""

import pytest
import torch

from goodnet.inversion import generator_for
from goodnet.triggers import ChangedPatch, Filter, Patch
from goodnet.triggers.kernel import filtered, identity

IMAGES = torch.rand(4, 5, 3, 8, 12, generator=torch.Generator().manual_seed(1))


def generators() -> list[torch.Generator]:
    return [generator_for(0, label, "start") for label in range(4)]


def test_the_kernel_that_changes_nothing_changes_nothing() -> None:
    torch.testing.assert_close(filtered(IMAGES, identity(3).expand(4, -1, -1, -1, -1)), IMAGES)


def test_each_row_has_its_own_kernel_and_the_last_input_is_one_everywhere() -> None:
    kernels = torch.zeros(4, 3, 4, 3, 3)
    for row in range(4):
        kernels[row, 0, 1, 1, 1] = 1.0  # red becomes green
        kernels[row, 1, 3, 1, 1] = row / 4  # green becomes the same everywhere
        kernels[row, 2, 2, 1, 0] = 1.0  # blue comes from the left
    result = filtered(IMAGES, kernels)
    torch.testing.assert_close(result[:, :, 0], IMAGES[:, :, 1])
    torch.testing.assert_close(result[:, :, 1], (torch.arange(4) / 4).view(4, 1, 1, 1).expand(4, 5, 8, 12))
    torch.testing.assert_close(result[:, :, 2, :, 1:], IMAGES[:, :, 2, :, :-1])
    torch.testing.assert_close(result[:, :, 2, :, 0], IMAGES[:, :, 2, :, 0])


def test_a_filter_changes_no_pixel_by_more_than_its_size_mean_over_the_channels() -> None:
    family = Filter(start_spread=0.02)
    parameters = family.start(generators(), (3, 8, 12))
    change = (family.stamp(parameters, IMAGES) - IMAGES).abs().mean(2).amax(dim=(1, 2, 3))
    assert (change <= family.size(parameters)).all()
    limited = family.limited(parameters, 0.3)
    torch.testing.assert_close(family.size(limited), family.size(parameters).clamp(max=0.3))
    assert (family.size(family.strengthen(parameters, torch.ones(4))) > family.size(parameters)).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_stamped_images_are_those_of_the_trigger(channels: int) -> None:
    filters, both = Filter(start_spread=0.05), ChangedPatch(Filter(start_spread=0.05), Patch(start_mask=0.0))
    images, shape = IMAGES[:, :, :channels], (channels, 8, 12)
    parameters = both.start(generators(), shape)
    stamped = both.stamp(parameters, images)
    for number, trigger in enumerate(both.triggers(parameters, [5, 6, 7, 8])):
        assert (trigger.label, trigger.family) == (5 + number, "filter")
        torch.testing.assert_close(trigger.stamp(images[number]), stamped[number], atol=1e-5, rtol=0)
    alone = filters.start(generators(), shape)
    for number, trigger in enumerate(filters.triggers(alone, [5, 6, 7, 8], shape)):
        assert trigger.size == 0
        torch.testing.assert_close(trigger.stamp(images[number]), filters.stamp(alone, images)[number])
