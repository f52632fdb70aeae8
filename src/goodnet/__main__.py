"""Run the command line as `python -m goodnet`."""

from goodnet.cli import main

main()
