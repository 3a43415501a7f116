"""Calls of the command line, for the tests of its verbs."""

import json

from click.testing import CliRunner

from tfbind import cli


def tfbind(*arguments):
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments])


def succeed(*arguments):
    result = tfbind(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def succeed_json(*arguments):
    return json.loads(succeed(*arguments, "--json"))


def fail(*arguments):
    """Returns the one line on standard error; asserts that all else is as it should be."""
    result = tfbind(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    return line
