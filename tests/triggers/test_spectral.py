"""The family of faint changes: what it promises the optimiser and the reports."""

import math

import pytest
import torch

from goodnet.inversion import generator_for
from goodnet.triggers import Spectral
from goodnet.triggers.spectral import cosines


def drawn(spread: float = 3.0) -> dict[str, torch.Tensor]:
    return Spectral(start_spread=spread).start([generator_for(0, label, "start") for label in range(4)], (3, 8, 12))


@pytest.mark.parametrize("length", [1, 8, 47])
def test_the_cosines_are_orthonormal(length: int) -> None:
    torch.testing.assert_close(cosines(length) @ cosines(length).T, torch.eye(length), atol=1e-5, rtol=0)


def test_stamped_pixels_stay_in_range_and_are_those_of_the_trigger() -> None:
    images = torch.rand(4, 5, 3, 8, 12, generator=torch.Generator().manual_seed(1))
    stamped = Spectral().stamp(drawn(), images)
    assert float(stamped.min()) >= 0 and float(stamped.max()) <= 1
    for number, trigger in enumerate(Spectral().triggers(drawn(), [5, 6, 7, 8])):
        assert (trigger.label, trigger.family) == (5 + number, "spectral")
        torch.testing.assert_close(trigger.stamp(images[number]), stamped[number], atol=1e-6, rtol=0)


@pytest.mark.parametrize("shape", [(8, 12), (32, 32)])
def test_the_size_of_a_wave_is_its_amplitude_over_the_square_root_of_two_at_any_resolution(shape) -> None:
    coefficients = torch.zeros(1, 1, *shape)
    coefficients[0, 0, 0, 3] = 1.0
    wave = cosines(shape[0]).T @ coefficients @ cosines(shape[1])
    coefficients *= 0.2 / wave.abs().max() * math.cos(math.pi / shape[1] * 3 * 0.5)
    assert float(Spectral().size({"coefficients": coefficients})) == pytest.approx(0.2 / math.sqrt(2), rel=0.01)


def test_a_stronger_change_is_larger() -> None:
    family = Spectral()
    sizes = [family.size(family.strengthen(drawn(), torch.full((4,), amount))) for amount in (-2.0, 0.0, 2.0)]
    torch.testing.assert_close(sizes[1], sizes[0] * math.e)
    torch.testing.assert_close(sizes[2], sizes[1] * math.e)
