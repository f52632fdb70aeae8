"""Throughput of the inversion against bare forward and input-gradient of the same network at the same batch size.

    python benchmarks/overhead.py MODEL --images DATA [--keys X,Y]

The two are timed in turns, several times, and compared by their medians.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch.nn import functional

import goodnet
from goodnet.engine import choose_engine
from goodnet.inversion import ImagePool, InversionConfig, generator_for, invert, labels_per_batch
from goodnet.preflight import check
from goodnet.triggers import Patch

STEPS = 20
ROUNDS = 7


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--images", required=True)
    parser.add_argument("--keys")
    options = parser.parse_args()
    keys = options.keys.split(",") if options.keys else None
    ready = check(goodnet.load_model(options.model), goodnet.load_images(options.images, keys=keys, limit=256))
    pixels = ready.images.pixels
    engine = choose_engine(ready.model, pixels)
    per_step = InversionConfig().images_per_step
    size = labels_per_batch(ready.model.classes, per_step)
    batch = pixels.repeat(-(-size * per_step // len(pixels)), 1, 1, 1)[: size * per_step]
    pool = ImagePool(pixels, engine.predict(pixels).argmax(1))
    labels = [number % ready.model.classes for number in range(size)]
    targets = torch.tensor(labels).repeat_interleave(per_step)

    def bare() -> None:
        for _ in range(STEPS):
            inputs = batch.clone().requires_grad_()
            torch.autograd.grad(functional.cross_entropy(engine.logits(inputs), targets), inputs)

    def inversion() -> None:
        start = Patch().start([generator_for(0, label, "start") for label in labels], ready.model.shape)
        generators = [generator_for(0, label, "search") for label in labels]
        invert(engine, Patch(), start, labels, pool, InversionConfig(STEPS, per_step), generators)

    seconds: dict[str, list[float]] = {"bare": [], "inversion": []}
    for _ in range(ROUNDS):
        for name, function in (("bare", bare), ("inversion", inversion)):
            started = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - started)
    median = {name: statistics.median(times) for name, times in seconds.items()}
    rate = {name: STEPS * len(batch) / value for name, value in median.items()}
    print(
        f"batch of {len(batch)}: bare {rate['bare']:,.0f} image-gradients/s, inversion {rate['inversion']:,.0f}, "
        f"ratio {rate['inversion'] / rate['bare']:.1%} (medians of {ROUNDS})"
    )


if __name__ == "__main__":
    main()
