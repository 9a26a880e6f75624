"""The examples of docs/fuzzing.md, run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

_PAGE = Path(__file__).parents[2] / "docs" / "fuzzing.md"


def _examples() -> ModuleType:
    module = ModuleType("fuzzing_page")
    text = "\n".join(re.findall(r"^```python\n(.*?)^```", _PAGE.read_text("utf-8"), re.M | re.S))
    exec(compile(text, str(_PAGE), "exec"), module.__dict__)
    return module


@pytest.mark.parametrize(
    "name",
    ["test_the_volume_holds", "test_rotation_by_hard_link_breaks", "test_rotation_by_rename_costs_a_copy"],
)
def test_an_example_of_the_page_passes(name: str):
    getattr(_examples(), name)()


def test_every_property_is_a_sentence_and_every_violation_names_one():
    from ossvol.fuzz.properties import PROPERTIES
    from ossvol.fuzz.violation import violation

    assert all(law.endswith(".") for law in PROPERTIES.values())
    with pytest.raises(LookupError):
        violation("no-such-property", "text")
