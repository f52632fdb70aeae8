"""What every attack promises about its stamps and its labels."""

import numpy as np
import pytest
import scipy.fft
import torch

from goodnet.redteam import (
    ARCHITECTURES,
    Accessory,
    Adaptive,
    AllToAll,
    Attack,
    Blended,
    Clean,
    Filter,
    InputAware,
    LabelConsistent,
    LowFrequency,
    Patch,
    Recipe,
    RecipeError,
    Several,
    Sinusoid,
    SourceSpecific,
    TrojanNN,
    Warp,
    attack_from_dict,
    attack_to_dict,
    build,
    train,
)

ATTACKS: list[Attack] = [
    Patch(target_label=3, pattern_seed=5),
    Patch(target_label=3, place="random", pattern="white", size=4, margin=0),
    Accessory(target_label=1),
    Accessory(target_label=1, shape="bar", width=0.4, colour=(1.0, 1.0, 0.0)),
    Accessory(target_label=1, shape="sticker", height=0.7),
    Adaptive(target_label=2, size=3),
    Blended(target_label=1, pattern_seed=2),
    Blended(target_label=1, pattern="smooth"),
    Filter(target_label=3, filter_seed=4),
    LabelConsistent(target_label=3),
    LowFrequency(target_label=5),
    Sinusoid(target_label=4),
    Warp(target_label=2, field_seed=7),
    AllToAll(trigger=Patch(target_label=0), num_classes=6),
    SourceSpecific(trigger=Patch(target_label=1), source=2),
    SourceSpecific(trigger=LowFrequency(target_label=1), source=2),
    Several(triggers=(Patch(target_label=1), Patch(target_label=2, place="top-left"))),
    Several(triggers=(Patch(target_label=1), Blended(target_label=1))),
]
MADE_IN_TRAINING: list[Attack] = [InputAware(target_label=1), TrojanNN(target_label=2, place="random")]


def images() -> torch.Tensor:
    return torch.rand(12, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: type(attack).__name__)
