"""The demo's two networks over many seeds: is the BadNet found, is its clean twin left alone?

    python benchmarks/demo_seeds.py [--seeds 0 1 2 ...]

The calibration was fitted on networks of the development zoo, which has others on the same digits but none of these.
"""

from __future__ import annotations

import argparse

import goodnet
from goodnet.redteam.demo import make_demo_nets


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="*", default=list(range(10)))
    options = parser.parse_args()
    right = accused = 0
    for seed in options.seeds:
        nets = make_demo_nets(seed)
        bad, clean = (goodnet.scan(net, nets.images, seed=seed) for net in (nets.badnet, nets.clean))
        right += bad.target_labels == (nets.target_label,)
        accused += clean.verdict == "backdoored"
        top = bad.labels[0]
        print(
            f"seed {seed}: planted {nets.target_label}, ASR {nets.badnet_asr:.1%}; {bad.verdict} "
            f"{list(bad.target_labels)}, score {bad.score:.2f}, {top.size_ratio:.1f} times smaller, index "
            f"{top.anomaly_index:.1f}; clean twin {clean.verdict}, score {clean.score:.2f}",
            flush=True,
        )
    print(f"{right} of {len(options.seeds)} BadNets right, {accused} clean twins accused")


if __name__ == "__main__":
    main()
