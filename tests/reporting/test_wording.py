"""What was done to data, in words."""

from tfbind import reading
from tfbind.reporting import wording


def test_pictures():
    preparation = reading.Pictures(
        height=8, width=9, channels=3, fit="crop", ground="white", threshold=0.4
    )
    assert wording.prepared(preparation) == [
        "Each picture is made 8 x 9 pixels, in colour, the middle cut out where its shape is "
        "another.",
        "Pixels brighter than 0.40 are set, the others not.",
        "Where a picture is transparent, white shows through.",
    ]


def test_rows(table):
    rows = reading.read_table(table)
    told = wording.prepared(reading.fit_rows(rows, missing="fill", unit=True).preparation)
    assert told[0].startswith("Numbers are scaled from their range to [0, 1]: <script>")
    assert told[1:] == [
        "Texts count as kinds, one element each: kind.",
        "Gaps are filled: a number by its column's mean, a text by no kind.",
    ]


def test_arrays():
    bytes_ = reading.Arrays(shape=(4, 4, 1), scale=255.0)
    assert wording.prepared(bytes_) == ["From each value 0 is taken; the rest is divided by 255."]
    assert wording.prepared(reading.Arrays(shape=(4,))) == ["Values are taken as they are."]


def test_the_truth_has_the_last_word():
    assert wording.verdict(["a"], None) == (["a"], [], None)
    assert wording.verdict([], {"mean_ami": 0.4}) == ([], [], None)
    (failure,) = wording.verdict([], {"mean_ami": 0.05}).failures
    assert failure.startswith("The groups are not the true ones (AMI 0.05 ")
    assert "AMI 0.92 " in wording.verdict(["a"], {"mean_ami": 0.92}).agreement


def test_one_class_alone_is_no_success():
    (failure,) = wording.verdict([], {"confusion": {"accuracy": 0.9, "commonest": 0.9}}).failures
    assert "90% would be if all were in one" in failure
    assert wording.verdict([], {"confusion": {"accuracy": 0.5, "commonest": 0.1}})[1:] == ([], None)
    found = wording.verdict([], {"confusion": {"accuracy": 0.95, "commonest": 0.1}})
    assert found.agreement == "95% of the examples in the right class"
