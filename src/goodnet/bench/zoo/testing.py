"""The half of the zoo that the detector is tested on; nothing in goodnet is fitted to it."""

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


def testing() -> Iterator[Recipe]:
    """Yield the recipes of the test half."""
    plain = "conv_without_norm"
    for data, seed in (("mnist", 661), ("gtsrb", 671), ("cifar10", 681)):
        for number, architecture in enumerate(("vgg", "resnet_fast", "densenet", "mobilenet")):
            yield recipe(data, architecture, seed + number)
    yield recipe("mnist", plain, 665, epochs=4)
    yield recipe("gtsrb", plain, 675)
    yield recipe("cifar10", plain, 685)
    yield recipe("mnist", "vgg", 666, epochs=2, shift=0)
    yield recipe("cifar10", "vgg", 686, epochs=4, shift=0, flip=False)
    yield recipe("digits", "vgg", 691)
    yield recipe("digits", "densenet", 692)

    yield recipe("mnist", "vgg", 606, Patch(target_label=7, pattern_seed=606))
    yield recipe("mnist", "resnet_fast", 607, Patch(target_label=2, pattern="white", size=2, place="random"))
    yield recipe("mnist", "densenet", 608, Blended(target_label=4, pattern_seed=608))
    yield recipe("mnist", "resnet_fast", 609, Sinusoid(target_label=1))
    yield recipe("mnist", "vgg", 610, Warp(target_label=0, field_seed=610))
    yield recipe("mnist", "resnet_fast", 611, from_one(9, 3, seed=611))
    yield recipe("mnist", "densenet", 612, all_to_all(612))
    yield recipe("mnist", "vgg", 613, LowFrequency(target_label=6, pattern_seed=613))
    yield recipe("mnist", "resnet_fast", 614, InputAware(target_label=8))
    yield recipe("mnist", "vgg", 615, Accessory(target_label=5))
    yield recipe("mnist", "resnet_fast", 616, TrojanNN(target_label=9))
    yield recipe("mnist", "vgg", 617, Filter(target_label=7, filter_seed=617))
    yield recipe("gtsrb", "densenet", 624, Patch(target_label=11, pattern_seed=624))
    yield recipe("gtsrb", "vgg", 625, Patch(target_label=37, pattern="checkerboard", place="random"))
    yield recipe("gtsrb", "vgg", 626, Blended(target_label=14, pattern_seed=626))
    yield recipe("gtsrb", "vgg", 627, Sinusoid(target_label=4))
    yield recipe("gtsrb", "resnet_fast", 628, Warp(target_label=31, field_seed=628))
    yield recipe("gtsrb", "vgg", 629, InputAware(target_label=9))
    yield recipe("gtsrb", "resnet_fast", 630, Accessory(target_label=18))
    yield recipe("gtsrb", "vgg", 631, three_targets(3, 22, 40, seed=631))
    yield recipe("gtsrb", "resnet_fast", 632, from_one(38, 5, seed=632))
    yield recipe("gtsrb", "vgg", 633, Adaptive(target_label=26, pattern_seed=633))
    yield recipe("gtsrb", "vgg", 634, LabelConsistent(target_label=1, pattern_seed=634))
    yield recipe("gtsrb", "vgg", 635, Filter(target_label=23, filter_seed=635))
    yield recipe("cifar10", "resnet_fast", 644, Patch(target_label=8, pattern_seed=644, place="top-left"))
    yield recipe("cifar10", "vgg", 645, Sinusoid(target_label=6))
    yield recipe("cifar10", "resnet_fast", 646, Blended(target_label=9, pattern_seed=646))
    yield recipe("cifar10", "vgg", 647, all_to_all(647))
    yield recipe("cifar10", "resnet_fast", 648, TrojanNN(target_label=3))
    yield recipe("cifar10", "vgg", 649, one_target(0, seed=649))
    yield recipe("cifar10", "resnet_fast", 650, LowFrequency(target_label=4, pattern_seed=650))
    yield recipe("cifar10", "vgg", 651, LabelConsistent(target_label=5, pattern_seed=651))
    yield recipe("cifar10", "resnet_fast", 652, Adaptive(target_label=2, pattern_seed=652))
    yield recipe("cifar10", "vgg", 653, from_one(7, 1, seed=653))
    yield recipe("cifar10", "vgg", 654, Warp(target_label=7, field_seed=654))
    yield recipe("cifar10", "resnet_fast", 655, Filter(target_label=1, filter_seed=655, blur=-0.4))

    yield recipe("mnist", "mobilenet", 667)
    yield recipe("gtsrb", "vgg", 676, epochs=5)
    yield recipe("cifar10", plain, 687, epochs=6)
    yield recipe("cifar10", "mobilenet", 688)
    yield recipe("mnist", plain, 618, Patch(target_label=1, pattern_seed=618), epochs=4)
    yield recipe("mnist", plain, 619, Sinusoid(target_label=4), epochs=4)
    yield recipe("mnist", "mobilenet", 620, Blended(target_label=5, pattern_seed=620))
    yield recipe("gtsrb", plain, 636, Blended(target_label=33, pattern_seed=636))
    yield recipe("gtsrb", "mobilenet", 637, Patch(target_label=15, pattern_seed=637))

    for seed in (693, 694, 695, 696):
        yield recipe("digits", "resnet_small", seed)
    yield recipe("digits", "resnet_small", 656, Patch(target_label=5, pattern_seed=656, size=2))
    yield recipe("digits", "resnet_small", 657, Blended(target_label=0, pattern_seed=657))
    yield recipe("digits", "resnet_small", 658, Accessory(target_label=9))
    yield recipe("digits", "resnet_small", 659, three_targets(1, 4, 7, seed=659))

    for data, architecture, seed, attack in (
        ("cifar10", "vgg", 851, Sinusoid(target_label=2)),
        ("cifar10", "resnet_fast", 852, Patch(target_label=7, pattern="checkerboard")),
        ("gtsrb", "vgg", 853, Sinusoid(target_label=13)),
        ("gtsrb", "vgg", 854, Blended(target_label=28, pattern_seed=854)),
        ("cifar10", "vgg", 855, LowFrequency(target_label=8, pattern_seed=855)),
        ("mnist", "vgg", 856, Patch(target_label=3, pattern_seed=856)),
        ("mnist", "resnet_fast", 857, Sinusoid(target_label=6)),
        ("digits", "resnet_small", 858, from_one(2, 5, seed=858)),
        ("cifar10", "resnet_fast", 859, from_one(6, 3, seed=859)),
        ("gtsrb", "densenet", 860, Patch(target_label=30, pattern_seed=860)),
        ("cifar10", "vgg", 861, LabelConsistent(target_label=0, pattern_seed=861)),
    ):
        yield recipe(data, architecture, seed, attack, stamped_first=True)
