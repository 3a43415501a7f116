"""Texts become word weights: scikit-learn's, wherever the texts stand."""

import csv
import json
import re
import tracemalloc

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from tfbind import reading


def raises(sentence):
    return pytest.raises(ValueError, match=re.escape(sentence))


@pytest.fixture
def spread():
    """Texts in which no word is too common."""
    return [f"{text} {'xyz'[i % 3] * 3}{i // 12}" for i, text in enumerate(distinct())]


def distinct():
    words = [f"word{i}" for i in range(60)]
    random = np.random.default_rng(0)
    return [" ".join(random.choice(words, 2)) for _ in range(60)]


def test_weights_are_those_of_scikit_learn(spread):
    preparation = reading.TextFiles(spread, spread).prepared_for(reading.Wanted(()))
    oracle = TfidfVectorizer(min_df=2, max_df=0.5, norm=None)
    expected = normalize(oracle.fit_transform(spread).multiply(oracle.idf_**2))
    assert list(preparation.words) == oracle.get_feature_names_out().tolist()
    found = normalize(preparation.weighed(spread))
    np.testing.assert_allclose(found.toarray(), expected.toarray(), atol=1e-4)


def test_directions_are_the_longest(spread):
    """As exact singular vectors, up to their signs and what is rounded for the run's files."""
    preparation = reading.TextFiles(spread, spread).prepared_for(reading.Wanted(()))
    rows = normalize(preparation.weighed(spread)).toarray()
    lengths = np.linalg.svd(rows, compute_uv=False)
    found = np.linalg.norm(rows @ np.array(preparation.directions), axis=0)
    np.testing.assert_allclose(found[:5], lengths[:5], rtol=1e-2)


def test_vectors_have_mean_square_one_or_are_in_the_unit_interval(spread):
    files = reading.TextFiles(spread, spread)
    rows = files.prepared_for(reading.Wanted(())).apply(spread)
    known = rows.any(axis=1)
    assert known.any()
    np.testing.assert_allclose(np.mean(rows[known] ** 2, axis=1), 1, rtol=1e-5)
    unit = files.prepared_for(reading.Wanted((), unit=True)).apply(spread)
    np.testing.assert_allclose(unit, (rows / rows.shape[1] ** 0.5 + 1) / 2, atol=1e-6)


def test_words_are_parted_by_what_is_no_letter_or_digit():
    own = tuple(map(tuple, np.eye(3).tolist()))
    texts = reading.Texts(
        words=("2026", "straße", "école"), weights=(1.0, 1.0, 2.0), directions=own
    )
    rows = texts.apply(["(STRASSE) Straße_ÉCOLE/2026", "2 0 2 6 é", ""])
    np.testing.assert_allclose(rows[0], np.array([1, 1, 2]) / 2**0.5, rtol=1e-6)
    assert not rows[1:].any()


def write_csv(path, names, columns):
    with path.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(names)
        writer.writerows(zip(*columns, strict=True))
    return path


@pytest.fixture
def sentences():
    random = np.random.default_rng(1)
    kinds = [[f"{kind}{i}" for i in range(60)] for kind in ("tea", "sea")]
    return [" ".join(random.choice(kinds[n % 2], 5)) for n in range(120)]


def test_the_same_texts_from_lines_files_and_tables(sentences, tmp_path):
    lines = tmp_path / "lines.txt"
    lines.write_text("\n\n".join(sentences), "utf-8")
    folder = tmp_path / "folder"
    for n, text in enumerate(sentences):
        (folder / "ab"[n % 2]).mkdir(parents=True, exist_ok=True)
        (folder / "ab"[n % 2] / f"{n:03}.txt").write_text(text, "utf-8")
    kinds = ["ab"[n % 2] for n in range(len(sentences))]
    table = write_csv(tmp_path / "texts.csv", ["said", "kind"], [sentences, kinds])
    by_lines = reading.read_data(lines, None)
    by_files = reading.read_data(folder, None)
    by_rows = reading.read_data(table, None, reading.Options(labels="kind"))
    assert by_lines.names[:2] == ["1", "3"] and by_files.names[:2] == ["000", "002"]
    assert by_lines.preparation.words == by_files.preparation.words == by_rows.preparation.words
    np.testing.assert_array_equal(by_lines.array, by_rows.array)
    np.testing.assert_array_equal(by_files.array[:60], by_rows.array[::2])
    np.testing.assert_array_equal(by_files.labels, np.repeat([0, 1], 60))
    np.testing.assert_array_equal(by_rows.labels, np.tile([0, 1], 60))
    assert by_lines.texts[1] == sentences[1]


