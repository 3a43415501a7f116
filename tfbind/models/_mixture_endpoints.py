"""What an adversarial mixture serves: names, examples of them, and both sides of the game."""

from typing import Any

import tensorflow as tf

from tfbind.models._endpoints import Endpoint, endpoint_maker, image_spec

_SERVED = {
    "probabilities": "y, in [0, 1], sums to 1",
    "latent_probabilities": "p(y|z) at the mean of z, in [0, 1], sums to 1",
    "latent": "z",
    "reconstruction": "of the example, from y and z",
    "generated": "an example of the component",
}


def mixture_endpoints(model: Any) -> dict[str, Endpoint]:
    """Returns the endpoints of an `AdversarialMixture`."""
    image = image_spec(model.event_shape)
    class_noise = tf.TensorSpec([None, model.num_clusters], tf.float32, name="class_noise")
    noise = tf.TensorSpec([None, model.latent_dim], tf.float32, name="noise")
    label = tf.TensorSpec([None], tf.int32, name="label")
    ranges = {
        "image": model.value_range,
        **dict.fromkeys(("class_noise", "noise"), (None, None)),
        "label": (0, model.num_clusters - 1),
    }

    def classify(image):
        probabilities, latent = model.encode(image)
        by_latent = model.component_probabilities(latent)
        return {"probabilities": probabilities, "latent_probabilities": by_latent}

    def encode(*given):
        return dict(zip(inferred, model.encode(*given), strict=True))

    def generate(label, noise):
        return {"generated": model.generate(label, noise)}

    inferred = ("probabilities", "latent")
    endpoint = endpoint_maker(_SERVED, ranges)
    return {
        "serving_default": endpoint(model.call, (image,), (*inferred, "reconstruction")),
        "classify": endpoint(classify, (image,), ("probabilities", "latent_probabilities")),
        "encode": endpoint(encode, (image, class_noise, noise), inferred),
        "generate": endpoint(generate, (label, noise), ("generated",)),
    }
