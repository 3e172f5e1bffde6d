from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

from converters.calibration import read_windows
from edge_sdk.errors import ConversionError
from tests.conftest import REPOSITORY
from tests.conversion.window_contracts import facts

PAGE = (REPOSITORY / "docs" / "windows.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_the_pages_function_gives_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(REPOSITORY / "examples")
    function, use = blocks("python")
    (tmp_path / "my_windows.py").write_text(function)
    printed = io.StringIO()

    with contextlib.redirect_stdout(printed):
        exec(use, {})  # noqa: S102  # the page's own

    assert re.fullmatch(r"\d+ \{.*'early'.*\} \(\)\n", printed.getvalue())


def test_the_pages_table_is_one_but_for_its_length(tmp_path: Path) -> None:
    (table,) = blocks("csv")
    (tmp_path / "people.csv").write_text(table)

    with pytest.raises(ConversionError, match="2 windows are too few"):
        read_windows(tmp_path / "people.csv", facts(), labelled=True)


def test_every_message_on_the_page_is_one_that_is_said() -> None:
    sources = [*(REPOSITORY / "converters").glob("*.py"), *(REPOSITORY / "converters" / "window_sources").glob("*.py")]
    said = "".join(path.read_text() for path in sources)
    rows = PAGE.split("| message contains |")[1].splitlines()
    messages = [found[1] for row in rows if (found := re.match(r"\| `([^`]+)` \|", row))]

    assert messages
    for message in messages:
        for part in message.split("…"):
            assert part.strip() in said, message
