"""Newsgroups: posts as word counts, for clustering of something else than images."""

import urllib.request
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from tfbind.data import _builder

_GROUPS = (
    "alt.atheism",
    "comp.graphics",
    "comp.os.ms-windows.misc",
    "comp.sys.ibm.pc.hardware",
    "comp.sys.mac.hardware",
    "comp.windows.x",
    "misc.forsale",
    "rec.autos",
    "rec.motorcycles",
    "rec.sport.baseball",
    "rec.sport.hockey",
    "sci.crypt",
    "sci.electronics",
    "sci.med",
    "sci.space",
    "soc.religion.christian",
    "talk.politics.guns",
    "talk.politics.mideast",
    "talk.politics.misc",
    "talk.religion.misc",
)
_SOURCE = "https://ndownloader.figshare.com/files/5975967"  # of scikit-learn's loader
_TIMEOUT = 10.0  # seconds; without a network the loader itself tries for much longer
_NUM_WORDS = 2000
_BLOCK = 1000  # posts whose zeros are written out at a time


class TfbindNewsgroups(_builder.Builder):
    """Posts of 20 newsgroups, as weights of words: scikit-learn's "20 Newsgroups".

    For clustering of vectors most of whose features are zero. Load it with
    `tfbind.data.load("newsgroups", "train", keys=("image", "label"))` or
    `tfds.load("tfbind_newsgroups")`. The posts are fetched, and kept, by scikit-learn's own loader:
    in `$SCIKIT_LEARN_DATA`, else `~/scikit_learn_data`.

    Splits: `train`, all 18846 posts, since clustering is scored on what it is trained on.
    Features: `image` float32 `[2000]`, >= 0, the tf-idf weights of the 2000 most frequent words in
    alphabetical order, English stop words left out, headers in; the mean square of each post is 1,
    which 61 words share on average. `label` int64 in 0..19, the newsgroup.

    What the truth of one label a post means: some posts were sent to several groups, and five
    groups are about computers, four about religion or its politics. So there are other partitions
    into 20 than by newsgroup, and 100 % is out of reach for whoever does not know the names.

    Example:

    >>> import tensorflow_datasets as tfds
    >>> import tfbind.data
    >>> tfds.builder("tfbind_newsgroups").info.features["image"].shape
    (2000,)

    References:
        Lang, "NewsWeeder: Learning to filter netnews", ICML, 1995;
        `sklearn.datasets.fetch_20newsgroups`.
        Hu, Miyato, Tokui, Matsumoto, Sugiyama, "Learning Discrete Representations via Information
        Maximizing Self-Augmented Training", ICML, 2017, for 2000 tf-idf features of all posts; how
        theirs were cleaned is not told. The scale is that of DEC (arXiv:1511.06335).
    """

    HOMEPAGE = "http://qwone.com/~jason/20Newsgroups/"
    NUM_EXAMPLES: ClassVar = {"train": 18846}

    def _features(self):
        return {
            "image": tfds.features.Tensor(shape=(_NUM_WORDS,), dtype=np.float32, encoding="zlib"),
            "label": tfds.features.ClassLabel(names=_GROUPS),
        }

    def download_and_prepare(self, **kwargs: Any) -> None:
        if not self.data_path.exists():
            _posts()  # first, so that a failure leaves nothing behind
        super().download_and_prepare(**kwargs)

    def _blocks(self, split):
        from sklearn.feature_extraction.text import TfidfVectorizer  # slow, and for this set alone

        del split
        posts = _posts()
        weigh = TfidfVectorizer(max_features=_NUM_WORDS, stop_words="english", dtype=np.float32)
        weights = np.float32(np.sqrt(_NUM_WORDS)) * weigh.fit_transform(posts.data)
        for start in range(0, len(posts.target), _BLOCK):
            rows = slice(start, start + _BLOCK)
            yield {"image": weights[rows].toarray(), "label": posts.target[rows]}


def _posts():
    """Returns all posts and their newsgroups; `ValueError` if they cannot be had."""
    from sklearn import datasets

    options = {"subset": "all", "shuffle": False}
    try:
        return datasets.fetch_20newsgroups(download_if_missing=False, **options)
    except OSError:
        pass
    try:
        urllib.request.urlopen(_SOURCE, timeout=_TIMEOUT).close()
        return datasets.fetch_20newsgroups(**options)
    except OSError as error:
        raise ValueError(
            f"This data set needs the 20 Newsgroups, which are not in {datasets.get_data_home()} "
            f"and cannot be downloaded ({error}): connect to the network and try again, or set "
            "SCIKIT_LEARN_DATA to a folder that holds scikit-learn's 20news-bydate_py3.pkz."
        ) from error
