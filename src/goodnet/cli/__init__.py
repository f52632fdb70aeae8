"""The command line: parse, call, print."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape

from goodnet.cli import options, outputs, parse
from goodnet.demo import run_demo
from goodnet.errors import GoodnetError, ImagesError, PreflightError, UsageError
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

SCAN_HELP = """Look for a backdoor in MODEL.

Exit code: 0 clean, 1 backdoored, 2 error, 3 inconclusive, 130 interrupted.

\b
Examples:
  goodnet scan net.onnx --images photos/
  goodnet scan net.h5 --images set.npz --keys test_x,test_y --json report.json
  goodnet scan net.pt --images set.npz --input-shape 3,32,32 --pixel-range -1,1
  goodnet scan net.safetensors --arch timm:resnet18 --images photos/ --resize
"""


class Terminal(Console):
    """A console that goes quiet when whoever reads it leaves (`goodnet scan ... | head`): the verdict still counts."""

    def on_broken_pipe(self) -> None:
        """Write nothing from here on."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


logger = logging.getLogger(__name__)
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
output = Terminal()
messages = Console(stderr=True)


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn every way a command can fail into one message and an exit code that is no verdict."""
    try:
        yield
    except GoodnetError as error:
        _complain(error)
        raise typer.Exit(USAGE) from None
    except KeyboardInterrupt:
        messages.print("interrupted")
        raise typer.Exit(INTERRUPTED) from None
    except MemoryError:
        _complain("out of memory; fewer or smaller images need less: --limit, --resize")
        raise typer.Exit(USAGE) from None
    except (typer.Exit, typer.Abort):
        raise
    except Exception:
        messages.print_exception()
        _complain("this is a mistake in goodnet; please report it with the lines above")
        raise typer.Exit(USAGE) from None


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


@app.command(help=SCAN_HELP)
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
    """Look for a backdoor in MODEL; see `SCAN_HELP`."""
    if preset not in ("fast", "classic"):
        raise UsageError(f"--preset expects fast or classic, got {preset!r}")
    given = {
        "pixel_range": parse.pair("--pixel-range", pixel_range),
        "mean": parse.numbers("--mean", mean),
        "std": parse.deviations("--std", std),
        "bgr": bgr or None,
        "transposed": transposed or None,
    }
    explicit = {name: value for name, value in given.items() if value is not None}
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
        **explicit,  # type: ignore[arg-type]
        input_shape=stated_shape,
        arch=arch,
        num_classes=num_classes,
        device=device,
    )
    clean = load_images(
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
    for note in clean.notes:
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
        raise type(error)(f"{error}\nThe images were read so: {'; '.join(clean.notes)}.") from error
    show(report, output)
    # What was found is on the screen and decides the exit code, even if a file cannot be written after all.
    failed = []
    if json is not None:
        failed.append(outputs.rescued(report.save_json, json))
    if save_triggers_to is not None:
        fitted = fit_to(clean, report.model.input_shape, resize)
        failed.append(outputs.rescued(partial(save_triggers, report, fitted), save_triggers_to))
    for failure in filter(None, failed):
        _complain(failure)
    raise typer.Exit(EXIT[report.verdict] or (USAGE if any(failed) else 0))


@app.command()
@exit_codes()
def demo(
    save: Annotated[Path, typer.Option(help="Folder for the pictures of the trigger.")] = Path("goodnet-demo"),
    seed: options.Seed = 0,
) -> None:
    """Make a small BadNet and a clean twin on handwritten digits, scan both and draw the trigger. No download."""
    outputs.require_folder(save)
    run_demo(seed, save, output)


def _complain(error: object) -> None:
    messages.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)


def main() -> None:
    """Run the command line."""
    app()
