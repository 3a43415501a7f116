"""Downloads the sets of TFDS' own that ours need, or says what to do instead."""

import urllib.request

import tensorflow_datasets as tfds

_SOURCES = {
    "mnist": "https://storage.googleapis.com/cvdf-datasets/mnist/train-labels-idx1-ubyte.gz",
    "svhn_cropped": "http://ufldl.stanford.edu/housenumbers/test_32x32.mat",
}
NAMES = tuple(_SOURCES)
_TITLES = {"mnist": "MNIST", "svhn_cropped": "SVHN"}
_TIMEOUT = 10.0  # seconds; without a network TFDS itself tries for much longer


def prepare(builder: tfds.core.DatasetBuilder) -> None:
    """Downloads the set of TFDS' `builder`, unless it is there; `ValueError` if that fails."""
    if builder.data_path.exists():
        return
    try:
        urllib.request.urlopen(_SOURCES[builder.name], timeout=_TIMEOUT).close()
        builder.download_and_prepare()
    except OSError as error:
        raise ValueError(
            f"This data set needs {_TITLES[builder.name]}, which is not in {builder.data_path} and "
            f"cannot be downloaded ({error}): connect to the network and try again, or copy a "
            f"prepared `{builder.name}` folder into {builder.data_dir_root}, or set TFDS_DATA_DIR "
            "to a folder that holds one."
        ) from error
