"""The table of releases."""

from __future__ import annotations

import dataclasses
import inspect
import re

import pytest

from ossfuse import profile
from ossfuse.profile import (
    DEFAULT_VERSION,
    PROFILES,
    LinkRefusal,
    NegativeCache,
    UnknownDefect,
    UnknownVersion,
    find,
    without_defects,
)


def test_every_release_that_was_studied_has_a_row() -> None:
    assert list(PROFILES) == ["1.80.6", "1.80.7", "1.88", *(f"1.91.{patch}" for patch in range(1, 11))]


def test_a_row_is_found_by_its_name_with_or_without_v() -> None:
    assert find("v1.91.10") is find("1.91.10") is PROFILES["1.91.10"]
    assert find(DEFAULT_VERSION).name == "1.91.3"


def test_an_unknown_release_names_the_known_ones() -> None:
    with pytest.raises(UnknownVersion, match=r"'2\.0\.7'; known: 1\.80\.6, .*1\.91\.10"):
        find("2.0.7")


def test_every_field_says_where_it_comes_from_or_stands_in_a_section_that_does() -> None:
    source = inspect.getsource(profile.Profile)
    section_cited = False
    for line in source.splitlines():
        if line.strip().startswith("# ---"):
            section_cited = "source" in line or "measured" in line or "identity" in line or "defects" in line
        elif re.match(r"    \w+: ", line):
            assert section_cited or "#" in line, line


def test_rows_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        PROFILES["1.80.6"].name = "1.80.8"  # type: ignore[misc]
    with pytest.raises(TypeError):
        PROFILES["9"] = PROFILES["1.80.6"]  # type: ignore[index]


@pytest.mark.parametrize("version", ["1.80.6", "1.80.7"])
def test_hard_links_were_not_permitted_before_1_91(version: str) -> None:
    assert find(version).link_refusal is LinkRefusal.EPERM


@pytest.mark.parametrize("version", [name for name in PROFILES if not name.startswith("1.80")])
def test_hard_links_are_not_supported_afterwards(version: str) -> None:
    assert find(version).link_refusal is LinkRefusal.ENOTSUP


def test_the_negative_cache_became_the_default_with_1_91_6() -> None:
    default = [name for name, row in PROFILES.items() if row.negative_cache is NegativeCache.DEFAULT]
    assert default == [f"1.91.{patch}" for patch in range(6, 11)]


def test_single_defects_are_left_out_by_name() -> None:
    row = find("1.91.10", fixed=("truncate-ignored", "zero-fill"))
    assert row == dataclasses.replace(find("1.91.10"), path_truncate_ignored=False)
    assert find("1.91.10", fixed=()) == find("1.91.10")
    with pytest.raises(UnknownDefect, match="'truncate'; known: zero-fill, "):
        find("1.91.10", fixed=("truncate",))


def test_without_defects_keeps_everything_but_the_defects() -> None:
    original, fixed = find("1.80.6"), without_defects(find("1.80.6"))
    changed = {
        field.name
        for field in dataclasses.fields(original)
        if getattr(original, field.name) != getattr(fixed, field.name)
    }
    assert changed == {defect.field for defect in profile.DEFECTS if defect.in_release(original)}
    assert {"zero_fills_behind_write", "entity_shared", "aborts_failed_upload"} <= changed
