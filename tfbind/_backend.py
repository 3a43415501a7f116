"""Keras on TensorFlow, or one sentence: on another backend a step would fail deep inside Keras."""

import keras

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "tfbind needs Keras on the TensorFlow backend. Received: KERAS_BACKEND="
        f"{keras.backend.backend()!r}; set it to 'tensorflow' before Keras is imported."
    )
