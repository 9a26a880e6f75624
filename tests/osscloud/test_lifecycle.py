"""Lifecycle rules: what is refused, and what they do as days pass."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from osscloud.clock import VirtualClock
from osscloud.service import OssService

if TYPE_CHECKING:
    from conftest import Answer, Client

DAY = 86_400
BY_ACCESS = "<IsAccessTime>true</IsAccessTime>"


def put_rules(client: Client, *rules: str, **headers: str) -> Answer:
    body = "".join(f"<Rule>{rule}</Rule>" for rule in rules)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    document = f"<LifecycleConfiguration>{body}</LifecycleConfiguration>".encode()
    return client.send("PUT", "", {"lifecycle": ""}, sent, document)


def rule(actions: str, prefix: str = "", status: str = "Enabled", extra: str = "") -> str:
    return f"<Prefix>{prefix}</Prefix><Status>{status}</Status>{extra}{actions}"


def expire(days: int) -> str:
    return f"<Expiration><Days>{days}</Days></Expiration>"


def move(days: int, storage_class: str, extra: str = "") -> str:
    return f"<Transition><Days>{days}</Days><StorageClass>{storage_class}</StorageClass>{extra}</Transition>"


def accept(client: Client, *rules: str) -> None:
    answer = put_rules(client, *rules)
    assert answer.status == 200, answer.body


# What is refused


@pytest.mark.parametrize(
    ("rules", "code", "ec"),
    [
        ([rule("")], "MalformedXML", None),
        ([rule("<Expiration/>")], "MalformedXML", None),
        ([rule("<Expiration><Days>1</Days><Date>2030-01-01T00:00:00.000Z</Date></Expiration>")], "MalformedXML", None),
        ([rule("<Expiration><Days>0</Days></Expiration>")], "MalformedXML", None),
        (
            [rule("<Expiration><CreatedBeforeDate>2030-01-01T01:00:00Z</CreatedBeforeDate></Expiration>")],
            "MalformedXML",
            None,
        ),
        ([rule(expire(1), status="On")], "MalformedXML", None),
        ([rule(expire(1) + "<Unknown/>")], "MalformedXML", None),
        (
            [
                rule(
                    expire(9) + "<Transition><CreatedBeforeDate>2030-01-01T00:00:00.000Z</CreatedBeforeDate>"
                    "<StorageClass>IA</StorageClass></Transition>"
                )
            ],
            "InvalidRequest",
            "0014-00000080",
        ),
        ([rule(expire(30) + move(30, "IA"))], "InvalidArgument", "0014-00000082"),
        ([rule(move(30, "Archive") + move(60, "IA"))], "InvalidArgument", "0014-00000082"),
        ([rule(move(30, "Standard"))], "InvalidArgument", None),
        ([rule(expire(1), "a"), rule(move(1, "IA"), "a")], "InvalidRequest", "0014-00000085"),
        ([rule(expire(200), "test"), rule(expire(100), "test/log")], "InvalidArgument", "0014-00000084"),
        ([rule(move(30, "IA"), "test"), rule(move(60, "IA"), "test/log")], "InvalidArgument", "0014-00000079"),
        ([rule(move(120, "IA"), "test"), rule(move(60, "Archive"), "test/log")], "InvalidArgument", "0014-00000082"),
        (["<ID>x</ID>" + rule(expire(1), "a"), "<ID>x</ID>" + rule(expire(1), "b")], "InvalidArgument", None),
        ([rule(move(30, "IA", BY_ACCESS))], "InvalidArgument", "0014-00000016"),
        (
            [
                rule(
                    "<Transition><CreatedBeforeDate>2030-01-01T00:00:00Z</CreatedBeforeDate>"
                    f"<StorageClass>IA</StorageClass>{BY_ACCESS}</Transition>"
                )
            ],
            "MalformedXML",
            "0014-00000047",
        ),
        (
            [
                rule(
                    "<AbortMultipartUpload><Days>1</Days></AbortMultipartUpload>",
                    extra="<Tag><Key>k</Key><Value>v</Value></Tag>",
                )
            ],
            "InvalidArgument",
            None,
        ),
    ],
)
def test_rules_that_make_no_sense_are_refused(client: Client, rules: list[str], code: str, ec: str | None) -> None:
    answer = put_rules(client, *rules)
    assert (answer.status, answer.code) == (400, code)
    if ec is not None:
        assert answer.text("EC") == ec
    assert client.send("GET", "", {"lifecycle": ""}).code == "NoSuchLifecycle"


@pytest.mark.parametrize(
    "rules",
    [
        [rule(expire(1), "a"), rule(expire(2), "b")],
        [rule(expire(200), "test"), rule(move(30, "IA"), "test/log")],
        [
            rule(expire(1), "a", extra="<Tag><Key>k</Key><Value>1</Value></Tag>"),
            rule(expire(2), "a", extra="<Tag><Key>k</Key><Value>2</Value></Tag>"),
        ],
        [
            rule(expire(1), extra="<Filter><ObjectSizeLessThan>100</ObjectSizeLessThan></Filter>"),
            rule(expire(2), extra="<Filter><ObjectSizeGreaterThan>100</ObjectSizeGreaterThan></Filter>"),
        ],
    ],
)
def test_rules_that_do_not_meet_are_accepted(client: Client, rules: list[str]) -> None:
    accept(client, *rules)


def test_overlapping_rules_are_accepted_when_the_client_says_so(client: Client) -> None:
    rules = rule(expire(200), "test"), rule(expire(100), "test/log")
    assert put_rules(client, *rules, x_oss_allow_same_action_overlap="true").status == 200


def test_a_rule_without_an_id_gets_one_and_keeps_it(client: Client) -> None:
    accept(client, rule(expire(1)))
    first = client.send("GET", "", {"lifecycle": ""}).text("Rule/ID")
    assert len(first) == 36
    assert client.send("GET", "", {"lifecycle": ""}).text("Rule/ID") == first


# What rules do


def test_an_object_expires_at_the_first_midnight_after_its_days(client: Client, clock: VirtualClock) -> None:
    accept(client, rule(expire(30), "log/"))
    clock.advance(DAY // 2)
    client.put("log/a")
    client.put("other")
    clock.advance(30 * DAY)
    assert client.head("log/a").status == 200
    clock.advance(DAY // 2)
    assert client.head("log/a").status == 404
    assert client.head("other").status == 200


def test_a_new_rule_finds_old_objects_at_the_next_midnight(client: Client, clock: VirtualClock) -> None:
    client.put("k")
    clock.advance(100 * DAY + 5)
    accept(client, rule(expire(30)))
    assert client.head("k").status == 200
    clock.advance(DAY)
    assert client.head("k").status == 404


def test_a_disabled_rule_does_nothing(client: Client, clock: VirtualClock, oss: OssService) -> None:
    accept(client, rule(expire(1), status="Disabled"))
    client.put("k")
    clock.advance(10 * DAY)
    assert oss.admin.keys("demo") == ["k"]


def test_objects_from_before_a_date_expire_on_it(client: Client, clock: VirtualClock, oss: OssService) -> None:
    accept(client, rule("<Expiration><CreatedBeforeDate>2024-09-10T00:00:00.000Z</CreatedBeforeDate></Expiration>"))
    client.put("old")
    clock.advance(6 * DAY)
    assert oss.admin.keys("demo") == ["old"]
    clock.advance(DAY)
    assert oss.admin.keys("demo") == []
    client.put("new")
    clock.advance(50 * DAY)
    assert oss.admin.keys("demo") == ["new"]


def test_tags_sizes_and_exclusions_select(client: Client, clock: VirtualClock, oss: OssService) -> None:
    filters = (
        "<Filter><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan><ObjectSizeLessThan>10</ObjectSizeLessThan>"
        "<Not><Prefix>keep/</Prefix></Not><Not><Tag><Key>keep</Key><Value>1</Value></Tag></Not></Filter>"
    )
    accept(client, rule(expire(1), extra="<Tag><Key>k</Key><Value>v</Value></Tag>" + filters))
    tagged = {"x-oss-tagging": "k=v"}
    client.put("gone", b"1234567", tagged)
    client.put("untagged", b"1234567")
    client.put("small", b"12345", tagged)
    client.put("large", b"1234567890", tagged)
    client.put("keep/this", b"1234567", tagged)
    client.put("kept", b"1234567", {"x-oss-tagging": "k=v&keep=1"})
    clock.advance(2 * DAY)
    assert oss.admin.keys("demo") == ["keep/this", "kept", "large", "small", "untagged"]


def test_objects_move_to_colder_classes_one_after_the_other(client: Client, clock: VirtualClock) -> None:
    accept(client, rule(move(10, "IA") + move(20, "Archive") + move(30, "DeepColdArchive") + expire(40)))
    client.put("k", b"x")
    client.put("frozen", b"x", {"x-oss-storage-class": "ColdArchive"})
    seen = []
    for _ in range(5):
        answer = client.head("k")
        seen.append(answer.header("x-oss-storage-class") if answer.status == 200 else "gone")
        clock.advance(10 * DAY)
    assert seen == ["Standard", "IA", "Archive", "DeepColdArchive", "gone"]


def test_a_moved_object_tells_when_and_keeps_its_date(client: Client, clock: VirtualClock) -> None:
    accept(client, rule(move(1, "IA")))
    client.put("k")
    before = client.head("k").header("Last-Modified")
    clock.advance(3 * DAY)
    answer = client.head("k")
    assert answer.header("Last-Modified") == before
    assert answer.header("x-oss-transition-time") == "Wed, 04 Sep 2024 00:00:00 GMT"


def test_objects_are_never_moved_to_a_warmer_class(client: Client, clock: VirtualClock) -> None:
    accept(client, rule(move(1, "IA")))
    client.put("k", b"", {"x-oss-storage-class": "Archive"})
    clock.advance(3 * DAY)
    assert client.head("k").header("x-oss-storage-class") == "Archive"


def test_expiration_says_when_and_by_which_rule(client: Client) -> None:
    accept(client, "<ID>r1</ID>" + rule(expire(2), "a"))
    client.put("a")
    client.put("b")
    wanted = 'expiry-date="Thu, 05 Sep 2024 00:00:00 GMT", rule-id="r1"'
    assert client.head("a").header("x-oss-expiration") == client.get("a").header("x-oss-expiration") == wanted
    assert not client.head("b").has("x-oss-expiration")


def test_unfinished_uploads_are_aborted(client: Client, clock: VirtualClock, oss: OssService) -> None:
    accept(client, rule("<AbortMultipartUpload><Days>7</Days></AbortMultipartUpload>", "a"))
    for key in ("a", "b"):
        client.send("POST", key, {"uploads": ""})
    clock.advance(8 * DAY)
    assert [key for key, _ in oss.admin.uploads("demo")] == ["b"]


def test_in_a_versioned_bucket_expiration_adds_a_marker(client: Client, clock: VirtualClock, oss: OssService) -> None:
    client.versioning("Enabled")
    accept(client, rule(expire(5)))
    client.put("k", b"x")
    clock.advance(20 * DAY)
    marker, version = oss.admin.versions("demo")
    assert (marker.delete_marker, marker.latest, version.delete_marker) == (True, True, False)
    assert marker.last_modified - version.last_modified == 5 * DAY


def test_noncurrent_versions_move_expire_and_leave_no_marker(
    client: Client, clock: VirtualClock, oss: OssService
) -> None:
    client.versioning("Enabled")
    actions = (
        "<NoncurrentVersionTransition><NoncurrentDays>3</NoncurrentDays><StorageClass>IA</StorageClass>"
        "</NoncurrentVersionTransition>"
        "<NoncurrentVersionExpiration><NoncurrentDays>10</NoncurrentDays></NoncurrentVersionExpiration>"
        "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"
    )
    accept(client, rule(actions))
    client.put("k", b"1")
    clock.advance(DAY)
    client.put("k", b"2")
    clock.advance(4 * DAY)
    old = oss.admin.versions("demo")[1]
    view = oss.admin.object("demo", "k", version_id=old.version_id)
    assert view is not None
    assert view.storage_class == "IA"
    clock.advance(20 * DAY)
    assert [v.size for v in oss.admin.versions("demo")] == [1]
    client.delete("k")
    assert len(oss.admin.versions("demo")) == 2
    clock.advance(20 * DAY)
    assert oss.admin.versions("demo") == []


def test_the_size_of_the_steps_makes_no_difference(client: Client) -> None:
    new_client = type(client)
    outcomes = []
    for steps in (1, 60, 480):
        clock = VirtualClock()
        oss = OssService(clock=clock, rng=random.Random(3))
        oss.admin.create_bucket("demo", versioning="Enabled")
        client = new_client(oss, oss.accounts.create_key(), clock, "demo")
        accept(
            client,
            rule(
                move(3, "IA") + move(6, "Archive") + expire(9) + "<NoncurrentVersionExpiration><NoncurrentDays>7"
                "</NoncurrentDays></NoncurrentVersionExpiration>",
                "a/",
            ),
            rule(
                "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"
                "<NoncurrentVersionExpiration><NoncurrentDays>2</NoncurrentDays></NoncurrentVersionExpiration>",
                "b/",
            ),
        )
        for index in range(20):
            client.put(f"a/{index}", b"x")
            client.put(f"b/{index}", b"x")
            client.put(f"b/{index}", b"y")
            if index % 3:
                client.delete(f"b/{index}")
        for _ in range(steps):
            clock.advance(30 * DAY / steps)
            oss.tick()
        outcomes.append([(v.key, v.delete_marker, v.last_modified, v.latest) for v in oss.admin.versions("demo")])
    assert outcomes[0]
    assert outcomes[0] == outcomes[1] == outcomes[2]


def test_a_tick_that_is_repeated_changes_nothing(client: Client, clock: VirtualClock, oss: OssService) -> None:
    client.versioning("Enabled")
    accept(client, rule(expire(1)))
    client.put("k")
    clock.advance(2 * DAY)
    oss.tick()
    once = oss.admin.versions("demo")
    for _ in range(3):
        oss.tick()
    assert oss.admin.versions("demo") == once


def track(client: Client, status: str = "Enabled") -> Answer:
    body = f"<AccessMonitorConfiguration><Status>{status}</Status></AccessMonitorConfiguration>".encode()
    return client.send("PUT", "", {"accessmonitor": ""}, body=body)


def test_what_was_not_read_since_tracking_began_counts_as_read_then(client: Client, clock: VirtualClock) -> None:
    client.put("old", b"x")
    clock.advance(100 * DAY)
    assert track(client).status == 200
    enabled = int(clock.now())
    clock.advance(3 * DAY)
    accept(client, rule(move(10, "IA", BY_ACCESS)))
    assert client.send("GET", "", {"lifecycle": ""}).text("Rule/AtimeBase") == str(enabled)
    clock.advance(6 * DAY)
    assert client.head("old").header("x-oss-storage-class") == "Standard"
    clock.advance(DAY)
    assert client.head("old").header("x-oss-storage-class") == "IA"


def test_a_rule_may_name_its_own_base(client: Client, clock: VirtualClock) -> None:
    client.put("old", b"x")
    clock.advance(100 * DAY)
    track(client)
    accept(client, rule(move(10, "IA", BY_ACCESS), extra=f"<AtimeBase>{int(clock.now()) - 9 * DAY}</AtimeBase>"))
    clock.advance(DAY)
    assert client.head("old").header("x-oss-storage-class") == "IA"


def test_tracking_lasts_as_long_as_a_rule_needs_it(client: Client, clock: VirtualClock) -> None:
    track(client)
    since = int(clock.now())
    clock.advance(DAY)
    track(client)
    accept(client, rule(move(10, "IA", BY_ACCESS)))
    assert client.send("GET", "", {"lifecycle": ""}).text("Rule/AtimeBase") == str(since)
    assert (track(client, "Disabled").status, track(client, "Disabled").code) == (400, "AccessMonitorDisableNotAllowed")
    assert client.send("GET", "", {"accessmonitor": ""}).xml[0].text == "Enabled"
    assert len(client.send("GET", "", {"accessmonitor": ""}).xml) == 1
    client.send("DELETE", "", {"lifecycle": ""})
    assert track(client, "Disabled").status == 200
    assert track(client, "Paused").code == "MalformedXML"


def test_the_first_read_in_24_hours_is_the_one_that_is_noted(client: Client, clock: VirtualClock) -> None:
    track(client)
    client.put("k", b"x")
    client.get("k")
    first = client.head("k").header("x-oss-last-access-time")
    clock.advance(DAY - 1)
    client.get("k")
    assert client.head("k").header("x-oss-last-access-time") == first
    clock.advance(1)
    client.get("k")
    assert client.head("k").header("x-oss-last-access-time") != first


def test_reads_keep_objects_warm_and_bring_them_back(client: Client, clock: VirtualClock) -> None:
    assert track(client).status == 200
    by_access = "<IsAccessTime>true</IsAccessTime><ReturnToStdWhenVisit>true</ReturnToStdWhenVisit>"
    accept(client, rule(move(10, "IA", by_access)))
    client.put("read", b"x")
    client.put("unread", b"x")
    for _ in range(3):
        clock.advance(5 * DAY)
        client.get("read")
    assert client.head("read").header("x-oss-storage-class") == "Standard"
    assert client.head("read").header("x-oss-last-access-time") == "Wed, 18 Sep 2024 00:00:00 GMT"
    assert client.head("unread").header("x-oss-storage-class") == "IA"
    client.get("unread")
    assert client.head("unread").header("x-oss-storage-class") == "Standard"
