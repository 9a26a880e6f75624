"""docs/ossfs-options.md and the words of the options."""

from __future__ import annotations

from pathlib import Path

import pytest

from ossfuse.optionpage import INERT, WORDS, page
from ossfuse.options import OPTIONS

ROOT = Path(__file__).parents[2]


def test_the_page_on_options_is_current() -> None:
    text = (ROOT / "docs/ossfs-options.md").read_text(encoding="utf-8")
    assert text == page(), "run: python -m ossfuse.optionpage > docs/ossfs-options.md"


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_every_option_has_an_effect_or_a_reason_to_have_none(name: str) -> None:
    assert bool(WORDS[name]) != (name in INERT)


def test_no_words_are_left_over() -> None:
    assert sorted(WORDS) == sorted(OPTIONS)
