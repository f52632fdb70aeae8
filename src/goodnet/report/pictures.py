"""Reversed triggers on disk: full-precision arrays to compute with, and pictures to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from goodnet.errors import OutputError
from goodnet.images import CleanImages
from goodnet.report.schema import LabelReport, ScanReport
from goodnet.triggers import Trigger

EXAMPLES = 6
"""Stamped images in a picture."""

UNFLAGGED = 3
"""Labels without a flag that are drawn too, to compare with."""

TILE = 128
GAP = 6


def save_triggers(report: ScanReport, images: CleanImages, folder: str | Path) -> tuple[Path, ...]:
    """Write every reversed trigger as arrays, and the most suspicious ones as pictures.

    For each label that was searched fully there is `label_NNNN.npz` with `mask` (1, H, W) and `pattern` (C, H, W),
    float32 in 0..1. For the flagged labels and the next few there is `label_NNNN.png`: the mask, the pattern as far as
    the mask lets it through, and clean images with the trigger on them. `overview.png` has these rows together.

    Args:
        report: of a scan.
        images: clean images (n, C, H, W) in 0..1 of the shape that was scanned.
        folder: made if it is not there.

    Returns:
        The pictures written, the overview first.

    Raises:
        OutputError: the folder cannot be written.
    """
    folder = Path(folder)
    drawn = [entry for entry in report.labels if entry.label in report.triggers]
    drawn = [entry for entry in drawn if entry.flagged] + [entry for entry in drawn if not entry.flagged][:UNFLAGGED]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for label, trigger in report.triggers.items():
            np.savez(folder / f"label_{label:04d}.npz", mask=trigger.mask.numpy(), pattern=trigger.pattern.numpy())
        rows = [row(entry, report.triggers[entry.label], images) for entry in drawn]
        paths = [folder / f"label_{entry.label:04d}.png" for entry in drawn]
        for picture, path in zip(rows, paths, strict=True):
            picture.save(path)
        if not rows:
            return ()
        stacked(rows).save(folder / "overview.png")
    except OSError as error:
        raise OutputError(f"cannot write triggers to {folder}: {error.strerror or error}") from error
    return (folder / "overview.png", *paths)


def row(entry: LabelReport, trigger: Trigger, images: CleanImages) -> Image.Image:
    """Draw one label: a line of text above mask, masked pattern and stamped examples."""
    examples = images.pixels
    if images.labels is not None and bool((images.labels != entry.label).any()):
        examples = examples[images.labels != entry.label]
    visible = trigger.mask * trigger.pattern
    tiles = [tile(trigger.mask), tile(visible), *(tile(each) for each in trigger.stamp(examples[:EXAMPLES]))]
    width = GAP + sum(each.width + GAP for each in tiles)
    canvas = Image.new("RGB", (width, tiles[0].height + 2 * GAP + 16), "white")
    state = "FLAGGED" if entry.flagged else "not flagged"
    size = "-" if entry.trigger_size is None else f"{entry.trigger_size:.1f}"
    text = f"label {entry.label}  {state}  size {size} px  anomaly index {entry.anomaly_index:.1f}  ASR {entry.asr:.0%}"
    ImageDraw.Draw(canvas).text((GAP, 4), f"{text}   |   mask, pattern under it, stamped images", fill="black")
    left = GAP
    for each in tiles:
        canvas.paste(each, (left, 16 + GAP))
        left += each.width + GAP
    return canvas


def tile(pixels: Tensor) -> Image.Image:
    """Return an image (C, H, W) in 0..1 as a picture whose longer side is `TILE` pixels, each pixel sharp."""
    channels, height, width = pixels.shape
    if channels not in (1, 3):
        pixels = pixels[:3] if channels > 3 else pixels[:1]
    grey = (pixels.clamp(0, 1) * 255).round().to(torch.uint8).expand(3, -1, -1)
    scale = TILE / max(height, width)
    picture = Image.fromarray(grey.permute(1, 2, 0).contiguous().numpy())
    return picture.resize((max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.NEAREST)


def stacked(rows: Sequence[Image.Image]) -> Image.Image:
    """Return pictures one below the other."""
    canvas = Image.new("RGB", (max(each.width for each in rows), sum(each.height for each in rows)), "white")
    top = 0
    for each in rows:
        canvas.paste(each, (0, top))
        top += each.height
    return canvas
