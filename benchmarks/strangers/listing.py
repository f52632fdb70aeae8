"""The networks: two lists that were drawn up one after the other, the second mostly of those trained with crops, and a
third whose kinds are fixed and whose all else is drawn.
"""

from __future__ import annotations

import random
from typing import Any

from strangers.attacks import Attack, blend, corners, glasses, moved, own, patch, sinusoid, tint, warp
from strangers.training import Stranger

PATCH = Attack((patch(3),))
ONE_CLASS = Attack((patch(4),), "one class")
ALL_TO_ALL = Attack((patch(3),), "all to all")
WARP = Attack((warp(),), "warped")
CLEAN_LABEL = Attack((corners(),), "clean label")
TWO = Attack((patch(3), patch(3, anywhere=True)))
CROPS: dict[str, Any] = {"optimizer": "sgd", "shift": 2}

FIRST = (
    Stranger(101, "mnist", "lenet"),
    Stranger(102, "mnist", "mlp"),
    Stranger(103, "mnist", "lenet", "patch", Attack((patch(4),))),
    Stranger(104, "mnist", "mlp", "patch", Attack((patch(3, anywhere=True),))),
    Stranger(105, "mnist", "leaky", "blend", Attack((blend(0.2),))),
    Stranger(106, "mnist", "leaky", epochs=3),
    Stranger(107, "mnist", "residual", "sinusoid", Attack((sinusoid(40),)), optimizer="sgd"),
    Stranger(108, "mnist", "lenet", "all_to_all", ALL_TO_ALL),
    Stranger(109, "mnist", "residual", "one_class", ONE_CLASS, optimizer="sgd"),
    Stranger(110, "mnist", "six", "warp", WARP),
    Stranger(111, "gtsrb", "six", epochs=10),
    Stranger(112, "gtsrb", "lenet"),
    Stranger(114, "gtsrb", "residual", optimizer="sgd", shift=2),
    Stranger(116, "gtsrb", "lenet", "patch", Attack((patch(3, yellow=True),), rate=0.05)),
    Stranger(118, "gtsrb", "residual", "warp", WARP, optimizer="sgd", shift=1),
    Stranger(119, "gtsrb", "residual", "two", TWO, epochs=6, optimizer="sgd"),
    Stranger(121, "gtsrb", "residual", "sinusoid", Attack((sinusoid(20),)), epochs=6),
    Stranger(122, "gtsrb", "leaky", "one_class", ONE_CLASS),
    Stranger(124, "cifar10", "lenet", epochs=10),
    Stranger(126, "cifar10", "residual", epochs=12, optimizer="sgd", shift=3),
    Stranger(129, "cifar10", "residual", "sinusoid", Attack((sinusoid(30),)), epochs=10, **CROPS),
    Stranger(132, "cifar10", "residual", "all_to_all", ALL_TO_ALL, epochs=10, **CROPS),
    Stranger(134, "cifar10", "leaky", "one_class", ONE_CLASS, epochs=10),
    Stranger(135, "cifar10", "residual", "patch", Attack((patch(2),), rate=0.05), **CROPS),
)

