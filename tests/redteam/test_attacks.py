"""What every attack promises about its stamps and its labels."""

import pytest
import torch

from goodnet.redteam import (
    AllToAll,
    Attack,
    Blended,
    Clean,
    Patch,
    Recipe,
    RecipeError,
    Several,
    Sinusoid,
    SourceSpecific,
    Warp,
    attack_from_dict,
    attack_to_dict,
    build,
    train,
)

ATTACKS: list[Attack] = [
    Patch(target_label=3, pattern_seed=5),
    Patch(target_label=3, place="random", pattern="white", size=4, margin=0),
    Blended(target_label=1, pattern_seed=2),
    Sinusoid(target_label=4),
    Warp(target_label=2, field_seed=7),
    AllToAll(trigger=Patch(target_label=0), num_classes=6),
    SourceSpecific(trigger=Patch(target_label=1), source=2),
    Several(triggers=(Patch(target_label=1), Patch(target_label=2, place="top-left"))),
]


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
    for attack in [*ATTACKS, Clean()]:
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


@pytest.mark.parametrize("name", ["conv", "conv_without_norm", "mobilenet", "resnet", "resnet_small", "vit"])
def test_architectures_map_images_to_logits(name: str) -> None:
    network = build(name, 3, 6, 16, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2)).eval()
    assert network(images()).shape == (12, 6)
