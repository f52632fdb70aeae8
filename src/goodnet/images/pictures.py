"""Decode pictures (png, jpg, ppm, bmp, webp, ...) with Pillow into one array."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from goodnet.errors import ImagesError
from goodnet.images.raw import Array, Request

SIGNATURES = (
    *(b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*", b"RIFF"),
    *(b"P%d%c" % (kind, space) for kind in range(1, 7) for space in b"\n \r\t"),
)
SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".ppm", ".pgm", ".pbm", ".pnm", ".bmp", ".webp", ".gif", ".tif", ".tiff")
)


def decode(data: bytes | Path, name: str) -> Image.Image:
    """Decode one picture to mode L or RGB, 8 bits a channel.

    Palettes are expanded, 16-bit grey is rounded to 8 bits, an opaque alpha channel is dropped.

    Raises:
        ImagesError: `data` is no picture, is truncated, or has transparent parts.
    """
    try:
        with Image.open(io.BytesIO(data) if isinstance(data, bytes) else data) as picture:
            picture.load()
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise ImagesError(f"{name} is not a readable picture: {error or type(error).__name__}") from error
    if picture.mode.startswith("I"):
        return Image.fromarray((np.asarray(picture).clip(0, 65535) / 257).round().astype(np.uint8))
    if "A" in picture.mode or "transparency" in picture.info:
        alpha = picture.convert("RGBA").getchannel("A").getextrema()
        if alpha != (255, 255):
            raise ImagesError(
                f"{name} has transparent parts; a network sees none, so put the picture on a background first"
            )
        return picture.convert("L" if picture.mode == "LA" else "RGB")
    return picture.convert("L" if picture.mode in ("L", "1") else "RGB")


def stack(pictures: Sequence[Image.Image], names: Sequence[str], request: Request) -> Array:
    """Put pictures into one uint8 array (n, H, W, C).

    Where grey and colour are mixed, all become RGB. Where sizes differ, `request.resize` makes them the size
    in `request.shape`, or else the commonest one.

    Raises:
        ImagesError: sizes differ and `request.resize` is off.
    """
    if len({picture.mode for picture in pictures}) > 1:
        pictures = [picture.convert("RGB") for picture in pictures]
    sizes = Counter(picture.size for picture in pictures)
    wanted = sizes.most_common(1)[0][0]
    if request.resize and request.shape is not None and None not in request.shape[1:]:
        wanted = (request.shape[2] or 0, request.shape[1] or 0)
    elif len(sizes) > 1 and not request.resize:
        odd, name = next((p.size, n) for p, n in zip(pictures, names, strict=True) if p.size != wanted)
        raise ImagesError(
            f"the pictures have {len(sizes)} different sizes: most are {wanted[0]}x{wanted[1]} (width x "
            f"height), {name} is {odd[0]}x{odd[1]}; give --resize (resize=True) to bring them to one size"
        )
    arrays = [
        np.asarray(picture if picture.size == wanted else picture.resize(wanted, Image.Resampling.BILINEAR))
        for picture in pictures
    ]
    return np.stack([array if array.ndim == 3 else array[..., None] for array in arrays])
