"""The fast preset against classic Neural Cleanse on the same network, the same images, in one run.

Time is the processor's, summed over cores, so that whatever else the machine does hardly counts.

python benchmarks/against_classic.py MODEL --images DATA [--keys X,Y] [--seed S]
"""

from __future__ import annotations

import argparse
import time

import goodnet


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--images", required=True)
    parser.add_argument("--keys")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    keys = options.keys.split(",") if options.keys else None
    images = goodnet.load_images(options.images, keys=keys, limit=256, seed=options.seed)
    model = goodnet.load_model(options.model)
    spent = {}
    for preset in ("fast", "classic"):
        started = time.process_time()
        report = goodnet.scan(model, images, preset=preset, seed=options.seed)
        spent[preset] = report.cost.image_gradients, time.process_time() - started
        index = "anomaly_index" if preset == "fast" else "classic_index"
        ranked = sorted(report.labels, key=lambda entry: -getattr(entry, index))[:3]
        tops = ", ".join(f"label {entry.label}: {getattr(entry, index):.1f}" for entry in ranked)
        print(
            f"{preset:8} {report.verdict:12} flagged {list(report.target_labels)}  highest indices {tops}  "
            f"{spent[preset][0]:,} image-gradients  {spent[preset][1]:.0f} s of processor time",
            flush=True,
        )
    gradients, seconds = (classic / fast for fast, classic in zip(*spent.values(), strict=True))
    print(f"classic / fast: {gradients:.1f} times the image-gradients, {seconds:.1f} times the processor time")


if __name__ == "__main__":
    main()
