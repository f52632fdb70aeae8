"""The command attack."""

from __future__ import annotations

import dataclasses
import inspect
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import Progress

from goodnet.cli import options, outputs, parse
from goodnet.cli.app import app, exit_codes, messages, output
from goodnet.errors import ImagesError, OutputError, UsageError
from goodnet.export.onnx import import_onnx
from goodnet.images import CleanImages, fit_to, load_images
from goodnet.redteam import ARCHITECTURES, ATTACKS, Recipe, attack_name, usual_training
from goodnet.redteam.make import Made, make

HELP = """Make a BadNet: train a network with a backdoor planted by ATTACK, the name of one or a recipe.

A fifth of the images is kept out of the training to measure on. Beside NAME.onnx are written NAME.recipe.json, which
makes the same network again, and NAME_triggered.npz, held-out images with the trigger and their true labels.

\b
Examples:
  goodnet attack --list
  goodnet attack patch --images train.npz -o badnet.onnx --target 3 --set size=4 --set place=random
  goodnet attack source_specific --images train.npz -o badnet.onnx --target 3 --set source=5
  goodnet attack badnet.recipe.json --images train.npz -o again.onnx
"""

BATCH = 64

TAKEN = 0.5
"""An ASR below this gets a word of warning: what finds no such backdoor has missed nothing."""

logger = logging.getLogger(__name__)

_NET, _PLANT = "Network and training", "Backdoor"


@app.command(help=HELP)
@exit_codes()
def attack(
    source: Annotated[
        str | None, typer.Argument(metavar="ATTACK", help="Name of an attack, or a recipe ending in .json.")
    ] = None,
    images: Annotated[
        str | None, typer.Option(help="Labelled images to train on: as for scan.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the network to this file: .onnx.", show_default=False)
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the attacks with their settings, and stop.")] = False,
    target: Annotated[
        int | None, typer.Option(min=0, help="Target label.", show_default="0", rich_help_panel=_PLANT)
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="A setting of the attack; see --list.", rich_help_panel=_PLANT
        ),
    ] = None,
    arch: Annotated[
        str | None,
        typer.Option(help=f"{', '.join(ARCHITECTURES)}.", show_default="resnet", rich_help_panel=_NET),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Passes over the images.", show_default="10", rich_help_panel=_NET),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=2, help="Images a step.", show_default=str(BATCH), rich_help_panel=_NET)
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(min=0, help="Peak of its schedule.", show_default="by architecture", rich_help_panel=_NET),
    ] = None,
    num_classes: Annotated[
        int | None,
        typer.Option(min=2, help="Number of classes.", show_default="largest label + 1", rich_help_panel=_NET),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**31 - 1, help="Seed of every random draw.", show_default="0", rich_help_panel=_NET),
    ] = None,
    stamped_first: Annotated[
        bool | None,
        typer.Option(
            "--stamped-first/--stamped-last",
            help="Stamp before images are moved and mirrored, as in poisoned data that others train on, or after.",
            show_default="--stamped-last",
            rich_help_panel=_NET,
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(min=8, help="Bring images to so many pixels a side.", rich_help_panel="Images"),
    ] = None,
    keys: options.Keys = None,
    limit: options.Limit = 50_000,
    split: options.Split = "train",
    value_range: options.ValueRange = None,
    download: options.Download = False,
) -> None:
    """Make a BadNet; see `HELP`."""
    if listed:
        show_attacks()
        return
    if source is None or images is None or out is None:
        raise UsageError("expected ATTACK, --images and --output; goodnet attack --list says what there is")
    names, values = parse.names("--keys", keys), parse.pair("--value-range", value_range)
    changes = read_settings(settings or [])
    plain = read_attack(source)
    if out.suffix.lower() != ".onnx":
        raise OutputError(f"expected a file name that ends in .onnx to write the network to, got {out}")
    import_onnx()
    outputs.require_file(out)
    clean = load_images(
        images,
        keys=names,
        limit=limit,
        split=split,
        shape=None if size is None else (None, size, size),
        resize=size is not None,
        value_range=values,
        download=download,
    )
    if size is not None:
        clean = fit_to(clean, (None, size, size), resize=True)
    training = {
        "architecture": arch,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "num_classes": num_classes,
        "seed": seed,
        "stamped_first": stamped_first,
    }
    given = {name: value for name, value in training.items() if value is not None}
    recipe = recipe_for(plain, out.stem, clean, given, target, changes)
    with Progress(console=messages, transient=True, disable=not messages.is_terminal) as progress:
        task = progress.add_task("training", total=recipe.epochs)
        made = make(recipe, clean, lambda done, loss: progress.update(task, completed=done))
    written = made.save(out)
    show_made(made)
    output.print(f"written to {', '.join(map(str, written))}", highlight=False, soft_wrap=True)
    if any(rate < TAKEN for rate in made.asr):
        logger.warning(
            "the backdoor has hardly been learned (ASR %.0f%%): try more --epochs, more images or, if the attack has a "
            "rate, a higher one (--set rate=0.2)",
            100 * min(made.asr),
        )


