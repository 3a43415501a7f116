"""What the data sets with MNIST digits share: `tfds.load("mnist")`, in the same data folder."""

import urllib.request

import tensorflow_datasets as tfds

from tfbind.data import _builder

_SOURCE = "https://storage.googleapis.com/cvdf-datasets/mnist/train-labels-idx1-ubyte.gz"
_TIMEOUT = 10.0  # seconds; without a network TFDS itself tries for much longer


class MnistBuilder(_builder.Builder, skip_registration=True):
    """Base class for images with MNIST digits."""

    def download_and_prepare(self, **kwargs):
        if not self.data_path.exists():
            prepare(self._mnist())  # first, so that a failure leaves nothing behind
        super().download_and_prepare(**kwargs)

    def _mnist(self):
        return tfds.builder("mnist", data_dir=self.data_dir_root)

    def _digits(self, split):
        """Returns digits for `split`, uint8 `[n, 28, 28]` in 0..255, and what they are, `[n]`."""
        source = "test" if split == "test" else "train"
        examples = self._mnist().as_dataset(split=source, batch_size=-1)
        return examples["image"].numpy()[..., 0], examples["label"].numpy()


def prepare(builder):
    """Downloads MNIST for TFDS' builder of it, unless it is there; `ValueError` if that fails."""
    if builder.data_path.exists():
        return
    try:
        urllib.request.urlopen(_SOURCE, timeout=_TIMEOUT).close()
        builder.download_and_prepare()
    except OSError as error:
        raise ValueError(
            f"This data set needs MNIST, which is not in {builder.data_path} and cannot be "
            f"downloaded ({error}): connect to the network and try again, or copy a prepared "
            f"`mnist` folder into {builder.data_dir_root}, or set TFDS_DATA_DIR to a folder that "
            "holds one."
        ) from error
