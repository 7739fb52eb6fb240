"""Boxes, identities and counts drawn on a frame."""

import colorsys
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sora_tf.data.boxes import Boxes
from sora_tf.tasks.tracking.counting import Counts, ZoneCount

TURN = 0.618034  # of the colour circle, from one identity to the next: neighbours differ most
MARK, ALERT, INK = (255, 255, 255), (255, 40, 40), (0, 0, 0)
LETTERS = 40  # lines of text that a picture's height would hold
SMALLEST = 10  # pixels of a letter
Colour = tuple[int, int, int]


class Pen:
    """Draws on frames of one size.

    Args:
        labels: names by class number.
        height: of the frames, pixels.
    """

    def __init__(self, labels: Sequence[str], height: int):
        """Chooses letters and strokes that can be read at that size."""
        self.labels = labels
        self.font = ImageFont.load_default(max(SMALLEST, height // LETTERS))
        self.stroke = max(1, height // 300)

    def draw(self, picture: np.ndarray, boxes: Boxes, counts: Counts) -> np.ndarray:
        """The frame (H, W, 3) uint8 with lines, zones and the boxes that have an identity."""
        image = Image.fromarray(picture)
        canvas = ImageDraw.Draw(image)
        boxes = boxes.of(boxes.identities >= 0)
        warned = self._marks(canvas, counts)
        for box, label, identity in zip(boxes.boxes, boxes.labels, boxes.identities, strict=True):
            colour = ALERT if identity in warned else colour_of(int(identity))
            left, top, width, height = box.tolist()
            frame = (left, top, left + width, top + height)
            canvas.rectangle(frame, outline=colour, width=self.stroke)
            self._write(canvas, (left, top), f"{self.labels[label]} {identity}", colour)
        self._numbers(canvas, counts)
        return np.asarray(image)

    def _marks(self, canvas: ImageDraw.ImageDraw, counts: Counts) -> set[int]:
        """Draws lines and zones; returns who stays somewhere too long."""
        warned: set[int] = set()
        for zone in counts.zones:
            late = _late(zone)
            warned |= late
            corners = zone.zone.corners
            canvas.line([*corners, corners[0]], ALERT if late else MARK, self.stroke)
        for count in counts.lines:
            canvas.line([count.line.start, count.line.end], MARK, 2 * self.stroke)
        return warned

    def _numbers(self, canvas: ImageDraw.ImageDraw, counts: Counts) -> None:
        """Writes what was counted over all else."""
        for zone in counts.zones:
            place = min(zone.zone.corners, key=lambda corner: corner[1])
            text = f"{zone.zone.name}: {len(zone.here)} inside"
            self._write(canvas, place, text, ALERT if _late(zone) else MARK)
        for count in counts.lines:
            text = f"{count.line.name}: in {count.entered}, out {count.left}"
            self._write(canvas, count.line.start, text, MARK)

    def _write(
        self, canvas: ImageDraw.ImageDraw, place: tuple[float, float], text: str, colour: Colour
    ) -> None:
        """Text on a ground of its colour, above a place and inside the picture."""
        left, top, right, bottom = canvas.textbbox((0, 0), text, self.font)
        wide, high = right - left + 4, bottom - top + 4
        x = min(max(place[0], 0), max(0, canvas.im.size[0] - wide))
        y = max(place[1] - high, 0)
        canvas.rectangle((x, y, x + wide, y + high), fill=colour)
        canvas.text((x + 2 - left, y + 2 - top), text, INK, self.font)


def _late(zone: ZoneCount) -> set[int]:
    """Who is in a zone for too long."""
    return {visit.identity for visit in zone.here.values() if zone.too_long(visit)}


def colour_of(identity: int) -> Colour:
    """A bright colour, always the same for an identity."""
    red, green, blue = colorsys.hsv_to_rgb(identity * TURN % 1, 0.65, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)
