"""repair: from a BadNet and clean images to a GoodNet, in rounds, until a scan finds nothing any more."""

from __future__ import annotations

import dataclasses
import logging
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from goodnet.classifier import Classifier
from goodnet.engine import Cost, Engine
from goodnet.errors import ImagesError, UsageError
from goodnet.goodnet import GoodNet, GoodNetFacts
from goodnet.guard import GuardConfig, GuardedNetwork, UnguardedNetwork
from goodnet.images import CleanImages, fit_to
from goodnet.preflight import check
from goodnet.preflight.check import PreflightResult
from goodnet.progress import Progress, Silent
from goodnet.repair.choice import Criteria, attempt_all, methods_for
from goodnet.repair.figures import figures, filter_figures, real_trigger_figures
from goodnet.repair.guarding import fit_guard
from goodnet.repair.images import RepairImages, split
from goodnet.repair.measure import measure
from goodnet.repair.reversed import Emergence, ReversalConfig, TriggerSet, reverse
from goodnet.repair.task import Method, Task, engine_of, fast_engine
from goodnet.report.repair import RepairReport, Round, Status
from goodnet.report.schema import CostFacts, ImageFacts, ModelFacts, ScanReport
from goodnet.scan import scan
from goodnet.triggers import Trigger
from goodnet.verdict import Verdict
from goodnet.version import __version__

logger = logging.getLogger(__name__)

STAGE = "repair"


@dataclass(frozen=True)
class RepairConfig:
    """How a network is repaired.

    Attributes:
        rounds: at most so many; nine triggers on one label took the paper three.
        reversal: how the triggers to unlearn are reversed.
        guard: how the input filter judges.
        criteria: when a repair is good.
        control_labels: labels without a flag that the scan after a round looks at, to tell what is usual.
    """

    rounds: int = 3
    reversal: ReversalConfig = field(default_factory=ReversalConfig)
    guard: GuardConfig = field(default_factory=GuardConfig)
    criteria: Criteria = field(default_factory=Criteria)
    control_labels: int = 14


def repair(
    model: Classifier,
    images: CleanImages,
    report: ScanReport | None = None,
    *,
    method: str = "auto",
    labels: Sequence[int] | None = None,
    triggered: CleanImages | None = None,
    seed: int = 0,
    explicit: bool = False,
    resize: bool = False,
    config: RepairConfig | None = None,
    progress: Progress | None = None,
) -> GoodNet:
    """Remove the backdoor from a model.

    Args:
        model: from `load_model`.
        images: clean images, from `load_images`; a few per cent of the training set, or as few as eight.
        report: of a scan of this model; it is scanned first where there is none.
        method: "unlearn", "prune", "finetune" or "paper", or "auto" to try them and choose by what they do.
        labels: the labels to repair, instead of those that the report flags; the model is then not scanned first.
        triggered: images with the attacker's trigger and their true labels, only to measure with.
        seed: of every random draw.
        explicit: whether the model's preprocessing was set on purpose and must not be replaced by what fits better.
        resize: whether images may be resized and their colours converted to fit the model.
        config: how.
        progress: is told what is going on.

    Returns:
        The GoodNet, with its RepairReport. Where the scan found no backdoor, the network in it is the model's own.

    Raises:
        UsageError: the report belongs to another model, a label is out of range, or there is no such method.
        ImagesError: the images do not fit the model, or are too few to repair with.
        PreflightError: model and images do not belong together.
        ModelError: the model cannot be trained.
    """
    started = time.monotonic()
    config, progress = config or RepairConfig(), progress or Silent()
    methods = methods_for(method)
    if report is not None and report.model.sha256 != model.sha256:
        raise UsageError(
            f"expected a scan report of {model.path} (sha256 {model.sha256[:12]}...), got one of {report.model.path} "
            f"(sha256 {report.model.sha256[:12]}...); scan this model, or leave the report out"
        )
    if triggered is not None and triggered.labels is None:
        raise ImagesError(
            f"the triggered images of {triggered.source} have no labels; their true labels are needed to measure with"
        )
    ready = check(model, images, explicit=explicit, resize=resize)
    _require_labels(labels, ready.model.classes)
    cost = Cost()
    if report is None and labels is None:
        report = scan(model, images, seed=seed, explicit=explicit, resize=resize, progress=progress)
        cost.add(_spent(report))
    found = report.target_labels if report is not None else ()
    flagged = tuple(sorted(set(found if labels is None else labels)))
    shown = None if triggered is None else fit_to(triggered, ready.model.shape, resize)
    verdict: Verdict = "backdoored" if report is None else report.verdict
    work = _Work(ready, verdict, seed, config, progress, cost, shown)
    if not flagged:
        return work.unchanged(started)
    engine = fast_engine(ready.model, ready.images.pixels)
    parts = split(ready.images, engine, seed)
    return work.repaired(engine, parts, flagged, methods, started)


