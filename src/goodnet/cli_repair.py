"""The commands repair and predict: parse, call, print."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from goodnet.classifier import Preprocessing
from goodnet.cli import (
    INTERRUPTED,
    USAGE,
    app,
    complain,
    label_set,
    messages,
    numbers,
    output,
    pair,
    require_writable,
    shape,
)
from goodnet.errors import GoodnetError, OutputError
from goodnet.export import load_goodnet
from goodnet.export.files import export_for
from goodnet.formats import load_model
from goodnet.goodnet import GoodNet
from goodnet.guard import GuardConfig
from goodnet.images import CleanImages, fit_to, load_images
from goodnet.repair import RepairConfig
from goodnet.repair import repair as run_repair
from goodnet.report.reading import read_scan_report
from goodnet.report.repair_pictures import save_repair_pictures
from goodnet.report.repair_terminal import show_repair
from goodnet.report.schema import write_json
from goodnet.report.terminal import ScanProgress

EXIT = {"repaired": 0, "unchanged": 0, "incomplete": 1, "inconclusive": 3}


@app.command()
def repair(
    model: Annotated[str, typer.Argument(help="Model file: Keras, ONNX, TorchScript, .pt2, or weights with --arch.")],
    images: Annotated[str, typer.Option(help="Clean images: .npz, HDF5, parquet, a folder, or torchvision:NAME@ROOT.")],
    out: Annotated[Path, typer.Option("--output", "-o", help="Write the GoodNet to this file: .onnx or .pt2.")],
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
    json: Annotated[Path | None, typer.Option(help="Write the repair report as JSON to this file.")] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="Draw to this folder: before and after, and how the triggers emerged.")
    ] = None,
    false_positives: Annotated[
        float,
        typer.Option(min=0, max=0.5, help="Share of clean inputs of flagged labels that may be called backdoored."),
    ] = 0.01,
    rounds: Annotated[int, typer.Option(min=1, help="At most so many rounds of repair.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of every random draw.")] = 0,
    keys: Annotated[
        str | None, typer.Option(help="Names of the arrays with images and labels, such as train_x,train_y.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Use at most so many of the images.")] = 5000,
    split: Annotated[str, typer.Option(help="Which part of a data set that comes in several.")] = "train",
    value_range: Annotated[str | None, typer.Option(help="Values of black and white in the image file.")] = None,
    no_labels: Annotated[bool, typer.Option("--no-labels", help="Ignore the labels of the images.")] = False,
    resize: Annotated[bool, typer.Option("--resize", help="Bring the images to the model's size and colours.")] = False,
    pixel_range: Annotated[str | None, typer.Option(help="Values of black and white that the model wants.")] = None,
    mean: Annotated[str | None, typer.Option(help="Mean per channel that the model wants taken off.")] = None,
    std: Annotated[str | None, typer.Option(help="Standard deviation per channel to divide by.")] = None,
    bgr: Annotated[bool, typer.Option("--bgr", help="The model wants blue before red.")] = False,
    transposed: Annotated[bool, typer.Option("--transposed", help="The model wants width before height.")] = False,
    input_shape: Annotated[str | None, typer.Option(help="channels,height,width where the file does not say.")] = None,
    arch: Annotated[str | None, typer.Option(help="Architecture of a file of weights, such as timm:resnet18.")] = None,
    num_classes: Annotated[int | None, typer.Option(help="Number of classes where the file does not say.")] = None,
    device: Annotated[str, typer.Option(help="Where to run: cpu, cuda, cuda:1, ...")] = "cpu",
) -> None:
    """Remove the backdoor from MODEL. Exit code 0: nothing is left, 1: a backdoor is, 2: error, 3: inconclusive."""
    given = {
        "pixel_range": pair("--pixel-range", pixel_range),
        "mean": numbers("--mean", mean),
        "std": numbers("--std", std),
        "bgr": bgr or None,
        "transposed": transposed or None,
    }
    explicit = {name: value for name, value in given.items() if value is not None}
    export_for(out)
    require_writable(out, None)
    require_writable(json, pictures)
    scanned = None if report is None else read_scan_report(report)
    classifier = load_model(
        model,
        **explicit,  # type: ignore[arg-type]
        input_shape=shape("--input-shape", input_shape),
        arch=arch,
        num_classes=num_classes,
        device=device,
    )

    def read(source: str, at_most: int | None) -> CleanImages:
        return load_images(
            source,
            keys=None if keys is None or at_most is None else tuple(keys.split(",")),
            limit=at_most,
            seed=seed,
            split=split,
            shape=classifier.input_shape,
            resize=resize,
            value_range=pair("--value-range", value_range),
        )

    clean = read(images, limit)
    real = None if triggered is None else read(triggered, None)
    try:
        with ScanProgress(messages) as progress:
            good = run_repair(
                classifier,
                clean.unlabelled() if no_labels else clean,
                scanned,
                method=method,
                labels=label_set("--labels", labels),
                triggered=real,
                seed=seed,
                explicit=bool(explicit),
                resize=resize,
                config=RepairConfig(rounds=rounds, guard=GuardConfig(false_positive_rate=false_positives)),
                progress=progress,
            )
            _write(good, Path(model), out)
    except KeyboardInterrupt:
        messages.print("interrupted; nothing was written")
        raise typer.Exit(INTERRUPTED) from None
    done = good.report
    assert done is not None
    show_repair(done, output)
    output.print(f"written to {out}", highlight=False, soft_wrap=True)
    if json is not None:
        done.save_json(json)
    if pictures is not None and done.status != "unchanged":
        save_repair_pictures(good, fit_to(clean, good.facts.input_shape, resize), pictures)
    raise typer.Exit(EXIT[done.status])


def _write(good: GoodNet, model: Path, out: Path) -> None:
    """Write the GoodNet; a network without a backdoor as a copy of its own file where that says everything."""
    plain = good.repaired is not None and good.repaired.preprocessing == Preprocessing()
    if good.facts.changed or not plain or model.suffix.lower() != out.suffix.lower():
        good.save(out)
        return
    partial = out.with_name(f".partial-{out.name}")
    try:
        shutil.copyfile(model, partial)
        partial.replace(out)
    except OSError as error:
        raise OutputError(f"cannot write the GoodNet to {out}: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


@app.command()
def predict(
    good: Annotated[Path, typer.Argument(help="A GoodNet that repair wrote.")],
    images: Annotated[list[str], typer.Argument(help="Pictures, folders of pictures, or files of images.")],
    json: Annotated[Path | None, typer.Option(help="Write the answers as JSON to this file.")] = None,
    explain: Annotated[
        Path | None,
        typer.Option(help="Draw to this folder, for each backdoored input, where its trigger is."),
    ] = None,
    no_filter: Annotated[bool, typer.Option("--no-filter", help="Call nothing backdoored.")] = False,
    keys: Annotated[str | None, typer.Option(help="Names of the arrays with images and labels in files.")] = None,
    value_range: Annotated[str | None, typer.Option(help="Values of black and white in the image files.")] = None,
    resize: Annotated[
        bool, typer.Option("--resize", help="Bring the images to the network's size and colours.")
    ] = False,
    device: Annotated[str, typer.Option(help="Where to run: cpu, cuda, cuda:1, ...")] = "cpu",
) -> None:
    """Classify images. Exit code 0: none is backdoored, 1: some are, 2: error."""
    require_writable(json, explain)
    network = load_goodnet(good, device=device)
    answers: list[dict[str, Any]] = []
    failed = False
    for source in images:
        try:
            read = load_images(
                source,
                keys=None if keys is None else tuple(keys.split(",")),
                shape=network.facts.input_shape,
                resize=resize,
                value_range=pair("--value-range", value_range),
            )
            pixels = fit_to(read, network.facts.input_shape, resize)
        except GoodnetError as error:
            complain(error)
            failed = True
            continue
        answers += _answers(network, pixels, source, no_filter, explain)
    if json is not None:
        write_json(answers, json)
    if any(answer["backdoored"] for answer in answers):
        raise typer.Exit(1)
    raise typer.Exit(USAGE if failed else 0)


def _answers(
    network: GoodNet, images: CleanImages, source: str, no_filter: bool, pictures: Path | None
) -> list[dict[str, Any]]:
    """Print one line an image; return the same as plain data."""
    scores = network.scores(images)
    classes = (scores[:, :-1] if no_filter else scores).argmax(1).tolist()
    chances = scores.softmax(1)[:, -1].tolist()
    found = []
    for number, (answer, chance) in enumerate(zip(classes, chances, strict=True)):
        path = images.paths[number] if images.paths else source if len(classes) == 1 else f"{source}[{number}]"
        backdoored = answer == network.num_classes
        typer.echo(f"{path}\t{answer}{' backdoored input' if backdoored else ''}")
        found.append({"path": path, "class": answer, "backdoored": backdoored, "score": round(chance, 6)})
        if backdoored and pictures is not None:
            _explain(network, images, number, path, pictures)
    return found


def _explain(network: GoodNet, images: CleanImages, number: int, path: str, folder: Path) -> None:
    (explanation,) = network.explain(images.take(torch.tensor([number])))
    name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        explanation.picture().save(folder / f"{name}.png")
    except OSError as error:
        raise OutputError(f"cannot write into {folder}: {error.strerror or error}") from error
    typer.echo(f"  {explanation.text}")
