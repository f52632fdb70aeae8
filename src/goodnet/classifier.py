"""Classifier: a frozen network plus what it expects of its input."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from goodnet.errors import ImagesError, ModelError, in_short
from goodnet.logits import with_logits

Shape = tuple[int, int, int]
PartialShape = tuple[int | None, int | None, int | None]


@dataclass(frozen=True)
class Preprocessing:
    """What happens to an image in 0..1 before the network sees it.

    Attributes:
        pixel_range: values that black and white are mapped to, such as (0, 1), (0, 255) or (-1, 1).
        mean: per-channel mean, in units of `pixel_range`, subtracted after that; None for none.
        std: per-channel standard deviation, divided by after that; None for none.
        bgr: whether the network wants blue before red.
        transposed: whether the network wants (C, W, H) where the images are (C, H, W).
    """

    pixel_range: tuple[float, float] = (0.0, 1.0)
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    bgr: bool = False
    transposed: bool = False

    def __call__(self, images: Tensor) -> Tensor:
        """Map images (B, C, H, W) in 0..1 to network inputs (B, C, H, W), or (B, C, W, H) if transposed."""
        low, high = self.pixel_range
        if (low, high) != (0.0, 1.0):
            images = images * (high - low) + low
        if self.bgr:
            images = images.flip(1)
        if self.mean is not None:
            images = images - images.new_tensor(self.mean).view(-1, 1, 1)
        if self.std is not None:
            images = images / images.new_tensor(self.std).view(-1, 1, 1)
        if self.transposed:
            images = images.transpose(2, 3)
        return images

    def describe(self) -> str:
        """Return the settings in words, as the command line spells them."""
        low, high = self.pixel_range
        parts = [f"--pixel-range {low:g},{high:g}"]
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None:
                parts.append(f"--{name} " + ",".join(f"{v:.4g}" for v in values))
        parts += ["--bgr"] * self.bgr + ["--transposed"] * self.transposed
        return " ".join(parts)


@dataclass(frozen=True, eq=False)
class Classifier:
    """A frozen image classifier: network, input shape, number of classes and preprocessing.

    `load_model` makes one. The network is in eval mode and none of its parameters takes a gradient.

    Attributes:
        network: takes (B, C, H, W) as `preprocessing` makes it, returns logits (B, num_classes).
        input_shape: (C, H, W) of an image before preprocessing; None where the model accepts several
            or does not say. `bound_to` settles what is open.
        num_classes: N; None until the shape is bound where the model does not say.
        preprocessing: from pixels in 0..1 to what the network wants.
        path: the file it came from, or the class name of a live model.
        sha256: hex digest of the file, or of the weights of a live model.
        format: name of the model format, such as "onnx".
        device: where the network lives.
        warnings: what the reader of the file wants the user to know.
    """

    network: nn.Module
    input_shape: PartialShape
    num_classes: int | None
    preprocessing: Preprocessing = dataclasses.field(default_factory=Preprocessing)
    path: str = ""
    sha256: str = ""
    format: str = "torch"
    device: torch.device = dataclasses.field(default_factory=lambda: torch.device("cpu"))
    warnings: tuple[str, ...] = ()

    def logits(self, images: Tensor) -> Tensor:
        """Return logits (B, N) for images (B, C, H, W) in 0..1. Differentiable in the images."""
        output: Tensor = self.network(self.preprocessing(images))
        return output

    @property
    def shape(self) -> Shape:
        """(C, H, W) of an image; ModelError while it is not bound."""
        channels, height, width = self.input_shape
        if channels is None or height is None or width is None:
            raise ModelError(
                f"the input shape of {self.path} is still open: {self.input_shape}; pass input_shape=(C, H, W)"
            )
        return channels, height, width

    @property
    def classes(self) -> int:
        """The number of classes N; ModelError while it is not known."""
        if self.num_classes is None:
            raise ModelError(f"the number of classes of {self.path} is not known yet; pass input_shape=(C, H, W)")
        return self.num_classes

    def with_preprocessing(self, preprocessing: Preprocessing) -> Classifier:
        """Return the same network behind other preprocessing."""
        return dataclasses.replace(self, preprocessing=preprocessing)

    def bound_to(self, shape: Shape) -> Classifier:
        """Return this classifier with its open sizes settled by images of `shape` (C, H, W) and probed once.

        Raises:
            ImagesError: images of that shape do not fit the model's input.
            ModelError: the network fails on them, or does not answer with one row of finite logits an image.
        """
        wanted = "x".join("?" if size is None else str(size) for size in self.input_shape)
        if any(want not in (None, got) for want, got in zip(self.input_shape, shape, strict=True)):
            raise ImagesError(
                f"the images are {'x'.join(map(str, shape))} (channels x height x width), "
                f"but {self.path} expects {wanted}"
            )
        probe = torch.stack([torch.full(shape, 0.5), torch.rand(shape, generator=torch.Generator().manual_seed(0))])
        try:
            with torch.no_grad():
                inputs = self.preprocessing(probe.to(self.device))
                network, note = with_logits(self.network, inputs)
                output = network(inputs)
        except (
            ArithmeticError,
            AssertionError,
            AttributeError,
            LookupError,
            RuntimeError,
            TypeError,
            ValueError,
        ) as error:
            reason = in_short(error)
            raise ModelError(
                f"{self.path} does not accept images of {'x'.join(map(str, shape))} "
                f"(channels x height x width): {reason}"
            ) from error
        if not isinstance(output, Tensor) or output.ndim != 2 or output.shape[0] != 2 or output.shape[1] < 2:
            got = tuple(output.shape) if isinstance(output, Tensor) else f"a {type(output).__name__}"
            raise ModelError(
                f"{self.path} is not an image classifier: expected scores of shape (2, classes >= 2) "
                f"for two images, got {got}; save or wrap it so that it returns the scores of the classes alone"
            )
        if not bool(torch.isfinite(output).all()):
            raise ModelError(
                f"{self.path} answers a plain grey image or noise with NaN or infinite scores; its weights are unusable"
            )
        return dataclasses.replace(
            self,
            network=network,
            input_shape=shape,
            num_classes=int(output.shape[1]),
            warnings=(*self.warnings, *note),
        )


def freeze(network: nn.Module) -> nn.Module:
    """Put a network into eval mode and stop every parameter from taking a gradient; return it."""
    network.eval()
    for parameter in network.parameters():  # a ScriptModule has no requires_grad_ of its own
        parameter.requires_grad_(False)
    return network
