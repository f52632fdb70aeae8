"""Write GoodNets to files and read them back: one file a format."""

from goodnet.export.files import load_goodnet, save

__all__ = ["load_goodnet", "save"]
