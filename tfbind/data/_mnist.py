"""What the data sets with MNIST digits share: `tfds.load("mnist")`, in the same data folder."""

import urllib.request

import tensorflow_datasets as tfds

from tfbind.data import _builder

_SOURCE = "https://storage.googleapis.com/cvdf-datasets/mnist/train-labels-idx1-ubyte.gz"
_TIMEOUT = 10.0  # seconds; without a network TFDS itself tries for much longer


class MnistBuilder(_builder.GroupedImagesBuilder, skip_registration=True):
    """Base class for images with MNIST digits."""

    def download_and_prepare(self, **kwargs):
        if not self.data_path.exists():
            _prepare(self.data_dir_root)  # first, so that a failure leaves nothing behind
        super().download_and_prepare(**kwargs)

    def _digits(self, split):
        """Returns the digits for `split`, uint8 `[n, 28, 28]`, grey levels from 0 to 255."""
        mnist = tfds.builder("mnist", data_dir=self.data_dir_root)
        examples = mnist.as_dataset(split="test" if split == "test" else "train", batch_size=-1)
        return examples["image"].numpy()[..., 0]


def _prepare(data_dir):
    """Downloads MNIST into `data_dir` unless it is there; `ValueError` where that fails."""
    builder = tfds.builder("mnist", data_dir=data_dir)
    if builder.data_path.exists():
        return
    try:
        urllib.request.urlopen(_SOURCE, timeout=_TIMEOUT).close()
        builder.download_and_prepare()
    except OSError as error:
        raise ValueError(
            f"This data set needs MNIST, which is not in {builder.data_path} and cannot be "
            f"downloaded ({error}): connect to the network and try again, or copy a prepared "
            f"`mnist` folder into {data_dir}, or set TFDS_DATA_DIR to a folder that holds one."
        ) from error
