"""Coarse patches: what the family promises the optimiser and the reports."""

import torch

from goodnet.inversion import generator_for
from goodnet.triggers import Coarse

SHAPE = (3, 20, 12)
IMAGES = torch.rand(4, 5, *SHAPE, generator=torch.Generator().manual_seed(1))
FAMILY = Coarse(20, 12, cells=4)


def start() -> dict[str, torch.Tensor]:
    parameters = FAMILY.start([generator_for(0, label, "start") for label in range(4)], SHAPE)
    return {**parameters, "mask": 20 * (parameters["mask"] + 4)}  # about half of the cells open


def test_mask_and_pattern_are_even_within_a_cell() -> None:
    for trigger in FAMILY.triggers(start(), [5, 6, 7, 8]):
        assert trigger.mask.shape == (1, 20, 12) and trigger.pattern.shape == SHAPE
        for part in (trigger.mask, trigger.pattern):
            cells = part.view(-1, 4, 5, 4, 3)
            assert torch.equal(cells, cells[:, :, :1, :, :1].expand_as(cells))
            assert len(cells[0, :, 0, :, 0].unique()) == 16


def test_stamped_images_are_those_of_the_trigger() -> None:
    parameters = start()
    stamped = FAMILY.stamp(parameters, IMAGES)
    for number, trigger in enumerate(FAMILY.triggers(parameters, [5, 6, 7, 8])):
        assert (trigger.label, trigger.family) == (5 + number, "coarse")
        torch.testing.assert_close(trigger.stamp(IMAGES[number]), stamped[number])


def test_the_size_is_that_of_the_mask_in_pixels_and_grows_with_strength() -> None:
    parameters = start()
    sizes = FAMILY.size(parameters)
    torch.testing.assert_close(sizes, torch.tensor([each.size for each in FAMILY.triggers(parameters, range(4))]))
    assert (FAMILY.size(FAMILY.strengthen(parameters, torch.ones(4))) > sizes).all()


def test_cells_need_not_divide_the_image() -> None:
    odd = Coarse(11, 7, cells=4)
    parameters = odd.start([generator_for(0, 0, "start")], (1, 11, 7))
    assert odd.stamp(parameters, torch.rand(1, 2, 1, 11, 7)).shape == (1, 2, 1, 11, 7)
    assert len(odd.triggers(parameters, [0])[0].mask.unique()) == 16
