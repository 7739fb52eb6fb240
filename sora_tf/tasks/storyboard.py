"""The moments of a summary as pictures: each, and all on one sheet."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sora_tf.tasks.attention import Attend, overlay
from sora_tf.tasks.parts import Pace
from sora_tf.tasks.summarize import Moment, Summary
from sora_tf.video import probe, read

MOST = 24  # pictures on a sheet
MOST_EDGES = 150  # of segments on a line of time
WIDTH = 320  # pixels of a picture
COLUMNS = 4
GAP, BAR = 16, 44  # pixels between pictures, and of the line of time below them
PAPER, INK, SOFT, MARK = "#fbfaf8", "#22262b", "#d9d6d0", "#c8553d"


def amount(count: int, thing: str) -> str:
    """`1 moment`, `2 moments`."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def clock(seconds: float) -> str:
    """A time in s as people read it: 1:02:03 or 2:03.4, by its length."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    if hours:
        return f"{hours}:{minutes:02d}:{int(rest):02d}"
    return f"{minutes}:{int(rest * 10) / 10:04.1f}"


def shown_moments(summary: Summary, most: int = MOST) -> list[Moment]:
    """The moments of most importance, in the order of the film."""
    best = sorted(summary.moments, key=lambda moment: -moment.importance)[:most]
    return sorted(best, key=lambda moment: moment.start)


def shown_edges(summary: Summary) -> list[float]:
    """Where segments begin, s, without 0; none where there are too many to be told apart."""
    starts = summary.segments[1:, 0].tolist()
    return starts if len(starts) <= MOST_EDGES else []


def pictures_of(summary: Summary, moments: Sequence[Moment]) -> np.ndarray:
    """The key frames of moments, (N, H, 320, 3) uint8."""
    info = probe(summary.path)
    height = max(2, round(WIDTH * info.height / max(info.width, 1)))
    size = (min(height, 2 * WIDTH), WIDTH)
    return read(summary.path, [moment.key for moment in moments], size=size, fit="contain").frames


def attended(
    attend: Attend, path: str, moments: Sequence[Moment], pictures: np.ndarray, pace: Pace
) -> list[np.ndarray]:
    """Pictures of moments with what counted in them, as the end of the clip before each says.

    Args:
        attend: says what counted.
        path: the film.
        moments: as `pictures_of`.
        pictures: from `pictures_of`, (N, H, W, 3) uint8.
        pace: how the model reads the film.
    """
    before = np.arange(1 - attend.length, 1) / pace.rate
    found = []
    for moment, picture in zip(moments, pictures, strict=True):
        clip = read(path, moment.key + before, size=pace.size, fit=pace.fit).frames
        found.append(overlay(picture, attend(clip).regions[-1]))
    return found


def jpeg(picture: np.ndarray) -> bytes:
    """A picture (H, W, 3) as JPEG."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=82)
    return file.getvalue()


def storyboard(summary: Summary, moments: Sequence[Moment], pictures: np.ndarray) -> Image.Image:
    """A sheet of pictures with their times, and below them where in the film they are.

    Args:
        summary: of the film.
        moments: those shown.
        pictures: (N, H, W, 3) uint8, one for each.
    """
    height = pictures.shape[1]
    columns = min(COLUMNS, len(moments))
    rows = -(-len(moments) // columns)
    caption = 30
    wide = GAP + columns * (WIDTH + GAP)
    tall = GAP + rows * (height + caption + GAP) + BAR + GAP
    sheet = Image.new("RGB", (wide, tall), PAPER)
    draw = ImageDraw.Draw(sheet)
    font, small = ImageFont.load_default(18), ImageFont.load_default(14)
    for number, (moment, picture) in enumerate(zip(moments, pictures, strict=True)):
        left = GAP + number % columns * (WIDTH + GAP)
        top = GAP + number // columns * (height + caption + GAP)
        sheet.paste(Image.fromarray(picture), (left, top))
        draw.text((left, top + height + 6), clock(moment.start), INK, font)
        length = f"{moment.end - moment.start:.1f} s"
        draw.text((left + WIDTH, top + height + 9), length, "#7b7f85", small, anchor="ra")
    _line_of_time(draw, summary, moments, (GAP, tall - GAP - BAR, wide - GAP))
    return sheet


def _line_of_time(draw, summary, moments, place) -> None:
    left, top, right = place
    scale = (right - left) / summary.duration
    draw.rectangle((left, top + 8, right, top + 20), SOFT)
    for start in shown_edges(summary):
        x = left + start * scale
        draw.line((x, top + 8, x, top + 20), PAPER, 2)
    for moment in moments:
        begin, end = left + moment.start * scale, left + moment.end * scale
        draw.rectangle((begin, top + 4, max(begin + 2, end), top + 24), MARK)
    small = ImageFont.load_default(13)
    draw.text((left, top + 28), clock(0.0), "#7b7f85", small)
    draw.text((right, top + 28), clock(summary.duration), "#7b7f85", small, anchor="ra")
