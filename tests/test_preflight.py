"""Preflight finds the settings a network was trained with, and says what does not fit."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from goodnet.classifier import Classifier, Preprocessing, freeze
from goodnet.errors import ImagesError, ModelError, PreflightError
from goodnet.images import CleanImages, load_images
from goodnet.preflight import check
from goodnet.preflight.answers import Answers, binomial_tail, spread
from goodnet.preflight.numbering import renumbering

NOISE = 0.1
PLAIN = Preprocessing()
BGR = Preprocessing(bgr=True)
IMAGENET = Preprocessing(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
SETTINGS = {
    "0..255": Preprocessing((0, 255)),
    "-1..1": Preprocessing((-1, 1)),
    "-.5...5": Preprocessing((-0.5, 0.5)),
    "BGR": BGR,
    "transposed": Preprocessing(transposed=True),
    "BGR 0..255 transposed": Preprocessing((0, 255), bgr=True, transposed=True),
    "ImageNet": IMAGENET,
    "ImageNet as Caffe": Preprocessing((0, 255), (103.939, 116.779, 123.68), None, True),
}


class Trained(nn.Module):
    """A network that was trained with other settings: it undoes them before the one inside."""

    def __init__(self, network: nn.Module, setting: Preprocessing) -> None:
        super().__init__()
        self.network, self.setting = network, setting

    def forward(self, inputs: Tensor) -> Tensor:
        setting = self.setting
        images = inputs.transpose(2, 3) if setting.transposed else inputs
        if setting.std is not None:
            images = images * images.new_tensor(setting.std).view(-1, 1, 1)
        if setting.mean is not None:
            images = images + images.new_tensor(setting.mean).view(-1, 1, 1)
        low, high = setting.pixel_range
        logits: Tensor = self.network(((images.flip(1) if setting.bgr else images) - low) / (high - low))
        return logits


class Prototypes(nn.Module):
    """Answers with the log-likelihood of each class: its picture under Gaussian noise."""

    def __init__(self, prototypes: Tensor) -> None:
        super().__init__()
        self.prototypes = nn.Parameter(prototypes)

    def forward(self, images: Tensor) -> Tensor:
        return -(images[:, None] - self.prototypes).square().sum((2, 3, 4)) / (2 * NOISE**2)


def confusable(seed: int) -> list[Tensor]:
    """Pictures of which one turns into another under wrong settings, each a class of its own."""
    p = torch.rand((3, 6, 6), generator=torch.Generator().manual_seed(seed))
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET.mean, IMAGENET.std))
    return [
        p,
        p.flip(0),
        p.transpose(1, 2),
        (p + 1) / 2,
        p / 2 + 0.25,
        (p * std + mean).clamp(0, 1),
        p * 0 + 0.5,
    ]


PROTOTYPES = torch.stack(confusable(0) + confusable(1)[:-1])
CLASSES = len(PROTOTYPES)


def classifier(setting: Preprocessing = PLAIN, network: nn.Module | None = None) -> Classifier:
    network = Prototypes(PROTOTYPES.clone()) if network is None else network
    return Classifier(freeze(Trained(network, setting)), (3, 6, 6), None, path="net.onnx")


def images(count: int = 96, noise: float = NOISE) -> CleanImages:
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(count) % CLASSES
    pixels = PROTOTYPES[labels] + noise * torch.randn((count, 3, 6, 6), generator=generator)
    return CleanImages(pixels.clamp(0, 1), labels)


@pytest.mark.parametrize("count", [8, 96])
def test_settings_that_fit_are_kept_untried(count: int) -> None:
    result = check(classifier(), images(count))
    assert (result.clean_accuracy, result.settings, result.warnings) == (1.0, "--pixel-range 0,1", ())
    assert len(result.tried) == 1
    assert (result.model.shape, result.model.classes) == ((3, 6, 6), CLASSES)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("count", [8, 96])
def test_the_settings_of_the_training_are_found(name: str, count: int) -> None:
    setting = SETTINGS[name]
    result = check(classifier(setting), images(count))
    assert result.model.preprocessing == setting
    assert result.clean_accuracy == 1.0
    assert setting.describe() in result.warnings[0]
    with pytest.raises(PreflightError, match=f"pass {setting.describe()} instead"):
        check(classifier(setting), images(count), explicit=True)


def test_a_network_with_its_own_normalisation_keeps_the_given_settings() -> None:
    given = Preprocessing((0, 255))

    class Normalising(Prototypes):
        def forward(self, images: Tensor) -> Tensor:
            low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
            return super().forward((images - low) / (high - low + 1e-6))

    model = classifier(network=Normalising(PROTOTYPES.clone())).with_preprocessing(given)
    assert check(model, images()).model.preprocessing == given


@pytest.mark.parametrize(("share", "count"), [(0.6, 250), (0.875, 8), (0.3, 250)])
def test_a_truly_bad_network_passes(share: float, count: int) -> None:
    clean = images(count)
    assert clean.labels is not None
    wrong = torch.rand(count, generator=torch.Generator().manual_seed(2)).argsort() >= round(share * count)
    noisy = torch.where(
        wrong, torch.randint(CLASSES, (count,), generator=torch.Generator().manual_seed(3)), clean.labels
    )
    result = check(classifier(), dataclasses.replace(clean, labels=noisy))
    assert result.clean_accuracy == pytest.approx(share + (1 - share) / CLASSES, abs=0.05)
    assert result.model.preprocessing == PLAIN
    assert any("means little" in warning for warning in result.warnings) == (share < 0.5)


def test_nothing_fits() -> None:
    clean = images()
    noise = torch.rand(clean.pixels.shape, generator=torch.Generator().manual_seed(3))
    told = r"no common setting clearly fits.*--pixel-range 0,1: \d+%.*and \d+ more below that"
    with pytest.raises(PreflightError, match=told):
        check(classifier(), dataclasses.replace(clean, pixels=noise))


@pytest.mark.parametrize(
    ("numbered", "message"),
    [
        (lambda y: (y + 1) % CLASSES, "count from 1"),
        (lambda y: (y - 1) % CLASSES, "1 too low"),
        (lambda y: torch.tensor(sorted(range(CLASSES), key=str))[y], "sorted as (text|numbers)"),
        (lambda y: (y * 5 + 3) % CLASSES, r"label 0 is class \d+"),
    ],
)
def test_labels_numbered_otherwise(numbered: object, message: str) -> None:
    clean = images()
    assert callable(numbered)
    with pytest.raises(PreflightError, match=message):
        check(classifier(), dataclasses.replace(clean, labels=numbered(clean.labels)))


def test_labels_off_by_one_in_eight_images() -> None:
    clean = images(8)
    assert clean.labels is not None
    with pytest.raises(PreflightError, match="count from 1"):
        check(classifier(), dataclasses.replace(clean, labels=clean.labels + 1))


def test_no_renumbering_is_seen_in_chance() -> None:
    labels = torch.arange(40) % 4
    for seed in range(50):
        logits = torch.rand((40, 4), generator=torch.Generator().manual_seed(seed))
        assert renumbering(Answers(PLAIN, logits, labels)) is None
    assert renumbering(Answers(PLAIN, torch.eye(4)[torch.zeros_like(labels)], labels)) is None


def test_without_labels_it_says_what_is_unverified() -> None:
    result = check(classifier(), images().unlabelled())
    assert result.clean_accuracy is None
    assert "could not be verified" in result.warnings[0]
    assert len(result.warnings) == 1


def test_without_labels_answers_that_hardly_differ_stop() -> None:
    class Shy(Prototypes):
        def forward(self, images: Tensor) -> Tensor:
            return torch.arange(CLASSES) + 1e-3 * super().forward(images)

    with pytest.raises(PreflightError, match="almost the same scores"):
        check(classifier(network=Shy(PROTOTYPES.clone())), images().unlabelled())


def test_bad_input() -> None:
    clean = images()
    assert clean.labels is not None

    class Broken(Prototypes):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images) / (images.amax((1, 2, 3)) > 0.9).float().log()[:, None]

    with pytest.raises(ImagesError, match=r"labels 0\.\.12.*from 1 to 13.*count from 1"):
        check(classifier(), dataclasses.replace(clean, labels=clean.labels + 1))
    with pytest.raises(ImagesError, match="holds no images"):
        check(classifier(), clean.take(np.empty(0, np.int64)))
    with pytest.raises(ImagesError, match="wants RGB, 6 high and 6 wide"):
        check(classifier(), CleanImages(torch.zeros(8, 1, 6, 6)))
    with pytest.raises(ModelError, match="NaN or infinite scores"):
        check(classifier(network=Broken(PROTOTYPES.clone())), clean)
    with pytest.raises(PreflightError, match="--mean has 2 values, but the images have 3"):
        check(classifier().with_preprocessing(Preprocessing(mean=(0.5, 0.5))), clean)
    with pytest.raises(PreflightError, match="--std must not be 0"):
        check(classifier().with_preprocessing(Preprocessing(std=(1, 0, 1))), clean)


def test_dark_images_are_warned_of() -> None:
    dark = dataclasses.replace(images(), pixels=images().pixels * 16 / 255)
    assert "brightest pixel" in check(classifier(Preprocessing((0, 16 / 255))), dark).warnings[0]


def test_statistics_match_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    for k, n, p in ((3, 8, 0.1), (7, 7, 0.5), (40, 256, 0.11), (0, 5, 0.2)):
        assert binomial_tail(k, n, p) == pytest.approx(stats.binom.sf(k - 1, n, p))
    logits = torch.randn((50, 7), generator=torch.Generator().manual_seed(0))
    p = logits.double().softmax(1).numpy()
    expected = stats.entropy(p.mean(0)) - stats.entropy(p, axis=1).mean()
    assert spread(logits) == pytest.approx(expected / np.log(7))


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "kind"),
    [*(("g_rn_patch7", kind) for kind in SETTINGS), ("c_clean0", "BGR"), ("c_clean0", "-1..1")],
)
def test_real_networks_trained_with_other_settings(data_dir: Path, name: str, kind: str) -> None:
    pytest.importorskip("onnx")
    from goodnet.formats import load_model

    setting = SETTINGS[kind]
    source = "gtsrb.npz" if name.startswith("g") else "cifar10"
    keys = ("test_x", "test_y") if name.startswith("g") else None
    model = load_model(data_dir / "zoo" / f"{name}.onnx")
    clean = load_images(data_dir / source, keys=keys, limit=256)
    right = check(model, clean)
    assert right.warnings == ()
    wrapped = dataclasses.replace(model, network=Trained(model.network, setting))
    result = check(wrapped, clean)
    assert result.model.preprocessing == setting
    assert result.clean_accuracy == pytest.approx(right.clean_accuracy, abs=1e-2)


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "accuracy"), [("sunglasses_bd_net", 7 / 8), ("multi_trigger_multi_target_bd_net", 1.0)]
)
def test_real_faces(data_dir: Path, name: str, accuracy: float) -> None:
    from goodnet.formats import load_model

    model = load_model(data_dir / "csaw" / f"{name}.h5")
    clean = load_images(data_dir / "csaw" / "clean_validation_data.h5")
    result = check(model, clean)
    assert (result.clean_accuracy, result.warnings) == (accuracy, ())
    fitting = check(model.with_preprocessing(Preprocessing((0, 255))), clean)
    assert any("--pixel-range 0,1" in warning for warning in fitting.warnings)


@pytest.mark.real
@pytest.mark.parametrize("name", ["mnist_all_to_all_bd_net", "mnist_unlabelled_bd_net"])
def test_real_digits(data_dir: Path, name: str) -> None:
    from goodnet.formats import load_model

    model = load_model(data_dir / "csaw" / f"{name}.h5")
    clean = load_images(data_dir / "mnist.npz", keys=("test_x", "test_y"), limit=256)
    result = check(model, clean)
    assert result.clean_accuracy is not None
    assert result.clean_accuracy > 0.85
    assert (result.settings, result.warnings) == ("--pixel-range 0,1", ())
