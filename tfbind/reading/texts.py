"""Texts, one a line, a file or a row of a table, as vectors."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from tfbind._validation import check_integer
from tfbind.reading import tables
from tfbind.reading.data_files import DataFiles, Loaded, Watch
from tfbind.reading.looking import Look
from tfbind.reading.options import Options, Wanted
from tfbind.reading.preparation import Preparation

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

SUFFIXES = frozenset({".txt"})
_WORD = r"(?u)[^\W_]{2,}"  # letters and digits
_WORDS = 2000  # of the vocabulary, at most
_COMMON = 0.5  # share of the texts above which a word is left out
_POWER = 3  # of the inverse document frequency; by the first, common words drown the others
_DIRECTIONS = 32  # that texts are compared in, at most
_DIGITS = 4  # of a direction's elements, which a run and a card keep
_SHOWN = 8  # words that a note shows


@dataclasses.dataclass(frozen=True, kw_only=True)
class Texts(Preparation):
    """Texts as vectors of mean square 1, by their words: latent semantic analysis.

    How often each word is there, times how rare it is elsewhere, makes a vector; of that counts the
    direction, among those in which the training texts differ most. Texts that share no word may
    lie near each other there, if others use both their words.

    Attributes:
        words: The vocabulary, W words in lower case.
        weights: What the count of each word is multiplied by.
        directions: D numbers for each word.
        column: The column of a table that holds the texts, or None for files of texts.
        by_line: Whether each line of a file is a text, rather than the whole file.
        unit: Whether elements are moved to [0, 1] instead.

    Example:

    >>> texts = tfbind.reading.Texts(
    ...     words=("cat", "dog"), weights=(1.0, 1.0), directions=((0.6, 0.8), (0.8, -0.6))
    ... )
    >>> texts.apply(["The cat.", "A dog, a DOG!", "Neither."]).round(2)
    array([[ 0.85,  1.13],
           [ 1.13, -0.85],
           [ 0.  ,  0.  ]], dtype=float32)

    References:
        Deerwester, Dumais, Furnas, Landauer, Harshman. Indexing by latent semantic analysis.
        Journal of the American Society for Information Science, 1990.
    """

    KIND = "texts"

    words: tuple[str, ...]
    weights: tuple[float, ...]
    directions: tuple[tuple[float, ...], ...]
    column: str | None = None
    by_line: bool = True
    unit: bool = False

    @property
    def event_shape(self) -> tuple[int, ...]:
        return (len(self.directions[0]),)

    @classmethod
    def decoded(cls, fields: Mapping[str, Any]) -> "Texts":
        directions = tuple(map(tuple, fields["directions"]))
        words, weights = tuple(fields["words"]), tuple(fields["weights"])
        return cls(**{**fields, "words": words, "weights": weights, "directions": directions})

    def apply(self, texts: Sequence[str]) -> np.ndarray:
        """Returns texts as float32 `[n, D]`; one without a known word is all zero, or a half."""
        return self.directed(self.weighed(texts))

    def directed(self, weights: "csr_matrix") -> np.ndarray:
        """Returns texts of which the words are `weighed`, as `apply` does."""
        rows = weights @ np.array(self.directions)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = rows / np.where(lengths == 0, 1, lengths)
        rows = (rows + 1) / 2 if self.unit else rows * len(self.directions[0]) ** 0.5
        return rows.astype("float32")

    def weighed(self, texts: Sequence[str]) -> "csr_matrix":
        """Returns the weights of words in texts, a sparse matrix `[n, W]`."""
        from sklearn.feature_extraction.text import CountVectorizer  # slow, and for texts alone

        counting = CountVectorizer(vocabulary=self.words, token_pattern=_WORD)
        return counting.transform(texts).multiply(self.weights).tocsr()

    def in_table(self, table: pa.Table) -> list[str]:
        """Returns the texts in the column of a table, as in training."""
        return tables.texts_of(table, str(self.column))

    def read(self, path: pathlib.Path) -> list[str]:
        """Returns the texts in a file or a table.

        Raises:
            ValueError: If they were of the other kind in training, or cannot be read.
        """
        given = tables.SUFFIXES if self.column else SUFFIXES
        if path.suffix.lower() not in given:
            raise ValueError(
                f"`{path}` must be what the run was trained on, texts in a file that ends in "
                f"{', '.join(sorted(given))}. Received: another kind of file."
            )
        if self.column is not None:
            return self.in_table(tables.read_table(path))
        return lines_of(path)[1] if self.by_line else [read_text(path)]


class TextFiles(DataFiles):
    """Texts, and where they are from.

    Args:
        texts: Strings.
        names: One for each.
        classes: Likewise, or None.
        column: The column of a table that holds them, or None.
        by_line: Whether they are lines of a file.
        notes: Sentences on what was left out.
    """

    def __init__(
        self,
        texts: Sequence[str],
        names: Sequence[str],
        classes: Sequence[str] | None = None,
        *,
        column: str | None = None,
        by_line: bool = False,
        notes: Sequence[str] = (),
    ) -> None:
        self.texts, self.names, self.classes = list(texts), list(names), classes
        self.notes = tuple(notes)
        self._fitted = fit_texts(self.texts, column=column, by_line=by_line)

    def look(self) -> Look:
        """Returns what the texts look like."""
        return Look(
            kind="texts",
            num=len(self.texts),
            shape=self._fitted.preparation.event_shape,
            low=-np.inf,
            high=np.inf,
            sparsity=0.0,
            classes=() if self.classes is None else tuple(sorted(set(self.classes))),
            notes=(*self.notes, self._fitted.note),
        )

    def prepared_for(self, wanted: Wanted) -> Texts:
        """Returns how the texts become what a model wants."""
        return dataclasses.replace(self._fitted.preparation, unit=wanted.unit)

    def load(self, preparation: Any, watch: Watch = iter) -> Loaded:
        """Returns all texts as vectors; the notes tell how many hold no known word."""
        weights = preparation.weighed(self.texts)
        known = None if self.classes is None else np.unique(self.classes, return_inverse=True)[1]
        unknown = int((weights.getnnz(axis=1) == 0).sum())
        told = f"{unknown} texts hold none of these words; their clusters mean nothing."
        notes = (told,) if unknown else ()
        return Loaded(preparation.directed(weights), self.names, known, notes, texts=self.texts)


class FittedTexts(NamedTuple):
    """What `fit_texts` finds: the preparation, and a sentence on the words that it weighs."""

    preparation: Texts
    note: str


def fit_texts(
    texts: Sequence[str], *, column: str | None = None, by_line: bool = False
) -> FittedTexts:
    """Chooses the words that texts are known by, and the directions that they are compared in.

    Words are those of two letters or more that are in at least two texts, and in no more than half
    of them; the 2000 most frequent. Their weight is the third power of their inverse document
    frequency, so that no list of words that hold a language together is needed. Directions are the
    32 in which the texts' vectors of word weights are longest.

    Raises:
        ValueError: If there are none.

    References:
        Sparck Jones. A statistical interpretation of term specificity and its application in
        retrieval. Journal of Documentation, 1972, for the weights, as scikit-learn smooths them.
    """
    from sklearn.decomposition import TruncatedSVD  # slow, and for texts alone
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    most = max(2, round(_COMMON * len(texts)))
    weighing = TfidfVectorizer(
        max_features=_WORDS, max_df=most, min_df=2, token_pattern=_WORD, norm=None
    )
    try:
        counts = weighing.fit_transform(texts)  # times the inverse document frequency
    except ValueError as error:
        raise ValueError(
            "The texts must share words: some that are in two of them, and not in most. "
            f"Received: {len(texts)} texts without; give more of them, with words parted by spaces."
        ) from error
    words = tuple(weighing.get_feature_names_out().tolist())
    rows = normalize(counts.multiply(weighing.idf_ ** (_POWER - 1)).tocsr())
    count = min(_DIRECTIONS, *(size - 1 for size in rows.shape))
    found = TruncatedSVD(check_integer("directions", count, 1), random_state=0).fit(rows)
    preparation = Texts(
        words=words,
        weights=tuple((weighing.idf_**_POWER).round(_DIGITS).tolist()),
        directions=tuple(map(tuple, found.components_.T.round(_DIGITS).tolist())),
        column=column,
        by_line=by_line,
    )
    shown = ", ".join(words[:: max(1, len(words) // _SHOWN)][:_SHOWN])
    return FittedTexts(preparation, f"{len(words)} words are weighed, such as {shown}.")


def of_files(
    files: Sequence[pathlib.Path], options: Options, classes: Sequence[str] | None
) -> TextFiles:
    """Returns the texts of files: of a single one its lines, else each as a whole."""
    if options.labels is not None:
        raise ValueError(
            "`labels` must be a column of a table; files of texts have their folders' names. "
            f"Received: labels={options.labels!r}."
        )
    if len(files) > 1:
        return TextFiles([read_text(path) for path in files], [x.stem for x in files], classes)
    numbers, texts = lines_of(files[0])
    return TextFiles(texts, list(map(str, numbers)), by_line=True)


def of_table(table: pa.Table | tables.LargeTable, options: Options) -> TextFiles | None:
    """Returns the texts of a table: of the column that is told, or the only one of use.

    None if there is no such column, or others hold numbers or kinds.

    Raises:
        ValueError: If a column of texts is told, and they do not fit into memory.
    """
    if isinstance(table, tables.LargeTable):
        if options.text is None:
            return None
        raise ValueError(
            f"`text` must be a column of a table that fits into memory. Received: {options.text!r} "
            f"of {table.num_rows} rows; give fewer of them."
        )
    features = table.column_names
    classes = None
    if options.labels is not None:
        labels, found = tables.classes_of(table, options.labels)
        classes = [found[i] for i in labels]
        features = [name for name in features if name != options.labels]
    column = options.text
    if column is None:
        column = tables.only_texts(table.select(features))
        if column is None:
            return None
    texts = tables.texts_of(table, column)
    left_out = [name for name in features if name != column]
    notes = [f"Column {column!r} is read as texts."]
    notes += [f"Not used: {', '.join(map(repr, left_out))}."] if left_out else []
    names = [str(i + 1) for i in range(len(texts))]
    return TextFiles(texts, names, classes, column=column, notes=notes)


def read_text(path: pathlib.Path) -> str:
    """Returns the text in a file.

    Raises:
        ValueError: If it is not in UTF-8.
    """
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"`{path}` must be text in UTF-8. Received: other bytes at {error.start}."
        ) from error


def lines_of(path: pathlib.Path) -> tuple[list[int], list[str]]:
    """Returns the lines of a file that are not blank, and their numbers from 1."""
    lines = read_text(path).splitlines()
    numbers = [i for i, line in enumerate(lines, start=1) if line.strip()]
    check_integer(f"lines of {path}", len(numbers), 1)
    return numbers, [lines[i - 1] for i in numbers]