@dataclass(frozen=True, eq=False)
class _Work:
    """What a repair was given."""

    ready: PreflightResult
    verdict: Verdict
    seed: int
    config: RepairConfig
    progress: Progress
    cost: Cost
    triggered: CleanImages | None

    def unchanged(self, started: float) -> GoodNet:
        """Return the network as it came."""
        model, verdict = self.ready.model, self.verdict
        status: Status = "unchanged" if verdict == "clean" else "inconclusive"
        said = "found no backdoor" if verdict == "clean" else "could not tell whether there is a backdoor"
        summary = f"the scan {said}, so the network comes back unchanged, bit for bit"
        network = UnguardedNetwork(model.network, model.preprocessing).eval()
        done = self._report(status, summary, verdict, (), (), started)
        return GoodNet(network, self._facts(()), done, model, model, model.device)

    def repaired(
        self, engine: Engine, parts: RepairImages, flagged: tuple[int, ...], methods: Sequence[Method], started: float
    ) -> GoodNet:
        """Repair in rounds; return the GoodNet."""
        model, seed = self.ready.model, self.seed
        current, labels = model, flagged
        rounds: list[Round] = []
        sets: list[tuple[TriggerSet, TriggerSet]] = []
        emergence: dict[int, tuple[tuple[int, Trigger], ...]] = {}
        verdict: Verdict = "backdoored"
        while labels and len(rounds) < self.config.rounds:
            number = len(rounds)
            now = engine if number == 0 else engine_of(model, current.network, engine)
            watch = Emergence(labels, self.config.reversal)
            used, unseen = (
                reverse(
                    now, labels, parts.pixels, parts.labels, self.config.reversal, seed, f"{purpose} {number}", watched
                )
                for purpose, watched in (("repair", watch), ("measure", None))
            )
            for label, snapshots in watch.snapshots.items():
                emergence.setdefault(label, tuple(snapshots))
            self.progress.update(f"round {number + 1}", 1, 3, now.cost)
            before = measure(now.predict, parts, unseen)
            task = Task(current, parts, used, unseen, before, seed + number, now.cost)
            choice = attempt_all(task, methods, self.config.criteria)
            self.progress.update(f"round {number + 1}", 2, 3, now.cost)
            current = _with(model, choice.best.network)
            sets.append((used, unseen))
            checked = self._rescan(current, labels, number)
            now.cost.add(_spent(checked))
            verdict, remaining = checked.verdict, tuple(sorted(checked.target_labels))
            rounds.append(
                Round(
                    labels=labels,
                    method=choice.best.method,
                    reason=choice.reason,
                    attempts={
                        each.method: {
                            "clean_accuracy": each.outcome.clean_accuracy,
                            "asr": each.outcome.mean_asr,
                            "recovered": each.outcome.recovered,
                        }
                        for each in choice.attempts
                    },
                    verdict=verdict,
                    remaining=remaining,
                )
            )
            self.progress.update(f"round {number + 1}", 3, 3, now.cost)
            if now is not engine:
                engine.cost.add(now.cost)
            labels = remaining
        every = tuple(sorted({label for done in rounds for label in done.labels}))
        good = self._finish(engine, current, parts, sets, rounds, every, verdict, started)
        assert good.report is not None
        return dataclasses.replace(good, report=dataclasses.replace(good.report, emergence=emergence))

    def _finish(
        self,
        engine: Engine,
        current: Classifier,
        parts: RepairImages,
        sets: Sequence[tuple[TriggerSet, TriggerSet]],
        rounds: Sequence[Round],
        labels: tuple[int, ...],
        verdict: Verdict,
        started: float,
    ) -> GoodNet:
        """Fit the filter, measure everything and put the GoodNet together."""
        model, config = self.ready.model, self.config
        # Exact numbers from here on: the filter has to judge the networks as they will be saved.
        old, new = Engine(model), Engine(current)
        used, unseen = sets[0]
        for more_used, more_unseen in sets[1:]:
            used, unseen = used.joined_with(more_used), unseen.joined_with(more_unseen)
        guard = fit_guard(old, new, parts, used, config.guard, self.seed)
        network = GuardedNetwork(model.network, current.network, model.preprocessing, guard).eval()
        good = GoodNet(network, self._facts(labels), None, current, model, model.device)
        remaining = rounds[-1].remaining
        status: Status = "incomplete" if remaining else "inconclusive" if verdict == "inconclusive" else "repaired"
        done = self._report(status, _summary(status, rounds), verdict, labels, rounds, started)
        done = dataclasses.replace(
            done,
            before=figures(old.predict, parts, unseen),
            after=figures(lambda pixels: good.scores(pixels)[:, :-1], parts, unseen),
            alone=figures(new.predict, parts, unseen),
            filter=filter_figures(guard, old, new, parts, unseen, self.seed, config.guard),
            real_trigger=None if self.triggered is None else real_trigger_figures(good, old, self.triggered, labels),
            warnings=(*self.ready.warnings, *_warnings(parts)),
        )
        self.cost.add(engine.cost)
        self.cost.add(old.cost)
        self.cost.add(new.cost)
        done = dataclasses.replace(done, cost=self._cost(started, engine.bfloat16))
        return dataclasses.replace(good, report=done)

    def _rescan(self, current: Classifier, labels: Sequence[int], number: int) -> ScanReport:
        """Scan the labels that were repaired, among others that tell what is usual."""
        others = [label for label in range(current.classes) if label not in labels]
        order = torch.randperm(len(others), generator=torch.Generator().manual_seed(self.seed + number))
        chosen = [others[place] for place in order[: self.config.control_labels].tolist()]
        return scan(
            current,
            self.ready.images,
            labels=[*labels, *chosen],
            seed=self.seed + number,
            explicit=True,
            progress=self.progress,
        )

    def _facts(self, labels: tuple[int, ...]) -> GoodNetFacts:
        model = self.ready.model
        return GoodNetFacts(
            num_classes=model.classes,
            input_shape=model.shape,
            target_labels=labels,
            changed=bool(labels),
            false_positive_rate=self.config.guard.false_positive_rate,
            original=model.path.replace("\\", "/").rsplit("/", 1)[-1],
            original_sha256=model.sha256,
            goodnet=__version__,
        )

    def _report(
        self,
        status: Status,
        summary: str,
        verdict: Verdict,
        labels: tuple[int, ...],
        rounds: Sequence[Round],
        started: float,
    ) -> RepairReport:
        model, images = self.ready.model, self.ready.images
        return RepairReport(
            status=status,
            summary=summary,
            verdict_before=self.verdict,
            verdict_after=verdict,
            target_labels=labels,
            before=None,
            after=None,
            alone=None,
            filter=None,
            real_trigger=None,
            rounds=tuple(rounds),
            model=ModelFacts(model.path, model.sha256, model.format, model.classes, model.shape, self.ready.settings),
            images=ImageFacts(images.source, len(images), images.labels is not None, self.ready.clean_accuracy),
            cost=self._cost(started, False),
            seed=self.seed,
            versions={"goodnet": __version__, "torch": torch.__version__, "python": platform.python_version()},
            warnings=self.ready.warnings,
        )

    def _cost(self, started: float, bfloat16: bool) -> CostFacts:
        return CostFacts(
            image_gradients=self.cost.image_gradients,
            forward_passes=self.cost.forward_passes,
            seconds=round(time.monotonic() - started, 2),
            device=str(self.ready.model.device),
            precision="bfloat16" if bfloat16 else "float32",
        )


