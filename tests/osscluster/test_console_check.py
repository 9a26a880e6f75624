"""The console's check of a volume: the log's words for every row of the FAQ, and what it asks of OSS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from osscloud.message import Request, Response
from osscluster.consolecheck import Access, NotCheckable, Outcome, check, read_volume, secret_of
from osscluster.engine import DirectEngine
from osscluster.nodespec import NodeSpec

NODE = NodeSpec("node-1")
HANGZHOU = "oss-cn-hangzhou.aliyuncs.com"


@pytest.fixture
def engine() -> Iterator[DirectEngine]:
    made = DirectEngine()
    made.cloud.admin.create_bucket("demo")
    yield made
    made.close()


def access(engine: DirectEngine, **changes: Any) -> Access:
    key = engine.cloud.key
    given = {"endpoint": HANGZHOU, "bucket": "demo", "path": "/data/", "key_id": key.id, "key_secret": key.secret}
    return Access(**{**given, **changes})


def checked(engine: DirectEngine, wanted: Access, node: NodeSpec = NODE) -> Outcome:
    return check(wanted, engine.cloud.service.handle, node=node, now=engine.cloud.clock.now())


def failed(outcome: Outcome) -> tuple[str, str]:
    assert outcome.finding is not None
    return outcome.finding.id, outcome.lines[-1]


def test_a_directory_with_its_object_passes(engine: DirectEngine) -> None:
    engine.cloud.admin.put("demo", "data/", b"")
    mark = engine.cloud.access_log.mark()
    outcome = checked(engine, access(engine))
    assert outcome.passed
    assert outcome.lines == ("check ossutil", f"endpoint: {HANGZHOU}", "bucket: demo", "path: /data/")
    # ossutil's stat asks for the ACL first.
    assert [record.operation for record in engine.cloud.access_log.since(mark)] == ["GetObjectAcl", "HeadObject"]


def test_the_root_of_a_bucket_needs_no_object(engine: DirectEngine) -> None:
    assert checked(engine, access(engine, path="/")).passed


def test_objects_below_a_directory_do_not_make_it_exist(engine: DirectEngine) -> None:
    engine.cloud.admin.put("demo", "data/a.txt", b"")
    kind, line = failed(checked(engine, access(engine)))
    assert kind == "no-such-key"
    assert re.fullmatch(
        r"Error: oss: service returned error: StatusCode=404, ErrorCode=NoSuchKey, "
        r'ErrorMessage="The specified key does not exist\.", RequestId=[0-9A-F]{24}, Ec=[0-9-]+, Bucket=demo, '
        r"Object=data/",
        line,
    )


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        (
            {"key_id": "LTAIunknown"},
            "no-such-key-id",
            "StatusCode=403, ErrorCode=InvalidAccessKeyId, "
            'ErrorMessage="The OSS Access Key Id you provided does not exist in our records."',
        ),
        (
            {"key_secret": "mistyped"},
            "signature",
            "StatusCode=403, ErrorCode=SignatureDoesNotMatch, "
            'ErrorMessage="The request signature we calculated does not match the signature you provided. '
            'Check your key and signing method."',
        ),
        (
            {"bucket": "missing"},
            "no-such-bucket",
            'StatusCode=404, ErrorCode=NoSuchBucket, ErrorMessage="The specified bucket does not exist."',
        ),
        (
            {"bucket": "No_Bucket"},
            "other",
            "StatusCode=400, ErrorCode=InvalidBucketName",
        ),
    ],
)
def test_refusals_come_in_the_words_of_oss(
    engine: DirectEngine, changes: dict[str, str], kind: str, words: str
) -> None:
    found, line = failed(checked(engine, access(engine, **changes)))
    assert found == kind
    assert line.startswith(f"Error: oss: service returned error: {words}")


def test_a_key_without_rights_lacks_the_right_to_read_the_acl(engine: DirectEngine) -> None:
    accounts = engine.cloud.service.accounts
    accounts.ram.create_user("app", account=engine.cloud.key.account)
    key = accounts.create_key(account=engine.cloud.key.account, user="app")
    kind, line = failed(checked(engine, access(engine, key_id=key.id, key_secret=key.secret)))
    assert kind == "access-denied"
    assert (
        "StatusCode=403, ErrorCode=AccessDenied, "
        'ErrorMessage="You do not have read acl permission on this object."' in line
    )


def test_a_mount_works_where_the_check_lacks_the_right_to_read_acls(engine: DirectEngine) -> None:
    accounts = engine.cloud.service.accounts
    statement = {"Effect": "Allow", "Action": ["oss:ListObjects", "oss:GetObject"], "Resource": "*"}
    policy = {"Version": "1", "Statement": [statement]}
    accounts.ram.create_user("app", account=engine.cloud.key.account, policies=(policy,))
    key = accounts.create_key(account=engine.cloud.key.account, user="app")
    engine.cloud.admin.put("demo", "data/", b"")
    kind, _ = failed(checked(engine, access(engine, key_id=key.id, key_secret=key.secret)))
    assert kind == "access-denied"


@pytest.mark.parametrize(
    ("endpoint", "node"),
    [
        ("oss-cn-beijing-internal.aliyuncs.com", NodeSpec("node-1", region="cn-hangzhou")),
        ("oss-cn-hangzhou.aliyuncs.com", NodeSpec("node-1", region="cn-hangzhou", internet=False)),
        ("https://oss-cn-beijing-internal.aliyuncs.com", NodeSpec("node-1", region="cn-hangzhou")),
    ],
)
def test_what_the_cluster_does_not_reach_times_out(engine: DirectEngine, endpoint: str, node: NodeSpec) -> None:
    mark = engine.cloud.access_log.mark()
    outcome = checked(engine, access(engine, endpoint=endpoint), node)
    assert failed(outcome) == ("timeout", "Error: connection timed out")
    assert outcome.lines[1] == f"endpoint: {endpoint}"
    assert engine.cloud.access_log.since(mark) == []


@pytest.mark.parametrize(
    ("endpoint", "node"),
    [
        ("oss-cn-hangzhou-internal.aliyuncs.com", NodeSpec("node-1", internet=False)),
        ("oss-cn-beijing.aliyuncs.com", NodeSpec("node-1", region="cn-hangzhou")),
    ],
)
def test_the_internal_endpoint_of_the_region_and_public_ones_with_internet_access_answer(
    engine: DirectEngine, endpoint: str, node: NodeSpec
) -> None:
    assert checked(engine, access(engine, endpoint=endpoint, path="/"), node).passed


def test_a_connection_that_is_refused_is_another_error(engine: DirectEngine) -> None:
    def refused(request: Request) -> Response:
        raise ConnectionRefusedError(111, "Connection refused")

    outcome = check(access(engine, endpoint="http://127.0.0.1:1"), refused, node=NODE, now=0.0)
    assert failed(outcome) == ("other", "Error: Connection refused")


# --- manifests ---


def volume(**csi: Any) -> dict[str, Any]:
    source = {"driver": "ossplugin.csi.alibabacloud.com", "volumeAttributes": {"bucket": "demo", "url": HANGZHOU}}
    return {"kind": "PersistentVolume", "metadata": {"name": "pv-oss"}, "spec": {"csi": {**source, **csi}}}


def test_what_the_check_is_called_with_stands_in_the_volume_and_its_secret() -> None:
    given = volume(
        nodePublishSecretRef={"name": "oss-secret", "namespace": "shop"},
        volumeAttributes={"bucket": "demo", "url": HANGZHOU, "path": "a/b"},
    )
    assert secret_of(given) == ("shop", "oss-secret")
    assert read_volume(given, {"akId": "AK", "akSecret": "SK"}) == Access(HANGZHOU, "demo", "/a/b/", "AK", "SK")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (volume(driver="nas"), "spec.csi.driver is not ossplugin.csi.alibabacloud.com"),
        (volume(volumeAttributes={"bucket": "demo"}), "spec.csi.volumeAttributes has no url"),
        (volume(), "there is no akId and akSecret"),
    ],
)
def test_volumes_that_cannot_be_checked_are_refused_with_what_is_missing(given: dict[str, Any], said: str) -> None:
    with pytest.raises(NotCheckable, match=re.escape(said)):
        read_volume(given, None)
