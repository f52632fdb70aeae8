"""The command scan."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import cast

import typer

from goodnet.cli import options, outputs, parse
from goodnet.cli.app import INTERRUPTED, USAGE, app, complain, exit_codes, messages, output
from goodnet.errors import ImagesError, PreflightError, UsageError
from goodnet.formats import load_model
from goodnet.images import CleanImages, fit_to, load_images
from goodnet.report.pictures import save_triggers
from goodnet.report.schema import ScanReport
from goodnet.report.terminal import ScanProgress, show
from goodnet.scan import Preset
from goodnet.scan import scan as run_scan

EXIT = {"clean": 0, "backdoored": 1, "inconclusive": 3}

HELP = """Look for a backdoor in MODEL.

Exit code: 0 clean, 1 backdoored, 2 error, 3 inconclusive, 130 interrupted.

\b
Examples:
  goodnet scan net.onnx --images photos/
  goodnet scan net.h5 --images set.npz --keys test_x,test_y --json report.json
  goodnet scan net.pt --images set.npz --input-shape 3,32,32 --pixel-range -1,1
  goodnet scan net.safetensors --arch timm:resnet18 --images photos/ --resize
  goodnet scan net.onnx --images none
"""

NO_IMAGES = "none"

logger = logging.getLogger(__name__)


@app.command(help=HELP)
@exit_codes()
def scan(
    model: options.Model,
    images: options.Images,
    json: options.Json = None,
    save_triggers_to: options.SaveTriggers = None,
    preset: options.Preset = "fast",
    labels: options.Labels = None,
    seed: options.Seed = 0,
    device: options.Device = "cpu",
    resume: options.Resume = False,
    checkpoint: options.Checkpoint = None,
    keys: options.Keys = None,
    limit: options.Limit = 256,
    split: options.Split = "test",
    value_range: options.ValueRange = None,
    no_labels: options.NoLabels = False,
    resize: options.Resize = False,
    download: options.Download = False,
    pixel_range: options.PixelRange = None,
    mean: options.Mean = None,
    std: options.Std = None,
    bgr: options.Bgr = False,
    transposed: options.Transposed = False,
    input_shape: options.InputShape = None,
    arch: options.Arch = None,
    num_classes: options.NumClasses = None,
) -> None:
    """Look for a backdoor in MODEL; see `HELP`."""
    if preset not in ("fast", "classic"):
        raise UsageError(f"--preset expects fast or classic, got {preset!r}")
    if images == NO_IMAGES and save_triggers_to is not None:
        raise UsageError("--save-triggers needs images: without any, no trigger is reversed")
    explicit = parse.preprocessing(pixel_range, mean, std, bgr, transposed)
    wanted = parse.labels("--labels", labels)
    names, values = parse.names("--keys", keys), parse.pair("--value-range", value_range)
    stated_shape = parse.shape("--input-shape", input_shape)
    if json is not None:
        outputs.require_file(json)
    for folder in (save_triggers_to, checkpoint):
        if folder is not None:
            outputs.require_folder(folder)
    kept = checkpoint or outputs.unfinished_scans()
    if resume and kept is None:
        raise UsageError("--resume needs the folder of the interrupted scan: name it with --checkpoint")
    classifier = load_model(
        model,
        **explicit,
        input_shape=stated_shape,
        arch=arch,
        num_classes=num_classes,
        device=device,
    )
    read = partial(
        load_images,
        images,
        keys=names,
        labels=not no_labels,
        limit=limit,
        seed=seed,
        split=split,
        shape=classifier.input_shape,
        resize=resize,
        value_range=values,
        download=download,
    )
    clean = None if images == NO_IMAGES else read()
    notes = clean.notes if clean else ()
    for note in notes:
        logger.info("%s", note)
    try:
        with ScanProgress(messages) as progress:
            report = run_scan(
                classifier,
                clean,
                preset=cast(Preset, preset),
                labels=wanted,
                seed=seed,
                explicit=bool(explicit),
                resize=resize,
                checkpoint=kept,
                resume=resume,
                progress=progress,
            )
    except KeyboardInterrupt:
        again = "; finished labels are kept: the same command with --resume goes on from there" if kept else ""
        messages.print(f"interrupted{again}", soft_wrap=True)
        raise typer.Exit(INTERRUPTED) from None
    except (ImagesError, PreflightError) as error:
        raise type(error)(f"{error}\nThe images were read so: {'; '.join(notes) or 'none'}.") from error
    show(report, output)
    # What was found is on the screen and decides the exit code, even if a file cannot be written after all.
    failed = _write(report, clean, json, save_triggers_to, resize)
    raise typer.Exit(EXIT[report.verdict] or (USAGE if failed else 0))


def _write(
    report: ScanReport, images: CleanImages | None, json: Path | None, triggers: Path | None, resize: bool
) -> bool:
    """Write the report and the triggers where they are wanted; complain of what cannot be, and return whether any."""
    failed = []
    if json is not None:
        failed.append(outputs.rescued(report.save_json, json))
    if triggers is not None and images is not None:
        fitted = fit_to(images, report.model.input_shape, resize)
        failed.append(outputs.rescued(partial(save_triggers, report, fitted), triggers))
    for failure in filter(None, failed):
        complain(failure)
    return any(failed)
