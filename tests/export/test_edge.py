"""The runner of export/edge: needs LiteRT and numpy alone, and answers as sora_tf does."""

import importlib.util
import itertools
import json
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import tensorflow as tf

from sora_tf.video import geometry, read, scaler

RUNNER = Path(__file__).parents[2] / "export" / "edge" / "runner.py"
LENGTH, HEIGHT, WIDTH = 4, 6, 8
FACTS = {
    "labels": ["dark", "light"],
    "frames": LENGTH,
    "size": [HEIGHT, WIDTH],
    "fit": "stretch",
    "frame_rate": 4.0,
}

spec = importlib.util.spec_from_file_location("edge_runner", RUNNER)
assert spec is not None
assert spec.loader is not None
runner = importlib.util.module_from_spec(spec)
sys.modules["edge_runner"] = runner
spec.loader.exec_module(runner)


class Brightness(tf.Module):
    """The signatures of an exported model: the vector is the mean colour of the last frames."""

    @tf.function
    def clip(self, frames, mask):
        seen = tf.cast(mask, tf.float32)[..., None]
        colours = tf.reduce_mean(tf.cast(frames, tf.float32) / 255.0, axis=(2, 3))
        vector = tf.reduce_sum(colours * seen, 1) / tf.reduce_sum(seen, 1)
        return {"scores": self.scores(vector), "global_vector": vector}

    @tf.function
    def step(self, frames, state_colours, state_real):
        colour = tf.reduce_mean(tf.cast(frames, tf.float32) / 255.0, axis=(2, 3))
        colours = tf.concat([state_colours[:, 1:], colour], 1)
        real = tf.concat([state_real[:, 1:], tf.ones((1, 1))], 1)
        vector = tf.reduce_sum(colours * real[..., None], 1) / tf.reduce_sum(real, 1, keepdims=True)
        return {
            "recent_scores": self.scores(vector),
            "recent_vector": vector,
            "state_colours": colours,
            "state_real": real,
        }

    def scores(self, vector):
        light = tf.reduce_mean(vector, 1, keepdims=True)
        return tf.concat([1.0 - light, light], 1)


def convert(folder, signatures):
    module = Brightness()
    frames = tf.TensorSpec((1, LENGTH, HEIGHT, WIDTH, 3), tf.uint8, "frames")
    concrete = {
        "clip": module.clip.get_concrete_function(
            frames, tf.TensorSpec((1, LENGTH), tf.bool, "mask")
        ),
        "step": module.step.get_concrete_function(
            tf.TensorSpec((1, 1, HEIGHT, WIDTH, 3), tf.uint8, "frames"),
            tf.TensorSpec((1, LENGTH, 3), tf.float32, "state_colours"),
            tf.TensorSpec((1, LENGTH), tf.float32, "state_real"),
        ),
    }
    saved = str(folder / "saved")
    tf.saved_model.save(module, saved, {name: concrete[name] for name in signatures})
    return tf.lite.TFLiteConverter.from_saved_model(
        saved, signature_keys=list(signatures)
    ).convert()


def write_model(path, content, facts=None):
    path.write_bytes(content)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.txt", "dark\nlight\n")
        archive.writestr("sora_tf.json", json.dumps(FACTS | (facts or {})))
    return str(path)


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    """Flatbuffers with and without the signature step."""
    make = tmp_path_factory.mktemp
    return {
        "causal": convert(make("causal"), ("clip", "step")),
        "clip": convert(make("clip"), ("clip",)),
    }


@pytest.fixture(scope="module")
def model(contents, tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "model.tflite", contents["causal"])


