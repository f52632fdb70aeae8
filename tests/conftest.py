"""Shared fixtures."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest

from goodnet.redteam.demo import DemoNets, make_demo_nets


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with real models and images, from $GOODNET_DATA; the test is skipped where there is none."""
    place = os.environ.get("GOODNET_DATA")
    if not place or not Path(place).is_dir():
        pytest.skip("GOODNET_DATA names no folder with the real models and images")
    return Path(place)


@pytest.fixture(scope="session")
def keras():
    """Keras, on the backend that needs nothing more than torch."""
    os.environ["KERAS_BACKEND"] = "torch"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("keras")


@pytest.fixture(scope="session")
def nets() -> DemoNets:
    """A small BadNet and its clean twin, trained once for all tests, none of which changes them."""
    return make_demo_nets(1)
