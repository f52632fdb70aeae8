"""The attacks by name, and attacks as plain data for recipe files."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from goodnet.redteam.accessory import Accessory
from goodnet.redteam.adaptive import Adaptive
from goodnet.redteam.all_to_all import AllToAll
from goodnet.redteam.attack import Attack, RecipeError
from goodnet.redteam.blended import Blended
from goodnet.redteam.clean import Clean
from goodnet.redteam.filter import Filter
from goodnet.redteam.input_aware import InputAware
from goodnet.redteam.label_consistent import LabelConsistent
from goodnet.redteam.low_frequency import LowFrequency
from goodnet.redteam.patch import Patch
from goodnet.redteam.several import Several
from goodnet.redteam.sinusoid import Sinusoid
from goodnet.redteam.source_specific import SourceSpecific
from goodnet.redteam.trojan import TrojanNN
from goodnet.redteam.warp import Warp

ATTACKS: dict[str, type[Attack]] = {
    "accessory": Accessory,
    "adaptive": Adaptive,
    "all_to_all": AllToAll,
    "blended": Blended,
    "clean": Clean,
    "filter": Filter,
    "input_aware": InputAware,
    "label_consistent": LabelConsistent,
    "low_frequency": LowFrequency,
    "patch": Patch,
    "several": Several,
    "sinusoid": Sinusoid,
    "source_specific": SourceSpecific,
    "trojan": TrojanNN,
    "warp": Warp,
}
# Annotations are texts, as `from __future__ import annotations` leaves them.
_PLAIN: dict[Any, type | tuple[type, ...]] = {
    "bool": bool,
    "float": (int, float),
    "int": int,
    "str": str,
    "Attack": Attack,
    "tuple[Attack, ...]": tuple,
    "tuple[float, float, float]": tuple,
}
_NAMES = {attack: name for name, attack in ATTACKS.items()}


def attack_name(attack: Attack) -> str:
    """Return the registered name of an attack, such as "patch"."""
    return _NAMES[type(attack)]


def attack_to_dict(attack: Attack) -> dict[str, Any]:
    """Return an attack as plain data: its name under "attack" and all its settings, nested attacks likewise."""
    return {"attack": attack_name(attack)} | {
        field.name: _to_plain(getattr(attack, field.name)) for field in dataclasses.fields(attack)
    }


def attack_from_dict(plain: Mapping[str, Any]) -> Attack:
    """Return the attack that `attack_to_dict` wrote down; settings left out have their defaults.

    Raises:
        RecipeError: the attack or one of its settings is not known, or a setting is impossible.
    """
    name = plain.get("attack")
    if name not in ATTACKS:
        raise RecipeError(f"expected an attack among {', '.join(ATTACKS)}, got {name!r}")
    settings = {key: _from_plain(value) for key, value in plain.items() if key != "attack"}
    check_types(ATTACKS[name], settings, f"attack {name!r}")
    try:
        return ATTACKS[name](**settings)
    except TypeError as error:
        known = ", ".join(field.name for field in dataclasses.fields(ATTACKS[name]))
        raise RecipeError(f"the settings of attack {name!r} are {known}; got {', '.join(settings)}") from error


def check_types(kind: type[Any], settings: Mapping[str, Any], what: str) -> None:
    """Raise RecipeError if a setting of a dataclass is no number, text or yes-or-no where one is wanted."""
    for field in dataclasses.fields(kind):
        if field.name in settings and field.type in _PLAIN:
            value, types = settings[field.name], _PLAIN[field.type]
            if not isinstance(value, types) or (isinstance(value, bool) and field.type != "bool"):
                raise RecipeError(f"expected {field.name} of {what} to be of type {field.type}, got {value!r}")


def _to_plain(value: Any) -> Any:
    if isinstance(value, Attack):
        return attack_to_dict(value)
    return [_to_plain(item) for item in value] if isinstance(value, tuple) else value


def _from_plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return attack_from_dict(value)
    return tuple(_from_plain(item) for item in value) if isinstance(value, list) else value
