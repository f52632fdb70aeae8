"""The fast preset: searches and evidence in their order, until the verdict is beyond doubt."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from torch import Tensor

from goodnet import all_to_all, coarse, generated, slight, source_specific
from goodnet.all_to_all import ClassMapping
from goodnet.budget import Budget
from goodnet.calibration import Calibration
from goodnet.checkpoint import Checkpoint
from goodnet.engine import Engine
from goodnet.evidence.agreement import agreed
from goodnet.evidence.margins import attractions, greatest_margins
from goodnet.evidence.outliers import FEWEST_REFERENCES
from goodnet.evidence.statistics import Elsewhere, Statistics, statistics
from goodnet.evidence.waves import wave_leads
from goodnet.evidence.weights import row_sums
from goodnet.inversion import ImagePool
from goodnet.progress import Progress
from goodnet.search import RATE, UNIVERSAL_RATE, Found, Search
from goodnet.slight import FoundChange
from goodnet.source_specific import EveryPair, Pair
from goodnet.triggers import Patch
from goodnet.verdict import Decision, by_what_it_does, change_of, decide, pair_probability


@dataclass(frozen=True, eq=False)
class Findings:
    """What was found, and what follows from it.

    Attributes:
        found: for each label, its patch.
        evidence: for each label that was searched fully or screened, its statistics.
        decision: the verdict.
        instead: what is shown of flagged labels in the place of a patch for all classes: the slight change of the
            whole image that speaks for them, the patch for one class only, or the trigger drawn for each image.
        mapping: the trigger that moves every class; None where it was not searched.
        pair: the pair of classes that stands out most; None where pairs were not searched.
    """

    found: Sequence[Found]
    evidence: Mapping[int, Statistics]
    decision: Decision
    instead: Mapping[int, FoundChange] = field(default_factory=dict)
    mapping: ClassMapping | None = None
    pair: Pair | None = None


@dataclass(frozen=True, eq=False)
class Examination:
    """One network to examine.

    Attributes:
        engine: the network.
        pool: images to search on.
        held_out: images to measure on; the same ones where there are few.
        images: all clean images there are, (n, C, H, W) in 0..1.
        budget: how much is spent on what, among as many labels as are searched.
        calibration: how evidence becomes a probability.
        seed: of every random draw.
        progress: who is told.
        checkpoint: where finished batches are kept; None for nowhere.
    """

    engine: Engine
    pool: ImagePool
    held_out: ImagePool
    images: Tensor
    budget: Budget
    calibration: Calibration
    seed: int
    progress: Progress
    checkpoint: Checkpoint | None

    def run(self, labels: Sequence[int], skipped: Sequence[int], between_classes: bool) -> Findings:
        """Return what is found of labels.

        Args:
            labels: the labels to search.
            skipped: those that were asked for but cannot be searched.
            between_classes: whether triggers that send each class elsewhere, or one class alone, are looked for too.
        """
        engine, pool, held_out, budget, seed = self.engine, self.pool, self.held_out, self.budget, self.seed
        patches = Search(engine, Patch(), pool, held_out, budget, seed, self.progress, self.checkpoint)
        few = not budget.screens(len(labels))
        found = patches.run(labels)
        decided = [each.label for each in found if each.trigger]
        elsewhere = Elsewhere(
            margins=greatest_margins(engine, decided, pool.shape, seed, budget.margins),
            attractions=attractions(engine, pool.shape, seed),
            weights=row_sums(engine.classifier, pool.pixels[:1].to(engine.device)),
        )
        findings = self._judge(found, elsewhere, skipped)
        changes: dict[str, dict[int, FoundChange]] = {}
        if not self._clear(findings):
            changes = self._changes(decided) if few else {}
            elsewhere = self._with_changes(elsewhere, changes)
            findings = self._judge(found, elsewhere, skipped)
        done = budget.looks[0]
        if few and not self._clear(findings) and findings.decision.score >= budget.suspicious:
            found, done = patches.go_on(found), budget.looks[-1]
            findings = self._judge(found, elsewhere, skipped)
        if few and not self._clear(findings) and findings.decision.score >= budget.doubtful:
            found = agreed(found, patches.again(found))
            findings = self._judge(found, elsewhere, skipped)
        # A trigger that sends all to one class already does a half or a third of what such a mapping would explain.
        several = engine.classifier.classes >= FEWEST_REFERENCES
        if between_classes and several and pool is not held_out and findings.decision.score < budget.certain:
            findings = self._between_classes(found, elsewhere, skipped)
        kinds = {label: change_of(findings.evidence[label], self.calibration) for label in findings.decision.flagged}
        instead = {label: changes[kind][label] for label, kind in kinds.items() if kind} | self._for_one_class(findings)
        shown = set(findings.decision.flagged) - instead.keys() if few else ()
        accused = patches.finish([each for each in found if each.label in shown], done)
        finished = {each.label: each for each in accused}
        found = [finished.get(each.label, each) for each in found]
        drawn = self._for_each_image(accused, statistics(found, elsewhere), patches.rate)
        instead |= drawn | self._large([each for each in accused if each.label not in drawn])
        return replace(findings, found=found, instead=instead)

    def _clear(self, findings: Findings) -> bool:
        """Return whether there is a backdoor beyond doubt, and no doubt about any other label.

        Hardly anything that is found later counts for innocence, so what is beyond doubt will stay so.
        """
        doubtful, accused = self.budget.doubtful, self.calibration.backdoored
        others = any(doubtful <= score < accused for score in findings.decision.scores.values())
        return findings.decision.score >= self.budget.certain and not others

    def _between_classes(self, found: Sequence[Found], elsewhere: Elsewhere, skipped: Sequence[int]) -> Findings:
        """Return what triggers say as well that send each class elsewhere, or one class alone, until one is found."""
        given, config = (self.engine, self.pool, self.held_out), self.budget.all_to_all
        mapping = all_to_all.usual(*given, self.seed, config)
        findings = self._judge(found, elsewhere, skipped, mapping)
        if findings.decision.verdict == "backdoored":
            return findings
        every = None
        if len(found) + len(skipped) <= self.budget.pairs.most_labels:
            every = source_specific.search_every(*given, self.seed, self.progress, self.budget.pairs)
        triggers = [] if every is None else [pair.trigger for pair in every.leading()]
        guessed = all_to_all.guessed(*given, triggers, self.seed, config)
        mapping = max(mapping, guessed, key=lambda each: each.rate)
        findings = self._judge(found, elsewhere, skipped, mapping)
        if findings.decision.verdict == "backdoored":
            return findings
        return self._judge(found, elsewhere, skipped, mapping, self._pair(findings, every))

    def _pair(self, findings: Findings, every: EveryPair | None) -> Pair | None:
        """Return the pair of victim and target that is most probable, of all, or where many, of suspicious targets."""

        def probability(pair: Pair) -> float:
            return pair_probability(pair, self.calibration, findings.evidence[pair.target].raised)

        engine, seed, progress, config = self.engine, self.seed, self.progress, self.budget.pairs
        if every is not None:
            pairs = source_specific.confirm(engine, every, probability, seed, config)
        else:
            pool, logits = self._answered
            scores, evidence = findings.decision.scores, findings.evidence
            ranked = sorted(scores, key=lambda label: (-evidence[label].positive_index, -scores[label], label))
            suspects = ranked[: config.suspects]
            pairs = source_specific.search_suspects(engine, pool, logits, suspects, probability, seed, progress, config)
        return max(pairs, key=probability, default=None)

    def _changes(self, labels: Sequence[int]) -> dict[str, dict[int, FoundChange]]:
        """Return for each kind of slight change the one found for each label."""
        engine, pool, held_out = self.engine, self.pool, self.held_out
        return {
            each.family.name: slight.search(engine, pool, held_out, labels, self.seed, self.progress, each)
            for each in self.budget.slight
        }

    def _with_changes(self, elsewhere: Elsewhere, changes: Mapping[str, Mapping[int, FoundChange]]) -> Elsewhere:
        """Return what is known of labels beside their patches, and what changes and single waves do for them."""
        at_one_size = {name: of for name, of in changes.items() if name != "additive"}
        added = changes.get("additive", {})
        return replace(
            elsewhere,
            changes={name: {label: each.rate for label, each in of.items()} for name, of in at_one_size.items()},
            additives={label: each.size if each.rate >= RATE else math.inf for label, each in added.items()},
            waves=wave_leads(self.engine, self.pool, self.seed, self.budget.waves),
        )

    def _large(self, found: Sequence[Found]) -> dict[int, FoundChange]:
        """Return for those of flagged labels whose trigger is large its coarse patch."""
        shown, given, config = {}, (self.engine, self.pool, self.held_out), self.budget.coarse
        for each in found:
            patch = coarse.search(*given, each.label, each.universal_size, self.seed, UNIVERSAL_RATE, config)
            if patch is not None:
                shown[each.label] = patch
        return shown

    def _for_each_image(
        self, found: Sequence[Found], evidence: Mapping[int, Statistics], rate: float
    ) -> dict[int, FoundChange]:
        """Return for those of flagged labels that need one the trigger that a network draws anew for each image.

        Whether they do is told by the evidence when their own search is finished. Sizes are compared at the ASR of the
        patches that were found.
        """
        shown, config = {}, self.budget.generator
        for each in found:
            if by_what_it_does(evidence[each.label], self.calibration):
                drawn = generated.search(self.engine, self.pool, self.held_out, each.label, self.seed, rate, config)
                if drawn.size * config.smaller <= each.size:
                    shown[each.label] = drawn
        return shown

    def _for_one_class(self, findings: Findings) -> dict[int, FoundChange]:
        """Return for the labels that such a trigger accuses the trigger that works on one class only."""
        shown, pair = {}, findings.pair
        for label, victim in findings.decision.victims.items():
            found = pair if pair and (pair.victim, pair.target) == (victim, label) else findings.mapping
            assert found is not None  # victims come from these two alone
            trigger = replace(found.trigger, label=label, victim=victim)
            stamped = trigger.stamp(self._images_of(victim))
            rate = (self.engine.predict(stamped).argmax(1) == label).float().mean()
            shown[label] = FoundChange(float(rate), trigger, trigger.size)
        return shown

    def _images_of(self, label: int) -> Tensor:
        """Return the held-out images of a class, (n, C, H, W); where there are none, some that are answered with it."""
        of = self.held_out.of(label)
        if len(of):
            return self.held_out.pixels[of]
        pool, _ = self._answered
        return pool.pixels[pool.of(label)]

    @cached_property
    def _answered(self) -> tuple[ImagePool, Tensor]:
        """Images of all that there are, with the network's answers and logits."""
        return source_specific.answered(self.engine, self.images, self.seed, self.budget.pairs)

    def _judge(
        self,
        found: Sequence[Found],
        elsewhere: Elsewhere,
        skipped: Sequence[int],
        mapping: ClassMapping | None = None,
        pair: Pair | None = None,
    ) -> Findings:
        evidence = statistics(found, elsewhere)
        failed = [each.label for each in found if np.isnan(each.size)]
        searched = [evidence[each.label] for each in found if each.trigger]
        decision = decide(searched, [*skipped, *failed], self.calibration, mapping, pair)
        return Findings(found, evidence, decision, mapping=mapping, pair=pair)
