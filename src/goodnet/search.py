"""Search: reverses the triggers of all labels, batch by batch, screening first where there are many."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from goodnet.budget import Budget, control_group, shortlist
from goodnet.checkpoint import Batch, ByLabel, Checkpoint, Facts
from goodnet.engine import Engine
from goodnet.evidence.size import sizes_at_rates
from goodnet.evidence.transfer import empty_images, transfer
from goodnet.inversion import ImagePool, InversionConfig, filled_batches, generator_for, invert, labels_per_batch
from goodnet.progress import Progress
from goodnet.triggers import Family, Parameters, Trigger, stacked

RATE = 0.5
"""The ASR at which the sizes of all labels are compared. At one half, the few images that resist a trigger longest
do not decide its size, which is what makes sizes at .9 scatter."""

UNIVERSAL_RATE = 0.9
"""The ASR at which they are compared once more. A planted trigger works on nearly everything, so it hardly grows from
one to the other; what is reversed for a label without a backdoor does. Where there are too few images to measure on
others, sizes are compared at this rate alone: there a trigger reaches nearly all it was searched on, and half of eight
images would be four."""

HELD_OUT = 64
"""Images, at most, that a label's ASR is measured on."""

GLANCED_AT = 32
"""The same at the first look: what is beyond doubt then is so on few images."""


