"""The batched optimiser: labels do not influence each other, weights stay frozen, own images are left out."""

import pytest
import torch
from torch import nn

from goodnet.budget import Budget
from goodnet.classifier import Classifier, freeze
from goodnet.engine import Engine
from goodnet.inversion import ImagePool, InversionConfig, generator_for, invert, labels_per_batch
from goodnet.progress import Silent
from goodnet.search import Search
from goodnet.triggers import Patch


@pytest.fixture
def engine() -> Engine:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 36, 10))
    return Engine(Classifier(freeze(network), (3, 8, 8), 10))


@pytest.fixture
def pool() -> ImagePool:
    generator = torch.Generator().manual_seed(1)
    return ImagePool(torch.rand(40, 3, 8, 8, generator=generator), torch.arange(40) % 10)


def search(engine: Engine, pool: ImagePool, labels: list[int], steps: int = 6) -> dict[int, dict[str, torch.Tensor]]:
    start = Patch().start([generator_for(0, label, "start") for label in labels], (3, 8, 8))
    config = InversionConfig(steps=steps, images_per_step=4, penalty=(1e-4, 1e-3))
    found = invert(engine, Patch(), start, labels, pool, config, [generator_for(0, k, "search") for k in labels])
    return {label: {name: value[k] for name, value in found.items()} for k, label in enumerate(labels)}


def test_a_label_does_not_depend_on_the_labels_that_share_its_batch_nor_on_their_order(engine, pool) -> None:
    one, other, alone = (search(engine, pool, labels) for labels in ([3, 1, 7], [9, 3, 2], [3, 3, 3]))
    for name in ("mask", "pattern"):
        assert torch.equal(one[3][name], other[3][name])
        assert torch.equal(one[3][name], alone[3][name])
    assert not torch.equal(one[3]["mask"], one[1]["mask"])


def test_no_parameter_ever_gets_a_gradient(engine, pool) -> None:
    search(engine, pool, [0, 1])
    parameters = [*engine.classifier.network.parameters(), *engine._network.parameters()]
    assert parameters
    assert all(p.grad is None and not p.requires_grad for p in parameters)


def test_the_search_lowers_the_size_and_raises_the_success(engine, pool) -> None:
    label, family = 4, Patch()
    before = family.start([generator_for(0, label, "start")], (3, 8, 8))
    after = {name: value[None] for name, value in search(engine, pool, [label], steps=80)[label].items()}
    others = pool.pixels[pool.others(label)][None]

    def success(parameters: dict[str, torch.Tensor]) -> float:
        stamped = family.stamp(parameters, others).flatten(0, 1)
        return float((engine.predict(stamped).argmax(1) == label).float().mean())

    assert success(after) > max(0.9, success(before))
    assert engine.cost.image_gradients == 80 * 4


def test_images_of_the_target_class_are_never_drawn(pool) -> None:
    drawn = pool.draw(3, 400, generator_for(0, 3, "search"))
    assert len(drawn) == 400
    assert 3 not in pool.classes[drawn].tolist()
    counts = torch.bincount(drawn, minlength=40)[pool.others(3)]
    assert int(counts.max()) - int(counts.min()) <= 1  # each once before any is used again


@pytest.mark.parametrize(
    ("labels", "images", "batch"), [(43, 4, 22), (10, 16, 5), (1283, 4, 32), (2, 16, 2), (43, 512, 1)]
)
def test_labels_share_a_batch_of_bounded_size_with_little_padding(labels: int, images: int, batch: int) -> None:
    assert labels_per_batch(labels, images) == batch


def test_the_blend_has_the_gradient_of_its_formula() -> None:
    torch.manual_seed(0)
    images = torch.rand(2, 3, 3, 4, 4, dtype=torch.float64)
    mask, pattern = (torch.randn(2, n, 4, 4, dtype=torch.float64, requires_grad=True) for n in (1, 3))
    parameters = {"mask": mask, "pattern": pattern}
    m, d = mask.sigmoid().unsqueeze(1), pattern.sigmoid().unsqueeze(1)
    formula = (1 - m) * images + m * d
    stamped = Patch().stamp(parameters, images)
    assert torch.allclose(stamped, formula)
    weights = torch.rand_like(images)
    wanted = torch.autograd.grad((formula * weights).sum(), [mask, pattern])
    got = torch.autograd.grad((stamped * weights).sum(), [mask, pattern])
    for one, other in zip(got, wanted, strict=True):
        assert torch.allclose(one, other)


def test_the_parts_of_a_search_follow_one_another_as_the_whole_would() -> None:
    whole = InversionConfig(steps=10, penalty=(0.01, 0.05))
    first, rest = whole.between(0, 6), whole.between(6, 99)
    assert (first.steps, rest.steps) == (6, 4)
    penalties = [part.penalty_at(step) for part in (first, rest) for step in range(part.steps)]
    assert penalties == pytest.approx([whole.penalty_at(step) for step in range(10)])
    assert whole.between(20, 30).steps <= 0


def test_sizes_are_compared_at_a_higher_rate_where_no_images_are_held_out(engine: Engine, pool: ImagePool) -> None:
    others = ImagePool(pool.pixels.clone(), pool.classes)
    held, shared = (Search(engine, Patch(), pool, each, Budget(), 0, Silent()).rate for each in (others, pool))
    assert (held, shared) == (0.5, 0.9)