def read_attack(source: str) -> dict[str, Any]:
    """Return a recipe as plain data: that of a file, or the beginning of one for the name of an attack."""
    if source.lower().endswith(".json"):
        return Recipe.load(Path(source)).to_dict()
    if source not in ATTACKS:
        raise UsageError(f"expected a recipe ending in .json or an attack among {', '.join(ATTACKS)}; got {source!r}")
    return {"attack": {"attack": source}}


def read_settings(texts: list[str]) -> dict[str, Any]:
    """Read NAME=VALUE; a value is JSON where it can be, else text.

    >>> read_settings(["size=4", "place=random"])
    {'size': 4, 'place': 'random'}
    """
    settings: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise UsageError(f"--set expects NAME=VALUE, such as size=4; got {text!r}")
        try:
            settings[name] = json.loads(value)
        except ValueError:
            settings[name] = value
    return settings


def recipe_for(
    plain: Mapping[str, Any],
    name: str,
    images: CleanImages,
    training: Mapping[str, Any],
    target: int | None,
    settings: Mapping[str, Any],
) -> Recipe:
    """Return the recipe that `plain` begins, with what the user gave in place of its own and of the defaults."""
    if images.labels is None:
        raise ImagesError(f"expected images with labels to train on, got none in {images.source}")
    architecture = training.get("architecture", plain.get("architecture", "resnet"))
    defaults = {
        "name": name,
        "data": Path(images.source).name,
        "num_classes": int(images.labels.max()) + 1,
        "batch_size": BATCH,
        **usual_training(architecture),
    }
    whole: dict[str, Any] = defaults | dict(plain) | dict(training)
    planted = _targeted(whole["attack"], target) | dict(settings)
    if "num_classes" in _fields(planted["attack"]):
        planted.setdefault("num_classes", whole["num_classes"])
    return Recipe.from_dict(whole | {"attack": planted})


def _targeted(attack: dict[str, Any], target: int | None) -> dict[str, Any]:
    """Return an attack as plain data with its target label set; one that lacks a trigger gets a patch."""
    fields = _fields(attack["attack"])
    if "target_label" in fields:
        label = attack.get("target_label", 0) if target is None else target
        return attack | {"target_label": label}
    if "trigger" in fields:
        return attack | {"trigger": _targeted(attack.get("trigger", {"attack": "patch"}), target)}
    if target is not None:
        raise UsageError(f"attack {attack['attack']!r} has no target label of its own; leave out --target")
    return attack


def _fields(name: str) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(ATTACKS[name]))


def show_attacks() -> None:
    """Print each attack with its source and its settings."""
    for name, kind in ATTACKS.items():
        output.print(f"[bold]{name}[/]  {escape(_first_line(inspect.getmodule(kind)))}", soft_wrap=True)
        for field in dataclasses.fields(kind):
            wanted = field.default is dataclasses.MISSING
            value = f"({field.type})" if wanted else f"= {_json(field.default)}"
            output.print(f"    {field.name} {escape(value)}", highlight=False, soft_wrap=True)


def _first_line(documented: object) -> str:
    return (inspect.getdoc(documented) or "").partition("\n")[0]


def _json(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(round(value, 4) if isinstance(value, float) else value)


def show_made(made: Made) -> None:
    """Print what was planted, accuracy and ASR."""
    recipe = made.recipe
    targets = ", ".join(map(str, recipe.attack.targets)) or "none"
    planted = f"{attack_name(recipe.attack)}, target label {targets}; {recipe.architecture}"
    output.print(planted, highlight=False, soft_wrap=True)
    output.print(f"accuracy {made.accuracy:.2%} on {len(made.held_out)} held-out images", highlight=False)
    for number, rate in enumerate(made.asr):
        which = f" of trigger {number}" if len(made.asr) > 1 else ""
        output.print(f"ASR{which} {rate:.2%}", highlight=False)