@dataclass(frozen=True, eq=False)
class Found:
    """What was found for one label.

    Attributes:
        label: the target label.
        trigger: the reversed trigger; None for a label that was only screened.
        size: the trigger's size when made just strong enough for an ASR of `RATE`; infinite where no strength reaches
            that, NaN where the search failed; as the search left it for a label that was only screened.
        universal_size: the same for an ASR of `UNIVERSAL_RATE`.
        asr: share of clean images of other classes that the trigger as it is sends to the label, 0..1.
        transfer: how the trigger, as strong as the search left it, does on images: `margin_KIND` in logits,
            `wins_KIND` and `gained_KIND` in 0..1 (see `evidence.transfer.Transfer`), for clean, blank and noise images.
        control: whether the label is one of those that tell what is usual.
        parameters: what the family makes the trigger of; empty for a label that was only screened.
    """

    label: int
    trigger: Trigger | None
    size: float
    universal_size: float
    asr: float
    transfer: Mapping[str, float]
    control: bool = True
    parameters: Parameters = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Search:
    """The search for the triggers of many labels.

    Attributes:
        engine: the network.
        family: the kind of trigger.
        pool: images to search on.
        held_out: images to measure on; the same ones where there are few.
        budget: which labels get how many steps.
        seed: of every random draw.
        progress: who is told.
        checkpoint: where finished batches are kept; None for nowhere.
    """

    engine: Engine
    family: Family
    pool: ImagePool
    held_out: ImagePool
    budget: Budget
    seed: int
    progress: Progress
    checkpoint: Checkpoint | None = None
    empty: tuple[Tensor, Tensor] = field(init=False)

    def __post_init__(self) -> None:
        blank, noise = empty_images(self.pool.shape, self.pool.pixels.mean(dim=(0, 2, 3)), self.seed)
        object.__setattr__(self, "empty", (blank.to(self.engine.device), noise.to(self.engine.device)))

    @property
    def rate(self) -> float:
        """The ASR at which sizes are compared, 0..1."""
        return UNIVERSAL_RATE if self.held_out is self.pool else RATE

    def run(self, labels: Sequence[int]) -> list[Found]:
        """Return what was found for each of the labels, in their order, until they are first looked at.

        Where there are many, they are screened.
        """
        if not self.budget.screens(len(labels)):
            return self._search_all(labels, 0, self.budget.looks[0], GLANCED_AT)
        control = control_group(labels, self.budget.control, self.seed)
        screened, starts = self._screen(labels, control)
        chosen = [label for label in labels if label in starts]
        found = self._decide(chosen, starts, self.budget.after_screening, control, "search", "search 0")
        decided = {each.label: each for each in found}
        return [decided.get(label, screened[label]) for label in labels]

    def go_on(self, begun: Sequence[Found]) -> list[Found]:
        """Return what is found for these labels until they are looked at for the last time."""
        first, last = self.budget.looks[0], self.budget.looks[-1]
        return self._continue(begun, self.budget.full.between(first, last), "search on", "search on")

    def again(self, found: Sequence[Found]) -> list[Found]:
        """Return what a search of the same labels from another start finds until then."""
        return self._search_all([each.label for each in found if each.trigger], 1, self.budget.looks[-1])

    def finish(self, begun: Sequence[Found], done: int) -> list[Found]:
        """Return what the rest of the search, after so many steps, finds of some of the labels, each in its own batch.

        That takes less for one or two labels and finds something a little different from what it would for all of them.
        """
        config = self.budget.full.between(done, self.budget.full.steps)
        return self._continue(begun, config, "finish", "search 0", one_by_one=True)

    def _search_all(self, labels: Sequence[int], start: int, steps: int, at_most: int = HELD_OUT) -> list[Found]:
        """Search labels for so many steps from one of several random starts, and measure each on so many images."""
        stage = "search" if start == 0 else f"search {start + 1}"
        config = self.budget.full.between(0, steps)
        return self._decide(labels, None, config, frozenset(labels), stage, f"search {start}", at_most=at_most)

    def _continue(
        self, begun: Sequence[Found], config: InversionConfig, stage: str, purpose: str, one_by_one: bool = False
    ) -> list[Found]:
        """Search labels from where their triggers are."""
        starts = {each.label: each.parameters for each in begun}
        if config.steps <= 0:
            return list(begun)
        return self._decide(list(starts), starts, config, frozenset(starts), stage, purpose, one_by_one)

    def _screen(self, labels: Sequence[int], control: frozenset[int]) -> tuple[dict[int, Found], ByLabel]:
        """Search all labels briefly; return what was found, and the parameters of those that go on."""
        found: dict[int, Found] = {}
        starts: ByLabel = {}
        config = self.budget.screening
        for number, (batch, full) in enumerate(self._batches(labels, config)):
            finished = self._load("screening", number)
            fresh = finished is None
            if finished is None:
                before, done = self.engine.cost.copy(), (len(found), len(labels))
                parameters = self._invert(batch, full, None, config, "screening", "screening", done)
                facts = {"size": self.family.size(parameters).tolist(), **self._transfer(parameters, batch)}
                finished = Batch(self.engine.cost - before, *_by_label(batch, facts, parameters))
            for label in batch:
                own = finished.facts[label]
                found[label] = Found(label, None, own["size"], math.inf, own["wins_clean"], own, label in control)
            going_on = control | shortlist(
                {label: each.transfer["margin_clean"] for label, each in found.items()},
                {label: each.transfer["margin_noise"] for label, each in found.items()},
                self.budget,
            )
            # Whoever is not among the best now never will be, so memory and disk hold no more than those.
            kept = {label: tensors for label, tensors in finished.tensors.items() if label in going_on}
            starts = {label: start for label, start in starts.items() if label in going_on} | kept
            if fresh:
                self._save("screening", number, Batch(finished.cost, finished.facts, kept))
            self.progress.update("screening", len(found), len(labels), self.engine.cost)
        return found, starts

    def _decide(
        self,
        labels: Sequence[int],
        starts: Mapping[int, Parameters] | None,
        config: InversionConfig,
        control: frozenset[int],
        stage: str,
        purpose: str,
        one_by_one: bool = False,
        at_most: int = HELD_OUT,
    ) -> list[Found]:
        """Search labels, from the given starts or from random ones, and measure each on so many images.

        The stage is what progress and checkpoint know it by, the purpose what its random draws do.
        """
        found: list[Found] = []
        batches = filled_batches(labels, 1) if one_by_one else self._batches(labels, config)
        for number, (batch, full) in enumerate(batches):
            finished = self._load(stage, number)
            if finished is None:
                before, given = self.engine.cost.copy(), None
                if starts:
                    given = stacked([starts[label] for label in full])
                done = len(found), len(labels)
                parameters = self._invert(batch, full, given, config, purpose, stage, done)
                facts = self._measure(parameters, batch, at_most)
                finished = Batch(self.engine.cost - before, *_by_label(batch, facts, parameters))
                self._save(stage, number, finished)
            for label in batch:
                own, parameters = finished.facts[label], finished.tensors[label]
                (trigger,) = self.family.triggers({name: value[None] for name, value in parameters.items()}, [label])
                sizes = own["size"], own["universal_size"]
                found.append(Found(label, trigger, *sizes, own["asr"], own, label in control, parameters))
            self.progress.update(stage, len(found), len(labels), self.engine.cost)
        return found

    def _measure(self, parameters: Parameters, batch: Sequence[int], at_most: int) -> dict[str, list[float]]:
        """Compare triggers at equal ASR on so many images each, and try them on empty images."""
        images, labels = self._held_out(batch, at_most), self._labels(batch)
        rates = [self.rate] if self.rate == UNIVERSAL_RATE else [self.rate, UNIVERSAL_RATE]
        sizes = sizes_at_rates(self.engine, self.family, parameters, labels, images, rates)
        failed = ~torch.stack([value.flatten(1).isfinite().all(1) for value in parameters.values()]).all(0)
        size, universal = (torch.where(failed, torch.nan, each) for each in (sizes[0], sizes[-1]))
        return {
            "size": size.tolist(),
            "universal_size": universal.tolist(),
            "asr": transfer(self.engine, self.family, parameters, labels, images).wins.tolist(),
            **self._transfer(parameters, batch),
        }

    def _batches(self, labels: Sequence[int], config: InversionConfig) -> Iterator[tuple[Sequence[int], Sequence[int]]]:
        size = labels_per_batch(self.engine.classifier.classes, config.images_per_step)
        return filled_batches(labels, size)

    def _load(self, stage: str, number: int) -> Batch | None:
        finished = None if self.checkpoint is None else self.checkpoint.load(stage, number)
        if finished is not None:
            self.engine.cost.add(finished.cost)
        return finished

    def _save(self, stage: str, number: int, finished: Batch) -> None:
        if self.checkpoint is not None:
            self.checkpoint.save(stage, number, finished)

    def _invert(
        self,
        batch: Sequence[int],
        full: Sequence[int],
        start: Parameters | None,
        config: InversionConfig,
        purpose: str,
        stage: str,
        finished: tuple[int, int],
    ) -> dict[str, Tensor]:
        """Search one batch of labels, filled up to `full`; return the parameters of the triggers of the batch.

        The progress counts on from how many labels, of how many, are `finished`.
        """
        if start is None:
            generators = [generator_for(self.seed, label, f"start of {purpose}") for label in full]
            start = self.family.start(generators, self.pool.shape)
        generators = [generator_for(self.seed, label, purpose) for label in full]
        done, total = finished

        def watch(step: int, _: Parameters) -> None:
            self.progress.update(stage, done + len(batch) * step // (config.steps + 1), total, self.engine.cost)

        parameters = invert(self.engine, self.family, start, full, self.pool, config, generators, watch=watch)
        return {name: value[: len(batch)] for name, value in parameters.items()}

    def _transfer(self, parameters: Parameters, batch: Sequence[int]) -> dict[str, list[float]]:
        """Return how the triggers do on clean, blank and noise images as they are, one number a label each."""
        on = {"clean": self._held_out(batch, at_most=8), "blank": self.empty[0], "noise": self.empty[1]}
        facts: dict[str, list[float]] = {}
        for name, images in on.items():
            found = transfer(self.engine, self.family, parameters, self._labels(batch), images)
            facts |= {f"margin_{name}": found.margin.tolist(), f"wins_{name}": found.wins.tolist()}
            facts[f"gained_{name}"] = found.gained.tolist()
        return facts

    def _labels(self, batch: Sequence[int]) -> Tensor:
        return torch.tensor(batch, device=self.engine.device)

    def _held_out(self, batch: Sequence[int], at_most: int) -> Tensor:
        """Return images (K, B, C, H, W) to measure K labels on, none of a label's own class."""
        generators = [generator_for(self.seed, label, "held out") for label in batch]
        return self.held_out.rows(batch, at_most, generators).to(self.engine.device)


def _by_label(
    batch: Sequence[int], facts: Mapping[str, Sequence[float]], tensors: Mapping[str, Tensor]
) -> tuple[Facts, ByLabel]:
    """Return facts and tensors, given as K of each kind, as those of each label."""
    rows = list(enumerate(batch))
    return (
        {label: {name: values[k] for name, values in facts.items()} for k, label in rows},
        {label: {name: values[k].cpu() for name, values in tensors.items()} for k, label in rows},
    )
