"""The command line: parse, call, print."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape

from goodnet.demo import run_demo
from goodnet.errors import GoodnetError, OutputError, UsageError
from goodnet.formats import load_model
from goodnet.images import fit_to, load_images
from goodnet.report.pictures import save_triggers
from goodnet.report.terminal import ScanProgress, show
from goodnet.scan import Preset
from goodnet.scan import scan as run_scan
from goodnet.version import __version__

EXIT = {"clean": 0, "backdoored": 1, "inconclusive": 3}
USAGE = 2
INTERRUPTED = 130

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
output = Console()
messages = Console(stderr=True)


def numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    """Read comma-separated numbers."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"{option} expects numbers with commas between, such as 0.5,0.5,0.5; got {text!r}") from error


def pair(option: str, text: str | None) -> tuple[float, float] | None:
    """Read two different comma-separated numbers."""
    values = numbers(option, text)
    if values is None:
        return None
    if len(values) != 2 or values[0] == values[1]:
        raise UsageError(f"{option} expects two different numbers, such as 0,255; got {text!r}")
    return values[0], values[1]


def shape(option: str, text: str | None) -> tuple[int, int, int] | None:
    """Read channels, height and width."""
    if text is None:
        return None
    parts = text.replace("x", ",").split(",")
    if len(parts) != 3 or not all(part.strip().isdigit() and int(part) > 0 for part in parts):
        raise UsageError(f"{option} expects channels,height,width, such as 3,32,32; got {text!r}")
    channels, height, width = (int(part) for part in parts)
    return channels, height, width


def label_set(option: str, text: str | None) -> tuple[int, ...] | None:
    """Read labels and ranges of labels, such as 0,5,7-9."""
    if text is None:
        return None
    labels: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise UsageError(f"{option} expects labels, such as 0,5,7-9; got {text!r}")
        labels += range(int(first), int(last or first) + 1)
    return tuple(labels)


