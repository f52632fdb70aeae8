"""The command line: one file a command; parse, call, print."""

from goodnet.cli import demo, predict, repair, scan  # noqa: F401 - each joins the application
from goodnet.cli.app import app


def main() -> None:
    """Run the command line."""
    app()
