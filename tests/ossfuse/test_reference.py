"""The documentation holds the table as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from ossfuse.profile import PROFILES
from ossfuse.reference import differences, main

DOCUMENT = Path(__file__).parents[2] / "docs" / "ossfs.md"


def test_the_page_on_ossfs_ends_with_the_current_table() -> None:
    text = DOCUMENT.read_text("utf-8")
    assert text.endswith(differences()), "run: python -m ossfuse.reference, and replace the table in docs/ossfs.md"


def test_every_row_says_what_it_means() -> None:
    for line in differences().splitlines()[2:]:
        assert line.count("|") - line.count("\\|") == 11, line
        assert not line.endswith("|  |"), line


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main() == 0
    assert capsys.readouterr().out == differences()


def test_the_page_names_the_releases_that_exist() -> None:
    text = DOCUMENT.read_text("utf-8")
    for version in ("1.80.6", "1.80.7", "1.88", "1.91.1", "1.91.10"):
        assert version in PROFILES
        assert version in text
