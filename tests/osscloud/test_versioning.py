"""Versioning: the table of what each operation does in each state, and ListObjectVersions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from osscloud.service import OssService

if TYPE_CHECKING:
    from conftest import Answer, Client

UNKNOWN = "CAEQ" + "0" * 56


def configuration(status: str) -> bytes:
    return f"<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>".encode()


def chain(oss: OssService, key: str = "k") -> list[str]:
    """The versions of a key, newest first: its size, or "marker", with * for null versions."""
    return [
        ("marker" if view.delete_marker else str(view.size)) + ("*" if view.version_id == "null" else "")
        for view in oss.admin.versions("demo", key)
    ]


def version_of(answer: Answer) -> str:
    value = answer.header("x-oss-version-id")
    assert value is not None
    return value


def test_the_state_is_set_and_read(client: Client) -> None:
    never = client.send("GET", "", {"versioning": ""})
    assert never.body.endswith(b"<VersioningConfiguration></VersioningConfiguration>")
    assert client.send("GET", "", {"bucketInfo": ""}).xml.find("Bucket/Versioning") is None
    for status in ("Enabled", "Suspended", "Enabled"):
        assert client.send("PUT", "", {"versioning": ""}, body=configuration(status)).status == 200
        assert client.send("GET", "", {"versioning": ""}).text("Status") == status
        assert client.send("GET", "", {"bucketInfo": ""}).text("Bucket/Versioning") == status


@pytest.mark.parametrize(
    "body", [configuration("On"), configuration(""), b"<VersioningConfiguration/>", b"<x/>", b"", b"<"]
)
def test_other_states_are_malformed(client: Client, body: bytes) -> None:
    answer = client.send("PUT", "", {"versioning": ""}, body=body)
    assert (answer.status, answer.code) == (400, "MalformedXML")


def test_every_write_of_an_enabled_bucket_is_a_new_version(client: Client, oss: OssService) -> None:
    client.put("k", b"1")
    client.versioning("Enabled")
    second = version_of(client.put("k", b"22"))
    third = version_of(client.copy("/demo/k", "k"))
    link = version_of(client.send("PUT", "k", {"symlink": ""}, {"x-oss-symlink-target": "t"}))
    assert len({second, third, link, "null"}) == 4
    assert second.startswith("CAEQ")
    assert chain(oss) == ["0", "2", "2", "1*"]
    assert client.get("k", versionId=second).body == b"22"
    assert client.get("k", versionId="null").body == b"1"


def test_forbid_overwrite_means_nothing_with_versioning(client: Client) -> None:
    for status in ("Enabled", "Suspended"):
        client.versioning(status)
        client.put("k", b"", {"x-oss-forbid-overwrite": "true"})
        client.put("k", b"", {"x-oss-forbid-overwrite": "true"})


def test_a_write_to_a_suspended_bucket_replaces_the_null_version_wherever_it_is(
    client: Client, oss: OssService
) -> None:
    client.put("k", b"1")
    client.versioning("Enabled")
    client.put("k", b"22")
    client.put("k", b"333")
    client.versioning("Suspended")
    assert chain(oss) == ["3", "2", "1*"]
    assert version_of(client.put("k", b"4444")) == "null"
    assert chain(oss) == ["4*", "3", "2"]
    client.put("k", b"55555")
    assert chain(oss) == ["5*", "3", "2"]
    client.versioning("Enabled")
    client.put("k", b"666666")
    assert chain(oss) == ["6", "5*", "3", "2"]


def test_every_delete_of_an_enabled_bucket_adds_a_marker(client: Client, oss: OssService) -> None:
    client.versioning("Enabled")
    first = client.delete("never-there")
    second = client.delete("never-there")
    assert first.header("x-oss-delete-marker") == second.header("x-oss-delete-marker") == "true"
    assert version_of(first) != version_of(second)
    client.put("k", b"1")
    client.delete("k")
    assert chain(oss) == ["marker", "1"]
    assert oss.admin.keys("demo") == []


def test_a_delete_of_a_suspended_bucket_replaces_the_null_version_by_a_null_marker(
    client: Client, oss: OssService
) -> None:
    client.versioning("Enabled")
    client.put("k", b"1")
    client.versioning("Suspended")
    client.put("k", b"22")
    answer = client.delete("k")
    assert (answer.header("x-oss-delete-marker"), version_of(answer)) == ("true", "null")
    assert chain(oss) == ["marker*", "1"]
    client.delete("k")
    assert chain(oss) == ["marker*", "1"]
    client.put("k", b"333")
    assert chain(oss) == ["3*", "1"]


def test_deleting_a_version_removes_just_that_one(client: Client, oss: OssService) -> None:
    client.versioning("Enabled")
    ids = [version_of(client.put("k", b"x" * n)) for n in (1, 2, 3)]
    answer = client.delete("k", versionId=ids[1])
    assert (answer.status, version_of(answer)) == (204, ids[1])
    assert not answer.has("x-oss-delete-marker")
    assert chain(oss) == ["3", "1"]
    client.delete("k", versionId=ids[2])
    assert chain(oss) == ["1"]
    assert client.get("k").body == b"x"
    client.delete("k", versionId=ids[0])
    assert chain(oss) == []


def test_deleting_a_missing_version_is_fine(client: Client) -> None:
    client.versioning("Enabled")
    client.put("k")
    assert client.delete("k", versionId=UNKNOWN).status == 204
    assert client.delete("none", versionId=UNKNOWN).status == 204


def test_removing_the_marker_on_top_undeletes(client: Client, oss: OssService) -> None:
    client.versioning("Enabled")
    client.put("k", b"1")
    marker = version_of(client.delete("k"))
    answer = client.delete("k", versionId=marker)
    assert (answer.header("x-oss-delete-marker"), version_of(answer)) == ("true", marker)
    assert client.get("k").body == b"1"
    assert oss.admin.keys("demo") == ["k"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_reading_a_deleted_key_shows_the_marker(client: Client, method: str) -> None:
    client.versioning("Enabled")
    client.put("k", b"1")
    marker = version_of(client.delete("k"))
    answer = client.send(method, "k")
    assert (answer.status, answer.header("x-oss-ec")) == (404, "0026-00000001")
    assert (answer.header("x-oss-delete-marker"), version_of(answer)) == ("true", marker)


def test_reading_a_marker_by_its_id_is_not_allowed(client: Client) -> None:
    client.versioning("Enabled")
    marker = version_of(client.delete("k"))
    answer = client.get("k", versionId=marker)
    assert (answer.status, answer.code) == (405, "MethodNotAllowed")
    assert (answer.text("Method"), answer.text("ResourceType")) == ("GET", "DeleteMarker")
    assert (answer.header("x-oss-delete-marker"), answer.header("Allow")) == ("true", "DELETE")
    assert client.head("k", versionId=marker).status == 405


def test_unknown_and_impossible_version_ids_are_told_apart(client: Client) -> None:
    client.put("k")
    answer = client.get("k", versionId=UNKNOWN)
    assert (answer.status, answer.code, answer.text("EC")) == (404, "NoSuchVersion", "0026-00000001")
    answer = client.get("k", versionId="nonsense")
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert answer.text("Message") == "Invalid version id specified."
    answer = client.send("GET", "k", {"versionId": ""})
    assert answer.text("Message") == "Version id can not be the empty string."
    assert client.delete("k", versionId="nonsense").code == "InvalidArgument"


def test_acl_tags_and_meta_speak_of_the_version_asked_for(client: Client) -> None:
    client.versioning("Enabled")
    old = version_of(client.put("k", b"1", {"x-oss-tagging": "a=1"}))
    client.put("k", b"22")
    answer = client.send("PUT", "k", {"acl": "", "versionId": old}, {"x-oss-object-acl": "private"})
    assert version_of(answer) == old
    assert client.get("k", acl="", versionId=old).text("AccessControlList/Grant") == "private"
    assert client.get("k", acl="").text("AccessControlList/Grant") == "default"
    assert client.get("k", tagging="", versionId=old).texts("TagSet/Tag/Key") == ["a"]
    assert client.head("k", objectMeta="", versionId=old).header("Content-Length") == "1"
    assert version_of(client.head("k", objectMeta="")) != old
    client.delete("k")
    for sub in ("acl", "tagging", "symlink"):
        assert client.send("GET", "k", {sub: ""}).status == 404
    assert client.get("k", tagging="", versionId=old).status == 200


def test_restoring_is_copying_an_old_version_over_the_key(client: Client, oss: OssService) -> None:
    client.versioning("Enabled")
    old = version_of(client.put("k", b"1"))
    client.delete("k")
    client.copy(f"/demo/k?versionId={old}", "k")
    assert client.get("k").body == b"1"
    assert chain(oss) == ["1", "marker", "1"]


def test_many_deletes_tell_what_they_did(client: Client, oss: OssService) -> None:
    client.versioning("Enabled")
    version = version_of(client.put("a", b"1"))
    marker = version_of(client.delete("b"))
    body = (
        "<Delete><Object><Key>c</Key></Object>"
        f"<Object><Key>a</Key><VersionId>{version}</VersionId></Object>"
        f"<Object><Key>b</Key><VersionId>{marker}</VersionId></Object>"
        f"<Object><Key>b</Key><VersionId>{UNKNOWN}</VersionId></Object></Delete>"
    )
    answer = client.send("POST", "", {"delete": ""}, body=body.encode())
    told = [{element.tag: element.text for element in deleted} for deleted in answer.xml.findall("Deleted")]
    added = oss.admin.versions("demo", "c")[0].version_id
    assert told == [
        {"Key": "c", "DeleteMarker": "true", "DeleteMarkerVersionId": added},
        {"Key": "a", "VersionId": version},
        {"Key": "b", "VersionId": marker, "DeleteMarker": "true", "DeleteMarkerVersionId": marker},
        {"Key": "b", "VersionId": UNKNOWN},
    ]
    assert [view.key for view in oss.admin.versions("demo")] == ["c"]


def test_a_bucket_with_only_markers_or_old_versions_is_not_empty(client: Client) -> None:
    client.versioning("Enabled")
    marker = version_of(client.delete("k"))
    assert client.send("DELETE", "").code == "BucketNotEmpty"
    client.delete("k", versionId=marker)
    assert client.send("DELETE", "").status == 204


def versions(client: Client, **params: str) -> Answer:
    return client.send("GET", "", {"versions": "", **{n.replace("_", "-"): v for n, v in params.items()}})


def test_versions_and_markers_are_listed_interleaved_newest_first(client: Client) -> None:
    client.put("a", b"1")
    client.versioning("Enabled")
    first = version_of(client.put("a", b"22"))
    marker = version_of(client.delete("a"))
    other = version_of(client.put("b"))
    answer = versions(client)
    listed = [
        (e.tag, e.findtext("Key"), e.findtext("VersionId"), e.findtext("IsLatest"))
        for e in answer.xml
        if e.tag in ("Version", "DeleteMarker")
    ]
    assert listed == [
        ("DeleteMarker", "a", marker, "true"),
        ("Version", "a", first, "false"),
        ("Version", "a", "null", "false"),
        ("Version", "b", other, "true"),
    ]
    assert answer.texts("Version/Size") == ["2", "1", "0"]
    assert set(answer.texts("Version/Owner/ID") + answer.texts("DeleteMarker/Owner/ID")) == {client.key.account}
    assert {e.tag for e in answer.xml} >= {"Name", "Prefix", "KeyMarker", "VersionIdMarker", "MaxKeys", "Delimiter"}


def test_an_unversioned_bucket_lists_null_versions(client: Client) -> None:
    client.put("a")
    assert versions(client).texts("Version/VersionId") == ["null"]


def test_version_listings_page_through_keys_and_versions(client: Client, oss: OssService) -> None:
    client.versioning("Enabled")
    for n in range(7):
        client.put("ab"[n % 2], bytes(n))
    client.delete("a")
    expected = [(view.key, view.version_id) for view in oss.admin.versions("demo")]
    seen: list[tuple[str, str]] = []
    markers: dict[str, str] = {}
    for _ in range(10):
        page = versions(client, max_keys="3", **markers)
        seen += [(e.findtext("Key"), e.findtext("VersionId")) for e in page.xml if e.tag in ("Version", "DeleteMarker")]
        if page.text("IsTruncated") == "false":
            break
        markers = {"key_marker": page.text("NextKeyMarker"), "version_id_marker": page.text("NextVersionIdMarker")}
    assert seen == expected
    assert page.xml.find("NextKeyMarker") is None


def test_a_client_that_deletes_what_it_lists_sees_everything(client: Client, oss: OssService) -> None:
    client.put("k", b"null")
    client.versioning("Enabled")
    for n in range(6):
        client.put("k", bytes(n))
    markers: dict[str, str] = {}
    for _ in range(10):
        page = versions(client, max_keys="2", **markers)
        for version in page.texts("Version/VersionId"):
            client.delete("k", versionId=version)
        if page.text("IsTruncated") == "false":
            break
        markers = {"key_marker": page.text("NextKeyMarker"), "version_id_marker": page.text("NextVersionIdMarker")}
    assert oss.admin.versions("demo") == []


def test_a_removed_marker_version_keeps_its_place_in_the_order(client: Client) -> None:
    client.versioning("Enabled")
    ids = [version_of(client.put("k", bytes(n))) for n in range(4)]
    client.delete("k", versionId=ids[2])
    assert versions(client, key_marker="k", version_id_marker=ids[2]).texts("Version/VersionId") == [ids[1], ids[0]]
    assert versions(client, key_marker="k").texts("Version/VersionId") == []


def test_version_listings_group_by_delimiter(client: Client) -> None:
    client.versioning("Enabled")
    for key in ("a/1", "a/2", "b", "c/1", "d"):
        client.put(key)
    client.delete("c/1")
    client.delete("d")
    answer = versions(client, delimiter="/")
    assert answer.texts("CommonPrefixes/Prefix") == ["a/", "c/"]
    listed = [e for e in answer.xml if e.tag in ("Version", "DeleteMarker", "CommonPrefixes")]
    assert [e.findtext("Key") or e.findtext("Prefix") for e in listed] == ["a/", "b", "c/", "d", "d"]
    client.put("e/1")
    assert versions(client, delimiter="/").texts("CommonPrefixes/Prefix") == ["a/", "c/", "e/"]
    page = versions(client, delimiter="/", max_keys="1")
    assert page.texts("CommonPrefixes/Prefix") == ["a/"]
    assert (page.text("NextKeyMarker"), page.text("NextVersionIdMarker")) == ("a/", "")
    rest = versions(client, delimiter="/", key_marker="a/")
    assert rest.texts("CommonPrefixes/Prefix") == ["c/", "e/"]
    assert versions(client, prefix="a/").texts("Version/Key") == ["a/1", "a/2"]


def test_version_listing_parameters_are_checked(client: Client) -> None:
    assert versions(client, max_keys="1001").code == "InvalidArgument"
    assert versions(client, version_id_marker=UNKNOWN).code == "InvalidArgument"
    assert versions(client, key_marker="k", version_id_marker="bad").code == "InvalidArgument"
    client.put("a b")
    answer = versions(client, encoding_type="url")
    assert (answer.text("EncodingType"), answer.text("Version/Key")) == ("url", "a%20b")


def listing(client: Client, **params: str) -> Answer:
    return client.send("GET", "", {n.replace("_", "-"): v for n, v in params.items()})


def test_listings_show_current_objects_only(client: Client) -> None:
    client.versioning("Enabled")
    for key in ("a", "b", "b", "c"):
        client.put(key)
    client.delete("a")
    for params in ({}, {"list_type": "2"}):
        assert listing(client, **params).texts("Contents/Key") == ["b", "c"]


def test_v1_scans_every_version_and_marker_and_v2_only_what_it_returns(client: Client, oss: OssService) -> None:
    client.versioning("Enabled")
    for n in range(300):
        oss.admin.put("demo", f"gone/{n:03}")
        oss.admin.delete("demo", f"gone/{n:03}")
    for key in ("here/1", "here/2", "here/2"):
        oss.admin.put("demo", key)
    listing(client)
    slow = oss.access_log.records[-1]
    listing(client, list_type="2")
    fast = oss.access_log.records[-1]
    assert (slow.scanned, slow.returned) == (603, 2)
    assert (fast.scanned, fast.returned) == (2, 2)
    assert slow.cost_ms > fast.cost_ms + 10


def test_v1_scans_the_range_of_its_page_only(client: Client, oss: OssService) -> None:
    client.versioning("Enabled")
    for key in ("a", "a", "b/1", "b/2", "b/2", "c", "d"):
        oss.admin.put("demo", key)
    oss.admin.delete("demo", "c")

    def scanned(**params: str) -> int:
        listing(client, **params)
        return oss.access_log.records[-1].scanned

    assert scanned(max_keys="1") == 2
    assert scanned(max_keys="1", marker="a") == 1
    assert scanned(max_keys="2", delimiter="/") == 5
    assert scanned(prefix="b/") == 3
    assert scanned(prefix="b/1") == 1
    assert scanned(marker="b/2") == 3
    assert scanned(prefix="zzz") == 0


def test_suspending_does_not_make_v1_cheaper(client: Client, oss: OssService) -> None:
    client.versioning("Enabled")
    for n in range(50):
        oss.admin.delete("demo", str(n))
    client.versioning("Suspended")
    listing(client)
    assert oss.access_log.records[-1].scanned == 50
