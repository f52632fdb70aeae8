"""The demo: a BadNet and its clean twin, made on the spot from images that scikit-learn brings, scanned, repaired."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from goodnet.images import CleanImages
from goodnet.redteam.demo import make_demo_nets
from goodnet.repair import repair
from goodnet.report.pictures import save_triggers
from goodnet.report.repair_pictures import save_repair_pictures
from goodnet.report.repair_terminal import show_repair
from goodnet.report.schema import ScanReport
from goodnet.report.terminal import ScanProgress, show
from goodnet.scan import scan


def run_demo(seed: int, folder: Path, console: Console) -> tuple[ScanReport, ScanReport]:
    """Make both networks, scan them, repair the BadNet, print the reports and save pictures and GoodNet.

    Args:
        seed: of the networks and the scans.
        folder: for the pictures.
        console: where to print.

    Returns:
        The reports of the BadNet and of its clean twin.
    """
    console.rule("Training two small networks on handwritten digits")
    nets = make_demo_nets(seed)
    console.print(
        f"The BadNet gets {nets.badnet_accuracy:.1%} of clean digits right, and with a small square in a corner it "
        f"calls {nets.badnet_asr:.1%} of them a {nets.target_label}.\n"
        f"Its clean twin gets {nets.clean_accuracy:.1%} right. The scanner is told neither.",
        highlight=False,
    )
    reports = []
    for title, model in (("BadNet", nets.badnet), ("clean twin", nets.clean)):
        console.rule(f"Scanning the {title}")
        with ScanProgress(console) as progress:
            reports.append(scan(model, nets.images, seed=seed, progress=progress))
        show(reports[-1], console)
    badnet, clean = reports
    pictures = save_triggers(badnet, nets.images, folder)
    console.rule("Verdicts")
    console.print(f"BadNet: {badnet.verdict}, target labels {list(badnet.target_labels)}; planted: {nets.target_label}")
    console.print(f"clean twin: {clean.verdict}")
    if pictures:
        console.print(f"The reversed triggers are drawn in {pictures[0]}", soft_wrap=True)
    console.rule("Repairing the BadNet")
    triggered = CleanImages(nets.triggered, nets.triggered_labels, source="the attacker's own images")
    with ScanProgress(console) as progress:
        good = repair(
            nets.badnet,
            nets.images,
            badnet,
            method="unlearn",
            triggered=triggered,
            seed=seed,
            progress=progress,
        )
    assert good.report is not None
    show_repair(good.report, console)
    drawn = save_repair_pictures(good, nets.images, folder)
    good.save(folder / "good.pt2")
    if drawn:
        console.print(f"Before and after is drawn in {drawn[0]}", soft_wrap=True)
    console.print(f"The GoodNet is in {folder / 'good.pt2'}; goodnet predict takes it", soft_wrap=True)
    return badnet, clean
