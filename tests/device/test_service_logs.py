from __future__ import annotations

import ast
import io
import json
import logging
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from device_agents.logs import BURST, LogFormat, RepeatFilter, configure_logs

AGENT = Path(__file__).parent.parent.parent / "device_agents"
PATIENTS = {"subject", "subjects", "sample", "samples", "block", "value", "values", "observation", "observations"}


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield logging.getLogger("device_agents.somewhere")
    root.handlers[:], root.level = before, level


def said(log_format: LogFormat) -> io.StringIO:
    stream = io.StringIO()
    configure_logs(log_format, stream=stream)
    return stream


def test_collectors_get_an_object_a_line(logger: logging.Logger) -> None:
    stream = said("json")
    logger.warning("stream '%s' ended\nearly", "bed-1")
    try:
        int("odd")
    except ValueError:
        logger.exception("broken")

    warning, broken = map(json.loads, stream.getvalue().splitlines())

    assert (warning["level"], warning["logger"]) == ("warning", logger.name)
    assert warning["message"] == "stream 'bed-1' ended\nearly"
    assert datetime.fromisoformat(warning["time"].replace("Z", "+00:00")).utcoffset() is not None
    assert "ValueError: invalid literal" in broken["error"]


def test_people_get_a_line_with_the_time_and_the_level(logger: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    stream = said("text")
    logger.info("connected to %s", "broker")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO connected to broker\n", stream.getvalue())


def test_journald_gets_the_level_as_it_knows_it_on_every_line(
    logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:12345")
    stream = said("text")
    logger.error("one\ntwo")
    logger.info("three")
    assert stream.getvalue().splitlines() == ["<3>one", "<3>two", "<6>three"]


def test_configuring_again_says_nothing_twice(logger: logging.Logger) -> None:
    said("json")
    stream = said("json")
    logger.info("once")
    assert len(stream.getvalue().splitlines()) == 1


def test_a_thousand_streams_that_fail_alike_fill_a_few_lines_which_say_how_many_there_were(
    logger: logging.Logger,
) -> None:
    now_s = [0.0]
    stream = io.StringIO()
    configure_logs("json", stream=stream)
    (handler,) = logging.getLogger().handlers
    handler.filters = [RepeatFilter(clock=lambda: now_s[0])]
    for number in range(1000):
        logger.warning("stream '%s' ended", number)
    logger.warning("another matter")
    now_s[0] = 3600.0
    logger.warning("stream '%s' ended", "last")

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]

    assert len(lines) == BURST + 2
    assert lines[-2]["message"] == "another matter"
    assert lines[-1]["left_out"] == 1000 - BURST
    assert sum(line.get("left_out", 0) for line in lines[:-1]) == 0


def test_messages_that_are_all_different_do_not_fill_the_memory() -> None:
    repeats = RepeatFilter()
    for number in range(5000):
        repeats.filter(logging.LogRecord("x", logging.INFO, "", 0, f"text {number}", None, None))
    assert len(repeats._kinds) <= 1000


def test_no_message_is_given_a_subject_a_sample_or_an_observation() -> None:
    calls = 0
    for path in AGENT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and ast.unparse(node.func).startswith("_log.")):
                continue
            calls += 1
            words = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
            words |= {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}
            assert not words & PATIENTS, f"{path.name}:{node.lineno}"
    assert calls > 10
