"""The command line: one file a command; parse, call, print."""

from goodnet.cli import app, attack, bench, demo, predict, repair, scan  # noqa: F401 - each command joins the application


def main() -> None:
    """Run the command line."""
    app.app()
