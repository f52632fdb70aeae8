"""Warps: what the family promises the optimiser and the reports."""

import pytest
import torch

from goodnet.inversion import generator_for
from goodnet.triggers import ChangedPatch, Patch, Trigger, Warp
from goodnet.triggers.flow import displaced

SHAPE = (3, 8, 12)
IMAGES = torch.rand(4, 5, *SHAPE, generator=torch.Generator().manual_seed(1))


def generators() -> list[torch.Generator]:
    return [generator_for(0, label, "start") for label in range(4)]


def test_a_flow_to_the_right_takes_each_pixel_from_its_right_neighbour_and_the_border_from_itself() -> None:
    flow = torch.zeros(4, 2, 8, 12)
    flow[:, 0] = 1.0
    moved = displaced(IMAGES, flow)
    torch.testing.assert_close(moved[..., :-1], IMAGES[..., 1:], atol=1e-5, rtol=0)
    torch.testing.assert_close(moved[..., -1], IMAGES[..., -1], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("shape", "pixels"), [((1, 32, 32), 2.0), ((1, 64, 64), 4.0)])
def test_a_flow_means_the_same_at_any_resolution(shape, pixels: float) -> None:
    flow = Warp().flow({"flow": torch.full((1, 2, 5, 5), 2.0)}, *shape[1:])
    torch.testing.assert_close(flow, torch.full((1, 2, *shape[1:]), pixels))


def test_a_limited_warp_is_scaled_down_and_a_smaller_one_left_alone() -> None:
    family = Warp(start_spread=1.0)
    parameters = family.start(generators(), SHAPE)
    sizes = family.size(parameters)
    limit = float(sizes.median())
    torch.testing.assert_close(family.size(family.limited(parameters, limit)), sizes.clamp(max=limit))


def test_stamped_images_are_those_of_the_trigger() -> None:
    warp, both = Warp(start_spread=1.0), ChangedPatch(Warp(start_spread=1.0), Patch(start_mask=0.0))
    parameters = both.start(generators(), SHAPE)
    assert 0 < int(parameters["patched"].sum()) < 4  # some have a patch and some have none
    stamped = both.stamp(parameters, IMAGES)
    for number, trigger in enumerate(both.triggers(parameters, [5, 6, 7, 8])):
        assert (trigger.label, trigger.family) == (5 + number, "warp")
        torch.testing.assert_close(trigger.stamp(IMAGES[number]), stamped[number], atol=1e-5, rtol=0)
    alone = {"flow": parameters["flow"][:1]}
    (trigger,) = warp.triggers(alone, [3], SHAPE)
    torch.testing.assert_close(trigger.stamp(IMAGES[0]), warp.stamp(alone, IMAGES[:1])[0], atol=1e-5, rtol=0)


def test_a_trigger_without_a_patch_has_an_empty_mask_and_counts_no_pixels() -> None:
    family = ChangedPatch(Warp(), patched=0.0)
    parameters = family.start(generators(), SHAPE)
    assert all(float(trigger.mask.sum()) == 0 for trigger in family.triggers(parameters, [0, 1, 2, 3]))
    torch.testing.assert_close(family.size(parameters), 10 * family.change.size(parameters))


def test_whether_there_is_a_patch_does_not_change_in_a_search() -> None:
    assert ChangedPatch(Warp()).paces["patched"] == 0


def test_a_trigger_without_flow_moves_nothing() -> None:
    trigger = Trigger(0, torch.zeros(1, 8, 12), torch.zeros(SHAPE))
    torch.testing.assert_close(trigger.stamp(IMAGES[0]), IMAGES[0])