def default_checkpoints() -> Path:
    """Return the folder in which unfinished scans are kept: goodnet/scans in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "goodnet" / "scans"


def version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        output.print(f"goodnet {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def common(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more about what is going on.")] = False,
    _: Annotated[bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Find and remove backdoors in neural networks."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(console=messages, show_path=False, show_time=False)],
        force=True,
    )


@app.command()
def scan(
    model: Annotated[str, typer.Argument(help="Model file: Keras, ONNX, TorchScript, .pt2, or weights with --arch.")],
    images: Annotated[str, typer.Option(help="Clean images: .npz, HDF5, parquet, a folder, or torchvision:NAME@ROOT.")],
    json: Annotated[Path | None, typer.Option(help="Write the report as JSON to this file.")] = None,
    save_triggers_to: Annotated[
        Path | None, typer.Option("--save-triggers", help="Write the triggers as arrays and PNGs to this folder.")
    ] = None,
    preset: Annotated[
        str, typer.Option(help="fast, or classic for the original Neural Cleanse (slow, to compare with).")
    ] = "fast",
    labels: Annotated[str | None, typer.Option(help="Look at these labels only, such as 0,5,7-9.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of every random draw.")] = 0,
    keys: Annotated[
        str | None, typer.Option(help="Names of the arrays with images and labels, such as test_x,test_y.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Use at most so many of the images.")] = 256,
    split: Annotated[str, typer.Option(help="Which part of a data set that comes in several.")] = "test",
    value_range: Annotated[str | None, typer.Option(help="Values of black and white in the image file.")] = None,
    no_labels: Annotated[bool, typer.Option("--no-labels", help="Ignore the labels of the images.")] = False,
    resize: Annotated[bool, typer.Option("--resize", help="Bring the images to the model's size and colours.")] = False,
    download: Annotated[bool, typer.Option("--download", help="Let torchvision fetch the data set.")] = False,
    pixel_range: Annotated[str | None, typer.Option(help="Values of black and white that the model wants.")] = None,
    mean: Annotated[str | None, typer.Option(help="Mean per channel that the model wants taken off.")] = None,
    std: Annotated[str | None, typer.Option(help="Standard deviation per channel to divide by.")] = None,
    bgr: Annotated[bool, typer.Option("--bgr", help="The model wants blue before red.")] = False,
    transposed: Annotated[bool, typer.Option("--transposed", help="The model wants width before height.")] = False,
    input_shape: Annotated[str | None, typer.Option(help="channels,height,width where the file does not say.")] = None,
    arch: Annotated[str | None, typer.Option(help="Architecture of a file of weights, such as timm:resnet18.")] = None,
    num_classes: Annotated[int | None, typer.Option(help="Number of classes where the file does not say.")] = None,
    device: Annotated[str, typer.Option(help="Where to run: cpu, cuda, cuda:1, ...")] = "cpu",
    checkpoint: Annotated[
        Path | None, typer.Option(help="Folder for unfinished scans [default: goodnet/scans in your cache].")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the same scan where it was interrupted.")
    ] = False,
) -> None:
    """Look for a backdoor in MODEL. Exit code 0: clean, 1: backdoored, 2: error, 3: inconclusive."""
    if preset not in ("fast", "classic"):
        raise UsageError(f"--preset expects fast or classic, got {preset!r}")
    given = {
        "pixel_range": pair("--pixel-range", pixel_range),
        "mean": numbers("--mean", mean),
        "std": numbers("--std", std),
        "bgr": bgr or None,
        "transposed": transposed or None,
    }
    explicit = {name: value for name, value in given.items() if value is not None}
    require_writable(json, save_triggers_to)
    classifier = load_model(
        model,
        **explicit,  # type: ignore[arg-type]
        input_shape=shape("--input-shape", input_shape),
        arch=arch,
        num_classes=num_classes,
        device=device,
    )
    clean = load_images(
        images,
        keys=None if keys is None else tuple(keys.split(",")),
        limit=limit,
        seed=seed,
        split=split,
        shape=classifier.input_shape,
        resize=resize,
        value_range=pair("--value-range", value_range),
        download=download,
    )
    if no_labels:
        clean = clean.unlabelled()
    for note in clean.notes:
        logging.getLogger(__name__).info("%s", note)
    try:
        with ScanProgress(messages) as progress:
            report = run_scan(
                classifier,
                clean,
                preset=cast(Preset, preset),
                labels=label_set("--labels", labels),
                seed=seed,
                explicit=bool(explicit),
                resize=resize,
                checkpoint=checkpoint or default_checkpoints(),
                resume=resume,
                progress=progress,
            )
    except KeyboardInterrupt:
        messages.print("interrupted; finished labels are kept: the same command with --resume goes on from there")
        raise typer.Exit(INTERRUPTED) from None
    show(report, output)
    # What was found is on the screen and decides the exit code, even if a file cannot be written after all.
    try:
        if json is not None:
            report.save_json(json)
        if save_triggers_to is not None:
            save_triggers(report, fit_to(clean, report.model.input_shape, resize), save_triggers_to)
    except OutputError as error:
        complain(error)
        raise typer.Exit(EXIT[report.verdict] or USAGE) from error
    raise typer.Exit(EXIT[report.verdict])


@app.command()
def demo(
    save: Annotated[Path, typer.Option(help="Folder for the pictures of the trigger.")] = Path("goodnet-demo"),
    seed: Annotated[int, typer.Option(help="Seed of the networks and of the scans.")] = 0,
) -> None:
    """Make a small BadNet and a clean twin on handwritten digits, scan both and draw the trigger. No download."""
    require_writable(None, save)
    run_demo(seed, save, output)


def require_writable(file: Path | None, folder: Path | None) -> None:
    """Complain before the work, not after it, where a result could not be written."""
    if file is not None:
        if file.is_dir():
            raise OutputError(f"expected a file to write the report to, got the folder {file}")
        if not os.access(file.absolute().parent, os.W_OK) or (file.exists() and not os.access(file, os.W_OK)):
            raise OutputError(f"cannot write {file}: its folder does not exist or is not writable")
    if folder is not None:
        there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
        if not there.is_dir() or not os.access(there, os.W_OK):
            raise OutputError(f"cannot write into {folder}: {there} is not a writable folder")


def complain(error: GoodnetError) -> None:
    """Print one error message."""
    messages.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)


def main() -> None:
    """Run the command line; errors of the user's are one message and exit code 2, never a traceback."""
    from goodnet import cli_repair  # noqa: F401 - its commands join this app

    try:
        app()
    except GoodnetError as error:
        complain(error)
        sys.exit(USAGE)
