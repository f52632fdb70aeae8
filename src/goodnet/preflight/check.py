"""check: fit images, model and settings to each other, or say why they do not fit."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from goodnet.classifier import Classifier, Preprocessing
from goodnet.errors import ImagesError, ModelError, PreflightError
from goodnet.images import CleanImages, check_labels, fit_to, load_images
from goodnet.preflight.alternatives import alternatives
from goodnet.preflight.answers import Answers, answer
from goodnet.preflight.numbering import renumbering

_IMAGES = 256  # at most so many are looked at
_FIRST_ROUND = 32  # on so many, all settings are tried; on all, the promising ones
_FINALISTS = 6

Judgement = tuple[Answers, tuple[str, ...]]

TOLD = 6
"""Settings, at most, that an error names."""


@dataclass(frozen=True)
class Trial:
    """How one setting did.

    Attributes:
        settings: as the command line spells them.
        score: clean accuracy; without labels, how sure and varied the answers are; both in 0..1.
        count: number of images it was tried on.
    """

    settings: str
    score: float
    count: int


@dataclass(frozen=True, eq=False)
class PreflightResult:
    """A model and images that belong together.

    Attributes:
        model: bound to the images' shape, with the preprocessing to go on with.
        images: fitted to the model.
        clean_accuracy: share of at most 256 images, class-balanced, classified right; None without labels.
        settings: the preprocessing in words, as the command line spells it.
        warnings: what the user should know, one sentence or two each.
        tried: the settings tried, the given ones first, then the best first.
    """

    model: Classifier
    images: CleanImages
    clean_accuracy: float | None
    settings: str
    warnings: tuple[str, ...] = ()
    tried: tuple[Trial, ...] = ()


def check(
    model: Classifier,
    images: CleanImages,
    *,
    explicit: bool = False,
    resize: bool = False,
    batch_size: int = 256,
) -> PreflightResult:
    """Fit images and model to each other, and make sure that the network sees them as it was trained to.

    With labels, clean accuracy decides: where another common setting (pixel range, mean and standard
    deviation, order of channels, height and width swapped) is clearly better, it replaces the given one, with
    a warning, or an error names it. Equally good settings leave the given one in place, and so does a network
    that is truly bad at its task. Without labels nothing is replaced, only warned of.

    Args:
        model: a classifier; its input shape may be open.
        images: (n, C, H, W) in 0..1, with labels or without.
        explicit: the user chose the settings, so they are not to be replaced.
        resize: whether the images' size and colour may be changed to fit.
        batch_size: images in one forward pass.

    Raises:
        ImagesError: the images do not fit the model's input, or labels are out of range.
        ModelError: the network fails on the images, or answers with NaN.
        PreflightError: the settings do not fit, the labels are numbered differently, or nothing fits.
    """
    if len(images) == 0:
        raise ImagesError(f"{images.source} holds no images")
    fitted = fit_to(images, model.input_shape, resize)
    _require_channel_values(model.preprocessing, fitted.shape[0])
    model = model.bound_to(fitted.shape)
    warnings = _dim(fitted) + check_labels(fitted, model.classes)
    sample = load_images(fitted, limit=_IMAGES)
    given = answer(model, model.preprocessing, sample, batch_size)
    if not bool(given.finite.all()):
        raise ModelError(
            f"{model.path} answers {int((~given.finite).sum())} of {len(sample)} images with NaN or infinite "
            f"scores under {given.setting.describe()}; its weights or these settings are unusable"
        )
    others = _try_alternatives(model, sample, batch_size) if _improvable(given) else []
    tried = tuple(Trial(a.setting.describe(), a.score, len(a)) for a in (given, *others))
    others = [other for other in others if len(other) == len(sample)]
    if sample.labels is None:
        chosen, found = _judge_by_spread(model.path, given, others, tried)
    else:
        chosen, found = _judge_by_accuracy(model.path, given, others, tried, explicit)
    return PreflightResult(
        model=model.with_preprocessing(chosen.setting),
        images=fitted,
        clean_accuracy=None if sample.labels is None else chosen.accuracy,
        settings=chosen.setting.describe(),
        warnings=warnings + found,
        tried=tried,
    )


def _judge_by_accuracy(
    path: str, given: Answers, others: list[Answers], tried: tuple[Trial, ...], explicit: bool
) -> Judgement:
    """The answers to go on with, and warnings; PreflightError where there are none."""
    better = [other for other in others if other.clearly_better_than(given)]
    best = _best(better) if better else given
    other_numbers = renumbering(given)
    if other_numbers is not None and other_numbers.agreement > best.accuracy:
        raise PreflightError(
            f"{path} classifies {given.describe()} right, but {other_numbers.agreement:.0%} of the labels "
            f"would agree were they numbered otherwise: {other_numbers.description}. Renumber them, or leave "
            "them out: --no-labels"
        )
    settings, fitting = given.setting.describe(), best.setting.describe()
    if better:
        found = f"{path} classifies {best.describe()} right under {fitting} and {given.describe()} under "
        found += settings
        if not explicit:
            return best, (f"{found}; going on with {fitting}", *_low(best))
        if not given.above_chance(0.001) or given.accuracy < 0.67 * best.accuracy:
            raise PreflightError(f"{found}, as given; pass {fitting} instead")
        return given, (f"{found}; going on with the latter, as given", *_low(given))
    found = f"{path} classifies only {given.describe()} right under {settings}"
    if not given.above_chance(0.001) and given.upper_bound() < (1 + given.chance) / 2:
        raise PreflightError(
            f"{found}, no better than chance, and no common setting clearly fits. Tried: {_table(tried)}. "
            "Are these the images and labels the model was trained for? Give its settings (--pixel-range, "
            "--mean, --std), or leave out the labels: --no-labels"
        )
    likely = _best([given, *others])
    if likely.accuracy >= given.accuracy + 0.15:
        return given, (
            f"{found}, and {likely.describe()} under {likely.setting.describe()}, which may be what it was "
            "trained with; more images would tell",
        )
    if not given.above_chance(0.001):
        few = f"{len(given)} image{'s' if len(given) > 1 else ''}"
        return given, (f"{few} with labels cannot tell whether {path} was trained with {settings}",)
    return given, _low(given)


def _judge_by_spread(path: str, given: Answers, others: list[Answers], tried: tuple[Trial, ...]) -> Judgement:
    """The given answers and warnings; PreflightError where the network hardly reacts to the images."""
    best = max(others, key=lambda answers: answers.rank, default=given)
    settings, fitting = given.setting.describe(), best.setting.describe()
    classes = torch.unique(given.predictions)
    if len(given) >= 4 and len(classes) == 1 and given.reaction() < 0.1:
        hint = f"{fitting} seems to fit" if best.score > 0.3 else f"tried: {_table(tried)}"
        raise PreflightError(
            f"{path} gives all {len(given)} images almost the same scores under {settings}, so it was "
            f"hardly trained with that; {hint}"
        )
    confidence = float(given.logits.softmax(1).amax(1).mean())
    warnings = [
        f"the images have no labels, so it could not be verified that {path} was trained with {settings}; it "
        f"puts them in {len(classes)} classes with a mean confidence of {confidence:.0%}"
    ]
    if given.score < 0.7 * best.score:
        warnings.append(
            f"under {fitting} the answers are surer and more varied ({best.score:.2f} of 1 against "
            f"{given.score:.2f}): pass that if the model was trained so; it means little if all images show "
            "one class"
        )
    return given, tuple(warnings)


def _try_alternatives(model: Classifier, sample: CleanImages, batch_size: int) -> list[Answers]:
    """Try all settings on some images, then the promising ones on all; the best first."""
    first = load_images(sample, limit=_FIRST_ROUND)
    settings = alternatives(model.preprocessing, sample.pixels)
    outcomes = sorted(
        (answer(model, setting, first, batch_size) for setting in settings),
        key=lambda a: a.rank,
        reverse=True,
    )
    if len(first) == len(sample):
        return outcomes
    # Two images short of the given setting is not yet hopeless.
    level = answer(model, model.preprocessing, first, batch_size).score - 2 / len(first)
    promising = sum(outcome.score >= level for outcome in outcomes[:_FINALISTS])
    finalists = [answer(model, a.setting, sample, batch_size) for a in outcomes[:promising]]
    return sorted(finalists, key=lambda a: a.rank, reverse=True) + outcomes[promising:]


def _best(answers: list[Answers]) -> Answers:
    """The likeliest of those whose accuracy is within one standard error of the highest."""
    top = max(answers, key=lambda a: a.rank)
    margin = (top.accuracy * (1 - top.accuracy) / len(top)) ** 0.5
    return max((a for a in answers if a.accuracy >= top.accuracy - margin), key=lambda a: a.rank[1])


def _improvable(given: Answers) -> bool:
    """Whether the answers are poor, or perfect ones would be clearly better."""
    if given.labels is None or given.accuracy <= 0.5:
        return True
    perfect = torch.nn.functional.one_hot(given.labels, given.logits.shape[1]).float()
    return Answers(given.setting, perfect, given.labels).clearly_better_than(given)


def _low(answers: Answers) -> tuple[str, ...]:
    """A warning where accuracy is surely below one half."""
    if answers.upper_bound() >= 0.5:
        return ()
    return (
        f"the model classifies only {answers.describe()} right under the best setting found; if it should do "
        "better, images or settings do not fit and the verdict means little",
    )


def _dim(images: CleanImages) -> tuple[str, ...]:
    """A warning where the brightest pixel is dark: the images may be 0..16, read as 0..255."""
    brightest = float(images.pixels.max())
    if brightest >= 0.25:
        return ()
    return (
        f"the brightest pixel of {images.source} has {brightest:.0%} of white; if it should be white, give "
        "--value-range LOW,HIGH",
    )


def _table(tried: tuple[Trial, ...]) -> str:
    told = "; ".join(f"{trial.settings}: {trial.score:.0%}" for trial in tried[:TOLD])
    return told if len(tried) <= TOLD else f"{told}; and {len(tried) - TOLD} more below that"


def _require_channel_values(setting: Preprocessing, channels: int) -> None:
    for name, values in (("mean", setting.mean), ("std", setting.std)):
        if values is not None and len(values) not in (1, channels):
            raise PreflightError(
                f"--{name} has {len(values)} values, but the images have {channels} channels: give one each"
            )
    if setting.std is not None and 0 in setting.std:
        raise PreflightError(f"--std must not be 0, got {setting.std}")
