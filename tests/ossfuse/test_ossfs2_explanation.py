"""ossfs 2.x in words."""

from __future__ import annotations

import pytest

from ossfuse import profile as ossfs1
from ossfuse.explanation import TOPICS, WORDS
from ossfuse.ossfs2.explanation import ROWS, against, changes, statements
from ossfuse.ossfs2.profile import PROFILES, find
from ossfuse.products import PRODUCTS, known_versions, product_of


def test_each_row_can_be_compared_with_ossfs_1() -> None:
    assert all((row.field in WORDS) != bool(row.before) for row in ROWS)
    assert len({row.field for row in ROWS}) == len(ROWS)
    assert {row.topic for row in ROWS} <= set(TOPICS)


@pytest.mark.parametrize("version", PROFILES)
def test_each_release_can_be_explained(version: str) -> None:
    assert all(one.text and "{" not in one.text for one in statements(find(version)))


def test_what_a_user_of_ossfs_1_meets_is_said_from_both_sides() -> None:
    found = {one.field: one for one in against(ossfs1.find("1.91.10"), find("2.0.7"))}
    assert found["random_write"].after == "a write is EINVAL unless it is at the end of the file"
    assert found["link_refusal"].before == "link(2) is ENOTSUP"
    # What both do is no difference.
    assert "too_many_parts_errno" not in found


def test_an_option_that_came_is_named() -> None:
    found = {one.field: one.after for one in changes(find("2.0.6"), find("2.0.7"))}
    assert found["options_added"] == "knows kernel_readdir_cache_timeout"
    assert changes(find("2.0.7"), find("2.0.7")) == []


def test_what_is_refused_as_not_modelled_is_in_it() -> None:
    (said,) = (one.text for one in statements(find("2.0.7")) if one.field == "not_modelled")
    assert "memory_data_cache_size" in said


def test_a_release_belongs_to_one_product() -> None:
    assert [product_of(version).name for version in ("1.91.10", "v2.0.7")] == ["ossfs", "ossfs2"]
    assert len(known_versions()) == len(set(known_versions())) == sum(len(one.versions) for one in PRODUCTS)
    with pytest.raises(ossfs1.UnknownVersion, match=r"'2\.1\.0'; known: .*1\.91\.10, 2\.0\.6, 2\.0\.7"):
        product_of("2.1.0")
