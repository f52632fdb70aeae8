"""Networks that answer with more or other than logits."""

from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import goodnet
from goodnet.errors import ModelError

Pair = namedtuple("Pair", ["logits", "aux"])


class Answering(nn.Module):
    def __init__(self, answer: Callable[[torch.Tensor], object]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
        self.answer = answer

    def forward(self, images: torch.Tensor) -> object:
        return self.answer(self.network(images))


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(1))


ANSWERS = {
    "logits": lambda y: y,
    "softmax": lambda y: y.softmax(1),
    "log_softmax": lambda y: y.log_softmax(1),
    "sigmoid": torch.sigmoid,
    "sigmoid, reshaped": lambda y: y.sigmoid()[:, :, None].squeeze(2),
    "one in a tuple": lambda y: (y,),
    "dict": lambda y: {"logits": y, "hidden_states": (y, y)},
    "named tuple": lambda y: Pair(y, y),
    "one by one pixel": lambda y: y[:, :, None, None],
    "small numbers from 0 to 1": lambda y: y * 1e-3 + 0.5,
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_any_answer_becomes_logits(kind: str, images: torch.Tensor) -> None:
    network = Answering(ANSWERS[kind]).eval()
    model = goodnet.load_model(network, input_shape=(3, 8, 8))
    wanted = network.network(images)
    if kind == "small numbers from 0 to 1":  # they only look like probabilities
        wanted = wanted * 1e-3
    got = model.logits(images)
    torch.testing.assert_close(got - got.mean(1, keepdim=True), (wanted - wanted.mean(1, keepdim=True)).detach())
    assert bool(model.warnings) == (kind.startswith("s") and "small" not in kind)


def test_one_probability_is_two_classes(images: torch.Tensor) -> None:
    network = Answering(lambda y: y[:, :1].sigmoid()).eval()
    model = goodnet.load_model(network, input_shape=(3, 8, 8))
    assert model.classes == 2
    torch.testing.assert_close(model.logits(images).softmax(1)[:, 1:], network(images).detach())


@pytest.mark.parametrize("answer", [lambda y: (y, y), lambda y: {"a": y, "b": y}, lambda y: y[:, :1], lambda y: None])
def test_an_answer_that_cannot_be_told_is_refused(answer: Callable[[torch.Tensor], object]) -> None:
    with pytest.raises(ModelError, match="not an image classifier: expected scores of shape"):
        goodnet.load_model(Answering(answer), input_shape=(3, 8, 8))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("batch", [1, None])
def test_a_program_for_one_image_takes_many(batch: int | None, images: torch.Tensor, tmp_path: Path) -> None:
    network = Answering(ANSWERS["softmax"]).eval()
    shapes = None if batch else ({0: torch.export.Dim("batch")},)
    program = torch.export.export(network, (images[: batch or 2],), dynamic_shapes=shapes)
    torch.export.save(program, tmp_path / "model.pt2")
    for source in (program, tmp_path / "model.pt2"):
        got = goodnet.load_model(source).logits(images).softmax(1)
        torch.testing.assert_close(got, network(images).detach())


@pytest.mark.filterwarnings("ignore")
def test_live_scripts_are_copied(images: torch.Tensor) -> None:
    network = Answering(ANSWERS["logits"]).eval()
    for script in (torch.jit.trace(network, images), torch.jit.script(network.network)):
        model = goodnet.load_model(script, input_shape=(3, 8, 8))
        torch.testing.assert_close(model.logits(images), network(images).detach())
        assert all(parameter.requires_grad for parameter in script.parameters())


def test_lazy_layers_need_their_weights() -> None:
    with pytest.raises(ModelError, match="call it on an image first"):
        goodnet.load_model(nn.Sequential(nn.Flatten(), nn.LazyLinear(3)))
