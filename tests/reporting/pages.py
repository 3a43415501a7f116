"""Reads a page as a browser would, with the standard library."""

import html.parser

VOID = {"meta", "img", "br", "link", "input", "hr"}
DRAWN = {"circle", "path"}  # may close themselves


class Page(html.parser.HTMLParser):
    """What is in a page; raises if tags do not close in order.

    `tags` are (name, attributes), `texts` the text by the id of the innermost element that has one.
    """

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self._open = [], {}, []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append((tag, dict(attrs).get("id")))

    def handle_startendtag(self, tag, attrs):
        assert tag in VOID | DRAWN
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag

    def handle_data(self, data):
        for _, name in self._open:
            if name is not None:
                self.texts[name] = self.texts.get(name, "") + data

    def attributes(self, name):
        """Returns all values of an attribute."""
        return [attrs[name] for _, attrs in self.tags if name in attrs]


def read(path):
    return Page(path.read_text("utf-8"))


def assert_self_contained(page):
    """Asserts that a page loads nothing, and that each picture says what it is."""
    assert not {"link", "iframe", "object", "embed"} & {tag for tag, _ in page.tags}
    for tag, attrs in page.tags:
        assert (
            attrs.get("src", "data:").startswith("data:image/")
            if tag == "img"
            else "src" not in attrs
        )
        assert attrs.get("alt") if tag == "img" else True
        assert attrs.get("href", "#").startswith("#")
        assert "url(" not in attrs.get("style", "") or "url(data:image/" in attrs["style"]
    assert (
        "meta",
        {"name": "viewport", "content": "width=device-width, initial-scale=1"},
    ) in page.tags
