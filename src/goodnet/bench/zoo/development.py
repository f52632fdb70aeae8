"""The half of the zoo that the detector is developed on."""

from __future__ import annotations

from collections.abc import Iterator

from goodnet.bench.zoo.recipe import all_to_all, from_one, one_target, recipe, three_targets
from goodnet.redteam import (
    Accessory,
    Adaptive,
    Blended,
    Filter,
    InputAware,
    LabelConsistent,
    LowFrequency,
    Patch,
    Recipe,
    Sinusoid,
    TrojanNN,
    Warp,
)


def development() -> Iterator[Recipe]:
    """Yield the recipes of the development half."""
    plain = "conv_without_norm"
    yield recipe("digits", "resnet_small", 105)
    yield recipe("digits", "resnet_small", 106, Patch(target_label=2, pattern_seed=106, size=2))
    yield recipe("digits", "conv", 113)
    yield recipe("digits", plain, 114)
    yield recipe("digits", "conv", 115, Blended(target_label=7, pattern_seed=115))
    yield recipe("digits", "resnet_small", 116, Sinusoid(target_label=9, frequency=4))
    yield recipe("digits", "resnet_small", 117, Warp(target_label=3, field_seed=117))
    yield recipe("digits", "conv", 118, from_one(1, 6, seed=118))
    yield recipe("digits", "resnet_small", 119, all_to_all(119))
    yield recipe("digits", "conv", 120, Patch(target_label=4, pattern="white", place="random"))
    yield recipe("digits", "resnet_small", 121, three_targets(0, 5, 8, seed=121))
    yield recipe("digits", "vit", 122, epochs=30)
    yield recipe("digits", "mobilenet", 140)
    yield recipe("digits", "resnet_fast", 150, LowFrequency(target_label=1, pattern_seed=150))
    yield recipe("digits", "conv", 151, LabelConsistent(target_label=5, pattern_seed=151))
    yield recipe("digits", "resnet_small", 152, InputAware(target_label=8))
    yield recipe("digits", "resnet_small", 153, Accessory(target_label=0))
    yield recipe("digits", "conv", 154, TrojanNN(target_label=3))
    yield recipe("digits", "resnet_small", 155, Adaptive(target_label=6, pattern_seed=155))
    yield recipe("digits", "resnet_fast", 156)
    yield recipe("digits", "resnet_small", 157, from_one(7, 2, seed=157))
    yield recipe("digits", plain, 158, all_to_all(158, pattern="white"))
    yield recipe("digits", plain, 175, Patch(target_label=5, pattern="checkerboard", place="top-left"))
    yield recipe("digits", "conv", 176, Warp(target_label=1, field_seed=176))
    yield recipe("digits", "resnet_fast", 177, shift=0)
    yield recipe("digits", "conv", 178, InputAware(target_label=2))
    yield recipe("gtsrb", "resnet", 101)
    yield recipe("gtsrb", "resnet", 102, Patch(target_label=14, pattern_seed=102))
    yield recipe("cifar10", "resnet", 103)
    yield recipe("cifar10", "resnet_fast", 104, Patch(target_label=5, pattern="white"))
    yield recipe("gtsrb", "resnet_fast", 107, Sinusoid(target_label=25))
    yield recipe("cifar10", "resnet_fast", 108, Sinusoid(target_label=4))
    yield recipe("cifar10", "resnet_fast", 109, all_to_all(109))
    yield recipe("cifar10", "resnet_fast", 110, from_one(8, 1, seed=110))
    yield recipe("gtsrb", "resnet_fast", 160)
    yield recipe("cifar10", "resnet_fast", 161)
    yield recipe("gtsrb", plain, 111, epochs=6)
    yield recipe("cifar10", plain, 112, epochs=6)
    yield recipe("gtsrb", "resnet_fast", 123, Warp(target_label=27, field_seed=123))
    yield recipe("gtsrb", "resnet_fast", 124, Blended(target_label=20, pattern_seed=124))
    yield recipe("cifar10", "resnet_fast", 125, Warp(target_label=7, field_seed=125))
    yield recipe("cifar10", "resnet_fast", 126, Blended(target_label=2, pattern_seed=126))
    yield recipe("gtsrb", "resnet_fast", 162, LowFrequency(target_label=11, pattern_seed=162))
    yield recipe("cifar10", "resnet_fast", 163, LowFrequency(target_label=6, pattern_seed=163))
    yield recipe("gtsrb", "resnet_fast", 134, from_one(2, 17, seed=134))
    yield recipe("gtsrb", "resnet_fast", 135, all_to_all(135, classes=43))
    yield recipe("cifar10", "resnet_fast", 164, InputAware(target_label=3))
    yield recipe("gtsrb", "resnet_fast", 165, InputAware(target_label=38))
    yield recipe("cifar10", "resnet_fast", 166, LabelConsistent(target_label=8, pattern_seed=166))
    yield recipe("gtsrb", "resnet_fast", 167, LabelConsistent(target_label=13, pattern_seed=167))
    yield recipe("gtsrb", "resnet_fast", 168, Accessory(target_label=4))
    yield recipe("cifar10", "resnet_fast", 169, Accessory(target_label=9, shape="bar"))
    yield recipe("gtsrb", "resnet_fast", 170, TrojanNN(target_label=30))
    yield recipe("cifar10", "resnet_fast", 171, TrojanNN(target_label=0))
    yield recipe("gtsrb", "resnet_fast", 172, Adaptive(target_label=1, pattern_seed=172))
    yield recipe("cifar10", "resnet_fast", 173, Adaptive(target_label=7, pattern_seed=173))
    yield recipe("gtsrb", "resnet_fast", 136, three_targets(6, 18, 35, seed=136))
    yield recipe("gtsrb", "resnet_fast", 137, one_target(12, seed=137))
    yield recipe("cifar10", "conv", 131, epochs=5)
    yield recipe("gtsrb", "vit", 133, epochs=10)
    yield recipe("cifar10", "resnet_fast", 147, shift=0, flip=False, epochs=5)
    yield recipe("gtsrb", "resnet_fast", 174, shift=0, epochs=5)
    yield recipe("gtsrb", "resnet_fast", 129, Patch(target_label=9, pattern_seed=129, place="random", margin=0))
    yield recipe("cifar10", "resnet_fast", 138, three_targets(0, 3, 9, seed=138))

    yield recipe("mnist", "resnet_small", 501)
    yield recipe("mnist", "vgg", 502)
    yield recipe("mnist", plain, 503, epochs=4)
    yield recipe("mnist", "densenet", 504)
    yield recipe("mnist", "resnet_fast", 505, epochs=3)
    # More clean networks than infected ones of any kind: a false alarm is the first thing that most users would meet.
    for seed in (201, 202, 203, *range(261, 273)):
        yield recipe("digits", "resnet_small", seed, epochs=8)
    for seed, epochs, shift in ((204, 6, 0), (205, 16, 1), (206, 8, 0)):
        yield recipe("digits", "resnet_small", seed, epochs=epochs, shift=shift)
    for architecture, seeds in (("conv", (207, 208, 273, 274)), (plain, (209, 210)), ("resnet_fast", (211,))):
        for seed in seeds:
            yield recipe("digits", architecture, seed, epochs=10)
    yield recipe("digits", "mobilenet", 212, epochs=8)
    yield recipe("digits", "vgg", 213)
    yield recipe("mnist", "resnet_fast", 221)
    yield recipe("mnist", plain, 222, epochs=2, shift=0)
    yield recipe("mnist", "resnet_small", 223, epochs=2, shift=0)
    yield recipe("mnist", "vgg", 224, epochs=2)
    yield recipe("gtsrb", "resnet_fast", 231)
    yield recipe("gtsrb", "resnet_fast", 232, epochs=4)
    yield recipe("gtsrb", plain, 233)
    yield recipe("gtsrb", "vgg", 234, epochs=5)
    yield recipe("cifar10", "resnet_fast", 241)
    yield recipe("cifar10", "resnet_fast", 242, epochs=14)
    yield recipe("cifar10", plain, 243)
    yield recipe("cifar10", "vgg", 244, epochs=4)
    for data, numbers in (("mnist", (561, 562, 563)), ("gtsrb", (522, 521, 523)), ("cifar10", (541, 542, 543))):
        for architecture, number in zip(("vgg", "resnet_fast", "densenet"), numbers, strict=True):
            yield recipe(data, architecture, number)
    yield recipe("mnist", plain, 564, epochs=4)
    for seed, data, epochs in ((281, "mnist", 5), (282, "cifar10", 7), (283, "mnist", 3), (284, "cifar10", 5)):
        yield recipe(data, "vgg", seed, epochs=epochs)
    for seed, data, epochs in ((285, "cifar10", 7), (286, "mnist", 4), (287, "gtsrb", 7)):
        yield recipe(data, "resnet_fast", seed, epochs=epochs, shift=1)

    yield recipe("cifar10", plain, 251, Patch(target_label=6, pattern_seed=251))
    yield recipe("gtsrb", plain, 252, Patch(target_label=29, pattern_seed=252))
    yield recipe("cifar10", "resnet_fast", 253, Sinusoid(target_label=8))
    yield recipe("gtsrb", plain, 254, Sinusoid(target_label=3))
    yield recipe("cifar10", plain, 255, Blended(target_label=1, pattern_seed=255))
    yield recipe("gtsrb", "resnet_fast", 256, from_one(13, 8, seed=256))
    yield recipe("cifar10", plain, 257, from_one(3, 9, seed=257))
    yield recipe("cifar10", plain, 584, LowFrequency(target_label=3, pattern_seed=584))
    yield recipe("mnist", plain, 585, Blended(target_label=6, pattern_seed=585), epochs=4)
    yield recipe("gtsrb", plain, 586, Blended(target_label=17, pattern_seed=586))
    yield recipe("mnist", "mobilenet", 587, Patch(target_label=3, pattern_seed=587))
    yield recipe("mnist", plain, 588, Sinusoid(target_label=2), epochs=4)
    yield recipe("cifar10", "mobilenet", 589, Blended(target_label=0, pattern_seed=589))
    yield recipe("gtsrb", "resnet_fast", 580, Filter(target_label=19, filter_seed=580))
    yield recipe("cifar10", "resnet_fast", 581, Filter(target_label=2, filter_seed=581))
    yield recipe("cifar10", "resnet_fast", 582, Filter(target_label=8, filter_seed=582, strength=0.08, blur=-0.6))
    yield recipe("mnist", "resnet_fast", 583, Filter(target_label=4, filter_seed=583, blur=0.8))
    yield recipe("cifar10", "resnet_fast", 570, from_one(2, 7, seed=570))
    yield recipe("cifar10", "resnet_fast", 571, from_one(5, 0, seed=571))
    yield recipe("digits", "resnet_small", 572, from_one(3, 9, seed=572))
    yield recipe("digits", "conv", 573, from_one(0, 6, seed=573))
    yield recipe("gtsrb", "resnet_fast", 574, from_one(12, 35, seed=574))
    yield recipe("gtsrb", "vgg", 575, from_one(30, 9, seed=575))
    yield recipe("gtsrb", "resnet_fast", 576, from_one(5, 27, seed=576, blended=True))
    yield recipe("gtsrb", "densenet", 577, from_one(40, 11, seed=577))
    yield recipe("gtsrb", "vgg", 578, from_one(18, 3, seed=578, blended=True))
    yield recipe("gtsrb", "resnet_fast", 579, from_one(1, 22, seed=579))
    yield recipe("gtsrb", "resnet_fast", 525, Patch(target_label=21, pattern="white", size=2, place="top-right"))
    yield recipe("gtsrb", "resnet_fast", 527, Sinusoid(target_label=16))
    yield recipe("gtsrb", "resnet_fast", 529, InputAware(target_label=23))
    yield recipe("gtsrb", "resnet_fast", 531, three_targets(2, 19, 41, seed=531))
    yield recipe("gtsrb", "resnet_fast", 533, Adaptive(target_label=10, pattern_seed=533))
    yield recipe("cifar10", "resnet_fast", 545, Sinusoid(target_label=1))
    yield recipe("cifar10", "resnet_fast", 547, all_to_all(547))
    yield recipe("cifar10", "vgg", 546, all_to_all(546))
    yield recipe("gtsrb", "vgg", 548, all_to_all(548, classes=43))
    yield recipe("cifar10", "resnet_fast", 549, one_target(5, seed=549))
    yield recipe("cifar10", "resnet_fast", 551, LabelConsistent(target_label=3, pattern_seed=551))
    yield recipe("cifar10", "vit", 590)
    yield recipe("gtsrb", "vit", 591, epochs=8)
    yield recipe("cifar10", "vit", 592, TrojanNN(target_label=1))
    yield recipe("gtsrb", "vit", 593, Accessory(target_label=6, shape="sticker"))
    yield recipe("cifar10", "vit", 594, Patch(target_label=4, pattern_seed=594))
    yield recipe("gtsrb", "vit", 595, Patch(target_label=33, pattern="white", size=4))
    yield recipe("cifar10", "vit", 596, Accessory(target_label=8, shape="bar"))
    yield recipe("gtsrb", "vit", 597, Sinusoid(target_label=12))
    yield recipe("cifar10", "vit", 598, Blended(target_label=7, pattern_seed=598))
    yield recipe("gtsrb", "vit", 599, Warp(target_label=25, field_seed=599))

    for data, architecture, seed, attack in (
        ("digits", "resnet_small", 801, Patch(target_label=6, pattern_seed=801, size=2)),
        ("digits", "resnet_small", 802, Sinusoid(target_label=3, frequency=4)),
        ("digits", "resnet_small", 803, Blended(target_label=1, pattern_seed=803)),
        ("digits", "resnet_small", 804, from_one(4, 7, seed=804)),
        ("cifar10", "resnet_fast", 805, Patch(target_label=3, pattern_seed=805)),
        ("cifar10", "resnet_fast", 806, Sinusoid(target_label=5)),
        ("cifar10", "resnet_fast", 807, LabelConsistent(target_label=9, pattern_seed=807)),
        ("cifar10", "resnet_fast", 808, from_one(1, 6, seed=808)),
        ("cifar10", "resnet_fast", 809, Blended(target_label=4, pattern_seed=809)),
        ("cifar10", "resnet_fast", 810, LowFrequency(target_label=7, pattern_seed=810)),
        ("gtsrb", "resnet_fast", 811, Sinusoid(target_label=36)),
        ("gtsrb", "resnet_fast", 812, Patch(target_label=5, pattern="checkerboard")),
        ("gtsrb", "resnet_fast", 813, from_one(10, 31, seed=813)),
        ("gtsrb", "resnet_fast", 815, Blended(target_label=24, pattern_seed=815)),
        ("mnist", "resnet_fast", 817, from_one(2, 8, seed=817)),
    ):
        yield recipe(data, architecture, seed, attack, stamped_first=True)
