"""goodnet finds and removes backdoors in neural networks."""

from goodnet.budget import Budget
from goodnet.classifier import Classifier, Preprocessing
from goodnet.errors import GoodnetError
from goodnet.formats import load_model
from goodnet.images import CleanImages, load_images
from goodnet.inversion import InversionConfig
from goodnet.report import ScanReport
from goodnet.scan import scan
from goodnet.triggers import Trigger
from goodnet.version import __version__

__all__ = [
    "Budget",
    "Classifier",
    "CleanImages",
    "GoodnetError",
    "InversionConfig",
    "Preprocessing",
    "ScanReport",
    "Trigger",
    "__version__",
    "load_images",
    "load_model",
    "scan",
]
