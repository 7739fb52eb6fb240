"""Runs that fuse: what they learn, how they go on, and clips that lack a set."""

import json
import wave

import numpy as np
import pytest
from run_folders import history

from sora_tf._keras import keras
from sora_tf.cli import main
from sora_tf.config import micro
from sora_tf.data import Clip
from sora_tf.data.fused import FusedClip, read_fused
from sora_tf.models import yamnet
from sora_tf.models.fusion import FRAME, SOUND, FusionConfig
from sora_tf.models.sound import SoundConfig
from sora_tf.tasks import nodes as nodes_module
from sora_tf.tasks.fused import classify_fused
from sora_tf.tasks.nodes import stacked
from sora_tf.train import Run, RunError, TrainConfig
from sora_tf.train.fused import train_fused
from sora_tf.train.fused_run import FusedRun, is_fused, reader_of
from sora_tf.video.writer import write

RATE = 16_000
EPOCHS = 12
PITCH = {"low": 300.0, "high": 3000.0}
SETTINGS = {
    "sets": (FRAME, SOUND),
    "model": micro(),
    "fusion": FusionConfig(units=16),
    "sound": SoundConfig(channels=(4, 8), features=64),
    "training": TrainConfig(epochs=EPOCHS, batch_size=8, learning_rate=1e-2),
    "verbose": 0,
}


def tone(path, hertz, rng):
    seconds = np.arange(RATE) / RATE
    samples = np.sin(2 * np.pi * hertz * seconds) + rng.normal(0, 0.3, RATE)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples * 8000).astype(np.int16).tobytes())


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """20 films of noise, whose class is the pitch of a file of sound beside them."""
    root = tmp_path_factory.mktemp("films")
    rng = np.random.default_rng(0)
    rows = ["path,label,sound,caption,split"]
    splits = ["train"] * 12 + ["val"] * 4 + ["test"] * 4
    for number, split in enumerate(splits):
        label = list(PITCH)[number % 2]
        write(root / f"{number}.mp4", rng.integers(0, 255, (8, 32, 32, 3), np.uint8), 8)
        tone(root / f"{number}.wav", PITCH[label], rng)
        rows.append(f"{number}.mp4,{label},{number}.wav,,{split}")
    (root / "clips.csv").write_text("\n".join(rows))
    return root / "clips.csv"


@pytest.fixture(scope="module")
def fused(table, tmp_path_factory):
    return train_fused(table, tmp_path_factory.mktemp("fused") / "run", **SETTINGS)


def test_it_learns_from_what_is_heard(fused):
    metrics = fused.read_metrics()
    assert metrics["part"] == "test"
    assert metrics["accuracy"] == 1.0  # of 4, chance is 0.5
    assert is_fused(fused.path)
    assert len(history(fused)) == EPOCHS
    assert {path.name for path in fused.path.iterdir()} >= {
        *("config.json", "labels.txt", "model.keras", "metrics.json", "predictions.csv"),
        *("curves.png", "confusion.png", "history.csv"),
    }
    assert not (fused.path / "cache").exists()


def test_a_run_reads_back(fused):
    config = fused.read_config()
    assert config.sets == (FRAME, SOUND)
    assert config.sound == SETTINGS["sound"]
    assert config.fusion == SETTINGS["fusion"]
    with pytest.raises(RunError, match="is of a fusion, not of a classifier"):
        Run(fused.path).read_config()


def test_another_run_is_refused_and_the_same_is_finished(fused, table):
    assert train_fused(table, fused.path, **SETTINGS).read_metrics() == fused.read_metrics()
    with pytest.raises(RunError, match="holds another run"):
        train_fused(table, fused.path, **{**SETTINGS, "sets": (SOUND,)})


def test_an_interrupted_run_goes_on_and_reads_no_clip_again(table, tmp_path, monkeypatch):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_fused(table, tmp_path / "run", callbacks=[Stop()], **SETTINGS)
    assert len(history(FusedRun(tmp_path / "run"))) == 2
    heard = []
    monkeypatch.setattr(nodes_module, "load_sound", lambda *a, **k: heard.append(a))
    run = train_fused(table, tmp_path / "run", **SETTINGS)
    assert [int(row["epoch"]) for row in history(run)] == list(range(1, EPOCHS + 1))
    assert not heard


def test_without_its_sound_a_clip_is_named_all_the_same(fused, table):
    config = fused.read_config()
    reader = reader_of(config)
    item = read_fused(table)[0]
    nodes = stacked([reader.read(item)])
    model = fused.load_model()
    mask = f"{SOUND}_mask"
    unheard = {**nodes, mask: np.zeros_like(nodes[mask])}
    lacking = model.predict(unheard, verbose=0)
    silent = {**unheard, SOUND: np.full_like(nodes[SOUND], 3.0)}
    np.testing.assert_allclose(model.predict(silent, verbose=0), lacking, atol=1e-6)
    (answer,) = classify_fused(model, config.labels, [FusedClip(item.clip)], reader)
    assert answer["known"] == [FRAME]  # the film has no track
    np.testing.assert_allclose(list(answer["scores"].values()), lacking[0], atol=1e-5)


