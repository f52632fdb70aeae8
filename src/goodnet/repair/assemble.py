"""Put a GoodNet together: BadNet, repaired network, filter, and the report with its figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from goodnet.engine import Engine
from goodnet.goodnet import GoodNet
from goodnet.guard import UnguardedNetwork
from goodnet.repair.correction import narrow_misses
from goodnet.repair.figures import real_trigger_figures
from goodnet.repair.guarding import filter_figures, fit_guard
from goodnet.repair.images import SPLIT_FROM, RepairImages
from goodnet.repair.job import Job
from goodnet.repair.measure import measure
from goodnet.repair.rounds import Rounds
from goodnet.report.repair import Round, Status


def unchanged(job: Job) -> GoodNet:
    """Return a network that no label is flagged in as it came."""
    model, verdict = job.ready.model, job.verdict
    status: Status = "unchanged" if verdict == "clean" else "inconclusive"
    said = "found no backdoor" if verdict == "clean" else "could not tell whether there is a backdoor"
    summary = f"the scan {said}, so the network comes back unchanged, bit for bit"
    network = UnguardedNetwork(model.network, model.preprocessing).eval()
    return GoodNet(network, job.facts(()), job.report(status, summary, verdict, (), ()), model, model, model.device)


def assemble(job: Job, engine: Engine, images: RepairImages, rounds: Rounds) -> GoodNet:
    """Fit the filter, measure everything and return the GoodNet.

    Args:
        job: the job; its cost is counted up.
        engine: what the rounds ran on, for the report.
        images: to fit the filter on, and to measure on.
        rounds: what was done.
    """
    model, repaired, seed = job.ready.model, rounds.repaired, job.seed
    # Exact numbers from here on: the filter has to judge the networks as they will be saved.
    old, new = Engine(model), Engine(repaired)
    network = fit_guard(old, new, images, rounds.used, job.config.guard, seed)
    if images.shared and images.labelled:
        network.correction.copy_(narrow_misses(old, images, network.guard.flagged, seed))
    labels, last = rounds.labels, rounds.done[-1]
    good = GoodNet(network, job.facts(labels), None, repaired, model, model.device)
    status: Status = "repaired"
    if last.remaining:
        status = "incomplete"
    elif last.verdict == "inconclusive":
        status = "inconclusive"
    shown = job.triggered
    report = dataclasses.replace(
        job.report(status, _summary(status, rounds.done), last.verdict, labels, rounds.done),
        before=measure(old.predict, images, rounds.unseen),
        after=measure(lambda pixels: good.scores(pixels)[:, :-1], images, rounds.unseen),
        alone=measure(new.predict, images, rounds.unseen),
        filter=filter_figures(good, old, images, rounds.unseen, seed),
        real_trigger=None if shown is None else real_trigger_figures(good, old, shown, labels),
        emergence=rounds.emergence,
        warnings=(*job.ready.warnings, *_warnings(images, bool(network.correction.any()))),
    )
    for cost in (old.cost, new.cost):
        job.cost.add(cost)
    return dataclasses.replace(good, report=dataclasses.replace(report, cost=job.spent(engine.bfloat16)))


def _summary(status: Status, rounds: Sequence[Round]) -> str:
    last = rounds[-1]
    times = f"{len(rounds)} round{'s' if len(rounds) > 1 else ''} of repair"
    if status == "repaired":
        return f"after {times} ({last.method}) a scan finds no backdoor any more"
    if status == "incomplete":
        left = ", ".join(map(str, last.remaining))
        return f"after {times} a scan still finds a backdoor (label {left}); do not use this network without the filter"
    return f"after {times} ({last.method}) a scan flags no label any more, but cannot rule a backdoor out"


def _warnings(parts: RepairImages, corrected: bool) -> tuple[str, ...]:
    warnings = []
    if corrected:
        warnings.append(
            "the BadNet narrowly misses some of the labelled images; a constant added to a few of its logits gets "
            "them right"
        )
    if parts.shared:
        warnings.append(
            f"only {len(parts.pixels)} images, so the figures were measured on variants and blends of them, and "
            f"accuracy against the BadNet's own answers; {SPLIT_FROM} or more allow an independent measurement"
        )
    elif not parts.labelled:
        warnings.append("the images have no labels, so accuracy is measured against the BadNet's own answers")
    return tuple(warnings)
