"""A training whose loss is no number any more stops, and says where."""

from typing import Any

import keras
import numpy as np


class FiniteLoss(keras.callbacks.Callback):
    """Stops a training by a ValueError at the batch from which on its loss is NaN or infinite.

    `fit` brings one itself. Callbacks of the user's own see the batch first: after Keras'
    `TerminateOnNaN` this one has nothing to say.
    """

    async_safe = True  # it only reads what is logged, so that Keras need not wait for a device

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        loss = (logs or {}).get("loss", 0.0)
        if not np.isfinite(loss) and not self.model.stop_training:
            raise ValueError(
                f"The loss must be finite. Received: {loss} in batch {batch + 1} of epoch "
                f"{self._epoch + 1}; train a new model with a smaller learning rate, and see that "
                "no value of the data is far from all others."
            )
