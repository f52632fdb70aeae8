"""Several reversed triggers a label: one alone leaves 2-51 % ASR of the real trigger (Qiao et al., NeurIPS 2019)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from goodnet import slight
from goodnet.budget import Budget
from goodnet.engine import Engine
from goodnet.evidence.statistics import statistics
from goodnet.inversion import ImagePool, InversionConfig, generator_for, invert
from goodnet.progress import Silent
from goodnet.search import Search
from goodnet.source_specific import only_victim
from goodnet.triggers import ChangedPatch, Family, Parameters, Patch, Slight, Trigger

ANY = -1


@dataclass(frozen=True)
class ReversalConfig:
    """How the triggers that a repair works with are reversed.

    Attributes:
        per_label: triggers a label, each from another random start.
        most: triggers in all, where many labels are flagged; each label keeps two.
        inversion: how long and how hard.
        family: the kind of trigger.
        changed: from this ASR of a slight warp or filter on, such are reversed as well.
        smaller: where a patch for a label is so many times smaller than the median one, no filter is reversed.
        control: so many other labels tell how large a patch usually is, where that is asked for.
        most_labels: with more classes than this, or more target labels than `most_asked`, it is not asked whether a
            trigger works on one class only.
        most_asked: see there.
        known: for labels whose trigger works on one class only, as a scan has found, this class: all triggers are of
            its images.
        victims: the same for labels of which it was asked here: every other trigger is.
    """

    per_label: int = 8
    most: int = 24
    inversion: InversionConfig = field(default_factory=lambda: InversionConfig(steps=300))
    family: Family = field(default_factory=Patch)
    changed: float = 0.3
    smaller: float = 4.0
    control: int = 8
    most_labels: int = 64
    most_asked: int = 8
    known: Mapping[int, int] = field(default_factory=dict)
    victims: Mapping[int, int] = field(default_factory=dict)

    def victim(self, label: int, number: int) -> int | None:
        """Return the only class that the trigger of a label with some number is of images of; None for all others."""
        return self.known.get(label, self.victims.get(label) if number % 2 else None)

    def count(self, labels: int) -> int:
        """Return how many triggers each of so many labels gets."""
        return max(2, min(self.per_label, self.most // max(labels, 1)))


@dataclass(frozen=True, eq=False)
class TriggerSet:
    """K reversed triggers of one or several labels.

    Attributes:
        labels: int64 (K,), the target of each.
        victims: int64 (K,), the only class that each works on; `ANY` for all but the target's own.
        parameters: the family's parameters (K, ...).
        family: the kind of trigger.
    """

    labels: Tensor
    victims: Tensor
    parameters: Mapping[str, Tensor]
    family: Family

    def __len__(self) -> int:
        return len(self.labels)

    def stamp(self, images: Tensor) -> Tensor:
        """Return (K, B, C, H, W) for images (K, B, C, H, W), or (B, C, H, W) to be stamped by each trigger."""
        rows = images if images.ndim == 5 else images.expand(len(self), *images.shape)
        return self.family.stamp(self.parameters, rows)

    def only(self, rows: int | Tensor) -> TriggerSet:
        """Return one of the triggers, or those at some rows, int64 (k,)."""
        kept = torch.tensor([rows], device=self.labels.device) if isinstance(rows, int) else rows
        parameters = {name: value[kept] for name, value in self.parameters.items()}
        return TriggerSet(self.labels[kept], self.victims[kept], parameters, self.family)

    def joined_with(self, other: TriggerSet) -> TriggerSet:
        """Return the triggers of both."""
        parameters = {name: torch.cat([value, other.parameters[name]]) for name, value in self.parameters.items()}
        labels, victims = torch.cat([self.labels, other.labels]), torch.cat([self.victims, other.victims])
        return TriggerSet(labels, victims, parameters, self.family)

    def stampable(self, number: int, labels: Tensor) -> Tensor:
        """Return the indices of the images, of classes (n,), that one of the triggers is meant to work on."""
        victim, target = int(self.victims[number]), int(self.labels[number])
        return (labels != target if victim == ANY else labels == victim).nonzero().flatten()

    def sizes(self) -> Tensor:
        """Return how big each trigger is, (K,), in the family's unit."""
        return self.family.size(self.parameters)

    def triggers(self) -> list[Trigger]:
        """Return them one by one."""
        return self.family.triggers(self.parameters, self.labels.tolist())

    @torch.no_grad()
    def asr(self, engine: Engine, pixels: Tensor, labels: Tensor) -> Tensor:
        """Return each trigger's ASR (K,), 0..1, on images (n, C, H, W) of classes (n,) that it is meant to work on.

        NaN where there are none.
        """
        rates = []
        for number, target in enumerate(self.labels.tolist()):
            victims = pixels[self.stampable(number, labels)]
            answers = engine.predict(self.only(number).stamp(victims)[0]).argmax(1)
            rates.append((answers == target).float().mean())
        return torch.stack(rates)


