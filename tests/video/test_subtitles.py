import av
import numpy as np
import pytest

from sora_tf.video import VideoError, write
from sora_tf.video.subtitles import Cue, embedded_cues, read_cues, straightened

pytest.importorskip("pysubs2")

SRT = """1
00:00:01,000 --> 00:00:02,500
Hello <i>there</i>,
friend

2
00:00:03,000 --> 00:00:04,000
{text}

"""
CHINESE = "你好，世界。我们今天讨论摄像系统。"


def with_subtitles(path, srt):
    """A film of 6 s with these lines as a track."""
    plain = write(path.parent / "plain.mkv", np.zeros((30, 32, 32, 3), np.uint8), 5)
    (path.parent / "lines.srt").write_text(srt, encoding="utf-8")
    with (
        av.open(str(path), "w") as out,
        av.open(str(plain)) as film,
        av.open(str(path.parent / "lines.srt")) as lines,
    ):
        sources = (film.streams.video[0], lines.streams.subtitles[0])
        copies = {source.type: out.add_stream_from_template(source) for source in sources}
        for container in (film, lines):
            for packet in container.demux():
                if packet.dts is not None or packet.pts is not None:
                    packet.stream = copies[packet.stream.type]
                    out.mux(packet)
    return path


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", CHINESE),
        ("utf-8-sig", CHINESE),
        ("utf-16", CHINESE),
        ("utf-16-le", "plain words"),
        ("utf-16-be", "plain words"),
        ("gb18030", CHINESE),
        ("gb18030", CHINESE * 20),
        ("cp1252", "Où est l’élève ? À côté, déjà."),
    ],
)
def test_encodings_are_told_apart(tmp_path, encoding, text):
    path = tmp_path / "a.srt"
    path.write_bytes(SRT.format(text=text).encode(encoding))
    assert read_cues(str(path)) == [Cue(1.0, 2.5, "Hello there, friend"), Cue(3.0, 4.0, text)]


def test_webvtt(tmp_path):
    path = tmp_path / "a.vtt"
    path.write_text("WEBVTT\n\n00:01.000 --> 00:02.000 align:start\nhi <b>all</b>\n")
    assert read_cues(str(path)) == [Cue(1.0, 2.0, "hi all")]


def test_broken_times_are_straightened():
    cues = [
        Cue(9.0, 3.0, "ends before it starts, the last"),
        Cue(1.0, 0.5, "ends before it starts"),
        Cue(4.0, 8.0, "overlaps the next"),
        Cue(5.0, 6.0, "is overlapped"),
        Cue(5.0, 6.0, "is overlapped"),
        Cue(2.0, 2.0, "  "),
    ]
    assert straightened(cues) == [
        Cue(1.0, 4.0, "ends before it starts"),  # until the next line
        Cue(4.0, 8.0, "overlaps the next"),
        Cue(5.0, 6.0, "is overlapped"),
        Cue(9.0, 15.0, "ends before it starts, the last"),  # 6 s
    ]


def test_a_line_whose_end_is_missing_does_not_take_the_others_with_it(tmp_path):
    path = tmp_path / "a.srt"
    path.write_text(SRT.format(text="fine") + "3\n00:00:05,000 --> \nlost\n")
    assert [cue.start for cue in read_cues(str(path))] == [1.0, 3.0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no subtitles: the file is empty"),
        (b"  \n", "no subtitles: the file is empty"),
        (b"\x00\x01\x02garbage" * 99, "no subtitles: it is no .srt"),
        (b"words without times", "no subtitles: it is no .srt"),
        (b"1\n00:00:01,000 --> 00:00:02,000\n\n", "no subtitles: it has no line with text"),
    ],
)
def test_what_is_no_subtitles_is_one_line(tmp_path, content, message):
    path = tmp_path / "a.srt"
    path.write_bytes(content)
    with pytest.raises(VideoError, match=message) as error:
        read_cues(str(path))
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(VideoError, match=r"none\.srt: cannot open"):
        read_cues(str(tmp_path / "none.srt"))


def test_the_track_of_a_film(tmp_path):
    path = str(with_subtitles(tmp_path / "a.mkv", SRT.format(text=CHINESE)))
    wanted = [Cue(1.0, 2.5, "Hello there, friend"), Cue(3.0, 4.0, CHINESE)]
    assert embedded_cues(path, needed=True) == wanted


def test_a_film_without_a_track(tmp_path):
    path = str(write(tmp_path / "a.mp4", np.zeros((5, 32, 32, 3), np.uint8), 5))
    assert embedded_cues(path, needed=False) == []
    with pytest.raises(VideoError, match="no subtitles: the film holds no text of them"):
        embedded_cues(path, needed=True)


def test_what_does_not_open_has_none(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"nothing")
    assert embedded_cues(str(tmp_path / "a.mp4"), needed=False) == []
    with pytest.raises(VideoError, match="cannot open"):
        embedded_cues(str(tmp_path / "a.mp4"), needed=True)
