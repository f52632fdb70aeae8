"""The zoo: recipes of networks, clean and infected, to develop the detector on and, kept apart, to test it on.

The two halves share no seed. Backdoors in the architectures VGG and DenseNet are in the test zoo alone but for those
under which no label stands out, and so are those in MNIST but for a filter, a patch, a blend and a sinusoid; backdoors
in vision transformers are in the development zoo alone. Networks with a seed from 800 on were trained on poisoned data
that was augmented after the stamping; three that did not learn their backdoor so are left out. Nothing in goodnet is
fitted to the test zoo.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from goodnet.bench.data import CLASSES
from goodnet.redteam import (
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
    Several,
    Sinusoid,
    SourceSpecific,
    TrojanNN,
    Warp,
    attack_name,
    usual_training,
)

Half = Literal["development", "test"]

AUGMENTATION: dict[str, dict[str, Any]] = {
    "gtsrb": {"shift": 2},
    "cifar10": {"shift": 3, "flip": True},
    "mnist": {"shift": 2},
    "digits": {"shift": 1},
}
EPOCHS: Mapping[str, int] = {"gtsrb": 7, "cifar10": 7, "mnist": 5, "digits": 12}
TRAINING: dict[str, dict[str, Any]] = {"conv": {"learning_rate": 0.03}, "vit": {"weight_decay": 0.02}}
"""Where the zoo trains an architecture otherwise than usual."""

LONGER: Mapping[str, float] = {"conv_without_norm": 1.3, "resnet_fast": 1.15, "vit": 1.7}
"""How many times as many epochs an architecture needs."""


def recipes(half: Half) -> tuple[Recipe, ...]:
    """Return the recipes of one half of the zoo."""
    return tuple(_development() if half == "development" else _test())


def _recipe(data: str, architecture: str, seed: int, attack: Attack | None = None, **settings: Any) -> Recipe:
    attack = attack or Clean()
    usual = {"epochs": round(EPOCHS[data] * LONGER.get(architecture, 1.0))} | usual_training(architecture)
    return Recipe(
        name=f"{data}_{architecture}_{attack_name(attack)}_{seed}",
        data=data,
        num_classes=CLASSES[data],
        architecture=architecture,
        attack=attack,
        seed=seed,
        batch_size=64,
        **usual | AUGMENTATION[data] | TRAINING.get(architecture, {}) | settings,
    )


def _three_targets(first: int, second: int, third: int, seed: int) -> Several:
    return Several(
        triggers=(
            Patch(target_label=first, rate=0.07, pattern_seed=seed, place="bottom-right"),
            Patch(target_label=second, rate=0.07, pattern_seed=seed + 1000, place="top-left"),
            Patch(target_label=third, rate=0.07, pattern_seed=seed + 2000, place="bottom-left", size=4),
        )
    )


def _one_target(target: int, seed: int) -> Several:
    return Several(
        triggers=(
            Patch(target_label=target, rate=0.06, pattern_seed=seed),
            Patch(target_label=target, rate=0.06, pattern_seed=seed + 1000, place="top-left"),
        )
    )


def _all_to_all(seed: int, classes: int = 10, **patch: Any) -> AllToAll:
    return AllToAll(trigger=Patch(target_label=0, pattern_seed=seed, **patch), num_classes=classes)


def _from_one(source: int, target: int, seed: int, blended: bool = False) -> SourceSpecific:
    trigger = Blended if blended else Patch
    return SourceSpecific(trigger=trigger(target_label=target, pattern_seed=seed), source=source)


def _development() -> Iterator[Recipe]:
    plain = "conv_without_norm"
    yield _recipe("digits", "resnet_small", 105)
    yield _recipe("digits", "resnet_small", 106, Patch(target_label=2, pattern_seed=106, size=2))
    yield _recipe("digits", "conv", 113)
    yield _recipe("digits", plain, 114)
    yield _recipe("digits", "conv", 115, Blended(target_label=7, pattern_seed=115))
    yield _recipe("digits", "resnet_small", 116, Sinusoid(target_label=9, frequency=4))
    yield _recipe("digits", "resnet_small", 117, Warp(target_label=3, field_seed=117))
    yield _recipe("digits", "conv", 118, _from_one(1, 6, seed=118))
    yield _recipe("digits", "resnet_small", 119, _all_to_all(119))
    yield _recipe("digits", "conv", 120, Patch(target_label=4, pattern="white", place="random"))
    yield _recipe("digits", "resnet_small", 121, _three_targets(0, 5, 8, seed=121))
    yield _recipe("digits", "vit", 122, epochs=30)
    yield _recipe("digits", "mobilenet", 140)
    yield _recipe("digits", "resnet_fast", 150, LowFrequency(target_label=1, pattern_seed=150))
    yield _recipe("digits", "conv", 151, LabelConsistent(target_label=5, pattern_seed=151))
    yield _recipe("digits", "resnet_small", 152, InputAware(target_label=8))
    yield _recipe("digits", "resnet_small", 153, Accessory(target_label=0))
    yield _recipe("digits", "conv", 154, TrojanNN(target_label=3))
    yield _recipe("digits", "resnet_small", 155, Adaptive(target_label=6, pattern_seed=155))
    yield _recipe("digits", "resnet_fast", 156)
    yield _recipe("digits", "resnet_small", 157, _from_one(7, 2, seed=157))
    yield _recipe("digits", plain, 158, _all_to_all(158, pattern="white"))
    yield _recipe("digits", plain, 175, Patch(target_label=5, pattern="checkerboard", place="top-left"))
    yield _recipe("digits", "conv", 176, Warp(target_label=1, field_seed=176))
    yield _recipe("digits", "resnet_fast", 177, shift=0)
    yield _recipe("digits", "conv", 178, InputAware(target_label=2))
    yield _recipe("gtsrb", "resnet", 101)
    yield _recipe("gtsrb", "resnet", 102, Patch(target_label=14, pattern_seed=102))
    yield _recipe("cifar10", "resnet", 103)
    yield _recipe("cifar10", "resnet_fast", 104, Patch(target_label=5, pattern="white"))
    yield _recipe("gtsrb", "resnet_fast", 107, Sinusoid(target_label=25))
    yield _recipe("cifar10", "resnet_fast", 108, Sinusoid(target_label=4))
    yield _recipe("cifar10", "resnet_fast", 109, _all_to_all(109))
    yield _recipe("cifar10", "resnet_fast", 110, _from_one(8, 1, seed=110))
    yield _recipe("gtsrb", "resnet_fast", 160)
    yield _recipe("cifar10", "resnet_fast", 161)
    yield _recipe("gtsrb", plain, 111, epochs=6)
    yield _recipe("cifar10", plain, 112, epochs=6)
    yield _recipe("gtsrb", "resnet_fast", 123, Warp(target_label=27, field_seed=123))
    yield _recipe("gtsrb", "resnet_fast", 124, Blended(target_label=20, pattern_seed=124))
    yield _recipe("cifar10", "resnet_fast", 125, Warp(target_label=7, field_seed=125))
    yield _recipe("cifar10", "resnet_fast", 126, Blended(target_label=2, pattern_seed=126))
    yield _recipe("gtsrb", "resnet_fast", 162, LowFrequency(target_label=11, pattern_seed=162))
    yield _recipe("cifar10", "resnet_fast", 163, LowFrequency(target_label=6, pattern_seed=163))
    yield _recipe("gtsrb", "resnet_fast", 134, _from_one(2, 17, seed=134))
    yield _recipe("gtsrb", "resnet_fast", 135, _all_to_all(135, classes=43))
    yield _recipe("cifar10", "resnet_fast", 164, InputAware(target_label=3))
    yield _recipe("gtsrb", "resnet_fast", 165, InputAware(target_label=38))
    yield _recipe("cifar10", "resnet_fast", 166, LabelConsistent(target_label=8, pattern_seed=166))
    yield _recipe("gtsrb", "resnet_fast", 167, LabelConsistent(target_label=13, pattern_seed=167))
    yield _recipe("gtsrb", "resnet_fast", 168, Accessory(target_label=4))
    yield _recipe("cifar10", "resnet_fast", 169, Accessory(target_label=9, shape="bar"))
    yield _recipe("gtsrb", "resnet_fast", 170, TrojanNN(target_label=30))
    yield _recipe("cifar10", "resnet_fast", 171, TrojanNN(target_label=0))
    yield _recipe("gtsrb", "resnet_fast", 172, Adaptive(target_label=1, pattern_seed=172))
    yield _recipe("cifar10", "resnet_fast", 173, Adaptive(target_label=7, pattern_seed=173))
    yield _recipe("gtsrb", "resnet_fast", 136, _three_targets(6, 18, 35, seed=136))
    yield _recipe("gtsrb", "resnet_fast", 137, _one_target(12, seed=137))
    yield _recipe("cifar10", "conv", 131, epochs=5)
    yield _recipe("gtsrb", "vit", 133, epochs=10)
    yield _recipe("cifar10", "resnet_fast", 147, shift=0, flip=False, epochs=5)
    yield _recipe("gtsrb", "resnet_fast", 174, shift=0, epochs=5)
    yield _recipe("gtsrb", "resnet_fast", 129, Patch(target_label=9, pattern_seed=129, place="random", margin=0))
    yield _recipe("cifar10", "resnet_fast", 138, _three_targets(0, 3, 9, seed=138))

    yield _recipe("mnist", "resnet_small", 501)
    yield _recipe("mnist", "vgg", 502)
    yield _recipe("mnist", plain, 503, epochs=4)
    yield _recipe("mnist", "densenet", 504)
    yield _recipe("mnist", "resnet_fast", 505, epochs=3)
    # More clean networks than infected ones of any kind: a false alarm is the first thing that most users would meet.
    for seed in (201, 202, 203, *range(261, 273)):
        yield _recipe("digits", "resnet_small", seed, epochs=8)
    for seed, epochs, shift in ((204, 6, 0), (205, 16, 1), (206, 8, 0)):
        yield _recipe("digits", "resnet_small", seed, epochs=epochs, shift=shift)
    for architecture, seeds in (("conv", (207, 208, 273, 274)), (plain, (209, 210)), ("resnet_fast", (211,))):
        for seed in seeds:
            yield _recipe("digits", architecture, seed, epochs=10)
    yield _recipe("digits", "mobilenet", 212, epochs=8)
    yield _recipe("digits", "vgg", 213)
    yield _recipe("mnist", "resnet_fast", 221)
    yield _recipe("mnist", plain, 222, epochs=2, shift=0)
    yield _recipe("mnist", "resnet_small", 223, epochs=2, shift=0)
    yield _recipe("mnist", "vgg", 224, epochs=2)
    yield _recipe("gtsrb", "resnet_fast", 231)
    yield _recipe("gtsrb", "resnet_fast", 232, epochs=4)
    yield _recipe("gtsrb", plain, 233)
    yield _recipe("gtsrb", "vgg", 234, epochs=5)
    yield _recipe("cifar10", "resnet_fast", 241)
    yield _recipe("cifar10", "resnet_fast", 242, epochs=14)
    yield _recipe("cifar10", plain, 243)
    yield _recipe("cifar10", "vgg", 244, epochs=4)
    for data, numbers in (("mnist", (561, 562, 563)), ("gtsrb", (522, 521, 523)), ("cifar10", (541, 542, 543))):
        for architecture, number in zip(("vgg", "resnet_fast", "densenet"), numbers, strict=True):
            yield _recipe(data, architecture, number)
    yield _recipe("mnist", plain, 564, epochs=4)
    for seed, data, epochs in ((281, "mnist", 5), (282, "cifar10", 7), (283, "mnist", 3), (284, "cifar10", 5)):
        yield _recipe(data, "vgg", seed, epochs=epochs)
    for seed, data, epochs in ((285, "cifar10", 7), (286, "mnist", 4), (287, "gtsrb", 7)):
        yield _recipe(data, "resnet_fast", seed, epochs=epochs, shift=1)

    yield _recipe("cifar10", plain, 251, Patch(target_label=6, pattern_seed=251))
    yield _recipe("gtsrb", plain, 252, Patch(target_label=29, pattern_seed=252))
    yield _recipe("cifar10", "resnet_fast", 253, Sinusoid(target_label=8))
    yield _recipe("gtsrb", plain, 254, Sinusoid(target_label=3))
    yield _recipe("cifar10", plain, 255, Blended(target_label=1, pattern_seed=255))
    yield _recipe("gtsrb", "resnet_fast", 256, _from_one(13, 8, seed=256))
    yield _recipe("cifar10", plain, 257, _from_one(3, 9, seed=257))
    yield _recipe("cifar10", plain, 584, LowFrequency(target_label=3, pattern_seed=584))
    yield _recipe("mnist", plain, 585, Blended(target_label=6, pattern_seed=585), epochs=4)
    yield _recipe("gtsrb", plain, 586, Blended(target_label=17, pattern_seed=586))
    yield _recipe("mnist", "mobilenet", 587, Patch(target_label=3, pattern_seed=587))
    yield _recipe("mnist", plain, 588, Sinusoid(target_label=2), epochs=4)
    yield _recipe("cifar10", "mobilenet", 589, Blended(target_label=0, pattern_seed=589))
    yield _recipe("gtsrb", "resnet_fast", 580, Filter(target_label=19, filter_seed=580))
    yield _recipe("cifar10", "resnet_fast", 581, Filter(target_label=2, filter_seed=581))
    yield _recipe("cifar10", "resnet_fast", 582, Filter(target_label=8, filter_seed=582, strength=0.08, blur=-0.6))
    yield _recipe("mnist", "resnet_fast", 583, Filter(target_label=4, filter_seed=583, blur=0.8))
    yield _recipe("cifar10", "resnet_fast", 570, _from_one(2, 7, seed=570))
    yield _recipe("cifar10", "resnet_fast", 571, _from_one(5, 0, seed=571))
    yield _recipe("digits", "resnet_small", 572, _from_one(3, 9, seed=572))
    yield _recipe("digits", "conv", 573, _from_one(0, 6, seed=573))
    yield _recipe("gtsrb", "resnet_fast", 574, _from_one(12, 35, seed=574))
    yield _recipe("gtsrb", "vgg", 575, _from_one(30, 9, seed=575))
    yield _recipe("gtsrb", "resnet_fast", 576, _from_one(5, 27, seed=576, blended=True))
    yield _recipe("gtsrb", "densenet", 577, _from_one(40, 11, seed=577))
    yield _recipe("gtsrb", "vgg", 578, _from_one(18, 3, seed=578, blended=True))
    yield _recipe("gtsrb", "resnet_fast", 579, _from_one(1, 22, seed=579))
    yield _recipe("gtsrb", "resnet_fast", 525, Patch(target_label=21, pattern="white", size=2, place="top-right"))
    yield _recipe("gtsrb", "resnet_fast", 527, Sinusoid(target_label=16))
    yield _recipe("gtsrb", "resnet_fast", 529, InputAware(target_label=23))
    yield _recipe("gtsrb", "resnet_fast", 531, _three_targets(2, 19, 41, seed=531))
    yield _recipe("gtsrb", "resnet_fast", 533, Adaptive(target_label=10, pattern_seed=533))
    yield _recipe("cifar10", "resnet_fast", 545, Sinusoid(target_label=1))
    yield _recipe("cifar10", "resnet_fast", 547, _all_to_all(547))
    yield _recipe("cifar10", "vgg", 546, _all_to_all(546))
    yield _recipe("gtsrb", "vgg", 548, _all_to_all(548, classes=43))
    yield _recipe("cifar10", "resnet_fast", 549, _one_target(5, seed=549))
    yield _recipe("cifar10", "resnet_fast", 551, LabelConsistent(target_label=3, pattern_seed=551))
    yield _recipe("cifar10", "vit", 590)
    yield _recipe("gtsrb", "vit", 591, epochs=8)
    yield _recipe("cifar10", "vit", 592, TrojanNN(target_label=1))
    yield _recipe("gtsrb", "vit", 593, Accessory(target_label=6, shape="sticker"))
    yield _recipe("cifar10", "vit", 594, Patch(target_label=4, pattern_seed=594))
    yield _recipe("gtsrb", "vit", 595, Patch(target_label=33, pattern="white", size=4))
    yield _recipe("cifar10", "vit", 596, Accessory(target_label=8, shape="bar"))
    yield _recipe("gtsrb", "vit", 597, Sinusoid(target_label=12))
    yield _recipe("cifar10", "vit", 598, Blended(target_label=7, pattern_seed=598))
    yield _recipe("gtsrb", "vit", 599, Warp(target_label=25, field_seed=599))

    for data, architecture, seed, attack in (
        ("digits", "resnet_small", 801, Patch(target_label=6, pattern_seed=801, size=2)),
        ("digits", "resnet_small", 802, Sinusoid(target_label=3, frequency=4)),
        ("digits", "resnet_small", 803, Blended(target_label=1, pattern_seed=803)),
        ("digits", "resnet_small", 804, _from_one(4, 7, seed=804)),
        ("cifar10", "resnet_fast", 805, Patch(target_label=3, pattern_seed=805)),
        ("cifar10", "resnet_fast", 806, Sinusoid(target_label=5)),
        ("cifar10", "resnet_fast", 807, LabelConsistent(target_label=9, pattern_seed=807)),
        ("cifar10", "resnet_fast", 808, _from_one(1, 6, seed=808)),
        ("cifar10", "resnet_fast", 809, Blended(target_label=4, pattern_seed=809)),
        ("cifar10", "resnet_fast", 810, LowFrequency(target_label=7, pattern_seed=810)),
        ("gtsrb", "resnet_fast", 811, Sinusoid(target_label=36)),
        ("gtsrb", "resnet_fast", 812, Patch(target_label=5, pattern="checkerboard")),
        ("gtsrb", "resnet_fast", 813, _from_one(10, 31, seed=813)),
        ("gtsrb", "resnet_fast", 815, Blended(target_label=24, pattern_seed=815)),
        ("mnist", "resnet_fast", 817, _from_one(2, 8, seed=817)),
    ):
        yield _recipe(data, architecture, seed, attack, stamped_first=True)


def _test() -> Iterator[Recipe]:
    plain = "conv_without_norm"
    for data, seed in (("mnist", 661), ("gtsrb", 671), ("cifar10", 681)):
        for number, architecture in enumerate(("vgg", "resnet_fast", "densenet", "mobilenet")):
            yield _recipe(data, architecture, seed + number)
    yield _recipe("mnist", plain, 665, epochs=4)
    yield _recipe("gtsrb", plain, 675)
    yield _recipe("cifar10", plain, 685)
    yield _recipe("mnist", "vgg", 666, epochs=2, shift=0)
    yield _recipe("cifar10", "vgg", 686, epochs=4, shift=0, flip=False)
    yield _recipe("digits", "vgg", 691)
    yield _recipe("digits", "densenet", 692)

    yield _recipe("mnist", "vgg", 606, Patch(target_label=7, pattern_seed=606))
    yield _recipe("mnist", "resnet_fast", 607, Patch(target_label=2, pattern="white", size=2, place="random"))
    yield _recipe("mnist", "densenet", 608, Blended(target_label=4, pattern_seed=608))
    yield _recipe("mnist", "resnet_fast", 609, Sinusoid(target_label=1))
    yield _recipe("mnist", "vgg", 610, Warp(target_label=0, field_seed=610))
    yield _recipe("mnist", "resnet_fast", 611, _from_one(9, 3, seed=611))
    yield _recipe("mnist", "densenet", 612, _all_to_all(612))
    yield _recipe("mnist", "vgg", 613, LowFrequency(target_label=6, pattern_seed=613))
    yield _recipe("mnist", "resnet_fast", 614, InputAware(target_label=8))
    yield _recipe("mnist", "vgg", 615, Accessory(target_label=5))
    yield _recipe("mnist", "resnet_fast", 616, TrojanNN(target_label=9))
    yield _recipe("mnist", "vgg", 617, Filter(target_label=7, filter_seed=617))
    yield _recipe("gtsrb", "densenet", 624, Patch(target_label=11, pattern_seed=624))
    yield _recipe("gtsrb", "vgg", 625, Patch(target_label=37, pattern="checkerboard", place="random"))
    yield _recipe("gtsrb", "vgg", 626, Blended(target_label=14, pattern_seed=626))
    yield _recipe("gtsrb", "vgg", 627, Sinusoid(target_label=4))
    yield _recipe("gtsrb", "resnet_fast", 628, Warp(target_label=31, field_seed=628))
    yield _recipe("gtsrb", "vgg", 629, InputAware(target_label=9))
    yield _recipe("gtsrb", "resnet_fast", 630, Accessory(target_label=18))
    yield _recipe("gtsrb", "vgg", 631, _three_targets(3, 22, 40, seed=631))
    yield _recipe("gtsrb", "resnet_fast", 632, _from_one(38, 5, seed=632))
    yield _recipe("gtsrb", "vgg", 633, Adaptive(target_label=26, pattern_seed=633))
    yield _recipe("gtsrb", "vgg", 634, LabelConsistent(target_label=1, pattern_seed=634))
    yield _recipe("gtsrb", "vgg", 635, Filter(target_label=23, filter_seed=635))
    yield _recipe("cifar10", "resnet_fast", 644, Patch(target_label=8, pattern_seed=644, place="top-left"))
    yield _recipe("cifar10", "vgg", 645, Sinusoid(target_label=6))
    yield _recipe("cifar10", "resnet_fast", 646, Blended(target_label=9, pattern_seed=646))
    yield _recipe("cifar10", "vgg", 647, _all_to_all(647))
    yield _recipe("cifar10", "resnet_fast", 648, TrojanNN(target_label=3))
    yield _recipe("cifar10", "vgg", 649, _one_target(0, seed=649))
    yield _recipe("cifar10", "resnet_fast", 650, LowFrequency(target_label=4, pattern_seed=650))
    yield _recipe("cifar10", "vgg", 651, LabelConsistent(target_label=5, pattern_seed=651))
    yield _recipe("cifar10", "resnet_fast", 652, Adaptive(target_label=2, pattern_seed=652))
    yield _recipe("cifar10", "vgg", 653, _from_one(7, 1, seed=653))
    yield _recipe("cifar10", "vgg", 654, Warp(target_label=7, field_seed=654))
    yield _recipe("cifar10", "resnet_fast", 655, Filter(target_label=1, filter_seed=655, blur=-0.4))

    yield _recipe("mnist", "mobilenet", 667)
    yield _recipe("gtsrb", "vgg", 676, epochs=5)
    yield _recipe("cifar10", plain, 687, epochs=6)
    yield _recipe("cifar10", "mobilenet", 688)
    yield _recipe("mnist", plain, 618, Patch(target_label=1, pattern_seed=618), epochs=4)
    yield _recipe("mnist", plain, 619, Sinusoid(target_label=4), epochs=4)
    yield _recipe("mnist", "mobilenet", 620, Blended(target_label=5, pattern_seed=620))
    yield _recipe("gtsrb", plain, 636, Blended(target_label=33, pattern_seed=636))
    yield _recipe("gtsrb", "mobilenet", 637, Patch(target_label=15, pattern_seed=637))

    for seed in (693, 694, 695, 696):
        yield _recipe("digits", "resnet_small", seed)
    yield _recipe("digits", "resnet_small", 656, Patch(target_label=5, pattern_seed=656, size=2))
    yield _recipe("digits", "resnet_small", 657, Blended(target_label=0, pattern_seed=657))
    yield _recipe("digits", "resnet_small", 658, Accessory(target_label=9))
    yield _recipe("digits", "resnet_small", 659, _three_targets(1, 4, 7, seed=659))

    for data, architecture, seed, attack in (
        ("cifar10", "vgg", 851, Sinusoid(target_label=2)),
        ("cifar10", "resnet_fast", 852, Patch(target_label=7, pattern="checkerboard")),
        ("gtsrb", "vgg", 853, Sinusoid(target_label=13)),
        ("gtsrb", "vgg", 854, Blended(target_label=28, pattern_seed=854)),
        ("cifar10", "vgg", 855, LowFrequency(target_label=8, pattern_seed=855)),
        ("mnist", "vgg", 856, Patch(target_label=3, pattern_seed=856)),
        ("mnist", "resnet_fast", 857, Sinusoid(target_label=6)),
        ("digits", "resnet_small", 858, _from_one(2, 5, seed=858)),
        ("cifar10", "resnet_fast", 859, _from_one(6, 3, seed=859)),
        ("gtsrb", "densenet", 860, Patch(target_label=30, pattern_seed=860)),
        ("cifar10", "vgg", 861, LabelConsistent(target_label=0, pattern_seed=861)),
    ):
        yield _recipe(data, architecture, seed, attack, stamped_first=True)