def fitted_to(
    engine: Engine,
    labels: Sequence[int],
    pixels: Tensor,
    classes: Tensor,
    config: ReversalConfig,
    seed: int,
    surest: int | None = None,
) -> ReversalConfig:
    """Return a configuration for the kind of backdoor that there is.

    Where a slight warp or filter leads to a label, such are reversed as well as patches; where a trigger for a label
    works on images of one class only, triggers are reversed on these. The label that is surest to be a target decides
    on the former, since one that is flagged beside it is often reached by a filter without any backdoor.

    Args:
        engine: the network.
        labels: the target labels; none is none.
        pixels: clean images (n, C, H, W) in 0..1.
        classes: int64 (n,), the class of each.
        config: how triggers are reversed otherwise.
        seed: of every draw.
        surest: the most suspicious of the labels; any of them decides where that is not known.
    """
    pool = ImagePool(pixels, classes)
    deciding = labels if surest is None else [surest]
    config = replace(config, known={label: of for label, of in config.known.items() if len(pool.of(of))})
    most: dict[Slight, float] = {}
    for each in (slight.WARPS, slight.FILTERS):
        found = slight.search(engine, pool, pool, deciding, seed, Silent(), each)
        most[each.family] = max((one.rate for one in found.values()), default=0.0)
    best = max(most, key=lambda family: most[family])
    # A filter answers to a smooth pattern too, which is unlearned far better as what it is.
    filtered = best is slight.FILTERS.family
    if most[best] >= config.changed and not (filtered and _smaller(engine, deciding, pool, config, seed)):
        return replace(config, family=ChangedPatch(best))
    few = engine.classifier.classes <= config.most_labels and len(labels) <= config.most_asked
    asked = [label for label in labels if few and label not in config.known]
    victims = {label: only_victim(engine, pool, label, seed) for label in asked}
    return replace(config, victims={label: victim for label, victim in victims.items() if victim is not None})


def _smaller(engine: Engine, labels: Sequence[int], pool: ImagePool, config: ReversalConfig, seed: int) -> bool:
    """Return whether a patch for one of the labels is far smaller than those for others."""
    others = [label for label in range(engine.classifier.classes) if label not in labels]
    order = torch.randperm(len(others), generator=torch.Generator().manual_seed(seed))[: config.control]
    searched = [*labels, *(others[place] for place in order.tolist())]
    evidence = statistics(Search(engine, Patch(), pool, pool, Budget(), seed, Silent()).run(searched))
    return any(evidence[label].ratio >= config.smaller for label in labels)


def reverse(
    engine: Engine,
    labels: Sequence[int],
    pixels: Tensor,
    classes: Tensor,
    config: ReversalConfig,
    seed: int,
    purpose: str,
    watch: Callable[[int, Parameters], None] | None = None,
) -> TriggerSet:
    """Reverse several triggers for each label.

    Args:
        engine: the network.
        labels: the target labels.
        pixels: clean images (n, C, H, W) in 0..1.
        classes: int64 (n,), the class of each.
        config: how many and how hard.
        seed: of every draw.
        purpose: what they are for; triggers for another purpose start elsewhere.
        watch: is shown the triggers after each step, label by label.
    """
    count = config.count(len(labels))
    rows = [label for label in labels for _ in range(count)]
    numbers = list(range(count)) * len(labels)
    shape = (pixels.shape[1], pixels.shape[2], pixels.shape[3])
    pairs = list(zip(rows, numbers, strict=True))
    starts = config.family.start([generator_for(seed, label, f"{purpose} start {n}") for label, n in pairs], shape)
    generators = [generator_for(seed, label, f"{purpose} {n}") for label, n in pairs]
    pool = ImagePool(pixels, classes)
    victims = [config.victim(label, n) for label, n in pairs]
    parameters = invert(
        engine, config.family, starts, rows, pool, config.inversion, generators, victims=victims, watch=watch
    )
    of = [ANY if victim is None else victim for victim in victims]
    device = engine.device
    return TriggerSet(torch.tensor(rows, device=device), torch.tensor(of, device=device), parameters, config.family)


class Emergence:
    """Keeps what the first trigger of each label looked like at some of the steps of its search."""

    def __init__(self, labels: Sequence[int], config: ReversalConfig, pictures: int = 8) -> None:
        self._labels, self._config = labels, config
        steps = config.inversion.steps
        # Close together at first, when most happens.
        self._wanted = {max(1, round(steps * (number / pictures) ** 2)) for number in range(1, pictures + 1)}
        self.snapshots: dict[int, list[tuple[int, Trigger]]] = {label: [] for label in labels}

    def __call__(self, step: int, parameters: Parameters) -> None:
        """Keep the triggers after a step, if it is one of those wanted."""
        if step not in self._wanted:
            return
        each = self._config.count(len(self._labels))
        first = {name: value[::each] for name, value in parameters.items()}
        for trigger in self._config.family.triggers(first, self._labels):
            self.snapshots[trigger.label].append((step, trigger))
