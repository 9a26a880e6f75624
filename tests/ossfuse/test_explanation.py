"""Releases in words."""

from __future__ import annotations

import dataclasses

import pytest

from ossfuse.explanation import WORDS, changes, statements
from ossfuse.profile import PROFILES, Profile, find

FIELDS = [field.name for field in dataclasses.fields(Profile)]


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_of_the_table_has_words(field: str) -> None:
    assert field in WORDS


def test_there_are_no_words_for_what_is_no_field() -> None:
    assert sorted(WORDS) == sorted(FIELDS)


@pytest.mark.parametrize("field", FIELDS)
def test_different_values_are_said_differently(field: str) -> None:
    values = {getattr(profile, field) for profile in PROFILES.values()}
    assert len({WORDS[field].say(value) for value in values}) == len(values)


@pytest.mark.parametrize("version", PROFILES)
def test_every_release_can_be_explained(version: str) -> None:
    said = statements(find(version))
    assert len({one.field for one in said}) == len(FIELDS) - 2  # name and version text are no behaviour
    assert all(one.text and "{" not in one.text for one in said)


def test_a_change_is_told_from_both_sides() -> None:
    found = {one.field: one for one in changes(find("1.80.7"), find("1.91.1"))}
    assert (found["link_refusal"].before, found["link_refusal"].after) == ("link(2) is EPERM", "link(2) is ENOTSUP")
    assert found["retries"].after == "a request is tried 5 times"


def test_options_that_came_and_went_are_named() -> None:
    found = [one.after for one in changes(find("1.91.5"), find("1.91.6")) if one.field == "options"]
    assert found == ["refuses enable_noobj_cache", "knows disable_noobj_cache"]


def test_a_release_does_not_differ_from_itself() -> None:
    assert changes(find("1.91.3"), find("1.91.3")) == []
