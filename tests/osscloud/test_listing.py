"""ListObjects V1 and V2 of a bucket that was never versioned."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from osscloud.operations.paging import Window, read_page
from osscloud.service import OssService
from osscloud.store import Bucket, Version, successor

if TYPE_CHECKING:
    from conftest import Answer, Client


def v1(client: Client, **params: str) -> Answer:
    return client.send("GET", "", {name.replace("_", "-"): value for name, value in params.items()})


def v2(client: Client, **params: str) -> Answer:
    return v1(client, list_type="2", **params)


def fill(oss: OssService, *keys: str) -> None:
    for key in keys:
        oss.admin.put("demo", key, b"x")


def test_v1_has_every_element_that_clients_need(client: Client) -> None:
    client.put("k", b"abc")
    answer = v1(client)
    assert answer.response.header("Content-Type") == "application/xml"
    assert b"xmlns" not in answer.body
    assert [element.tag for element in answer.xml] == [
        "Name",
        "Prefix",
        "Marker",
        "MaxKeys",
        "Delimiter",
        "IsTruncated",
        "Contents",
    ]
    assert {element.tag: element.text for element in answer.xml[-1]} == {
        "Key": "k",
        "LastModified": "2024-09-03T00:00:00.000Z",
        "ETag": client.head("k").header("ETag"),
        "Type": "Normal",
        "Size": "3",
        "StorageClass": "Standard",
        "Owner": None,
    }
    assert answer.text("Contents/Owner/ID") == answer.text("Contents/Owner/DisplayName") == client.key.account


def test_v2_counts_and_names_owners_on_demand_only(client: Client) -> None:
    client.put("k", b"abc")
    answer = v2(client)
    assert [element.tag for element in answer.xml] == [
        "Name",
        "Prefix",
        "MaxKeys",
        "Delimiter",
        "IsTruncated",
        "KeyCount",
        "Contents",
    ]
    assert answer.text("KeyCount") == "1"
    assert answer.xml.find("Contents/Owner") is None
    assert v2(client, fetch_owner="true").text("Contents/Owner/ID") == client.key.account


def test_keys_come_in_byte_order_of_utf8(client: Client, oss: OssService) -> None:
    keys = ["Z", "a", "a ", "a!", "a/", "a/b", "a0", "é", "中", "\uff5e", "\U0001f600"]
    fill(oss, *reversed(keys))
    assert v1(client).texts("Contents/Key") == sorted(keys, key=str.encode) == keys


def test_the_default_page_has_100_entries(client: Client, oss: OssService) -> None:
    fill(oss, *(f"{n:03}" for n in range(101)))
    answer = v1(client)
    assert (len(answer.texts("Contents/Key")), answer.text("MaxKeys")) == (100, "100")
    assert (answer.text("IsTruncated"), answer.text("NextMarker")) == ("true", "099")


@pytest.mark.parametrize("value", ["0", "1001", "-1", "x", "1.0", "٣"])
def test_max_keys_has_limits(client: Client, value: str) -> None:
    answer = v1(client, max_keys=value)
    assert (answer.status, answer.code, answer.text("ArgumentName")) == (400, "InvalidArgument", "max-keys")


@pytest.mark.parametrize("name", ["prefix", "marker", "delimiter"])
def test_names_in_parameters_have_a_limit(client: Client, name: str) -> None:
    assert v1(client, **{name: "x" * 1024}).status == 200
    assert v1(client, **{name: "x" * 1025}).code == "InvalidArgument"
    assert v1(client, **{name: "é" * 513}).code == "InvalidArgument"


def test_a_full_page_without_more_is_not_truncated(client: Client, oss: OssService) -> None:
    fill(oss, "a", "b")
    answer = v1(client, max_keys="2")
    assert answer.text("IsTruncated") == "false"
    assert answer.xml.find("NextMarker") is None


def test_v1_pages_by_marker_with_and_without_delimiter(client: Client, oss: OssService) -> None:
    fill(oss, "a", "b/1", "b/2", "c/1", "d")
    first = v1(client, delimiter="/", max_keys="2")
    assert (first.texts("Contents/Key"), first.texts("CommonPrefixes/Prefix")) == (["a"], ["b/"])
    assert first.text("NextMarker") == "b/"
    second = v1(client, delimiter="/", max_keys="2", marker="b/")
    assert (second.texts("Contents/Key"), second.texts("CommonPrefixes/Prefix")) == (["d"], ["c/"])
    assert second.text("Marker") == "b/"
    assert v1(client, marker="b/").texts("Contents/Key") == ["b/1", "b/2", "c/1", "d"]


def test_a_key_equal_to_the_prefix_is_an_entry(client: Client, oss: OssService) -> None:
    fill(oss, "dir/", "dir/a", "dir/sub/x", "dirt")
    answer = v1(client, prefix="dir/", delimiter="/")
    assert answer.texts("Contents/Key") == ["dir/", "dir/a"]
    assert answer.texts("CommonPrefixes/Prefix") == ["dir/sub/"]
    assert v1(client, prefix="dir/", delimiter="/", marker="dir/").texts("Contents/Key") == ["dir/a"]


def test_a_delimiter_may_be_any_text(client: Client, oss: OssService) -> None:
    fill(oss, "a--b", "a--c", "a-d", "--")
    answer = v1(client, delimiter="--")
    assert answer.texts("CommonPrefixes/Prefix") == ["--", "a--"]
    assert answer.texts("Contents/Key") == ["a-d"]


def test_v2_pages_by_token(client: Client, oss: OssService) -> None:
    fill(oss, *"abcde")
    seen: list[str] = []
    params: dict[str, str] = {"start_after": "a"}
    for _ in range(3):
        page = v2(client, max_keys="2", **params)
        seen += page.texts("Contents/Key")
        if page.text("IsTruncated") == "false":
            break
        token = page.text("NextContinuationToken")
        params = {"continuation_token": token, "start_after": "d"}
        assert page.text("KeyCount") == "2"
    assert seen == ["b", "c", "d", "e"]
    assert page.text("ContinuationToken") == token
    assert page.text("StartAfter") == "d"


def test_a_token_may_stand_for_a_common_prefix(client: Client, oss: OssService) -> None:
    fill(oss, "a/1", "a/2", "b/1")
    first = v2(client, delimiter="/", max_keys="1")
    assert first.texts("CommonPrefixes/Prefix") == ["a/"]
    rest = v2(client, delimiter="/", continuation_token=first.text("NextContinuationToken"))
    assert rest.texts("CommonPrefixes/Prefix") == ["b/"]


@pytest.mark.parametrize("name", ["a", "ab", "abc", "\u00fc?>~"])
def test_a_token_needs_no_escaping_in_a_url(client: Client, oss: OssService, name: str) -> None:
    fill(oss, name, name + "b")
    token = v2(client, max_keys="1").text("NextContinuationToken")
    assert quote(token, safe="") == token
    assert v2(client, continuation_token=token).texts("Contents/Key") == [name + "b"]


@pytest.mark.parametrize("token", ["err-token", "é", "QUJDRA==", "x"])
def test_a_foreign_token_is_refused(client: Client, token: str) -> None:
    answer = v2(client, continuation_token=token)
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_names_are_encoded_on_demand(client: Client, oss: OssService) -> None:
    fill(oss, "a b/ü&", "a b/\x01", "a b/z/1")
    answer = v1(client, prefix="a b/", delimiter="/", marker="a b/", encoding_type="url", max_keys="2")
    assert answer.text("EncodingType") == "url"
    assert answer.text("Prefix") == answer.text("Marker") == "a%20b%2F"
    assert answer.text("Delimiter") == "%2F"
    assert answer.texts("Contents/Key") == ["a%20b%2F%01"]
    assert answer.texts("CommonPrefixes/Prefix") == ["a%20b%2Fz%2F"]
    assert answer.text("NextMarker") == "a%20b%2Fz%2F"
    assert v2(client, encoding_type="url", start_after="a b").text("StartAfter") == "a%20b"
    assert v1(client, encoding_type="gzip").code == "InvalidArgument"


def test_names_are_escaped_without_encoding(client: Client, oss: OssService) -> None:
    fill(oss, "<a>&\"'", "line\rbreak")
    assert v1(client).texts("Contents/Key") == ["<a>&\"'", "line\rbreak"]


def test_owners_are_escaped(client: Client, client_of: Callable[..., Client], oss: OssService) -> None:
    oss.admin.create_bucket("theirs", owner="R&D <1>")
    other = client_of(account="R&D <1>", bucket="theirs")
    other.put("k")
    assert v1(other).text("Contents/Owner/ID") == "R&D <1>"
    assert v1(other, versions="").text("Version/Owner/ID") == "R&D <1>"


def test_a_control_character_breaks_a_listing_without_encoding(client: Client, oss: OssService) -> None:
    fill(oss, "a\x01b")
    assert b"<Key>a&#1;b</Key>" in v1(client).body


def test_a_prefix_that_is_not_utf8_finds_nothing(client: Client, oss: OssService) -> None:
    fill(oss, "a")
    answer = v1(client, prefix="\udcff")
    assert answer.status == 200
    assert b"<Contents>" not in answer.body


def test_types_are_listed(client: Client) -> None:
    client.send("POST", "appended", {"append": "", "position": "0"}, body=b"x")
    client.send("PUT", "link", {"symlink": ""}, {"x-oss-symlink-target": "appended"})
    assert v1(client).texts("Contents/Type") == ["Appendable", "Symlink"]


def test_what_was_scanned_and_returned_is_logged(client: Client, oss: OssService) -> None:
    fill(oss, *(f"a/{n}" for n in range(50)), "b", "c")
    v1(client, delimiter="/")
    record = oss.access_log.records[-1]
    assert (record.operation, record.scanned, record.returned) == ("GetBucket", 3, 3)
    v2(client, max_keys="10")
    record = oss.access_log.records[-1]
    assert (record.operation, record.scanned, record.returned) == ("GetBucket", 10, 10)


def reference_page(
    keys: list[str], prefix: str, delimiter: str, marker: str, limit: int
) -> tuple[list[str], list[str], bool]:
    """Entries one by one, as the documentation describes a listing."""
    entries: list[str] = []
    found: list[str] = []
    groups: list[str] = []
    for key in sorted(keys):
        if not key.startswith(prefix):
            continue
        end = key.find(delimiter, len(prefix)) if delimiter else -1
        entry = key if end < 0 else key[: end + len(delimiter)]
        # A marker leaves out what is not after it, and of groups the one that it names.
        if key <= marker or (end >= 0 and entry == marker) or entry in entries:
            continue
        if len(entries) == limit:
            return found, groups, True
        entries.append(entry)
        (found if end < 0 else groups).append(entry)
    return found, groups, False


TEXT = st.text(alphabet="ab/\U0010ffff", max_size=4)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    keys=st.sets(TEXT.filter(bool), max_size=12),
    prefix=TEXT,
    delimiter=st.sampled_from(["", "/", "a", "//"]),
    data=st.data(),
)
def test_pages_agree_with_a_listing_made_by_walking(
    keys: set[str], prefix: str, delimiter: str, data: st.DataObject
) -> None:
    marker = data.draw(TEXT)
    limit = data.draw(st.integers(1, 5))
    bucket = Bucket("demo", owner="1", created=0)
    for key in keys:
        bucket.publish(Version(key, type="Normal", modified=0))
    page = read_page(bucket.object_keys, Window.after(prefix, delimiter, marker), prefix, delimiter, limit)
    expected = reference_page(sorted(keys), prefix, delimiter, marker, limit)
    assert (page.keys, page.prefixes, page.truncated) == expected


@given(TEXT, TEXT)
def test_a_successor_is_the_least_text_above_a_group(prefix: str, key: str) -> None:
    bound = successor(prefix)
    inside = prefix + key
    assert bound is None or inside < bound
    if bound is not None and key >= bound:
        assert not key.startswith(prefix)


def test_a_page_with_a_delimiter_seeks_over_groups(client: Client) -> None:
    bucket = Bucket("demo", owner="1", created=0)
    for group in range(20):
        for n in range(500):
            bucket.publish(Version(f"{group:02}/{n:03}", type="Normal", modified=0))
    visited = 0

    def seek(low: str, *, inclusive: bool, below: str | None):  # type: ignore[no-untyped-def]
        nonlocal visited
        for key in bucket.object_keys(low, inclusive=inclusive, below=below):
            visited += 1
            yield key

    page = read_page(seek, Window.after("", "/", ""), "", "/", 1000)
    assert len(page.prefixes) == 20
    assert visited == 20
