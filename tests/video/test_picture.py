"""How pictures are laid, stretched and coloured."""

import av
import numpy as np
import pytest
from films import greys
from hypothesis import given
from hypothesis import strategies as st

from sora_tf import video
from sora_tf.video.geometry import Orientation, orientation_of, pixel_aspect, place, shown_size
from sora_tf.video.scaler import Scaler

# Quarters of a picture as stored: red, green over blue, white.
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def quarters(height: int = 48, width: int = 64) -> np.ndarray:
    picture = np.empty((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2], picture[: height // 2, width // 2 :] = RED, GREEN
    picture[height // 2 :, : width // 2], picture[height // 2 :, width // 2 :] = BLUE, WHITE
    return picture


def corners(picture: np.ndarray) -> list[str]:
    """The colours of the four quarters, row by row, from their middles."""
    height, width = picture.shape[:2]
    names = {(1, 0, 0): "red", (0, 1, 0): "green", (0, 0, 1): "blue", (1, 1, 1): "white"}
    points = [(y, x) for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]
    return [names.get(tuple((picture[p] > 128).astype(int)), "?") for p in points]


def matrix(a, b, c, d) -> bytes:
    return np.array([a, b, 0, c, d, 0, 0, 0, 2**14], "<i4").tobytes()


@pytest.mark.parametrize(
    ("values", "expected", "rotation", "mirrored"),
    # x' = a·x + c·y, y' = b·x + d·y. A clockwise quarter turn sends the right end of the top row
    # to the bottom of the right column: x grows into y' (b = 1), y into -x' (c = -1).
    [
        ((1, 0, 0, 1), ["red", "green", "blue", "white"], 0, False),
        ((0, 1, -1, 0), ["blue", "red", "white", "green"], 90, False),
        ((-1, 0, 0, -1), ["white", "blue", "green", "red"], 180, False),
        ((0, -1, 1, 0), ["green", "white", "red", "blue"], 270, False),
        ((-1, 0, 0, 1), ["green", "red", "white", "blue"], 0, True),
        ((1, 0, 0, -1), ["blue", "white", "red", "green"], 180, True),
        ((0, 1, 1, 0), ["red", "blue", "green", "white"], 270, True),
        ((0, -1, -1, 0), ["white", "green", "blue", "red"], 90, True),
        ((0, 0, 0, 0), ["red", "green", "blue", "white"], 0, False),
        ((-(2**31), 2**31 - 1, 0, 7), None, None, None),
    ],
)
def test_display_matrices(values, expected, rotation, mirrored):
    scale = 65536 if max(map(abs, values)) <= 1 else 1
    orientation = orientation_of(matrix(*(scale * value for value in values)))
    if expected is None:
        assert isinstance(orientation, Orientation)
        return
    assert corners(orientation.turn(quarters())) == expected
    assert (orientation.rotation, orientation.mirrored) == (rotation, mirrored)


@pytest.mark.parametrize("flips", range(8))
def test_rotation_and_mirroring_say_what_turning_does(flips):
    orientation = Orientation(bool(flips & 1), bool(flips & 2), bool(flips & 4))
    picture = quarters()[:, ::-1] if orientation.mirrored else quarters()
    expected = np.rot90(picture, -orientation.rotation // 90)
    np.testing.assert_array_equal(orientation.turn(quarters()), expected)


def test_a_film_that_lies_on_its_side_stands_up(tmp_path):
    path = tmp_path / "side.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        if not hasattr(stream, "set_display_matrix"):
            pytest.skip("this PyAV cannot write a display matrix")
        stream.set_display_matrix([0, 65536, 0, -65536, 0, 0, 0, 0, 2**30])
        frame = av.VideoFrame.from_ndarray(quarters(), "rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    info = video.probe(path)
    assert (info.width, info.height, info.rotation) == (48, 64, 90)
    assert (info.coded_width, info.coded_height) == (64, 48)
    for size in (None, (50, 30)):
        got = video.read(path, size=size).frames
        assert got.shape == (1, *(size or (64, 48)), 3)
        assert corners(got[0]) == ["blue", "red", "white", "green"]


def test_a_real_film_turned_and_mirrored(shared_data):
    # Its matrix sends x to y' and y to x': the picture is laid over its diagonal.
    path = shared_data / "odd-videos" / "sample_rotate_and_reflect.mp4"
    info = video.probe(path)
    assert (info.width, info.height, info.rotation, info.mirrored) == (720, 1080, 270, True)
    with av.open(str(path)) as container:
        stored = next(container.decode(video=0)).to_ndarray(format="rgb24")
    got = video.read(path, at=[0.0]).frames[0]
    assert np.abs(got.astype(int) - stored.transpose(1, 0, 2)).mean() < 2


def test_junk_in_the_matrix_turns_nothing(shared_data):
    info = video.probe(shared_data / "odd-videos" / "no_timescale.mp4")
    assert (info.rotation, info.width, info.height) == (0, 320, 240)


def test_pixels_that_are_not_square(shared_data):
    # 800 x 640 with pixels 64/45 as wide as high: 800·64/45 = 1137.8.
    path = shared_data / "odd-videos" / "bbb_800x640_768kbps_30fps_avc_pyramid_3b.mp4"
    info = video.probe(path)
    assert (info.width, info.height, info.coded_width) == (1138, 640, 800)
    assert info.pixel_aspect == pytest.approx(64 / 45)
    assert video.read(path, at=[0.0]).frames.shape == (1, 640, 1138, 3)


def test_shown_size_by_hand():
    assert shown_size(720, 576, 16 / 15, turned=False) == (576, 768)
    assert shown_size(720, 576, 16 / 15, turned=True) == (768, 576)
    assert shown_size(1, 1, 0.1, turned=False) == (1, 1)


@pytest.mark.parametrize("ratio", [None, 0])
def test_no_pixel_aspect_is_square(ratio):
    assert pixel_aspect(ratio) == 1.0


def test_cover_and_contain_by_hand():
    # 100 high, 200 wide into 50 x 50. Cover: halve both, 50 x 100, cut 25 columns off each side.
    # Contain: quarter both, 25 x 50, 12 black rows above, 13 below.
    cover = place((100, 200), (50, 50), "cover", turned=False)
    assert cover.scaled == (50, 100)
    assert cover.taken == (slice(0, 50), slice(25, 75))
    assert cover.filled == (slice(0, 50), slice(0, 50))
    contain = place((100, 200), (50, 50), "contain", turned=False)
    assert contain.scaled == (25, 50)
    assert contain.taken == (slice(0, 25), slice(0, 50))
    assert contain.filled == (slice(12, 37), slice(0, 50))
    assert place((100, 200), (50, 40), "stretch", turned=True).scaled == (40, 50)


sides = st.integers(1, 4000)


@given(st.tuples(sides, sides), st.tuples(sides, sides), st.sampled_from(["cover", "contain"]))
def test_fits_stay_inside(shown, size, fit):
    placement = place(shown, size, fit, turned=False)
    taken = [s.stop - s.start for s in placement.taken]
    assert taken == [s.stop - s.start for s in placement.filled]
    assert all(s.stop <= n for s, n in zip(placement.taken, placement.scaled, strict=True))
    assert all(s.stop <= n for s, n in zip(placement.filled, size, strict=True))
    if fit == "cover":
        assert tuple(taken) == size
    else:
        assert tuple(taken) == placement.scaled


@pytest.mark.parametrize(
    ("fit", "black"), [("stretch", False), ("cover", False), ("contain", True)]
)
def test_fit_of_a_film(tmp_path, fit, black):
    path = video.write(tmp_path / "wide.mp4", np.full((2, 40, 80, 3), 200, np.uint8), 10)
    got = video.read(path, size=(40, 40), fit=fit).frames[0]
    # Contained, 40 x 80 becomes 20 x 40: rows 10 to 29 hold the picture.
    assert (got[:10].max() == 0) == black
    assert (got[30:].max() == 0) == black
    assert abs(int(got[10:30].mean()) - 200) <= 1


@pytest.mark.parametrize("size", [None, (12, 10)])
@pytest.mark.parametrize(
    ("pixel_format", "full", "levels"),
    # Limited range: (Y - 16)·255/219; full range: Y. Ten bits hold four times the level.
    [
        ("yuv420p", False, {16: 0, 125: 127, 235: 255}),
        ("yuv420p", True, {0: 0, 128: 128, 255: 255}),
        ("yuv420p10le", False, {64: 0, 500: 127, 940: 255}),
        ("yuv422p12le", False, {256: 0, 2000: 127, 3760: 255}),
        ("gray", True, {0: 0, 128: 128, 255: 255}),
    ],
)
def test_levels_of_grey(pixel_format, full, levels, size):
    for level, expected in levels.items():
        frame = av.VideoFrame(32, 24, pixel_format)
        depth = 12 if "12" in pixel_format else 10 if "10" in pixel_format else 8
        for index, plane in enumerate(frame.planes):
            value = level if index == 0 else 1 << (depth - 1)
            kind = np.uint8 if depth == 8 else np.uint16
            plane.update(np.full(plane.buffer_size // kind().itemsize, value, kind).tobytes())
        frame.color_range = 2 if full else 1
        scaler = Scaler("film", frame, None, size, "stretch")
        out = np.empty((*scaler.size, 3), np.uint8)
        scaler.into(frame, out)
        assert np.abs(out.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("size", [(112, 112), (37, 53), (224, 300)])
def test_nothing_moves_sideways_or_up(size):
    # A picture mirrored and scaled is the picture scaled and mirrored, to a grey level or two.
    picture = np.random.default_rng(0).integers(0, 256, (24, 32, 1), np.uint8)
    picture = np.repeat(picture.repeat(10, axis=0).repeat(10, axis=1), 3, axis=2)

    def scaled(array):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(array), "rgb24")
        out = np.zeros((*size, 3), np.uint8)
        Scaler("film", frame, None, size, "stretch").into(frame, out)
        return out.astype(int)

    plain = scaled(picture)
    assert np.abs(scaled(picture[:, ::-1])[:, ::-1] - plain).mean() < 2
    assert np.abs(scaled(picture[::-1])[::-1] - plain).mean() < 2


@pytest.mark.parametrize("standard", ["bt709", "smpte170m"])
def test_colours_follow_the_tagged_matrix(tmp_path, standard):
    # Green in full colour: Kr + Kg + Kb = 1, with Kg 0.7152 (BT.709) or 0.587 (BT.601). Whatever
    # the matrix, reading must give back (0, 255, 0).
    kr, kb = (0.2126, 0.0722) if standard == "bt709" else (0.299, 0.114)
    luma = 1 - kr - kb
    y, cb, cr = 16 + 219 * luma, 128 - 112 * luma / (1 - kb), 128 - 112 * luma / (1 - kr)
    path = tmp_path / "green.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        stream.options = {"x264-params": f"colormatrix={standard}:range=tv", "crf": "1"}
        frame = av.VideoFrame(32, 32, "yuv420p")
        for plane, value in zip(frame.planes, (y, cb, cr), strict=True):
            plane.update(bytes([round(value)]) * plane.buffer_size)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    for size in (None, (11, 9)):
        got = video.read(path, size=size).frames.astype(int)
        assert np.abs(got - [0, 255, 0]).max() <= 3


def test_what_shines_through_lies_on_black():
    # Red at alpha 128 over black: 255·128/255 = 128.
    frame = av.VideoFrame.from_ndarray(np.full((8, 8, 4), (255, 0, 0, 128), np.uint8), "rgba")
    out = np.empty((4, 4, 3), np.uint8)
    Scaler("film", frame, None, (4, 4), "stretch").into(frame, out)
    assert np.abs(out.astype(int) - [128, 0, 0]).max() <= 1


def test_a_transparent_gif_is_black(shared_data):
    got = video.read(shared_data / "odd-videos" / "gif-transparent.gif")
    np.testing.assert_array_equal(got.frames, np.zeros((1, 1, 1, 3)))


def test_a_change_of_size_midway_keeps_one_size(shared_data):
    # 119 frames that begin red at 400 x 300 and end green at 200 x 150.
    for name in ("400x300-red-resize-200x150-green.mp4", "400x300-red-resize-200x150-green.webm"):
        got = video.read(shared_data / "odd-videos" / name)
        assert got.frames.shape[1:] == (300, 400, 3)
        first, last = got.frames[0].mean((0, 1)), got.frames[-1].mean((0, 1))
        assert first.argmax() == 0
        assert last.argmax() == 1


def test_ten_bits_survive(shared_data):
    got = video.read(shared_data / "odd-videos" / "h264_10bits.mp4", size=(50, 50))
    assert got.frames.shape == (30, 50, 50, 3)
    assert got.frames.std() > 5


def test_every_frame_of_a_written_film_keeps_its_grey(tmp_path):
    path = video.write(tmp_path / "greys.mp4", greys(80), 25, quality=4)
    for size in (None, (20, 31)):
        levels = video.read(path, size=size).frames.reshape(80, -1).mean(1)
        np.testing.assert_allclose(levels, 10 + 3 * np.arange(80), atol=1.1)
