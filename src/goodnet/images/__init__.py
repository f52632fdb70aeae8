"""CleanImages and the readers of image sets."""

from goodnet.images.clean import CleanImages

__all__ = ["CleanImages"]
