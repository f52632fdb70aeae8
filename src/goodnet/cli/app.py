"""What all commands share: the application, its two streams, and how failures become exit codes."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape

from goodnet.errors import GoodnetError
from goodnet.version import __version__

USAGE = 2
INTERRUPTED = 130


class Terminal(Console):
    """A console that goes quiet when whoever reads it leaves (`goodnet scan ... | head`): the verdict still counts."""

    def on_broken_pipe(self) -> None:
        """Write nothing from here on."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
output = Terminal()
messages = Console(stderr=True)


def complain(error: object) -> None:
    """Print one error message."""
    messages.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn every way a command can fail into one message and an exit code that is no verdict."""
    try:
        yield
    except GoodnetError as error:
        complain(error)
        raise typer.Exit(USAGE) from None
    except KeyboardInterrupt:
        messages.print("interrupted")
        raise typer.Exit(INTERRUPTED) from None
    except MemoryError:
        complain("out of memory; fewer or smaller images need less: --limit, --resize")
        raise typer.Exit(USAGE) from None
    except (typer.Exit, typer.Abort):
        raise
    except Exception:
        messages.print_exception()
        complain("this is a mistake in goodnet; please report it with the lines above")
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
