from __future__ import annotations

import sys
from pathlib import Path

import pytest

from converters.compilers.coral.rulebook import GENERAL, SPECIFIC
from converters.compilers.coral.show import rules_document
from converters.compilers.coral.versions import NEWEST_VERSIONS

DOCS = Path(__file__).parents[3] / "docs"


def test_the_rules_in_the_documentation_are_current(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "path", [str(DOCS), *sys.path])
    import generate  # type: ignore[import-not-found]

    assert (DOCS / "coral.md").read_text() == generate.coral_page(), "run: python docs/generate.py"


def test_every_rule_and_every_operator_is_documented():
    document = rules_document()
    assert all(rule.sentence in document for rules in (GENERAL, *SPECIFIC.values()) for rule in rules)
    assert all(f"`{name}`" in document for name in NEWEST_VERSIONS)


def test_only_supported_operators_have_rules_of_their_own():
    assert set(SPECIFIC) <= set(NEWEST_VERSIONS)
