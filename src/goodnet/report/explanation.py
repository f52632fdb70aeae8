"""Draw why an input was called backdoored."""

from __future__ import annotations

from PIL import Image, ImageDraw

from goodnet.explain import Explanation
from goodnet.report.pictures import GAP, tile


def draw(explanation: Explanation) -> Image.Image:
    """Return the image beside itself with all but the trigger's place darkened, and a frame around that place."""
    pixels = explanation.pixels
    lit = pixels * (0.25 + 0.75 * explanation.heat)
    plain, shown = tile(pixels), tile(lit)
    if explanation.box is not None:
        top, left, height, width = explanation.box
        scale = plain.width / pixels.shape[2]
        frame = [round(each * scale) for each in (left, top, left + width, top + height)]
        ImageDraw.Draw(shown).rectangle([frame[0], frame[1], frame[2] - 1, frame[3] - 1], outline=(255, 0, 0), width=2)
    canvas = Image.new("RGB", (plain.width + shown.width + 3 * GAP, plain.height + 2 * GAP), "white")
    canvas.paste(plain, (GAP, GAP))
    canvas.paste(shown, (plain.width + 2 * GAP, GAP))
    return canvas
