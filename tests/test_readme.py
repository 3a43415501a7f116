"""What the README says, done: its Python runs, its commands exist, its links lead somewhere."""

import pathlib
import re

import pytest
from click.testing import CliRunner

from tfbind import cli, training

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_lines_of_python_run(capsys):
    loading, lines = blocks("python")
    names = {}
    exec(compile(loading, "README.md", "exec"), names)
    assert names["groups"].shape == (8, 28, 28) and names["groups"].max() == 2
    capsys.readouterr()
    exec(compile(lines, "README.md", "exec"), {})
    scores = eval(capsys.readouterr().out)
    promised = float(re.search(r"`ami` of about (0?\.\d+)", README).group(1))
    assert scores["ami"] > promised - 0.1


def test_the_commands_exist():
    commands = re.findall(r"^tfbind (\w+)", "\n".join(blocks("sh")), re.MULTILINE)
    assert commands
    for command in commands:
        assert CliRunner().invoke(cli.main, [command, "--help"]).exit_code == 0


@pytest.mark.parametrize("name", ["README.md", "docs/results.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(name):
    text = (ROOT / name).read_text("utf-8")
    links = re.findall(r"\]\((?!http)([^)#]+)\)", text)
    assert all(((ROOT / name).parent / link).exists() for link in links), links


def test_presets_in_the_results_exist():
    text = (ROOT / "docs" / "results.md").read_text("utf-8")
    named = set(re.findall(r"tfbind train (rc-[\w-]+)", text))
    assert named
    assert named <= set(training.presets.names())
