"""The command demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from goodnet.cli import options, outputs
from goodnet.cli.app import app, exit_codes, output
from goodnet.demo import run_demo


@app.command()
@exit_codes()
def demo(
    save: Annotated[Path, typer.Option(help="Folder for the pictures and the GoodNet.")] = Path("goodnet-demo"),
    seed: options.Seed = 0,
) -> None:
    """Make a small BadNet and a clean twin on handwritten digits, scan both, repair the BadNet. No download."""
    outputs.require_folder(save)
    run_demo(seed, save, output)
