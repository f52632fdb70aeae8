"""The search for a trigger that works on one class only (Tang et al., "Demon in the Variant", USENIX Security 2021).

Cover samples teach such a network to ignore its trigger on all other classes, so that no trigger works on everything.
So a trigger is searched for a pair of a victim and a target, on images of the victim alone. A class is what the network
answers: where it takes cats for dogs, those cats need no trigger.
"""

from goodnet.source_specific.every import EveryPair, confirm, search_every
from goodnet.source_specific.pairs import Pair, PairConfig
from goodnet.source_specific.suspects import answered, search_suspects
from goodnet.source_specific.victim import only_victim

__all__ = ["EveryPair", "Pair", "PairConfig", "answered", "confirm", "only_victim", "search_every", "search_suspects"]
