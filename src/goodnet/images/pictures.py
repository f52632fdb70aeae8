"""Decode pictures (png, jpg, ppm, bmp, webp, ...) with Pillow into one array."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from goodnet.errors import ImagesError
from goodnet.images.raw import Array, Request

SIGNATURES = (
    *(b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*", b"RIFF"),
    *(b"P%d%c" % (kind, space) for kind in range(1, 7) for space in b"\n \r\t"),
)
SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".ppm", ".pgm", ".pbm", ".pnm", ".bmp", ".webp", ".gif", ".tif", ".tiff")
)


def decode(data: bytes | Path, name: str, request: Request) -> Image.Image:
    """Decode one picture to mode L or RGB, 8 bits a channel, upright; resize it if the size is known and allowed.

    Palettes are expanded, 16-bit grey is rounded to 8 bits, an opaque alpha channel is dropped, and a picture that
    the camera marked as turned is turned back. One picture is held at full size at a time, as photographs are big.

    Raises:
        ImagesError: `data` is no picture, is truncated, has transparent parts, or pixels that are not 0..255 or
            0..65535; or it has another size than wanted and `request.resize` is off.
    """
    try:
        with Image.open(io.BytesIO(data) if isinstance(data, bytes) else data) as picture:
            picture.load()
        upright = ImageOps.exif_transpose(picture)
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise ImagesError(f"{name} is not a readable picture: {error or type(error).__name__}") from error
    decoded, wanted = as_eight_bits(upright, name), wanted_size(request)
    if wanted is not None and request.resize:
        return resized(decoded, wanted)
    if wanted is not None and decoded.size not in (wanted, wanted[::-1]):
        raise ImagesError(
            f"{name} is {_describe(decoded.size)}, but the model wants {_describe(wanted)}; give --resize "
            "(resize=True) to bring all pictures to that size"
        )
    return decoded


def as_eight_bits(picture: Image.Image, name: str) -> Image.Image:
    """Return a picture in mode L or RGB.

    Raises:
        ImagesError: it has transparent parts, or pixels of a kind that cannot be converted.
    """
    if picture.mode.startswith("I"):
        return Image.fromarray((np.asarray(picture).clip(0, 65535) / 257).round().astype(np.uint8))
    if picture.mode == "F":
        raise ImagesError(f"{name} has floating-point pixels; save such images as .npz, or with 8 bits a channel")
    try:
        if picture.has_transparency_data and picture.convert("RGBA").getchannel("A").getextrema() != (255, 255):
            raise ImagesError(
                f"{name} has transparent parts; a network sees none, so put the picture on a background first"
            )
        return picture.convert("L" if picture.mode in ("L", "1", "LA", "La") else "RGB")
    except ValueError as error:
        raise ImagesError(f"{name} has pixels of kind {picture.mode}, expected grey or RGB: {error}") from error


def wanted_size(request: Request) -> tuple[int, int] | None:
    """Return (width, height) of the model's input, or None where it takes any."""
    if request.shape is None or request.shape[1] is None or request.shape[2] is None:
        return None
    return request.shape[2], request.shape[1]


def resized(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return a picture in another size (width, height), antialiased."""
    return picture if picture.size == size else picture.resize(size, Image.Resampling.BILINEAR)


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
    if request.resize:
        wanted = wanted_size(request) or wanted
    elif len(sizes) > 1:
        odd, name = next((p.size, n) for p, n in zip(pictures, names, strict=True) if p.size != wanted)
        raise ImagesError(
            f"the pictures have {len(sizes)} different sizes: most are {_describe(wanted)}, {name} is "
            f"{_describe(odd)}; give --resize (resize=True) to bring them to one size"
        )
    arrays = [np.asarray(resized(picture, wanted)) for picture in pictures]
    return np.stack([array if array.ndim == 3 else array[..., None] for array in arrays])


def _describe(size: tuple[int, int]) -> str:
    return f"{size[0]} wide and {size[1]} high"
