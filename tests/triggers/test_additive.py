"""Additive triggers: what the family promises the optimiser and the reports."""

import torch

from goodnet.inversion import generator_for
from goodnet.triggers import Additive

SHAPE = (3, 8, 12)
IMAGES = torch.rand(4, 5, *SHAPE, generator=torch.Generator().manual_seed(1))


def start(spread: float) -> dict[str, torch.Tensor]:
    return Additive(start_spread=spread).start([generator_for(0, label, "start") for label in range(4)], SHAPE)


def test_the_same_is_added_to_every_image_of_a_row_and_cut_to_the_range() -> None:
    parameters = start(0.3)
    stamped = Additive().stamp(parameters, IMAGES)
    for row in range(4):
        torch.testing.assert_close(stamped[row], (IMAGES[row] + parameters["change"][row]).clamp(0, 1))
    assert float(stamped.min()) == 0 and float(stamped.max()) == 1


def test_the_size_is_the_root_of_the_mean_square() -> None:
    family, parameters = (
        Additive(),
        {"change": torch.full((2, *SHAPE), 0.25) * torch.tensor([1.0, -2.0])[:, None, None, None]},
    )
    torch.testing.assert_close(family.size(parameters), torch.tensor([0.25, 0.5]))
    torch.testing.assert_close(family.size(family.limited(parameters, 0.3)), torch.tensor([0.25, 0.3]))
    torch.testing.assert_close(family.limited(parameters, float("inf"))["change"], parameters["change"])
    assert (family.size(family.strengthen(parameters, torch.ones(2))) > family.size(parameters)).all()


def test_stamped_images_are_those_of_the_trigger() -> None:
    family, parameters = Additive(), start(0.3)
    stamped = family.stamp(parameters, IMAGES)
    for number, trigger in enumerate(family.triggers(parameters, [5, 6, 7, 8], SHAPE)):
        assert (trigger.label, trigger.family, trigger.size) == (5 + number, "additive", 0)
        torch.testing.assert_close(trigger.stamp(IMAGES[number]), stamped[number])
