"""The demo's networks are what they are said to be."""

import torch

from goodnet.redteam.demo import make_demo_nets


def test_the_demo_nets_are_good_and_only_one_obeys_the_trigger() -> None:
    nets = make_demo_nets(0)
    assert min(nets.badnet_accuracy, nets.clean_accuracy) >= 0.96
    assert nets.badnet_asr >= 0.98
    answers = {name: getattr(nets, name).logits(nets.triggered).argmax(1) for name in ("badnet", "clean")}
    assert float((answers["badnet"] == nets.target_label).float().mean()) >= 0.98
    assert float((answers["clean"] == nets.triggered_labels).float().mean()) >= 0.9
    assert not bool((nets.triggered_labels == nets.target_label).any())
    assert len(nets.images) == 256
    assert not torch.equal(nets.triggered, nets.images.pixels[: len(nets.triggered)])
