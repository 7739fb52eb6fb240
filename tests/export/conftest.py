"""A small causal run on moving digits, and all its exports, made once."""

from dataclasses import replace

import pytest


@pytest.fixture(scope="session")
def causal_run(digits, settings, tmp_path_factory):
    """A finished run whose model streams."""
    from sora_tf.config import ExtractorConfig, RelationConfig, SoraConfig
    from sora_tf.train import train_classifier

    model = SoraConfig(
        frames=8,
        size=(28, 28),
        extractor=ExtractorConfig(
            channels=(8, 16), depths=(1, 2), expansion=2, peak=True, change=True, features=24
        ),
        relation=RelationConfig(units=24, window=4, heads=2, blocks=1),
    )
    training = replace(settings["training"], epochs=4)
    return train_classifier(
        digits / "index.csv",
        tmp_path_factory.mktemp("causal") / "run",
        **{**settings, "model": model, "training": training},
    )


@pytest.fixture(scope="session")
def deployable(causal_run):
    """Its model."""
    from sora_tf.export.signature import Deployable

    return Deployable.of(causal_run)


@pytest.fixture(scope="session")
def exported(causal_run, tmp_path_factory):
    """Everything `sora-tf export RUN` writes, and what it said."""
    from sora_tf.export.publish import export_run

    out = tmp_path_factory.mktemp("exported")
    return out, export_run(causal_run, ["all"], out)
