"""What the agent says: lines for people, or JSON lines for collectors. Never about a patient.

Messages name streams, models and machines; `tests/device/test_service_logs.py` sees that no call passes a subject, a
sample or an observation.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import IO, Literal

import msgspec

LogFormat = Literal["text", "json"]
# Enough to see what goes on, and that it goes on, without filling a disk when a thousand streams fail alike.
BURST, PERIOD_S = 10, 60.0
_MOST_KINDS = 1000
# Syslog's numbers, which journald reads at the start of a line (sd-daemon(3)).
_SYSLOG = {"CRITICAL": 2, "ERROR": 3, "WARNING": 4, "INFO": 6, "DEBUG": 7}


def configure_logs(log_format: LogFormat = "text", *, level: int = logging.INFO, stream: IO[str] | None = None) -> None:
    """Let everything that is logged go to ``stream`` (standard error), in place of where it went before."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.addFilter(RepeatFilter())
    if log_format == "json":
        handler.setFormatter(JsonLines())
    elif "JOURNAL_STREAM" in os.environ:
        handler.setFormatter(JournalLines())
    else:
        handler.setFormatter(TextLines("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)


class RepeatFilter(logging.Filter):
    """Lets so many messages of a kind through in a period; the first after it says how many were left out.

    A kind is what the program's text is, whatever it is about: a thousand streams that fail alike are one kind.

    Args:
        burst: Messages let through in a period.
        period_s: Seconds.
        clock: Monotonic seconds.
    """

    def __init__(
        self, *, burst: int = BURST, period_s: float = PERIOD_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._burst, self._period_s, self._clock = burst, period_s, clock
        self._kinds: dict[tuple[str, str], _Kind] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to say it; mark it with how many before it were not."""
        now_s, key = self._clock(), (record.name, str(record.msg))
        kind = self._kinds.get(key)
        if kind is None or now_s - kind.began_s >= self._period_s:
            record.left_out = kind.left_out if kind else 0
            self._kinds.pop(key, None)
            if len(self._kinds) >= _MOST_KINDS:
                self._kinds.pop(next(iter(self._kinds)))
            self._kinds[key] = kind = _Kind(began_s=now_s)
        kind.said += 1
        if kind.said > self._burst:
            kind.left_out += 1
            return False
        return True


class _Kind(msgspec.Struct):
    began_s: float
    said: int = 0
    left_out: int = 0


class TextLines(logging.Formatter):
    """A line a message, for people."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        left_out = getattr(record, "left_out", 0)
        return super().format(record) + (f" ({left_out} like it were left out)" if left_out else "")


class JournalLines(TextLines):
    """A line a message, for journald, which knows the time and wants the level as a number before each line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        level = f"<{_SYSLOG.get(record.levelname, 6)}>"
        return "\n".join(level + line for line in super().format(record).splitlines())


class JsonLines(logging.Formatter):
    """A JSON object a line: ``time``, ``level``, ``logger``, ``message``, and where there is one ``error``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        when = datetime.fromtimestamp(record.created, timezone.utc)
        line: dict[str, str | int] = {
            "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        if left_out := getattr(record, "left_out", 0):
            line["left_out"] = left_out
        return msgspec.json.encode(line).decode()
