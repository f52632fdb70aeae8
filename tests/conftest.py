"""Shared fixtures."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

import goodnet
from goodnet import cli
from goodnet.redteam.demo import DemoNets, make_demo_nets
from goodnet.report import ScanReport


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


@pytest.fixture(scope="session")
def clean_report(nets: DemoNets) -> ScanReport:
    """A scan of the clean twin."""
    return goodnet.scan(nets.clean, nets.images, seed=1)


@pytest.fixture
def inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process, which is quicker; return exit code, output and messages."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "160")

    def run_inside(*arguments: object) -> tuple[int, str, str]:
        with warnings.catch_warnings(), pytest.raises(SystemExit) as stopped:
            warnings.simplefilter("ignore")
            cli.app.app([str(each) for each in arguments])
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, " ".join(err.split())

    return run_inside