def _with(model: Classifier, network: torch.nn.Module) -> Classifier:
    from goodnet.formats.load import weights_sha256

    return dataclasses.replace(
        model, network=network, sha256=weights_sha256(network), path=f"{model.path} (repaired)", warnings=()
    )


def _spent(report: ScanReport) -> Cost:
    return Cost(report.cost.image_gradients, report.cost.forward_passes)


def _require_labels(labels: Sequence[int] | None, classes: int) -> None:
    wrong = [label for label in labels or () if not 0 <= label < classes]
    if wrong:
        raise UsageError(f"expected labels to repair in 0..{classes - 1}, got {', '.join(map(str, wrong))}")


def _summary(status: Status, rounds: Sequence[Round]) -> str:
    last = rounds[-1]
    times = f"{len(rounds)} round{'s' if len(rounds) > 1 else ''} of repair"
    if status == "repaired":
        return f"after {times} ({last.method}) a scan finds no backdoor any more"
    if status == "incomplete":
        left = ", ".join(map(str, last.remaining))
        return f"after {times} a scan still finds a backdoor (label {left}); do not use this network without the filter"
    return f"after {times} ({last.method}) a scan flags no label any more, but cannot rule a backdoor out"


def _warnings(parts: RepairImages) -> tuple[str, ...]:
    warnings = []
    if parts.shared:
        warnings.append(
            f"only {len(parts.pixels)} images, so the figures were measured on variants of the images that were "
            "repaired on; 40 or more allow an independent measurement"
        )
    if not parts.labelled:
        warnings.append("the images have no labels, so accuracy is measured against the BadNet's own answers")
    return tuple(warnings)
