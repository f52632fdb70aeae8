"""The version, as pip knows it."""

from importlib.metadata import version

__version__ = version("goodnet")
