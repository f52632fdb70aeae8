"""The command repair."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from goodnet.classifier import Preprocessing
from goodnet.cli import options, outputs, parse
from goodnet.cli.app import INTERRUPTED, USAGE, app, complain, exit_codes, messages, output
from goodnet.errors import GoodnetError, ModelError, OutputError
from goodnet.export.files import export_for, save_somehow
from goodnet.formats import load_model
from goodnet.goodnet import GoodNet
from goodnet.guard import GuardConfig
from goodnet.images import fit_to, load_images
from goodnet.repair import RepairConfig
from goodnet.repair import repair as run_repair
from goodnet.report.reading import read_scan_report
from goodnet.report.repair_pictures import save_repair_pictures
from goodnet.report.repair_terminal import show_repair
from goodnet.report.schema import ScanReport
from goodnet.report.terminal import ScanProgress
from goodnet.whole import written_whole

EXIT = {"repaired": 0, "unchanged": 0, "incomplete": 1, "inconclusive": 3}


@app.command()
@exit_codes()
def repair(
    model: options.Model,
    images: options.Images,
    out: Annotated[
        Path, typer.Option("--output", "-o", help="Write the GoodNet to this file: .onnx, .pt2, .ts or .keras.")
    ],
    report: Annotated[
        Path | None, typer.Option(help="Scan report of this model, by scan --json; without, it is scanned first.")
    ] = None,
    method: Annotated[
        str, typer.Option(help="unlearn, prune, finetune or paper; or auto to try them and pick by what they do.")
    ] = "auto",
    labels: Annotated[str | None, typer.Option(help="Repair these labels, such as 0,5,7-9, without a scan.")] = None,
    triggered: Annotated[
        str | None, typer.Option(help="Images with the real trigger and their true labels, only to measure with.")
    ] = None,
    json: options.Json = None,
    pictures: Annotated[
        Path | None, typer.Option(help="Draw to this folder: before and after, and how the triggers emerged.")
    ] = None,
    false_positives: Annotated[
        float,
        typer.Option(min=0, max=0.5, help="Share of a flagged label's clean inputs that may be called backdoored."),
    ] = 0.01,
    rounds: Annotated[int, typer.Option(min=1, help="At most so many rounds of repair.")] = 3,
    seed: options.Seed = 0,
    device: options.Device = "cpu",
    keys: options.Keys = None,
    limit: options.Limit = 5000,
    split: options.Split = "train",
    value_range: options.ValueRange = None,
    no_labels: options.NoLabels = False,
    resize: options.Resize = False,
    pixel_range: options.PixelRange = None,
    mean: options.Mean = None,
    std: options.Std = None,
    bgr: options.Bgr = False,
    transposed: options.Transposed = False,
    input_shape: options.InputShape = None,
    arch: options.Arch = None,
    num_classes: options.NumClasses = None,
) -> None:
    """Remove the backdoor from MODEL. Exit code 0: nothing is left, 1: a backdoor is, 2: error, 3: inconclusive."""
    explicit = parse.preprocessing(pixel_range, mean, std, bgr, transposed)
    wanted, names = parse.labels("--labels", labels), parse.names("--keys", keys)
    values, stated_shape = parse.pair("--value-range", value_range), parse.shape("--input-shape", input_shape)
    export_for(out)
    for file in filter(None, (out, json)):
        outputs.require_file(file)
    if pictures is not None:
        outputs.require_folder(pictures)
    made: list[ScanReport] = []
    scanned = None if report is None else read_scan_report(report)
    classifier = load_model(
        model,
        **explicit,
        input_shape=stated_shape,
        arch=arch,
        num_classes=num_classes,
        device=device,
    )
    read = partial(load_images, seed=seed, split=split, shape=classifier.input_shape, resize=resize, value_range=values)
    clean = read(images, keys=names, limit=limit, labels=not no_labels)
    real = None if triggered is None else read(triggered)
    try:
        with ScanProgress(messages) as progress:
            good = run_repair(
                classifier,
                clean,
                scanned,
                method=method,
                labels=wanted,
                triggered=real,
                seed=seed,
                explicit=bool(explicit),
                resize=resize,
                config=RepairConfig(rounds=rounds, guard=GuardConfig(false_positive_rate=false_positives)),
                progress=progress,
                scanned=made.append,
            )
            written, problem = write_goodnet(good, Path(model), out)
    except KeyboardInterrupt:
        messages.print("interrupted; no GoodNet was written")
        _keep(made, out)
        raise typer.Exit(INTERRUPTED) from None
    except GoodnetError:
        _keep(made, out)
        raise
    done = good.report
    assert done is not None
    show_repair(done, output)
    output.print(f"written to {written}", highlight=False, soft_wrap=True)
    failed: list[GoodnetError | None] = []
    if problem is not None:
        failed.append(OutputError(f"{problem}. It is in {written} now"))
    if json is not None:
        failed.append(outputs.rescued(done.save_json, json))
    if pictures is not None:
        fitted = fit_to(clean, good.facts.input_shape, resize)
        failed.append(outputs.rescued(partial(save_repair_pictures, good, fitted), pictures))
    for failure in filter(None, failed):
        complain(failure)
    raise typer.Exit(EXIT[done.status] or (USAGE if any(failed) else 0))


def _keep(made: Sequence[ScanReport], out: Path) -> None:
    """Keep the scan that was made before a repair that came to nothing beside where the GoodNet was to be."""
    for report in made:
        kept = out.with_suffix(".scan.json")
        problem = outputs.rescued(report.save_json, kept)
        messages.print(problem or f"the scan is kept: go on from it with --report {kept}", soft_wrap=True)


def write_goodnet(good: GoodNet, model: Path, out: Path) -> tuple[Path, ModelError | None]:
    """Write the GoodNet; return where to, and what stood against the format that was asked for.

    A network without a backdoor is a copy of its own file where that says everything.
    """
    plain = good.repaired is not None and good.repaired.preprocessing == Preprocessing()
    if not good.facts.changed and plain and model.suffix.lower() == out.suffix.lower():
        with written_whole(out, "GoodNet") as unfinished:
            shutil.copyfile(model, unfinished)
        return out, None
    return save_somehow(good, out)
