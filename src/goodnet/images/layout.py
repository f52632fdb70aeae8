"""Find which axis of an image array holds the channels."""

from __future__ import annotations

import numpy as np

from goodnet.classifier import PartialShape
from goodnet.errors import ImagesError
from goodnet.images.raw import Array


def channels_first(images: Array, shape: PartialShape | None, source: str) -> tuple[Array, str]:
    """Return `images` as (n, C, H, W), and a note that says how they were laid out.

    Takes (n, H, W) grey images, (n, C, H, W) and (n, H, W, C) with 1, 3, 4 or the channels of `shape`.

    Args:
        images: the array, n images along its first axis.
        shape: (C, H, W) that the model wants, None where unknown: settles what could be read both ways.
        source: where the images came from, for messages.

    Raises:
        ImagesError: no axis, or more than one, can be the channels.
    """
    found = tuple(images.shape)
    counts = {1, 3, 4} | ({shape[0]} if shape is not None and shape[0] is not None else set())
    if images.ndim == 3 and images.shape[2] > 4:
        return images[:, None], "grey images without a channel axis"
    if images.ndim != 4:
        raise ImagesError(
            f"{source}: expected images as (n, H, W), (n, H, W, C) or (n, C, H, W), got an array {found}"
            + ("; a single image needs a leading axis: x[None]" if images.ndim == 3 else "")
        )
    views = {"channels first": images, "channels last": np.moveaxis(images, 3, 1)}
    views = {name: view for name, view in views.items() if view.shape[1] in counts}
    if len(views) == 2 and shape is not None:
        views = {name: view for name, view in views.items() if _fits(view.shape[1:], shape)} or views
    if len(views) == 1:
        name, view = next(iter(views.items()))
        return view, f"{name}: array {found}"
    if not views:
        raise ImagesError(
            f"{source}: no axis of the array {found} has 1, 3 or 4 entries, so none can be the channels; "
            "expected (n, H, W), (n, H, W, C) or (n, C, H, W)"
        )
    raise ImagesError(
        f"{source}: the array {found} can be read with channels first or last; give the model's input shape "
        "(shape=(C, H, W), --input-shape C,H,W) to say which"
    )


def _fits(got: tuple[int, ...], wanted: PartialShape) -> bool:
    return all(want in (None, size) for size, want in zip(got, wanted, strict=True))
