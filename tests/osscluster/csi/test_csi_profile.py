"""The table of CSI releases and its words."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from osscluster.csi.explanation import WORDS, changes, statements
from osscluster.csi.profile import PROFILES, Architecture, CsiProfile, UnknownCsiVersion, find
from osscluster.csi.texts import OptionTexts
from ossfuse import profile as ossfs

NODE_RUN = ["1.24.3", "1.24.10", "1.26.1", "1.26.2", "1.26.4", "1.26.5", "1.26.7", "1.26.8", "1.26.14"]
BY_NODE = ["1.26.6", "1.28.1", "1.28.2", "1.28.3", "1.28.5", "1.28.6", "1.30.1", "1.30.3"]


def test_versions_are_not_in_order_of_what_they_do() -> None:
    architectures = {name: row.architecture for name, row in PROFILES.items()}
    assert [name for name, one in architectures.items() if one is Architecture.NODE_RUN] == NODE_RUN
    assert [name for name, one in architectures.items() if one is Architecture.POD_BY_NODE] == BY_NODE
    assert set(PROFILES) - set(NODE_RUN) - set(BY_NODE) == {
        *("1.30.4", "1.31.1", "1.31.3", "1.31.4", "1.32.1", "1.33.1", "1.33.4", "1.34.1", "1.35.1", "1.36.1", "1.37.1")
    }


@pytest.mark.parametrize(
    ("asked", "row"),
    [
        ("1.30.4", "1.30.4"),
        ("v1.28.1-aliyun", "1.28.1"),
        ("1.28.4", "1.28.3"),
        ("1.26.9", "1.26.8"),
        ("1.34.3", "1.34.1"),
    ],
)
def test_a_release_without_row_is_the_newest_one_before_it_of_its_line(asked: str, row: str) -> None:
    assert find(asked) is PROFILES[row]


@pytest.mark.parametrize("asked", ["1.29.1", "1.24.1", "1.38.1", "2", "1.30", "newest", ""])
def test_a_release_of_an_unknown_line_is_refused_with_the_known_ones(asked: str) -> None:
    with pytest.raises(UnknownCsiVersion, match=r"known: 1\.24\.3, "):
        find(asked)


def test_every_row_stands_for_a_simulated_ossfs() -> None:
    for row in PROFILES.values():
        assert row.ossfs_row in ossfs.PROFILES


def test_every_field_has_words_and_every_value_a_sentence() -> None:
    fields = {field.name for field in dataclasses.fields(CsiProfile)} - {"texts"}
    said = {f"texts.{field.name}" for field in dataclasses.fields(OptionTexts)}
    assert set(WORDS) == fields | said
    for row in PROFILES.values():
        for statement in statements(row):
            assert statement.text, (row.name, statement.field)


def test_each_release_differs_from_the_one_it_was_made_from() -> None:
    rows = list(PROFILES.values())
    for before, after in itertools.pairwise(rows):
        if (before.name, after.name) in {("1.24.3", "1.24.10"), ("1.24.10", "1.26.1"), ("1.28.1", "1.28.1")}:
            continue  # the driver's OSS part did not change
        found = changes(before, after)
        assert found, (before.name, after.name)
        assert all(change.before != change.after for change in found)


def test_what_changed_is_told_in_words() -> None:
    found = {change.field: (change.before, change.after) for change in changes(find("1.28.1"), find("1.30.4"))}
    assert found["fuse_namespace"] == ("FUSE Pods are in kube-system", "FUSE Pods are in ack-csi-fuse")
    assert found["shared_path"][1] == "Pods of a node share an ossfs, useSharedPath is ignored"
    assert found["texts.key_missing"][1] == ('there is no access key: "missing access key in node publish secret"')


@pytest.mark.parametrize(
    ("version", "shipped"),
    [
        ("1.24.10", "1.88.0"),
        ("1.26.1", "1.88.0"),
        ("1.26.2", "1.88.1"),
        ("1.26.14", "1.88.1"),
        ("1.28.1", "1.88.3"),
        ("1.28.6", "1.88.4"),
        ("1.30.1", "1.91.2.ack.1"),
        ("1.30.3", "1.91.3.ack.1"),
        ("1.30.4", "1.91.3"),
        ("1.31.1", "1.91.3.ack.3"),
        ("1.31.3", "1.91.4.ack.1"),
        ("1.33.1", "1.91.5.ack.1"),
        ("1.37.1", "1.91.11.ack.1"),
    ],
)
def test_the_ossfs_that_is_shipped_is_named_in_words(version: str, shipped: str) -> None:
    (said,) = [statement.text for statement in statements(find(version)) if statement.field == "ossfs"]
    assert said.endswith(shipped)
