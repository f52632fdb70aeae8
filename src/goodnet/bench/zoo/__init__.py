"""The zoo: recipes of networks, clean and infected, to develop the detector on and, kept apart, to test it on.

The two halves share no seed. Backdoors in the architectures VGG and DenseNet are in the test zoo alone but for those
under which no label stands out, and so are those in MNIST but for a filter, a patch, a blend and a sinusoid; backdoors
in vision transformers are in the development zoo alone. Networks with a seed from 800 on were trained on poisoned data
that was augmented after the stamping; three that did not learn their backdoor so are left out. Nothing in goodnet is
fitted to the test zoo.
"""

from __future__ import annotations

from typing import Literal

from goodnet.bench.zoo.development import development
from goodnet.bench.zoo.testing import testing
from goodnet.redteam import Recipe

Half = Literal["development", "test"]


def recipes(half: Half) -> tuple[Recipe, ...]:
    """Return the recipes of one half of the zoo."""
    return tuple(development() if half == "development" else testing())
