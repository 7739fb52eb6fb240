import io

import numpy as np
import pytest

from sora_tf import video
from sora_tf.video import VideoError

pydicom = pytest.importorskip("pydicom")


def write(path, pixels, bits=8, photometric="MONOCHROME2", **elements):
    """Writes (T, H, W) or (T, H, W, 3) as an uncompressed DICOM file."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.3.1"  # ultrasound, many frames
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID = meta.MediaStorageSOPClassUID
    data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    data.NumberOfFrames, data.Rows, data.Columns = pixels.shape[:3]
    data.SamplesPerPixel = 3 if pixels.ndim == 4 else 1
    if pixels.ndim == 4:
        data.PlanarConfiguration = 0
    data.PhotometricInterpretation = photometric
    data.BitsAllocated = 8 * pixels.itemsize
    data.BitsStored, data.HighBit, data.PixelRepresentation = bits, bits - 1, 0
    for name, value in elements.items():
        setattr(data, name, value)
    data.PixelData = pixels.tobytes()
    data.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture(scope="module")
def grey():
    return np.random.default_rng(0).integers(0, 256, (5, 6, 8), np.uint8)


def test_grey_frames_and_their_times(tmp_path, grey):
    path = write(tmp_path / "grey.dcm", grey, FrameTime=40.0)
    got = video.read(path)
    np.testing.assert_array_equal(got.frames, np.repeat(grey[..., None], 3, -1))
    np.testing.assert_allclose(got.times, [0, 0.04, 0.08, 0.12, 0.16])
    assert got.damage is None
    info = video.probe(path)
    assert (info.container, info.width, info.height, info.fps) == ("dicom", 8, 6, 25.0)
    assert (info.declared_frames, info.duration) == (5, pytest.approx(0.2))


@pytest.mark.parametrize(
    ("elements", "times"),
    [
        ({"CineRate": 10}, [0, 0.1, 0.2, 0.3, 0.4]),
        ({"FrameTimeVector": [0, 10, 20, 30, 40]}, [0, 0.01, 0.03, 0.06, 0.1]),
        ({"FrameTime": 20.0, "CineRate": 10}, [0, 0.02, 0.04, 0.06, 0.08]),
        ({}, [0, 0.04, 0.08, 0.12, 0.16]),
    ],
)
def test_where_times_come_from(tmp_path, grey, elements, times):
    path = write(tmp_path / "grey.dcm", grey, **elements)
    np.testing.assert_allclose(video.read(path).times, times)


def test_colour_inverted_and_deep_pixels(tmp_path, grey):
    colour = np.random.default_rng(1).integers(0, 256, (3, 6, 8, 3), np.uint8)
    path = write(tmp_path / "colour.dcm", colour, photometric="RGB")
    np.testing.assert_array_equal(video.read(path).frames, colour)
    # MONOCHROME1 says that 0 is white.
    path = write(tmp_path / "inverted.dcm", grey, photometric="MONOCHROME1")
    inverted = video.read(path).frames[..., 0].astype(int)
    assert np.abs(inverted - (255 - grey.astype(int))).max() <= 1  # turned in DCMTK's fractions
    # Of twelve bits the upper eight stay: v / 16.
    deep = np.random.default_rng(2).integers(0, 4096, (3, 6, 8)).astype(np.uint16)
    path = write(tmp_path / "deep.dcm", deep, bits=12)
    np.testing.assert_array_equal(video.read(path).frames[..., 0], deep // 16)


def test_the_one_reader_does_all_it_does_for_films(tmp_path, grey):
    path = write(tmp_path / "film.bin", grey, FrameTime=100.0)  # known by its mark, not its name
    full = np.repeat(grey[..., None], 3, -1)
    np.testing.assert_array_equal(video.read(path, at=[0.25, 0.0]).frames, full[[2, 0]])
    np.testing.assert_array_equal(video.read(path, start=0.1, end=0.3).frames, full[1:3])
    np.testing.assert_array_equal(video.sample(path, 5).frames, full)
    assert video.sample(path, 2, size=(3, 4)).frames.shape == (2, 3, 4, 3)
    assert len(list(video.frames_of(path))) == 5
    np.testing.assert_array_equal(video.read(io.BytesIO(path.read_bytes())).frames, full)


def test_a_file_cut_short_gives_whole_frames(tmp_path, grey):
    path = write(tmp_path / "cut.dcm", grey)
    path.write_bytes(path.read_bytes()[:-100])  # two frames of 48 bytes and a part of a third
    got = video.read(path)
    np.testing.assert_array_equal(got.frames[..., 0], grey[:2])
    assert got.damage == "it ends after 2 of the 5 frames that it declares"


def test_bad_files(tmp_path, grey):
    path = write(tmp_path / "bad.dcm", grey)
    data = path.read_bytes()
    huge = data.replace(b"IS\x02\x005 ", b"IS\x02\x0099", 1)
    assert huge != data
    path.write_bytes(huge)
    assert len(video.read(path).times) == 5
    for broken in (data[:200], data[:132], bytes(128) + b"DICM" + bytes(500)):
        path.write_bytes(broken)
        with pytest.raises(VideoError):
            video.read(path)


def test_a_header_that_promises_too_much(tmp_path, grey):
    path = write(tmp_path / "huge.dcm", grey, Rows=60_000, Columns=60_000)
    with pytest.raises(VideoError) as caught:
        video.read(path)
    assert caught.value.kind == "over the limit"
