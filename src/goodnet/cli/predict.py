"""The command predict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from goodnet.cli import options, outputs, parse
from goodnet.cli.app import USAGE, app, complain, exit_codes
from goodnet.errors import GoodnetError, OutputError
from goodnet.export import load_goodnet
from goodnet.goodnet import GoodNet
from goodnet.images import CleanImages, fit_to, load_images
from goodnet.report.schema import write_json


@app.command()
@exit_codes()
def predict(
    good: Annotated[Path, typer.Argument(help="A GoodNet that repair wrote.")],
    images: Annotated[list[str], typer.Argument(help="Pictures, folders of pictures, or files of images.")],
    json: options.Json = None,
    explain: Annotated[
        Path | None, typer.Option(help="Draw to this folder, for each backdoored input, where its trigger is.")
    ] = None,
    no_filter: Annotated[bool, typer.Option("--no-filter", help="Call nothing backdoored.")] = False,
    keys: options.Keys = None,
    value_range: options.ValueRange = None,
    resize: options.Resize = False,
    device: options.Device = "cpu",
) -> None:
    """Classify images. Exit code 0: none is backdoored, 1: some are, 2: error."""
    names, values = parse.names("--keys", keys), parse.pair("--value-range", value_range)
    if json is not None:
        outputs.require_file(json)
    if explain is not None:
        outputs.require_folder(explain)
    network = load_goodnet(good, device=device)
    answers: list[dict[str, Any]] = []
    failed = False
    for source in images:
        try:
            read = load_images(
                source,
                keys=names,
                shape=network.facts.input_shape,
                resize=resize,
                value_range=values,
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
        explanation.picture().save(folder / f"{name.removesuffix('.png')}.png")
    except OSError as error:
        raise OutputError(f"cannot write into {folder}: {error.strerror or error}") from error
    typer.echo(f"  {explanation.text}")
