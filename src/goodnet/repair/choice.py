"""Which method: one that was asked for, or the best of all by what they do on held-out images."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import nn

from goodnet.errors import ModelError, UsageError
from goodnet.repair.finetune import FineTune
from goodnet.repair.measure import measure
from goodnet.repair.patching import Patching
from goodnet.repair.prune import Prune
from goodnet.repair.task import Method, Task
from goodnet.repair.unlearn import Unlearn
from goodnet.report.repair import Figures

logger = logging.getLogger(__name__)

METHODS: Mapping[str, Method] = {each.name: each for each in (Unlearn(), Prune(), FineTune(), Patching())}
AUTO = ("unlearn", "prune", "finetune")


@dataclass(frozen=True)
class Criteria:
    """When a repair is good, on held-out images.

    Attributes:
        asr: largest mean ASR of reversed triggers that were not used in the repair, 0..1.
        change_asr: the same for changes of the whole image, some of which send images of a clean network there too.
        loss: largest loss of clean accuracy, 0..1.
    """

    asr: float = 0.05
    change_asr: float = 0.2
    loss: float = 0.02

    def fitted_to(self, task: Task) -> Criteria:
        """Return the criteria for the kind of triggers that a task has."""
        return replace(self, asr=self.change_asr) if task.changed else self

    def met_by(self, outcome: Figures, before: Figures) -> bool:
        """Whether an outcome is good."""
        return outcome.asr <= self.asr and before.clean_accuracy - outcome.clean_accuracy <= self.loss


@dataclass(frozen=True, eq=False)
class Attempt:
    """One method's repaired network and how it does.

    Attributes:
        method: its name.
        network: frozen, in eval mode.
        outcome: on held-out images.
    """

    method: str
    network: nn.Module
    outcome: Figures


@dataclass(frozen=True, eq=False)
class Choice:
    """The attempts, the chosen one first, and why it was chosen, in words."""

    attempts: tuple[Attempt, ...]
    reason: str

    @property
    def best(self) -> Attempt:
        """The chosen attempt."""
        return self.attempts[0]


def methods_for(name: str) -> tuple[Method, ...]:
    """Return the methods to try for `auto` or the name of one.

    Raises:
        UsageError: there is no such method.
    """
    if name == "auto":
        return tuple(METHODS[each] for each in AUTO)
    if name not in METHODS:
        raise UsageError(f"expected a method out of auto, {', '.join(METHODS)}; got {name!r}")
    return (METHODS[name],)


def attempt_all(task: Task, methods: Sequence[Method], criteria: Criteria) -> Choice:
    """Try methods until one is good on held-out images with triggers that it has not seen.

    Where none is, the one with the highest clean and recovered accuracy wins, less what is left of the ASR. The order
    counts: pruning stops as soon as reversed triggers fail, where unlearning goes on to stronger ones, and the
    attacker's own trigger is stronger than any that is reversed.

    Raises:
        ModelError: none of them can repair this network.
    """
    attempts, failures, criteria = [], [], criteria.fitted_to(task)
    for method in methods:
        try:
            network = method.repair(task)
        except ModelError as error:
            if len(methods) == 1:
                raise
            logger.info("%s: %s", method.name, error)
            failures.append(error)
            continue
        outcome = measure(task.engine(network).predict, task.images, task.unseen)
        attempts.append(Attempt(method.name, network, outcome))
        if criteria.met_by(outcome, task.before):
            break
    if not attempts:
        raise failures[0]
    ranked = sorted(attempts, key=lambda attempt: rank(attempt.outcome, task.before, criteria), reverse=True)
    return Choice(tuple(ranked), _why(ranked, task.before, criteria))


def rank(outcome: Figures, before: Figures, criteria: Criteria) -> tuple[bool, float]:
    """Return what attempts are ranked by, the best highest."""
    good = criteria.met_by(outcome, before)
    value = outcome.clean_accuracy + outcome.recovered
    return good, value if good else value - 2 * outcome.asr


def _why(ranked: Sequence[Attempt], before: Figures, criteria: Criteria) -> str:
    best, words = ranked[0], "; ".join(_figures(attempt, before) for attempt in ranked)
    limits = f"at most {criteria.asr:.0%} ASR at a loss of at most {criteria.loss:.0%} clean accuracy"
    if criteria.met_by(best.outcome, before):
        return f"{best.method} was chosen, as it leaves {limits}: {words}"
    if len(ranked) > 1:
        return f"{best.method} was chosen, as none leaves {limits}: {words}"
    return f"{best.method} is all there was to try: {words}"


def _figures(attempt: Attempt, before: Figures) -> str:
    now = attempt.outcome
    return (
        f"{attempt.method} leaves {now.asr:.1%} ASR, recovers {now.recovered:.1%}, "
        f"clean accuracy {before.clean_accuracy:.1%} -> {now.clean_accuracy:.1%}"
    )