def test_a_column_is_told_or_the_only_one_of_use(sentences, tmp_path):
    sizes = np.random.default_rng(0).normal(size=len(sentences))
    table = write_csv(tmp_path / "texts.csv", ["said", "size"], [sentences, sizes])
    rows = reading.open_data(table).look()
    assert rows.kind == "rows" and "pass --text said to go by their words" in rows.notes[1]
    told = reading.open_data(table, reading.Options(text="said")).look()
    assert told.kind == "texts" and told.notes[:2] == (
        "Column 'said' is read as texts.",
        "Not used: 'size'.",
    )
    with raises("Column 'size' must hold texts. Received: double."):
        reading.open_data(table, reading.Options(text="size"))


def test_texts_of_several_lines_stay_one(tmp_path, sentences):
    longer = [text.replace(" ", ',\n"', 1) for text in sentences]
    table = write_csv(tmp_path / "texts.csv", ["said"], [longer])
    assert reading.read_data(table, None).texts == longer


def test_one_long_text_makes_no_other_longer(tmp_path, sentences):
    table = write_csv(tmp_path / "texts.csv", ["said"], [[*sentences, "tea1 " * 10**5]])
    tracemalloc.start()
    reading.read_data(table, None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6  # 120 texts of its length would be 240 MB


def test_notes_beside_other_data_are_no_texts(tmp_path):
    np.save(tmp_path / "rows.npy", np.zeros((5, 2)))
    (tmp_path / "readme.txt").write_text("Measured on Monday.")
    assert reading.open_data(tmp_path).look().kind == "arrays"


def test_a_preparation_survives_json(sentences):
    preparation = reading.TextFiles(sentences, sentences).prepared_for(reading.Wanted(()))
    assert reading.preparation_of(json.loads(json.dumps(preparation.to_json()))) == preparation


def test_texts_without_a_known_word_are_counted(sentences):
    names = [str(i) for i in range(122)]
    files = reading.TextFiles([*sentences, "unheard", "of"], names)
    preparation = files.prepared_for(reading.Wanted(()))
    unknown = sum(not set(text.split()) & set(preparation.words) for text in files.texts)
    told = f"{unknown} texts hold none of these words; their clusters mean nothing."
    assert unknown >= 2 and files.load(preparation).notes == (told,)


def test_files_of_the_other_kind_are_refused(tmp_path, sentences):
    texts = reading.Texts(words=("tea",), weights=(1.0,), directions=((1.0,),), column="said")
    with raises("must be what the run was trained on, texts in a file that ends in .csv, .parquet"):
        texts.read(tmp_path / "lines.txt")
    (tmp_path / "latin.txt").write_bytes("café au lait\n".encode("latin-1"))
    with raises("must be text in UTF-8. Received: other bytes at 3."):
        reading.open_data(tmp_path / "latin.txt")
    (tmp_path / "latin.txt").write_text("\n \n")
    with raises("`lines of"):
        reading.open_data(tmp_path / "latin.txt")
    (tmp_path / "latin.txt").write_text("one\ntwo")
    with raises("The texts must share words"):
        reading.open_data(tmp_path / "latin.txt")
    with raises("`labels` must be a column of a table"):
        reading.open_data(tmp_path / "latin.txt", reading.Options(labels="kind"))


def test_a_pattern_knows_the_classes_below_its_folder(tmp_path, sentences):
    for n, text in enumerate(sentences):
        (tmp_path / "ab"[n % 2]).mkdir(exist_ok=True)
        (tmp_path / "ab"[n % 2] / f"{n}.txt").write_text(text)
    assert reading.open_data(tmp_path / "*" / "*.txt").look().classes == ("a", "b")