@pytest.fixture(scope="module")
def clip_model(contents, tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "clip.tflite", contents["clip"])


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """24 frames of 48×36 at 16 frames/s, ever lighter."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=16)
        stream.width, stream.height, stream.pix_fmt = 48, 36, "yuv420p"
        for number in range(24):
            picture = np.full((36, 48, 3), 10 * number, np.uint8)
            picture[:, number : number + 6] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return str(path)


def command(*arguments, **options):
    options = {"capture_output": True, "timeout": 120} | options
    done = subprocess.run([sys.executable, str(RUNNER), *map(str, arguments)], **options)
    done.out, done.err = done.stdout.decode(), done.stderr.decode()
    return done


def answers_of(done):
    assert done.returncode == 0, done.err
    return [json.loads(line) for line in done.out.splitlines()]


def frames(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, HEIGHT, WIDTH, 3), np.uint8)


def shown(times, made=None):
    """A source whose frame n is filled with n; `made` takes the numbers asked for."""

    def take(number):
        if made is not None:
            made.append(number)
        return np.full((1, 1, 3), number, np.uint8)

    return [(at, lambda number=number: take(number)) for number, at in enumerate(times)]


def moments(times, rate, made=None):
    tally = SimpleNamespace(seen=0, late=0)
    found = runner.moments(iter(shown(times, made)), rate, tally)
    return [(round(at, 6), int(frame[0, 0, 0])) for at, frame in found]


# The model.


def test_needs_neither_tensorflow_nor_sora_tf(model):
    code = (
        "import sys, numpy as np\n"
        f"sys.path.insert(0, {str(RUNNER.parent)!r})\n"
        "import runner\n"
        f"model = runner.EdgeModel({model!r})\n"
        f"print(model.push(np.zeros(({HEIGHT}, {WIDTH}, 3), np.uint8)).label)\n"
        "roots = {name.split('.')[0] for name in sys.modules}\n"
        "print(sorted(roots & {'tensorflow', 'sora_tf', 'tf_keras', 'keras', 'av', 'cv2'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.split("\n")[:2] == ["dark", "[]"], done.stderr


def test_step_equals_a_loop_over_the_interpreter(model):
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(model_path=model).get_signature_runner("step")
    states = {
        "state_colours": np.zeros((1, LENGTH, 3), np.float32),
        "state_real": np.zeros((1, LENGTH), np.float32),
    }
    edge = runner.EdgeModel(model)
    assert edge.signature == "step"
    for frame in frames(2 * LENGTH):
        outputs = run(frames=frame[None, None], **states)
        states = {name: outputs[name] for name in states}
        answer = edge.push(frame)
        np.testing.assert_array_equal(answer.scores, outputs["recent_scores"][0])
        np.testing.assert_array_equal(answer.vector, outputs["recent_vector"][0])
        assert answer.score == answer.scores.max()
        assert answer.label == FACTS["labels"][answer.scores.argmax()]


@pytest.mark.parametrize("name", ["model", "clip_model"])
def test_answers_look_at_the_last_frames_alone(name, request):
    edge = runner.EdgeModel(request.getfixturevalue(name))
    given = frames(2 * LENGTH, seed=1)
    for number, frame in enumerate(given, 1):
        recent = given[max(0, number - LENGTH) : number]
        answer = edge.push(frame)
        np.testing.assert_allclose(answer.vector, recent.mean((0, 1, 2)) / 255, atol=1e-6)


@pytest.mark.parametrize("name", ["model", "clip_model"])
def test_reset_forgets(name, request):
    edge = runner.EdgeModel(request.getfixturevalue(name))
    first, *others = frames(LENGTH)
    before = edge.push(first).vector
    for frame in others:
        edge.feed(frame)
    edge.reset()
    np.testing.assert_array_equal(edge.push(first).vector, before)


def test_a_frame_may_be_written_over_after_it_was_pushed(clip_model):
    edge = runner.EdgeModel(clip_model)
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    edge.push(frame)
    frame[:] = 255
    np.testing.assert_allclose(edge.push(frame).vector, 0.5, atol=1e-6)


def test_facts_come_from_the_archive_behind_the_model(model):
    told = (("dark", "light"), LENGTH, (HEIGHT, WIDTH), "stretch", 4.0, None)
    assert runner.read_facts(model) == told


def test_frames_of_another_kind_are_named(model):
    edge = runner.EdgeModel(model)
    with pytest.raises(runner.EdgeError, match=r"must be \(6, 8, 3\) uint8, got \(8, 6, 3\) uint8"):
        edge.push(np.zeros((WIDTH, HEIGHT, 3), np.uint8))
    with pytest.raises(runner.EdgeError, match="float32"):
        edge.push(np.zeros((HEIGHT, WIDTH, 3), np.float32))
    with pytest.raises(runner.EdgeError, match="no answer before the first frame"):
        edge.answer()


# Frames.


def test_pictures_are_placed_as_sora_tf_places_them():
    sides = (1, 2, 7, 96, 112, 113, 480, 1081)
    for shown_size in itertools.product(sides, sides):
        for size in ((112, 112), (64, 96), (5, 200)):
            for fit in geometry.FITS:
                there = geometry.place(shown_size, size, fit, turned=False)
                scaled, taken, filled = runner.place(shown_size, size, fit)
                assert scaled == there.scaled
                assert tuple(taken) == there.taken
                assert tuple(filled) == there.filled


def test_films_are_scaled_as_in_training():
    assert runner.SWS_FLAGS == scaler.FLAGS


def test_shrinking_is_the_mean_of_what_a_pixel_covers():
    picture = np.arange(4 * 8 * 3, dtype=np.uint8).reshape(4, 8, 3)
    # 4 points each way over 2 pixels: each counts twice, so the mean of 2×2; half goes up.
    mean = picture.reshape(2, 2, 4, 2, 3).astype(float).mean((1, 3))
    np.testing.assert_array_equal(
        runner.fit_frame(picture, (2, 4), "stretch"), np.floor(mean + 0.5)
    )


def test_enlarging_is_bilinear():
    picture = np.array([[[0] * 3, [160] * 3]], np.uint8)
    # Twice as wide: centres at −¼, ¼, ¾ and 1¼ of a pixel; the ends have no neighbour.
    np.testing.assert_array_equal(
        runner.fit_frame(picture, (1, 4), "stretch")[0, :, 0], [0, 40, 120, 160]
    )


def test_a_frame_of_the_right_size_stays():
    (frame,) = frames(1)
    for fit in geometry.FITS:
        np.testing.assert_array_equal(runner.fit_frame(frame, (HEIGHT, WIDTH), fit), frame)


def test_contain_frames_in_black_and_cover_cuts():
    picture = np.full((10, 20, 3), 200, np.uint8)
    picture[:, :5] = picture[:, 15:] = 90
    contained = runner.fit_frame(picture, (8, 8), "contain")
    assert (contained[[0, 1, 6, 7]] == 0).all()
    np.testing.assert_array_equal(contained[2:6, :, 0], [[90, 90, 200, 200, 200, 200, 90, 90]] * 4)
    assert (runner.fit_frame(picture, (10, 10), "cover") == 200).all()


def test_numpy_scales_like_an_area_filter(shared_data):
    with av.open(str(shared_data / "fight" / "fight" / "fi001.mp4")) as container:
        frame = next(container.decode(video=0))
    wanted = frame.reformat(112, 112, "rgb24", interpolation="AREA").to_ndarray().astype(int)
    found = runner.fit_frame(frame.to_ndarray(format="rgb24"), (112, 112), "stretch")
    # An unlike filter, such as one without a mean, is off by 4 and more.
    assert np.abs(found - wanted).mean() < 2


# Time.


def test_sampling_goes_by_time_on_an_irregular_clock():
    # Moments ⅛, ⅜, ⅝ … s; on screen is the last frame that came before. The frames last 1.3 s / 5
    # in the mean, so the last one until 1.56 s.
    assert moments([0.0, 0.1, 0.12, 0.5, 0.51, 1.3], 4) == [
        (0.125, 2),
        (0.375, 2),
        (0.625, 4),
        (0.875, 4),
        (1.125, 4),
        (1.375, 5),
    ]


def test_sampling_makes_only_frames_that_are_used_and_each_once():
    made = []
    moments([0.0, 0.1, 0.12, 0.5, 0.51, 1.3], 4, made)
    assert made == [2, 4, 5]


def test_sampling_begins_at_the_first_stamp_and_never_runs_back():
    assert moments([50.0, 50.25, 49.0, 50.5], 4) == [(0.125, 0), (0.375, 2), (0.625, 3)]


def test_a_frame_counts_from_its_own_time_on():
    assert moments([0.0, 0.125, 0.25, 0.375], 4) == [(0.125, 1), (0.375, 3)]


def test_one_picture_is_one_moment():
    assert moments([7.0], 4) == [(0.125, 0)]
    assert moments([], 4) == []


def test_what_comes_too_fast_for_the_model_gives_way_to_the_newest():
    tally = SimpleNamespace(seen=0, late=0)
    source = ((float(number), np.zeros(1)) for number in range(100))
    found = []
    for at, _ in runner.live(source, 4.0, tally):
        time.sleep(0.05)
        found.append(at)
    assert found[-1] == 99.0
    assert found == sorted(found)
    assert 0 < tally.late == 100 - len(found)


def test_a_live_source_hands_on_its_error():
    def source():
        yield 0.0, np.zeros(1)
        raise runner.EdgeError("the camera is gone")

    with pytest.raises(runner.EdgeError, match="the camera is gone"):
        list(runner.live(source(), 4.0, SimpleNamespace(seen=0, late=0)))


# The command.


def test_film_to_label_equals_sora_tf_reading(model, film):
    answers = answers_of(command(model, film, "--json"))
    times = np.array([answer["time"] for answer in answers])
    np.testing.assert_allclose(times, (np.arange(6) + 0.5) / 4)  # 1.5 s at 4 frames/s
    edge = runner.EdgeModel(model)
    for frame, answer in zip(
        read(film, at=times, size=(HEIGHT, WIDTH)).frames, answers, strict=True
    ):
        expected = edge.push(frame)
        assert answer["label"] == expected.label
        assert answer["score"] == pytest.approx(expected.score, abs=1e-6)
        assert list(answer["scores"]) == FACTS["labels"]


def test_real_clip_to_label_equals_sora_tf_reading(contents, tmp_path, shared_data):
    path = write_model(tmp_path / "cover.tflite", contents["causal"], {"fit": "cover"})
    clip = shared_data / "fight" / "fight" / "fi001.mp4"
    answers = answers_of(command(path, clip, "--json"))
    times = np.array([answer["time"] for answer in answers])
    there = read(str(clip), at=times, size=(HEIGHT, WIDTH), fit="cover").frames
    edge = runner.EdgeModel(path)
    scores = [list(answer["scores"].values()) for answer in answers]
    np.testing.assert_allclose(scores, [edge.push(frame).scores for frame in there], atol=1e-6)


@pytest.mark.parametrize(("flavour", "tolerance"), [("float32", 1e-4), ("int8", 0.1)])
def test_an_exported_run_answers_as_its_streaming_model(
    flavour, tolerance, exported, deployable, digits
):
    from sora_tf.models import Stream

    clip = sorted(digits.rglob("*.mp4"))[0]
    answers = answers_of(command(exported[0] / f"{flavour}.tflite", clip, "--json"))
    times = [answer["time"] for answer in answers]
    there = read(str(clip), at=np.array(times), size=deployable.config.size).frames
    assert len(answers) >= deployable.config.frames
    stream = Stream(deployable.step)
    for frame, answer in zip(there, answers, strict=True):
        expected = stream.feed(frame[None, None])["recent_scores"][0]
        assert tuple(answer["scores"]) == deployable.labels
        np.testing.assert_allclose(list(answer["scores"].values()), expected, atol=tolerance)


def test_a_turned_film_is_shown_upright(shared_data):
    path = str(shared_data / "odd-videos" / "video_rotation_90.mp4")
    if not Path(path).exists():
        pytest.skip(f"no {path}")
    at, take = next(runner.film_av(path, (64, 40), "contain"))
    np.testing.assert_array_equal(
        take(), read(path, at=[at], size=(64, 40), fit="contain").frames[0]
    )


def test_opencv_reads_the_same_film(film):
    pytest.importorskip("cv2")
    by_av = list(runner.film_av(film, (36, 48), "stretch"))  # its own size: nothing is scaled
    by_cv = list(runner.film_cv(film, (36, 48), "stretch"))
    np.testing.assert_allclose([at for at, _ in by_cv], [at for at, _ in by_av], atol=1e-3)
    for (_, take), (_, other) in zip(by_av, by_cv, strict=True):
        assert abs(take().astype(int) - other()).mean() < 3


def test_answers_at_intervals(model, film):
    done = command(model, film, "--every", 0.5)
    times = [float(line.split()[0]) for line in done.out.splitlines()]
    assert times == [0.12, 0.62, 1.12]
    assert "24 frames seen, 6 used, 0 too late" in done.err
    assert "times real time" in done.err


def test_raw_frames_on_standard_input(model):
    given = np.random.default_rng(2).integers(0, 256, (16, 12, 16, 3), np.uint8)
    done = command(model, "--raw", "16x12", "--rate", 8, "--json", input=given.tobytes())
    answers = answers_of(done)
    times = [answer["time"] for answer in answers]
    assert times == [0.125, 0.375, 0.625, 0.875, 1.125, 1.375, 1.625, 1.875]
    edge = runner.EdgeModel(model)
    for picture, answer in zip(given[1::2], answers, strict=True):
        expected = edge.push(runner.fit_frame(picture, (HEIGHT, WIDTH), "stretch"))
        assert answer["score"] == pytest.approx(expected.score, abs=1e-6)


def test_raw_frames_as_they_come_and_a_clean_interrupt(model):
    arguments = [sys.executable, str(RUNNER), model, "--raw", "16x12", "--json"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(arguments, stdin=pipe, stdout=pipe, stderr=pipe)
    begin = time.monotonic()
    while time.monotonic() - begin < 1.5:
        process.stdin.write(bytes(16 * 12 * 3))
        process.stdin.flush()
        time.sleep(0.03)
    assert json.loads(process.stdout.readline())["label"] == "dark"
    process.send_signal(signal.SIGINT)  # while it waits for the next frame
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"Traceback" not in err
    assert b"frames seen" in err
    # By time, not by count: of the 50 frames only 4 a second are used.
    assert len(out.splitlines()) + 1 <= 4 * (time.monotonic() - begin) + 1


def test_whoever_reads_the_answers_may_leave(model, film):
    done = subprocess.run(
        f"{sys.executable} {RUNNER} {model} {film} | head -n 1",
        shell=True,
        capture_output=True,
        timeout=120,
    )
    assert len(done.stdout.splitlines()) == 1
    assert b"Traceback" not in done.stderr


def failing(tmp_path, contents, film, name):
    """(arguments, words of the error) of a call that cannot work."""
    text = tmp_path / "text.tflite"
    text.write_text("no model")
    model = write_model(tmp_path / "model.tflite", contents["causal"])
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(Path(model).read_bytes()[:1000])
    junk = write_model(tmp_path / "junk.tflite", bytes(1000))
    other = {"size": [HEIGHT, WIDTH + 1]}
    return {
        "no model": ([tmp_path / "none.tflite", film], "No such file"),
        "no archive": ([text, film], "holds no sora_tf.json"),
        "cut short": ([cut, film], "holds no sora_tf.json"),
        "no flatbuffer": ([junk, film], "LiteRT cannot run"),
        "other facts": ([write_model(tmp_path / "o.tflite", contents["causal"], other), film], ""),
        "no signature": ([write_model(tmp_path / "n.tflite", contents["other"]), film], "clip"),
        "no film": ([model, tmp_path / "none.mp4"], "none.mp4 cannot be read: No such file"),
        "not a film": ([model, text], "text.tflite cannot be read"),
        "no camera": ([model, "--camera", "97"], "video97 cannot be read"),
        "nothing": ([model, "--raw", "4x4"], "Standard input holds no frame"),
        "half a frame": ([model, "--raw", "4x4"], "ended 7 bytes into a frame of 48"),
    }[name]


@pytest.mark.parametrize(
    "name",
    [
        "no model",
        "no archive",
        "cut short",
        "no flatbuffer",
        "other facts",
        "no signature",
        "no film",
        "not a film",
        "no camera",
        "nothing",
        "half a frame",
    ],
)
def test_what_cannot_work_is_told_in_one_line(name, tmp_path, contents, film, other_signature):
    arguments, words = failing(tmp_path, contents | {"other": other_signature}, film, name)
    done = command(*arguments, input=bytes(7) if name == "half a frame" else b"")
    assert done.returncode == 1
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert words in errors[0]
    assert "Traceback" not in done.err
    assert done.out == ""


@pytest.fixture(scope="module")
def other_signature():
    """A flatbuffer with a signature of another name."""

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((1,), tf.float32, "x")])
        def other(self, x):
            return {"y": x + 1.0}

    module = Module()
    concrete = module.other.get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete], module).convert()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["film.mp4", "--camera", "0"],
        ["--raw", "16"],
        ["--raw", "0x4"],
        ["--raw", "4x4", "--rate", "0"],
        ["film.mp4", "--threads", "0"],
    ],
)
def test_wrong_arguments_exit_with_2(arguments):
    done = command("model.tflite", *arguments)
    assert done.returncode == 2
    assert "usage:" in done.err


def test_a_missing_package_is_named(model, film):
    code = (
        "import sys, runpy\n"
        "sys.modules['ai_edge_litert'] = None\n"
        f"sys.argv = ['runner.py', {model!r}, {film!r}]\n"
        f"runpy.run_path({str(RUNNER)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ai_edge_litert")
    assert "is missing. pip install ai-edge-litert" in done.stderr