def test_classify_by_the_command_line(fused, table, tmp_path, capsys):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no film")
    film = str(table.parent / "0.mp4")
    assert main(["classify", str(fused.path), film, str(bad), "--json"]) == 3
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["label"] in PITCH
    assert "error" in second
    assert main(["classify", str(fused.path), film, "--window", "1"]) == 1
    assert "takes whole files" in capsys.readouterr().err


def test_fuse_by_the_command_line(table, tmp_path, capsys):
    arguments = ["fuse", str(table), "--out", str(tmp_path / "run"), "--model", "micro"]
    more = ["--sets", "sound", "--epochs", "2", "--kind", "concatenation", "--json"]
    assert main([*arguments, *more]) == 0
    assert json.loads(capsys.readouterr().out)["clips"] == 4
    config = FusedRun(tmp_path / "run").read_config()
    assert config.sets == (SOUND,)
    assert config.fusion.kind == "concatenation"


def test_clips_that_do_not_read_are_named_and_counted(table, tmp_path):
    rows = table.read_text().splitlines()
    for name in (*(f"{n}.mp4" for n in range(20)), *(f"{n}.wav" for n in range(20))):
        (tmp_path / name).symlink_to(table.parent / name)
    rows[1] = rows[1].replace("0.wav", "gone.wav")
    rows[2] = rows[2].replace("1.mp4", "gone.mp4")
    (tmp_path / "clips.csv").write_text("\n".join(rows))
    quick = {**SETTINGS, "training": TrainConfig(epochs=1, batch_size=8)}
    metrics = train_fused(tmp_path / "clips.csv", tmp_path / "run", **quick).read_metrics()
    assert len(metrics["skipped"]) == 2
    assert "gone.wav" in metrics["skipped"][0]


def test_a_table_names_files_beside_the_film(tmp_path):
    (tmp_path / "clips.csv").write_text(
        "path,label,sound,subtitles,caption\na.mp4,x,a.wav,s/a.srt,A cat.\nb.mp4,y,,embedded,\n"
    )
    first, second = read_fused(tmp_path / "clips.csv")
    assert first.sound == str(tmp_path / "a.wav")
    assert first.subtitles == str(tmp_path / "s" / "a.srt")
    assert first.caption == "A cat."
    assert second == FusedClip(Clip(str(tmp_path / "b.mp4"), "y"), subtitles="embedded")


def test_a_parquet_table_does_as_well(tmp_path):
    import pandas as pd

    row = {"path": "a.mp4", "label": "x", "sound": "a.wav", "caption": None}
    pd.DataFrame([row]).to_parquet(tmp_path / "clips.parquet")
    (item,) = read_fused(tmp_path / "clips.parquet")
    assert item.sound == str(tmp_path / "a.wav")
    assert item.caption is None


@pytest.mark.parametrize(
    ("wrong", "words"), [({"sets": ("smell",)}, "sets must be"), ({"sets": ()}, "sets must be")]
)
def test_wrong_sets(wrong, words, table, tmp_path):
    with pytest.raises(ValueError, match=words):
        train_fused(table, tmp_path / "run", **{**SETTINGS, **wrong})
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """16 files of sound in two folders, without pictures."""
    root, rng = tmp_path_factory.mktemp("sounds"), np.random.default_rng(1)
    for number in range(16):
        label = list(PITCH)[number % 2]
        (root / label).mkdir(exist_ok=True)
        tone(root / label / f"{number}.wav", PITCH[label], rng)
    return root


def test_sounds_without_pictures_by_what_has_learnt_before(sounds, tmp_path, capsys):
    pytest.importorskip(yamnet.PACKAGE)
    out = str(tmp_path / "run")
    given = ["--sets", "sound", "--sound-encoder", "yamnet", "--epochs", "10"]
    assert main(["fuse", str(sounds), "--out", out, *given]) == 0
    run = FusedRun(out)
    assert run.read_config().sound == "yamnet"
    assert run.load_model().input_shape[SOUND][-1] == yamnet.UNITS
    assert run.read_metrics()["accuracy"] == 1.0
    capsys.readouterr()
    film = str(next((sounds / "high").iterdir()))
    assert main(["classify", out, film, "--json"]) == 0
    (answer,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert answer["label"] == "high"
    assert answer["known"] == [SOUND]
    assert main(["export", out, "--json"]) == 0  # from windows of sound, YAMNet inside
    exported = json.loads(capsys.readouterr().out)["artefacts"]
    windows = ["None", "16", str(yamnet.MEL.frames), str(yamnet.MEL.mels), "float32"]
    assert {tuple(facts["inputs"][SOUND]) for facts in exported.values()} == {tuple(windows)}


def test_an_encoder_that_is_not_known_is_refused(sounds, tmp_path):
    with pytest.raises(ValueError, match="train_fused: sound must be one of yamnet, got 'vggish'"):
        train_fused(sounds, tmp_path / "run", sets=(SOUND,), sound="vggish")
    assert not (tmp_path / "run").exists()


def test_files_of_sound_are_clips_where_no_pictures_are_asked_for(sounds):
    assert len(read_fused(sounds, seen=False)) == 16
    with pytest.raises(ValueError, match="found no clips"):
        read_fused(sounds)
