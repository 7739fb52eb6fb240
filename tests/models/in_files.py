"""A model of sound as files: what they answer must be what it answers."""

import numpy as np
import tensorflow as tf

from sora_tf._keras import keras


def check_in_files(model, heard, folder, tolerance):
    """Holds a `.keras` file and a TFLite file, one sound at a time, against the model.

    Args:
        model: from `build_sound_model`, for a known number of windows.
        heard: its inputs, of two sounds.
        folder: to write to.
        tolerance: largest difference allowed of Keras; ten times as much of TFLite.
    """
    wanted = model.predict_on_batch(heard)
    model.save(folder / "sound.keras")
    loaded = keras.models.load_model(folder / "sound.keras", safe_mode=True)
    np.testing.assert_allclose(loaded.predict_on_batch(heard), wanted, atol=tolerance)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]  # no Flex
    runner = tf.lite.Interpreter(model_content=converter.convert()).get_signature_runner()
    for number in range(2):
        one = {name: values[number : number + 1] for name, values in heard.items()}
        (made,) = runner(**one).values()
        np.testing.assert_allclose(made[0], wanted[number], atol=10 * tolerance)
