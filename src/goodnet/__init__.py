"""goodnet finds and removes backdoors in neural networks."""

from goodnet.budget import Budget
from goodnet.classifier import Classifier, Preprocessing
from goodnet.errors import GoodnetError
from goodnet.export import load_goodnet
from goodnet.formats import load_model
from goodnet.goodnet import GoodNet
from goodnet.images import CleanImages, load_images
from goodnet.inversion import InversionConfig
from goodnet.repair import RepairConfig, repair
from goodnet.report import RepairReport, ScanReport
from goodnet.scan import scan
from goodnet.triggers import Trigger
from goodnet.version import __version__

__all__ = [
    "Budget",
    "Classifier",
    "CleanImages",
    "GoodNet",
    "GoodnetError",
    "InversionConfig",
    "Preprocessing",
    "RepairConfig",
    "RepairReport",
    "ScanReport",
    "Trigger",
    "__version__",
    "load_goodnet",
    "load_images",
    "load_model",
    "repair",
    "scan",
]
