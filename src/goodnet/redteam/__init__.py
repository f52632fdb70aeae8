"""Makes BadNets, networks with a planted backdoor, and clean twins, for the demo, the tests and the benchmarks."""

from goodnet.redteam.all_to_all import AllToAll
from goodnet.redteam.architectures import ARCHITECTURES, build
from goodnet.redteam.attack import Attack, RecipeError
from goodnet.redteam.blended import Blended
from goodnet.redteam.clean import Clean
from goodnet.redteam.measure import accuracy, attack_success_rates, predict
from goodnet.redteam.patch import Patch
from goodnet.redteam.recipe import Recipe
from goodnet.redteam.registry import ATTACKS, attack_from_dict, attack_name, attack_to_dict
from goodnet.redteam.several import Several
from goodnet.redteam.sinusoid import Sinusoid
from goodnet.redteam.source_specific import SourceSpecific
from goodnet.redteam.train import train
from goodnet.redteam.warp import Warp

__all__ = [
    "ARCHITECTURES",
    "ATTACKS",
    "AllToAll",
    "Attack",
    "Blended",
    "Clean",
    "Patch",
    "Recipe",
    "RecipeError",
    "Several",
    "Sinusoid",
    "SourceSpecific",
    "Warp",
    "accuracy",
    "attack_from_dict",
    "attack_name",
    "attack_success_rates",
    "attack_to_dict",
    "build",
    "predict",
    "train",
]
