"""What the data sets with MNIST digits share: `tfds.load("mnist")`, in the same data folder."""

from typing import Any

import tensorflow_datasets as tfds

from tfbind.data import _builder, _download


class MnistBuilder(_builder.Builder, skip_registration=True):  # type: ignore[call-arg]
    """Base class for images with MNIST digits."""

    def download_and_prepare(self, **kwargs: Any) -> None:
        if not self.data_path.exists():
            _download.prepare(self._mnist())  # first, so that a failure leaves nothing behind
        super().download_and_prepare(**kwargs)

    def _mnist(self):
        return tfds.builder("mnist", data_dir=self.data_dir_root)

    def _digits(self, split):
        """Returns digits for `split`, uint8 `[n, 28, 28]` in 0..255, and what they are, `[n]`."""
        source = "test" if split == "test" else "train"
        examples = self._mnist().as_dataset(split=source, batch_size=-1)
        return examples["image"].numpy()[..., 0], examples["label"].numpy()
