"""One small BadNet and its repair, shared by the tests of this folder."""

from __future__ import annotations

import pytest

import goodnet
from goodnet.redteam.demo import DemoNets


@pytest.fixture(scope="session")
def triggered(nets: DemoNets) -> goodnet.CleanImages:
    return goodnet.CleanImages(nets.triggered.contiguous(), nets.triggered_labels, source="the attacker's images")


@pytest.fixture(scope="session")
def good(nets: DemoNets, triggered: goodnet.CleanImages) -> goodnet.GoodNet:
    return goodnet.repair(nets.badnet, nets.images, labels=[nets.target_label], triggered=triggered, seed=1)
