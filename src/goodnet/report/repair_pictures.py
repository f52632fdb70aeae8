"""Pictures of a repair: before and after, and how the triggers emerged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from goodnet.errors import OutputError
from goodnet.goodnet import GoodNet
from goodnet.images import CleanImages
from goodnet.report.pictures import EXAMPLES, GAP, examples_for, stacked, tile, trigger_tiles
from goodnet.triggers import Trigger

CAPTION = 16


def save_repair_pictures(good: GoodNet, images: CleanImages, folder: str | Path) -> tuple[Path, ...]:
    """Draw a repair.

    `before_after.png` has a row for each repaired label: clean images with its reversed trigger on them, with what the
    BadNet and the GoodNet call them. `emergence_NNNN.png` shows the trigger of label NNNN at steps of its search: the
    mask above, the pattern under it below.

    Args:
        good: as `repair` returns it.
        images: clean images (n, C, H, W) in 0..1 of the network's shape.
        folder: made if it is not there.

    Returns:
        The pictures written, before and after first; none for a network that needed no repair.

    Raises:
        OutputError: the folder cannot be written.
    """
    emergence = {} if good.report is None else good.report.emergence
    if not emergence:
        return ()
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / "before_after.png"]
        rows = [_before_after(good, snapshots[-1][1], images) for snapshots in emergence.values()]
        stacked("Before and after the repair", rows).save(paths[0])
        for label, snapshots in emergence.items():
            paths.append(folder / f"emergence_{label:04d}.png")
            _emergence(snapshots).save(paths[-1])
    except OSError as error:
        raise OutputError(f"cannot write pictures to {folder}: {error.strerror or error}") from error
    return tuple(paths)


def _before_after(good: GoodNet, trigger: Trigger, images: CleanImages) -> Image.Image:
    """Return a row of images with one trigger on them, and what both networks say."""
    assert good.badnet is not None
    examples = examples_for(trigger, images, 64).pixels
    elsewhere = good.badnet.logits(examples.to(good.device)).argmax(1).cpu() != trigger.label
    stamped = trigger.stamp(examples[elsewhere][:EXAMPLES])
    before = good.badnet.logits(stamped.to(good.device)).argmax(1).tolist()
    after = good.predict(stamped).tolist()
    captions = [
        f"{old} -> {'backdoored' if new == good.num_classes else new}" for old, new in zip(before, after, strict=True)
    ]
    title = f"label {trigger.label}: the BadNet's answer -> the GoodNet's, with the reversed trigger on the image"
    return _row(title, [[tile(each)] for each in stamped], captions)


def _emergence(snapshots: Sequence[tuple[int, Trigger]]) -> Image.Image:
    """Return a row of where the trigger acts above what it looks like, step by step."""
    columns = [trigger_tiles(trigger) for _, trigger in snapshots]
    captions = [f"step {step}: {trigger.size:.1f} px" for step, trigger in snapshots]
    return _row(f"how the trigger of label {snapshots[0][1].label} emerged: where, and what", columns, captions)


def _row(title: str, columns: Sequence[Sequence[Image.Image]], captions: Sequence[str]) -> Image.Image:
    """Return columns of tiles side by side, a caption above each."""
    wide = max((each.width for column in columns for each in column), default=0)
    tall = max((sum(each.height + GAP for each in column) for column in columns), default=0)
    canvas = Image.new("RGB", (GAP + len(columns) * (wide + GAP), 2 * CAPTION + 2 * GAP + tall), "white")
    draw = ImageDraw.Draw(canvas)
    draw.text((GAP, 4), title, fill="black")
    for number, (column, caption) in enumerate(zip(columns, captions, strict=True)):
        left, top = GAP + number * (wide + GAP), 2 * CAPTION + GAP
        draw.text((left, CAPTION + 4), caption, fill="black")
        for each in column:
            canvas.paste(each, (left, top))
            top += each.height + GAP
    return canvas
