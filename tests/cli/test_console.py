"""Results go to standard output, log and progress to standard error."""

import json
import logging

import pytest

from samereg.cli.console import print_facts, print_json, print_table, progress, start_logging, warn
from samereg.cli.options import Messages


def test_json_can_be_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [1, 2.5, None]})
    assert json.loads(capsys.readouterr().out) == {"a": [1, 2.5, None]}


def test_facts_and_tables_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    print_facts("title", {"a": "1", "long name": "2"})
    assert capsys.readouterr().out == "title\n  a          1\n  long name  2\n"
    print_table(("x", "similarity"), [("10.5", "0.9")])
    assert capsys.readouterr().out == "   x  similarity\n10.5         0.9\n"


def test_progress_is_silent_away_from_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(Messages()) as show:
        show("training", 1, 2)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


@pytest.mark.parametrize(
    ("messages", "heard"),
    [
        (Messages(quiet=True), ["an error"]),
        (Messages(), ["a warning", "an error"]),
        (Messages(verbose=True), ["a step", "a warning", "an error"]),
    ],
)
def test_the_log_says_as_much_as_asked(
    messages: Messages, heard: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    start_logging(messages)
    logger = logging.getLogger("samereg.anything")
    logger.info("a step")
    warn("a warning")
    logger.error("an error")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [line.split(": ", 2)[2] for line in captured.err.splitlines()] == heard
