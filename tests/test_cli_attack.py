"""The command attack as a user meets it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

import goodnet
from goodnet.cli.app import app
from goodnet.cli.attack import read_settings
from goodnet.errors import UsageError
from goodnet.redteam import ATTACKS, Patch, Recipe
from goodnet.redteam.demo import digits

FAST = ("--arch", "resnet_fast", "--epochs", "5")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    images, labels = digits()
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    np.savez(path, x=(images * 255).round().byte().permute(0, 2, 3, 1).numpy(), y=labels.numpy())
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["attack", *map(str, arguments)])


@pytest.fixture(scope="module")
def made(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """What the command said, and a folder with badnet.onnx and what belongs to it."""
    folder = tmp_path_factory.mktemp("made")
    settings = ("--target", 3, "--set", "size=4", "--set", "place=top-left")
    return run("patch", "--images", data, "-o", folder / "badnet.onnx", *settings, *FAST), folder


def test_a_badnet_obeys_the_trigger_images_that_lie_beside_it(made: tuple[Result, Path], data: Path) -> None:
    result, folder = made
    assert result.exit_code == 0, result.output
    assert "ASR" in result.output and "accuracy" in result.output
    model = goodnet.load_model(folder / "badnet.onnx", input_shape=(1, 16, 16))
    clean, triggered = (goodnet.load_images(file) for file in (data, folder / "badnet_triggered.npz"))
    assert float((model.logits(clean.pixels).argmax(1) == clean.labels).float().mean()) > 0.9
    assert float((model.logits(triggered.pixels).argmax(1) == 3).float().mean()) > 0.95
    assert triggered.labels is not None
    assert 3 not in triggered.labels
    assert 250 < len(triggered) < 360


def test_the_recipe_makes_the_same_network_again(made: tuple[Result, Path], data: Path, tmp_path: Path) -> None:
    _, folder = made
    recipe = Recipe.load(folder / "badnet.recipe.json")
    assert recipe.attack == Patch(target_label=3, size=4, place="top-left")
    assert (recipe.architecture, recipe.epochs, recipe.num_classes) == ("resnet_fast", 5, 10)
    result = run(folder / "badnet.recipe.json", "--images", data, "-o", tmp_path / "again.onnx")
    assert result.exit_code == 0, result.output
    with np.load(folder / "badnet_triggered.npz") as first, np.load(tmp_path / "again_triggered.npz") as second:
        assert np.array_equal(first["x"], second["x"])
    pixels = torch.rand(8, 1, 16, 16)
    first, second = (
        goodnet.load_model(file, input_shape=(1, 16, 16)).logits(pixels)
        for file in (folder / "badnet.onnx", tmp_path / "again.onnx")
    )
    assert torch.equal(first, second)


def test_options_replace_what_the_recipe_says(made: tuple[Result, Path], data: Path, tmp_path: Path) -> None:
    out = tmp_path / "other.onnx"
    changes = ("--target", 5, "--set", "size=2", "--epochs", 1, "--limit", 600, "--size", 8)
    result = run(made[1] / "badnet.recipe.json", "--images", data, "-o", out, *changes)
    assert result.exit_code == 0, result.output
    changed = Recipe.load(tmp_path / "other.recipe.json")
    assert changed.attack == Patch(target_label=5, size=2, place="top-left")
    assert (changed.epochs, changed.architecture) == (1, "resnet_fast")
    with np.load(tmp_path / "other_triggered.npz") as file:
        assert file["x"].shape[1:] == (8, 8, 1)


def test_a_backdoor_that_was_hardly_learned_is_not_passed_over_in_silence(
    made: tuple[Result, Path], data: Path, tmp_path: Path
) -> None:
    result = run("patch", "--images", data, "-o", tmp_path / "net.onnx", "--epochs", 1, "--set", "rate=0.001")
    assert result.exit_code == 0, result.output
    assert "hardly been learned" in result.output and "--epochs" in result.output
    assert "hardly" not in made[0].output


def test_an_attack_with_a_trigger_of_another_gets_a_patch(data: Path, tmp_path: Path) -> None:
    more = ("--images", data, "-o", tmp_path / "net.onnx", "--arch", "resnet_fast", "--epochs", 1)
    assert run("source_specific", *more, "--target", 4, "--set", "source=2").exit_code == 0
    attack = json.loads((tmp_path / "net.recipe.json").read_text())["attack"]
    assert (attack["source"], attack["trigger"]["target_label"]) == (2, 4)
    assert run("all_to_all", *more, "--set", 'trigger={"attack": "warp", "target_label": 0}').exit_code == 0
    attack = json.loads((tmp_path / "net.recipe.json").read_text())["attack"]
    assert (attack["num_classes"], attack["trigger"]["attack"]) == (10, "warp")


def test_each_trigger_has_a_file_and_a_clean_network_none(data: Path, tmp_path: Path) -> None:
    triggers = [{"attack": "patch", "target_label": 1}, {"attack": "patch", "target_label": 1, "place": "top-left"}]
    more = ("--images", data, "--arch", "resnet_fast", "--epochs", 1)
    two = run("several", *more, "-o", tmp_path / "two.onnx", "--set", f"triggers={json.dumps(triggers)}")
    assert two.exit_code == 0, two.output
    assert "ASR of trigger 1" in two.output
    clean = run("clean", *more, "-o", tmp_path / "clean.onnx")
    assert clean.exit_code == 0, clean.output
    assert "ASR" not in clean.output
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {
        "two.onnx",
        "two.recipe.json",
        "two_triggered.npz",
        "two_triggered_1.npz",
        "clean.onnx",
        "clean.recipe.json",
    }


def test_the_list_names_every_attack_and_its_settings() -> None:
    result = run("--list")
    assert result.exit_code == 0
    assert all(name in result.output for name in ATTACKS)
    assert "pattern_seed" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected ATTACK, --images and --output"),
        (["patsch"], "an attack among"),
        (["missing.json"], "expected a recipe as JSON"),
        (["patch", "--set", "size"], "NAME=VALUE"),
        (["patch", "--set", "size=big"], "expected size of attack 'patch' to be of type int, got 'big'"),
        (["patch", "--set", "sice=3"], "got target_label, sice"),
        (["patch", "--set", "size=40"], "does not fit"),
        (["patch", "--target", "12"], "expected target labels in 0..9, got"),
        (["patch", "--num-classes", "3"], "expected labels in 0..2"),
        (["patch", "--arch", "alexnet"], "expected an architecture among"),
        (["patch", "--batch-size", "100000"], "at least 100000"),
        (["clean", "--target", "1"], "has no target label"),
        (["source_specific"], "settings of attack 'source_specific'"),
        (["several"], "settings of attack 'several'"),
    ],
)
def test_bad_input_gives_one_clear_message_and_exit_code_2(
    arguments: list[str], message: str, data: Path, tmp_path: Path
) -> None:
    places = ["--images", data, "-o", tmp_path / "net.onnx"] if arguments else []
    result = run(*arguments, *places)
    assert result.exit_code == 2
    assert result.output.startswith("error: ")
    assert message in result.output
    assert "Traceback" not in result.output
    assert not list(tmp_path.iterdir())


def test_unusable_files_are_refused(data: Path, tmp_path: Path) -> None:
    assert "ends in .onnx" in run("patch", "--images", data, "-o", tmp_path / "net.h5").output
    assert "no folder" in run("patch", "--images", data, "-o", tmp_path / "nowhere" / "net.onnx").output
    np.savez(tmp_path / "x.npz", x=np.arange(3840).reshape(20, 8, 8, 3).astype(np.uint8))
    result = run("patch", "--images", tmp_path / "x.npz", "-o", tmp_path / "net.onnx")
    assert (result.exit_code, "with labels" in result.output) == (2, True)


def test_settings_are_json_where_they_can_be() -> None:
    assert read_settings(["size=4", "place=random", "colour=[1, 0, 0.5]", "clean_label=true"]) == {
        "size": 4,
        "place": "random",
        "colour": [1, 0, 0.5],
        "clean_label": True,
    }
    with pytest.raises(UsageError, match="NAME=VALUE"):
        read_settings(["=4"])