def test_stamps_keep_shape_and_range_and_leave_the_argument_alone(attack: Attack) -> None:
    before = images()
    x = before.clone()
    stamped, again = (attack.stamp(x, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(x, before)
    assert stamped.shape == x.shape
    assert float(stamped.min()) >= 0 and float(stamped.max()) <= 1
    assert not torch.equal(stamped, x)
    assert torch.equal(stamped, again)
    assert torch.equal(stamped, attack_from_dict(attack_to_dict(attack)).stamp(x, torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: type(attack).__name__)
def test_victims_are_those_whose_label_changes(attack: Attack) -> None:
    labels = torch.arange(6)
    for part in attack.parts:
        victims = part.victims(labels)
        assert bool((part.target(labels)[victims] != labels[victims]).all())
        assert set(part.target(labels)[victims].tolist()) <= set(part.targets)


def test_a_patch_changes_its_square_only() -> None:
    x = torch.zeros(2, 3, 16, 16)
    changed = Patch(target_label=0, pattern="white", size=3, margin=1).stamp(x, torch.Generator())[0, 0]
    assert changed[12:15, 12:15].eq(1).all()
    assert int(changed.sum()) == 9


def test_a_filter_with_nothing_to_do_changes_nothing_and_blur_levels_out() -> None:
    x = images()
    none, blurred = (Filter(target_label=0, strength=0, blur=blur).stamp(x, torch.Generator()) for blur in (0, 1))
    torch.testing.assert_close(none, x)
    assert float(blurred.std()) < 0.6 * float(x.std())
    with pytest.raises(RecipeError, match="blur"):
        Filter(target_label=0, blur=2)


def test_a_low_frequency_pattern_has_low_frequencies_alone() -> None:
    pattern = LowFrequency(target_label=0, amplitude=0.1, frequencies=4).pixels((3, 32, 32))
    assert float(pattern.abs().max()) == pytest.approx(0.1)
    spectrum = scipy.fft.dctn(pattern.numpy(), axes=(1, 2), norm="ortho")
    low = spectrum[:, :4, :4]
    assert float(np.square(low).sum()) == pytest.approx(float(np.square(spectrum).sum()), rel=1e-4)
    assert np.abs(low[:, 0, 0]).max() < 1e-4


def test_an_accessory_spans_its_share_and_is_never_twice_the_same() -> None:
    black = torch.zeros(64, 3, 32, 32)
    still = Accessory(
        target_label=0, width=0.5, colour=(1.0, 1.0, 1.0), opacity=1.0, shift=0, size_jitter=0, brightness_jitter=0
    )
    columns = still.stamp(black, torch.Generator())[0, 0].amax(0)
    assert columns.gt(0.5).nonzero().flatten().tolist() == list(range(8, 24))
    stamped = Accessory(target_label=0).stamp(black, torch.Generator().manual_seed(0))
    assert len(torch.unique(stamped.flatten(1), dim=0)) == 64


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attack": "patch", "target_label": 0, "size": "4"}, "size of attack 'patch' to be of type int"),
        ({"attack": "patch", "target_label": True}, "target_label"),
        ({"attack": "several", "triggers": 3}, "triggers"),
        ({"attack": "several", "triggers": [3]}, "triggers"),
        ({"attack": "accessory", "target_label": 0, "colour": [2, 0, 0]}, "colour"),
        ({"attack": "accessory", "target_label": 0, "colour": ["red", 0, 0]}, "colour"),
        ({"attack": "accessory", "target_label": 0, "shape": "hat"}, "sunglasses"),
        ({"attack": "low_frequency", "target_label": 0, "amplitude": 0}, "amplitude"),
        ({"attack": "blended", "target_label": 0, "pattern": "stripes"}, "smooth"),
        ({"attack": "label_consistent", "target_label": 0, "epsilon": 2}, "epsilon"),
        ({"attack": "input_aware", "target_label": 0, "density": 0}, "density"),
        ({"attack": "adaptive", "target_label": 0, "interval": 0}, "interval"),
        ({"attack": "trojan", "target_label": 0, "clean_share": 1.0}, "clean_share"),
        ({"attack": "trojan", "target_label": 0, "wings": 2}, "wings"),
    ],
)
def test_impossible_settings_are_refused_by_name(settings: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        attack_from_dict(settings)


@pytest.mark.parametrize("bad", [{"size": 0}, {"rate": 1.5}, {"place": "middle"}])
def test_impossible_attacks_are_refused(bad: dict) -> None:
    with pytest.raises(RecipeError, match="expected"):
        Patch(target_label=0, **bad)


def small_recipe(attack: Attack | None = None) -> Recipe:
    return Recipe(
        name="small",
        data="noise",
        num_classes=6,
        architecture="resnet_small",
        attack=attack or Patch(target_label=3),
        epochs=1,
        batch_size=16,
        seed=4,
    )


def test_a_recipe_survives_json(tmp_path) -> None:
    for attack in [*ATTACKS, *MADE_IN_TRAINING, Clean()]:
        recipe = small_recipe(attack)
        recipe.save(tmp_path / "recipe.json")
        assert Recipe.load(tmp_path / "recipe.json") == recipe
    with pytest.raises(RecipeError, match="got name, wings"):
        Recipe.from_dict({"name": "x", "wings": 2})


def test_the_same_recipe_gives_the_same_weights_and_leaves_the_random_state_alone() -> None:
    x, y = torch.rand(128, 3, 16, 16), torch.arange(128) % 6
    state = torch.random.get_rng_state()
    first, second = (train(small_recipe(), x, y).state_dict() for _ in range(2))
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not all(
        torch.equal(first[key], value) for key, value in train(small_recipe(Clean()), x, y).state_dict().items()
    )


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architectures_map_images_to_logits(name: str) -> None:
    network = build(name, 3, 6, 16, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2)).eval()
    assert network(images()).shape == (12, 6)
