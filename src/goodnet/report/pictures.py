"""Reversed triggers on disk: full-precision arrays to compute with, and pictures to look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from goodnet.errors import OutputError
from goodnet.images import CleanImages
from goodnet.report.schema import LabelReport, ScanReport
from goodnet.triggers import Trigger

EXAMPLES = 6
"""Stamped images in a picture."""

FLAGGED = 16
"""Flagged labels, at most, that are drawn."""

UNFLAGGED = 3
"""Labels without a flag that are drawn too, to compare with."""

SIDES = (128, 256)
"""The least and the most pixels of a tile's longer side; in between, an image is drawn pixel by pixel."""

REACH = {"warp": "shift", "filter": "change", "additive": "added"}
"""What is drawn in the place of the mask: how far a warp moves each pixel, how much a filter changes a grey board, and
what an additive trigger adds, on grey and as strong as a picture allows."""

GAP = 8
LINE = 16


def save_triggers(report: ScanReport, images: CleanImages, folder: str | Path) -> tuple[Path, ...]:
    """Write every reversed trigger as arrays, and the most suspicious ones as pictures.

    For each label that was searched fully there is `label_NNNN.npz` with `mask` (1, H, W) and `pattern` (C, H, W),
    float32 in 0..1, for a warp `flow` (2, H, W) in pixels, for a filter `kernel` (C, C + 1, 3, 3), for an additive
    trigger `change` (C, H, W), and for one that a network draws for each image that network's weights `inner` and
    `outer`. For the flagged labels and the next few there is `label_NNNN.png`: the mask, or what
    `REACH` says, above the trigger on a chequerboard, and clean images above the same ones with the trigger on them.
    `overview.png` has these together, below the verdict.

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
    flagged, others = ([entry for entry in drawn if entry.flagged is flag] for flag in (True, False))
    drawn = [*flagged[:FLAGGED], *others[:UNFLAGGED]]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for label, trigger in report.triggers.items():
            arrays = {name: getattr(trigger, name) for name in ("mask", "pattern", "change", "flow", "kernel")}
            if trigger.network is not None:
                arrays |= dict(zip(("inner", "outer"), trigger.network, strict=True))
            kept: dict[str, Any] = {name: array.numpy() for name, array in arrays.items() if array is not None}
            np.savez(folder / f"label_{label:04d}.npz", **kept)
        rows = [draw(entry, report.triggers[entry.label], images) for entry in drawn]
        paths = [folder / f"label_{entry.label:04d}.png" for entry in drawn]
        for picture, path in zip(rows, paths, strict=True):
            picture.save(path)
        if not rows:
            return ()
        stacked(_verdict(report), rows).save(folder / "overview.png")
    except OSError as error:
        raise OutputError(f"cannot write triggers to {folder}: {error.strerror or error}") from error
    return (folder / "overview.png", *paths)


def draw(entry: LabelReport, trigger: Trigger, images: CleanImages) -> Image.Image:
    """Draw one label: a line of text, below it mask and clean images, and below these pattern and stamped images."""
    examples = examples_for(trigger, images)
    clean, stamped = examples.pixels, trigger.stamp(examples.pixels)
    labels = ["clean"] * len(examples)
    if examples.labels is not None:
        labels = [f"clean, label {label}" for label in examples.labels.tolist()]
    reach, shown = trigger_tiles(trigger)
    upper = [(REACH.get(trigger.family, "mask"), reach), *zip(labels, map(tile, clean), strict=True)]
    lower = [("trigger", shown), *(("stamped", tile(each)) for each in stamped)]
    width, height = upper[0][1].size
    canvas = Image.new("RGB", (GAP + len(upper) * (width + GAP), LINE + 2 * (height + LINE + GAP)), "white")
    pen = ImageDraw.Draw(canvas)
    pen.text((GAP, 1), _title(entry), fill="#b00000" if entry.flagged else "black", font=_font(13))
    for top, tiles in ((LINE, upper), (LINE + height + LINE + GAP, lower)):
        for place, (caption, picture) in enumerate(tiles):
            left = GAP + place * (width + GAP)
            pen.text((left, top + 2), caption, fill="#606060", font=_font(11))
            canvas.paste(picture, (left, top + LINE))
    return canvas


def examples_for(trigger: Trigger, images: CleanImages, count: int = EXAMPLES) -> CleanImages:
    """Return up to `count` images that a trigger is to work on, one of each class before any comes twice.

    They are of its victim's class, or else of none but its label's; where images have no labels, the first ones.
    """
    if images.labels is None:
        return images.take(torch.arange(min(count, len(images))))
    seen: Counter[int] = Counter()
    turns = []
    for place, own in enumerate(images.labels.tolist()):
        if own != trigger.label if trigger.victim is None else own == trigger.victim:
            turns.append((seen[own], place))
            seen[own] += 1
    return images.take(torch.tensor([place for _, place in sorted(turns)[:count]], dtype=torch.int64))


def trigger_tiles(trigger: Trigger) -> tuple[Image.Image, Image.Image]:
    """Return where a trigger acts, as `REACH` says or else its mask, and what it does to a grey board."""
    board = chequered(trigger.pattern)
    stamped, (mask, _) = trigger.stamp(board[None])[0], trigger.drawn_for(board[None])
    reach = mask.view(mask.shape[-3:])
    if trigger.flow is not None:
        reach = trigger.flow.norm(dim=0, keepdim=True)
    elif trigger.kernel is not None:
        reach = (stamped - board).abs().mean(0, keepdim=True)
    elif trigger.change is not None:
        return tile(0.5 + trigger.change / (2 * trigger.change.abs().max()).clamp_min(1e-6)), tile(stamped)
    if trigger.family in REACH:
        reach = reach / reach.max().clamp_min(1e-6)
    return tile(reach), tile(stamped)


def tile(pixels: Tensor) -> Image.Image:
    """Return an image (C, H, W) in 0..1 as a picture with a longer side within `SIDES`, pixels sharp when enlarged."""
    channels, height, width = pixels.shape
    if channels not in (1, 3):
        pixels = pixels[:3] if channels > 3 else pixels[:1]
    rgb = (pixels.clamp(0, 1) * 255).round().to(torch.uint8).expand(3, -1, -1)
    scale = min(max(max(height, width), SIDES[0]), SIDES[1]) / max(height, width)
    picture = Image.fromarray(rgb.permute(1, 2, 0).contiguous().numpy())
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return picture.resize(size, Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX)


def chequered(like: Tensor) -> Tensor:
    """Return a grey chequerboard of the shape of `like` (C, H, W), to show where a trigger changes nothing."""
    _, height, width = like.shape
    square = max(1, max(height, width) // 16)
    rows, columns = torch.arange(height) // square, torch.arange(width) // square
    return (0.45 + 0.1 * ((rows[:, None] + columns) % 2)).expand_as(like)


def stacked(heading: str, rows: Sequence[Image.Image]) -> Image.Image:
    """Return pictures one below the other under a heading."""
    top = 2 * LINE
    canvas = Image.new(
        "RGB", (max(each.width for each in rows), top + sum(each.height + GAP for each in rows)), "white"
    )
    ImageDraw.Draw(canvas).text((GAP, GAP), heading, fill="black", font=_font(15))
    for each in rows:
        canvas.paste(each, (0, top))
        top += each.height + GAP
    return canvas


def _title(entry: LabelReport) -> str:
    state = "TARGET OF A BACKDOOR" if entry.flagged else "not flagged"
    state += "" if entry.victim is None else f" for images of {entry.victim}"
    state += ", drawn for each image" if entry.family == "generator" else ""
    size = "" if entry.trigger_size is None else f", trigger size {entry.trigger_size:.1f} px"
    return f"label {entry.label}: {state}{size}, anomaly index {entry.anomaly_index:.1f}, ASR {entry.asr:.0%}"


def _verdict(report: ScanReport) -> str:
    return f"{Path(report.model.path).name}: {report.verdict}, probability of a backdoor {report.score:.2f}"


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
