"""CleanImages and the readers of image sets."""

from goodnet.images.clean import CleanImages
from goodnet.images.fit import check_labels, fit_to
from goodnet.images.load import load_images

__all__ = ["CleanImages", "check_labels", "fit_to", "load_images"]