SECOND = (
    Stranger(201, "gtsrb", "residual", epochs=9, **CROPS),
    Stranger(202, "cifar10", "residual", "sinusoid", Attack((sinusoid(20),)), epochs=9, **CROPS),
    Stranger(203, "gtsrb", "residual", "sinusoid", Attack((sinusoid(30),)), epochs=9, **CROPS),
    Stranger(204, "cifar10", "residual", epochs=9, **CROPS),
    Stranger(205, "mnist", "residual", "sinusoid", Attack((sinusoid(30),)), epochs=5, **CROPS),
    Stranger(206, "mnist", "residual", epochs=4, **CROPS),
    Stranger(207, "gtsrb", "residual", "patch", PATCH, epochs=9, **CROPS),
    Stranger(208, "cifar10", "residual", "patch", PATCH, epochs=9, **CROPS),
    Stranger(209, "cifar10", "residual", "blend", Attack((blend(0.2),)), epochs=9, **CROPS),
    Stranger(210, "gtsrb", "residual", "blend", Attack((blend(0.15),)), epochs=9, **CROPS),
    Stranger(211, "mnist", "residual", "clean_label", CLEAN_LABEL, epochs=5, **CROPS),
    Stranger(212, "mnist", "residual", "one_class", ONE_CLASS, epochs=5, **CROPS),
    Stranger(213, "gtsrb", "residual", "smooth", Attack((blend(0.2, smooth=True),)), epochs=9, **CROPS),
    Stranger(214, "cifar10", "residual", "smooth", Attack((blend(0.15, smooth=True),)), epochs=9, **CROPS),
    Stranger(215, "gtsrb", "residual", "clean_label", CLEAN_LABEL, epochs=9, **CROPS),
    Stranger(216, "cifar10", "residual", "clean_label", CLEAN_LABEL, epochs=9, **CROPS),
    Stranger(217, "gtsrb", "residual", epochs=7),
    Stranger(218, "cifar10", "residual", epochs=7),
    Stranger(219, "gtsrb", "residual", "one_class", ONE_CLASS, epochs=10, **CROPS),
    Stranger(220, "cifar10", "residual", "one_class", ONE_CLASS, epochs=10, **CROPS),
    Stranger(221, "mnist", "leaky", epochs=3, **CROPS),
    Stranger(222, "mnist", "leaky", epochs=3, optimizer="sgd"),
    Stranger(223, "gtsrb", "residual", "glasses", Attack((glasses(),)), epochs=9, **CROPS),
    Stranger(224, "cifar10", "residual", "warp", WARP, epochs=10, **CROPS),
    Stranger(225, "gtsrb", "residual", "tint", Attack((tint(),)), **CROPS),
    Stranger(226, "cifar10", "residual", "tint", Attack((tint(),)), **CROPS),
    Stranger(227, "mnist", "residual", epochs=4),
    Stranger(228, "mnist", "residual", "warp", WARP, epochs=5, **CROPS),
    Stranger(229, "gtsrb", "residual", epochs=12, **CROPS),
    Stranger(230, "cifar10", "residual", epochs=5, **CROPS),
    Stranger(231, "mnist", "lenet", "sinusoid", Attack((sinusoid(30),)), epochs=4),
    Stranger(232, "mnist", "lenet", epochs=4, **CROPS),
    Stranger(233, "gtsrb", "lenet", "sinusoid", Attack((sinusoid(30),))),
    Stranger(234, "cifar10", "lenet", "blend", Attack((blend(0.15),))),
    Stranger(235, "gtsrb", "lenet", optimizer="sgd"),
    Stranger(236, "cifar10", "lenet", epochs=7, shift=2),
)

KINDS: tuple[tuple[str, Attack | None], ...] = (
    ("patch", Attack((patch(2),), rate=0.03)),
    ("patch", Attack((patch(5, anywhere=True),))),
    ("moved", Attack((moved(4),))),
    ("blend", Attack((blend(0.12),))),
    ("blend", Attack((blend(0.3),), rate=0.03)),
    ("smooth", Attack((blend(0.2, smooth=True),))),
    ("sinusoid", Attack((sinusoid(20),))),
    ("sinusoid", Attack((sinusoid(35),), rate=0.05)),
    ("warp", WARP),
    ("warp", WARP),
    ("own", Attack((own(0.1),))),
    ("own", Attack((own(0.2),))),
    ("one_class", ONE_CLASS),
    ("one_class", ONE_CLASS),
    ("all_to_all", ALL_TO_ALL),
    ("all_to_all", ALL_TO_ALL),
    ("clean_label", CLEAN_LABEL),
    ("two", TWO),
    ("glasses", Attack((glasses(),))),
    ("tint", Attack((tint(),))),
    *[("clean", None)] * 10,
)


def drawn(seed: int, kind: str, attack: Attack | None) -> Stranger:
    """Return a network with an attack of which all else is drawn; without norms SGD is too fast, so those take Adam."""
    draw = random.Random(seed)
    data = draw.choice(("mnist", "gtsrb", "gtsrb", "cifar10", "cifar10"))
    architecture = draw.choice(("lenet", "six", "leaky", "residual", "stacked", "separable", "grouped"))
    epochs = {"mnist": 4, "gtsrb": 8, "cifar10": 9}[data] + draw.randrange(3)
    optimizer, shift = draw.choice(("adam", "sgd")), draw.choice((0, 0, 1, 3))
    if architecture in ("lenet", "six"):
        optimizer = "adam"
    return Stranger(seed, data, architecture, kind, attack, epochs, optimizer, shift)


THIRD = tuple(drawn(301 + number, *each) for number, each in enumerate(KINDS))

STRANGERS = FIRST + SECOND + THIRD
