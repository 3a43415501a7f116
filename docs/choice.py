"""The picture of the choice between models, as SVG with links: made by `make docs`."""

import html
import textwrap
from typing import NamedTuple

WIDTH = 480
LEFT, RIGHT = (10, 250), (310, 160)  # x and width, of questions and of answers
LINE, PAD, GAP = 18, 10, 30
CHARACTERS = 32  # of a question's line


class Question(NamedTuple):
    """A question, and the models (with the pages they lead to) for those who say yes."""

    text: str
    answers: tuple[tuple[str, str], ...]


def _model(name: str) -> tuple[str, str]:
    return name, f"made/tfbind.{name}.html"


TREES = {
    "You look for the parts of each example": (
        Question(
            "Are there examples of one part each to learn from, or drawings in two tones?",
            (_model("ReconstructionClustering"),),
        ),
        Question(
            "Are there only whole scenes, of parts that overlap or look alike?",
            (_model("Tagger"),),
        ),
    ),
    "You look for kinds of examples": (
        Question("Do you have a few labels of every kind?", (_model("LadderNetwork"),)),
        Question("Or labels of some kinds, and none of the others?", (_model("UntappedVAE"),)),
        Question(
            "No labels. A table, whose kinds are round clouds of rows?",
            (("k-means", "failures.html#when-to-use-k-means-instead"),),
        ),
        Question(
            "Pictures, or do you know what may change in an example while its kind stays?",
            (_model("SelfLabeling"), _model("PseudoLabelEnsemble")),
        ),
        Question(
            "Text, or vectors of kinds about equally large?", (_model("PseudoLabelEnsemble"),)
        ),
        Question("Do you want new examples of each kind drawn?", (_model("AdversarialMixture"),)),
    ),
}


def svg() -> str:
    """Returns the picture; colours come from the classes of `site.css`, which knows of the dark."""
    parts, y = [], 0
    for title, questions in TREES.items():
        y += 30
        parts.append(f'<text class="title" x="{LEFT[0]}" y="{y}">{title}</text>')
        y += 14
        for question in questions:
            last = question is questions[-1]
            y = _drawn(parts, question, y, last)
    label = "Questions that lead to a model; the table below says the same"
    head = f'<svg class="choice" viewBox="0 0 {WIDTH} {y + 10}" role="img" aria-label="{label}"'
    arrow = (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto"><path class="tip" d="M0 0 8 4 0 8z"/></marker></defs>'
    )
    body = "\n".join((arrow, *parts))
    return f'{head} xmlns="http://www.w3.org/2000/svg">\n{body}\n</svg>\n'


def _drawn(parts: list[str], question: Question, y: int, last: bool) -> int:
    """Draws one question and its answers from `y` on; returns where the next begins."""
    lines = textwrap.wrap(question.text, CHARACTERS)
    height = 2 * PAD + LINE * max(len(lines), len(question.answers))
    middle = y + height // 2
    parts += _box("question", LEFT, y, height, [html.escape(line) for line in lines])
    links = [f'<a href="{page}">{name}</a>' for name, page in question.answers]
    parts += _box("answer", RIGHT, y, height, links)
    end = LEFT[0] + LEFT[1]
    parts.append(_arrow((end, middle), (RIGHT[0], middle), "yes", (end + 18, middle - 5)))
    if not last:
        x, bottom = LEFT[0] + 40, y + height
        parts.append(_arrow((x, bottom), (x, bottom + GAP), "no", (x + 8, bottom + 19)))
    return y + height + GAP


def _box(kind: str, column: tuple[int, int], y: int, height: int, lines: list[str]) -> list[str]:
    x, width = column
    first = y + (height - LINE * len(lines)) // 2 + 13
    size = f'width="{width}" height="{height}"'
    texts = [
        f'<text x="{x + width // 2}" y="{first + LINE * i}">{line}</text>'
        for i, line in enumerate(lines)
    ]
    return [f'<g class="{kind}"><rect x="{x}" y="{y}" {size} rx="6"/>', *texts, "</g>"]


def _arrow(start: tuple[int, int], end: tuple[int, int], word: str, at: tuple[int, int]) -> str:
    path = f"M{start[0]} {start[1]} {end[0]} {end[1]}"
    return (
        f'<path class="arrow" d="{path}" marker-end="url(#tip)"/>'
        f'<text class="word" x="{at[0]}" y="{at[1]}">{word}</text>'
    )
