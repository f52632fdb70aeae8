"""The options of the command line: how each is called, what it holds and what its help says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def _option(panel: str | None, text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


Model = Annotated[str, typer.Argument(help="Model file: Keras, ONNX, TorchScript, .pt2, or weights with --arch.")]
Images = Annotated[
    str, _option(None, "Clean images, 8 or more: .npz, HDF5, parquet, a folder, or torchvision:NAME@ROOT.")
]

Json = Annotated[Path | None, _option("Output", "Write the report to this file as JSON.")]
SaveTriggers = Annotated[
    Path | None, _option("Output", "Write the triggers to this folder, as arrays and PNGs.", "--save-triggers")
]

Preset = Annotated[str, _option("Scan", "fast, or classic for the original Neural Cleanse (slow, to compare with).")]
Labels = Annotated[str | None, _option("Scan", "Look at these labels only, such as 0,5,7-9.")]
Seed = Annotated[int, _option("Scan", "Seed of every random draw.", min=0, max=2**31 - 1)]
Device = Annotated[str, _option("Scan", "Where to run: cpu, cuda, cuda:1, ...")]
Resume = Annotated[bool, _option("Scan", "Go on with the same scan where it was interrupted.", "--resume")]
Checkpoint = Annotated[
    Path | None, _option("Scan", "Folder for unfinished scans.", show_default="goodnet/scans in your cache")
]

Keys = Annotated[
    str | None, _option("Images", "Names of the arrays or columns with images and labels, such as test_x,test_y.")
]
Limit = Annotated[int, _option("Images", "Use at most so many, equally many of each class.", min=1)]
Split = Annotated[str, _option("Images", "Which part of a set that comes in several: train, test, ...")]
ValueRange = Annotated[str | None, _option("Images", "Values of black and white in the file, such as 0,15.")]
NoLabels = Annotated[bool, _option("Images", "Do without the labels of the images.", "--no-labels")]
Resize = Annotated[bool, _option("Images", "Bring images to the model's size, grey or RGB.", "--resize")]
Download = Annotated[bool, _option("Images", "Let torchvision fetch the data set.", "--download")]

_MODEL = "What the model expects"
PixelRange = Annotated[str | None, _option(_MODEL, "Values of black and white, such as 0,255.", show_default="0,1")]
Mean = Annotated[str | None, _option(_MODEL, "Mean of each channel, taken off after --pixel-range.")]
Std = Annotated[str | None, _option(_MODEL, "Standard deviation of each channel, divided by.")]
Bgr = Annotated[bool, _option(_MODEL, "Blue before red.", "--bgr")]
Transposed = Annotated[bool, _option(_MODEL, "Width before height.", "--transposed")]
InputShape = Annotated[str | None, _option(_MODEL, "channels,height,width where the file does not say.")]
Arch = Annotated[
    str | None,
    _option(
        _MODEL, "Architecture of a file of weights, such as timm:resnet18, or FILE.py:NAME for your own, which is run."
    ),
]
NumClasses = Annotated[int | None, _option(_MODEL, "Number of classes where the file does not say.", min=2)]
