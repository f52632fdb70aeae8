"""GoodNets on disk, in other runtimes, and what they explain."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

import goodnet
from goodnet.cli.repair import write_goodnet
from goodnet.errors import ImagesError, ModelError, OutputError
from goodnet.export import files
from goodnet.goodnet import GoodNetFacts
from goodnet.guard import Guard, GuardedNetwork
from goodnet.redteam.demo import SIDE, digits
from goodnet.triggers import Trigger

CORNER = 12
TARGET = 3


class Planted(torch.nn.Module):
    """A linear classifier, with a backdoor by hand where `backdoor` is on: a white corner makes it say TARGET."""

    def __init__(self, backdoor: bool) -> None:
        super().__init__()
        self.weights = torch.nn.Linear(SIDE * SIDE, 10)
        self.corner = torch.nn.Parameter(torch.tensor(float(backdoor)))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        seen = images[:, :, CORNER:, CORNER:].mean((1, 2, 3)) > 0.9
        extra = torch.nn.functional.one_hot(torch.tensor([TARGET]), 10) * 100.0 * self.corner
        logits: torch.Tensor = self.weights(images.flatten(1)) + seen.unsqueeze(1) * extra
        return logits


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return digits()[0][:64].contiguous()


@pytest.fixture(scope="module")
def good() -> goodnet.GoodNet:
    torch.manual_seed(0)
    badnet, repaired = Planted(True), Planted(False)
    repaired.weights = badnet.weights
    mask = torch.zeros(1, SIDE, SIDE)
    mask[:, CORNER:, CORNER:] = 1
    guard = Guard(10, [TARGET], [Trigger(TARGET, mask, torch.ones(1, SIDE, SIDE))])
    guard.usual.fill_(-1.0)
    network = GuardedNetwork(badnet, repaired, goodnet.Preprocessing(), guard).eval()
    facts = GoodNetFacts(10, (1, SIDE, SIDE), (TARGET,), True, 0.01, "planted", "0" * 64, goodnet.__version__)
    return goodnet.GoodNet(network, facts)


def stamped(images: torch.Tensor) -> torch.Tensor:
    images = images.clone()
    images[:, :, CORNER:, CORNER:] = 1
    return images


def test_the_filter_judges_only_what_goes_to_a_flagged_label(good: goodnet.GoodNet, images: torch.Tensor) -> None:
    clean = good.network.badnet(images)[0].argmax(1)
    assert torch.equal(good.predict(images)[clean != TARGET], clean[clean != TARGET])
    answers, truth = good.predict(stamped(images)), good.network.repaired(stamped(images)).argmax(1)
    assert bool((answers[truth != TARGET] == 10).all())
    without = good.predict(stamped(images), filter=False)
    assert torch.equal(without[truth != TARGET], truth[truth != TARGET])
    assert not bool((without == TARGET).any())


def test_what_becomes_the_only_victim_again_is_believed_without_suspicion(
    good: goodnet.GoodNet, images: torch.Tensor
) -> None:
    guard, old, new = good.network.guard, torch.zeros(3, 10), torch.zeros(3, 10)
    old[:, TARGET] = 5.0
    new[0, 2], new[1, 3], new[2, TARGET] = 4.0, 4.0, 4.0
    assert not bool(guard.doubtful(old, new).any())
    believing = copy.deepcopy(guard)
    believing.victim[TARGET] = 2
    assert believing.doubtful(old, new).tolist() == [True, False, False]
    assert not bool(believing.doubtful(new, new).any())


def test_probabilities(good: goodnet.GoodNet, images: torch.Tensor) -> None:
    chances = good.predict_proba(stamped(images))
    assert chances.shape == (64, 11)
    assert torch.allclose(chances.sum(1), torch.ones(64), atol=1e-5)
    assert torch.equal(chances.argmax(1), good.predict(stamped(images)))


@pytest.mark.parametrize("name", ["good.onnx", "good.pt2", "good.ts"])
def test_a_file_holds_everything(name: str, good: goodnet.GoodNet, images: torch.Tensor, tmp_path: Path) -> None:
    good.save(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    again = goodnet.load_goodnet(tmp_path / name)
    assert again.facts == good.facts
    for pixels in (images, stamped(images), images[:1]):
        assert torch.allclose(again.scores(pixels), good.scores(pixels), rtol=1e-4, atol=1e-3)


def test_onnxruntime_gives_the_same_scores(good: goodnet.GoodNet, images: torch.Tensor, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    good.save(tmp_path / "good.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "good.onnx"), providers=["CPUExecutionProvider"])
    for pixels in (images, stamped(images), images[:1]):
        (scores,) = session.run(None, {session.get_inputs()[0].name: pixels.numpy()})
        assert scores.shape == (len(pixels), 11)
        np.testing.assert_allclose(scores, good.scores(pixels).numpy(), rtol=1e-4, atol=1e-3)


def test_the_explanation_finds_the_corner(good: goodnet.GoodNet, images: torch.Tensor) -> None:
    clean = good.network.repaired(stamped(images)).argmax(1)
    (found,) = good.explain(stamped(images)[clean != TARGET][:1])
    assert found.answer == 10
    assert found.box is not None
    top, left, height, width = found.box
    assert top + height > CORNER
    assert left + width > CORNER
    assert found.heat[CORNER:, CORNER:].mean() > 4 * found.heat.mean()
    assert "backdoored" in found.text
    assert found.picture().width > found.picture().height
    (plain,) = good.explain(images[good.predict(images) != 10][:1])
    assert plain.box is None
    assert plain.answer < 10


def test_bad_input_is_refused(good: goodnet.GoodNet, images: torch.Tensor, tmp_path: Path) -> None:
    with pytest.raises(ImagesError, match="expected images of shape"):
        good.predict(torch.zeros(2, 3, SIDE, SIDE))
    with pytest.raises(ImagesError, match=r"0\.\.1"):
        good.predict(images * 255)
    with pytest.raises(OutputError, match="onnx"):
        good.save(tmp_path / "good.txt")
    with pytest.raises(OutputError, match="cannot write"):
        good.save(tmp_path / "nowhere" / "good.pt2")
    assert list(tmp_path.iterdir()) == []


def half(good: goodnet.GoodNet, path: Path) -> None:
    path.write_bytes(b"half a file")
    raise KeyboardInterrupt


def refuses(good: goodnet.GoodNet, path: Path) -> None:
    raise ModelError("this network cannot be exported as ONNX")


def test_an_interrupted_export_leaves_no_file(
    good: goodnet.GoodNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(files.EXPORTS, ".pt2", dataclasses.replace(files.EXPORTS[".pt2"], write=half))
    with pytest.raises(KeyboardInterrupt):
        good.save(tmp_path / "good.pt2")
    assert list(tmp_path.iterdir()) == []


def test_a_repair_that_cannot_be_written_as_asked_is_not_lost(
    good: goodnet.GoodNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(files.EXPORTS, ".onnx", dataclasses.replace(files.EXPORTS[".onnx"], write=refuses))
    written, problem = write_goodnet(good, Path("net.onnx"), tmp_path / "good.onnx")
    assert written == tmp_path / "good.pt2"
    assert "cannot be exported" in str(problem)
    assert goodnet.load_goodnet(written).facts == good.facts
