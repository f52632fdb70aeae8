"""The command bench."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from goodnet.bench import zoo as zoos
from goodnet.bench.build import is_built
from goodnet.bench.data import available
from goodnet.cli import options, outputs
from goodnet.cli.app import INTERRUPTED, USAGE, app, complain, exit_codes, messages, output
from goodnet.errors import UsageError
from goodnet.redteam import Recipe, attack_name


@app.command()
@exit_codes()
def bench(
    zoo: Annotated[Path, typer.Option(help="Folder for the networks and all that is measured of them.")],
    half: Annotated[str, typer.Option(help="development, which goodnet was fitted on, or test, which it was not.")],
    data: Annotated[Path | None, typer.Option(help="Folder of the image sets; digits need none.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Networks worked on at the same time, one thread each.")] = 2,
    seeds: Annotated[str, typer.Option(help="Seeds of the scans; the figures are those of the first.")] = "0,1,2,3,4",
    images: Annotated[str, typer.Option(help="Clean images for each scan and repair, 8 or more; or none.")] = "256",
    only: Annotated[str | None, typer.Option(help="Networks with one of these in their names: gtsrb,vit.")] = None,
    kinds: Annotated[str | None, typer.Option(help="Networks of these kinds only, such as clean,patch.")] = None,
    repair: Annotated[bool, typer.Option(help="Repair the networks in which a backdoor was found.")] = True,
    fresh: Annotated[bool, typer.Option("--fresh", help="Scan and repair again what was before.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the networks and stop.")] = False,
    json: options.Json = None,
    plots: Annotated[Path | None, typer.Option(help="Draw curves and diagrams to this folder, as PNGs.")] = None,
) -> None:
    """Build, scan and repair a zoo of networks and print how well that goes. What is there is not made again.

    Exit code: 0 measured, whatever came out, 2 error, 130 interrupted.
    """
    # These bring scikit-learn's metrics, a second's worth that other commands need not wait for.
    from goodnet.bench.plots import require_matplotlib, save_plots
    from goodnet.bench.run import BenchConfig
    from goodnet.bench.run import bench as run_bench
    from goodnet.bench.terminal import show

    wanted = _wanted(half, data, _texts(only), _texts(kinds))
    config = BenchConfig(zoo / half, data, _seeds(seeds), _count(images), jobs, repair, fresh)
    if list_:
        _show_list(wanted, config.zoo)
        return
    outputs.require_folder(config.zoo)
    if json is not None:
        outputs.require_file(json)
    if plots is not None:
        require_matplotlib()
        outputs.require_folder(plots)
    try:
        report = run_bench(
            wanted, config, lambda line: messages.print(line, highlight=False, markup=False, soft_wrap=True)
        )
    except KeyboardInterrupt:
        messages.print("interrupted; the same command goes on from here")
        raise typer.Exit(INTERRUPTED) from None
    show(report, output)
    failed = []
    if json is not None:
        failed.append(outputs.rescued(report.save_json, json))
    if plots is not None and report.networks:
        failed.append(outputs.rescued(partial(save_plots, report), plots))
    for failure in filter(None, failed):
        complain(failure)
    raise typer.Exit(USAGE if any(failed) else 0)


def _wanted(half: str, data: Path | None, only: Sequence[str], kinds: Sequence[str]) -> list[Recipe]:
    """Return the recipes that were asked for and whose images are there; say which data sets are missing."""
    if half not in get_args(zoos.Half):
        raise UsageError(f"--half expects development or test, got {half!r}")
    everything = zoos.recipes(cast(zoos.Half, half))
    known = sorted({attack_name(recipe.attack) for recipe in everything})
    unknown = sorted(set(kinds) - set(known))
    if unknown:
        raise UsageError(f"--kinds expects kinds of the {half} half ({', '.join(known)}), got {', '.join(unknown)}")
    wanted = [
        recipe
        for recipe in everything
        if (not only or any(part in recipe.name for part in only))
        and (not kinds or attack_name(recipe.attack) in kinds)
    ]
    there = available(data)
    missing = sorted({recipe.data for recipe in wanted} - set(there))
    if missing:
        messages.print(
            f"note: left out {sum(recipe.data in missing for recipe in wanted)} networks of {', '.join(missing)}, "
            f"whose images are not in {data if data else 'a folder given by --data'}",
            highlight=False,
            soft_wrap=True,
        )
    chosen = [recipe for recipe in wanted if recipe.data in there]
    if not chosen:
        raise UsageError(f"no network of the {half} half is left by --only, --kinds and --data; --list shows them")
    return chosen


def _show_list(recipes: Sequence[Recipe], zoo: Path) -> None:
    for recipe in recipes:
        targets = ",".join(map(str, recipe.attack.targets[:5])) or "-"
        built = "built" if is_built(recipe, zoo / recipe.name) else "-"
        typer.echo(f"{recipe.name}\t{attack_name(recipe.attack)}\t{targets}\t{built}")


def _texts(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _count(text: str) -> int:
    if text == "none":
        return 0
    if not text.isdecimal() or int(text) < 8:
        raise UsageError(f"--images expects a whole number of at least 8, or none; got {text!r}")
    return int(text)


def _seeds(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) < 2**31 for part in parts) or len(set(parts)) < len(parts):
        raise UsageError(f"--seeds expects different whole numbers with commas between, such as 0,1,2; got {text!r}")
    return tuple(map(int, parts))
