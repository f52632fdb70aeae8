"""What takes too long on a slow processor is left out there."""

from __future__ import annotations

import os

import pytest
import torch

from goodnet.engine import fast_bfloat16


@pytest.fixture
def patience() -> None:
    """Skip a test of many minutes where the processor does not multiply bfloat16 and $GOODNET_LONG is not set."""
    if not (fast_bfloat16(torch.device("cpu")) or os.environ.get("GOODNET_LONG")):
        pytest.skip("takes many minutes without bfloat16; GOODNET_LONG=1 runs it")
