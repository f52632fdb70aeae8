"""Makes BadNets, networks with a planted backdoor, and clean twins, for the demo, the tests and the benchmarks."""

from goodnet.redteam.accessory import Accessory
from goodnet.redteam.adaptive import Adaptive
from goodnet.redteam.all_to_all import AllToAll
from goodnet.redteam.architectures import ARCHITECTURES, build
from goodnet.redteam.attack import Attack, RecipeError
from goodnet.redteam.blended import Blended
from goodnet.redteam.clean import Clean
from goodnet.redteam.filter import Filter
from goodnet.redteam.finished import Finished
from goodnet.redteam.input_aware import InputAware
from goodnet.redteam.label_consistent import LabelConsistent
from goodnet.redteam.low_frequency import LowFrequency
from goodnet.redteam.measure import accuracy, attack_success_rates, predict
from goodnet.redteam.patch import Patch
from goodnet.redteam.planting import Planting
from goodnet.redteam.recipe import Recipe, usual_training
from goodnet.redteam.registry import ATTACKS, attack_from_dict, attack_name, attack_to_dict
from goodnet.redteam.several import Several
from goodnet.redteam.sinusoid import Sinusoid
from goodnet.redteam.source_specific import SourceSpecific
from goodnet.redteam.train import Planted, plant, train
from goodnet.redteam.trojan import TrojanNN
from goodnet.redteam.warp import Warp

__all__ = [
    "ARCHITECTURES",
    "ATTACKS",
    "Accessory",
    "Adaptive",
    "AllToAll",
    "Attack",
    "Blended",
    "Clean",
    "Filter",
    "Finished",
    "InputAware",
    "LabelConsistent",
    "LowFrequency",
    "Patch",
    "Planted",
    "Planting",
    "Recipe",
    "RecipeError",
    "Several",
    "Sinusoid",
    "SourceSpecific",
    "TrojanNN",
    "Warp",
    "accuracy",
    "attack_from_dict",
    "attack_name",
    "attack_success_rates",
    "attack_to_dict",
    "build",
    "plant",
    "predict",
    "train",
    "usual_training",
]
