"""The control interface below /-/: for who holds the token, invisible to OSS clients."""

from __future__ import annotations

import json
import random

import pytest

from osscloud.accesslog import LogRecord
from osscloud.clock import AdjustableClock, VirtualClock
from osscloud.control import Control
from osscloud.faults import Fault
from osscloud.message import Request
from osscloud.service import OssService


class Cloud:
    """A service with a control interface."""

    def __init__(self) -> None:
        self.clock = AdjustableClock(VirtualClock(1000.0))
        self.service = OssService(clock=self.clock, rng=random.Random(5))
        self.log = self.service.access_log
        self.faults = self.service.faults
        self.control = Control(self.service, clock=self.clock, token="t0k")

    def call(self, method: str, target: str, body: object = None, token: str = "t0k") -> tuple[int, dict[str, object]]:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        response = self.control.handle(Request(method, target, headers, data))
        assert response.headers["Content-Length"] == str(len(response.read()))
        return response.status, json.loads(response.read())


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


def record(request_id: str) -> LogRecord:
    return LogRecord(
        time=1.0, request_id=request_id, operation="GetObject", bucket="b", object="\udcff", http_method="GET",
        request_uri="/b/k", http_status=200, error_code="", ec="", bytes_in=0, bytes_out=1, user_agent="", client_ip="",
        access_key_id="", scanned=0, returned=0, cost_ms=1.0, fault=False, caller=None,
    )  # fmt: skip


def test_without_the_token_nothing_is_told(cloud: Cloud) -> None:
    assert cloud.call("GET", "/-/log", token="")[0] == 403
    assert cloud.call("GET", "/-/log", token="wrong")[0] == 403
    assert cloud.call("POST", "/-/advance", {"seconds": 1}, token="")[0] == 403
    assert cloud.clock.offset == 0


def test_the_log_is_read_from_a_position_on(cloud: Cloud) -> None:
    cloud.log.append(record("one"))
    status, answer = cloud.call("GET", "/-/log")
    assert (status, answer["mark"]) == (200, 1)
    cloud.log.append(record("two"))
    _, answer = cloud.call("GET", "/-/log?since=1")
    records = answer["records"]
    assert isinstance(records, list)
    assert [(entry["request_id"], entry["object"]) for entry in records] == [("two", "\udcff")]
    assert cloud.call("GET", "/-/log?since=x")[0] == 400


def test_time_moves_ahead_only(cloud: Cloud) -> None:
    assert cloud.call("POST", "/-/advance", {"seconds": 3600}) == (200, {"now": 4600.0})
    assert cloud.clock.now() == 4600.0
    for body in ({"seconds": -1}, {"seconds": "1"}, {"seconds": True}, {}, [], b"{"):
        assert cloud.call("POST", "/-/advance", body)[0] == 400
    assert cloud.clock.now() == 4600.0


def test_faults_are_added_listed_and_forgotten(cloud: Cloud) -> None:
    assert cloud.call("POST", "/-/faults", {"operation": "PutObject", "count": 2, "seconds": 1})[0] == 200
    assert cloud.faults.pending() == [Fault(operation="PutObject", count=2, seconds=1)]
    _, answer = cloud.call("GET", "/-/faults")
    faults = answer["faults"]
    assert isinstance(faults, list)
    assert (faults[0]["operation"], faults[0]["left"], answer["outage"]) == ("PutObject", 2, None)
    assert cloud.call("DELETE", "/-/faults")[0] == 200
    assert cloud.faults.pending() == []


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "x"},
        {"count": "2"},
        {"count": 0},
        {"action": "explode"},
        {"count": True},
        {"operation": "GetObjekt"},
        {"operation": "total"},
        {"action": "latency"},
        {"action": "stall", "operation": "GetObject"},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_with_a_reason(cloud: Cloud, body: object) -> None:
    status, answer = cloud.call("POST", "/-/faults", body)
    assert status == 400
    assert answer["error"]
    assert cloud.faults.pending() == []


def test_an_operation_that_nobody_knows_is_told_its_likely_name(cloud: Cloud) -> None:
    answer = cloud.call("POST", "/-/faults", {"operation": "GetObjekt"})[1]
    assert answer == {"error": "there is no operation 'GetObjekt': did you mean GetObject?"}


@pytest.mark.parametrize("operation", ["*", "CopyObject", "UploadPartCopy", "DeleteObjects", "PutBucketWebsite"])
def test_every_operation_can_fail(cloud: Cloud, operation: str) -> None:
    assert cloud.call("POST", "/-/faults", {"operation": operation})[0] == 200


@pytest.mark.parametrize("id", ["a b", "a:b", "a/b", "ü", "x" * 129])
def test_a_key_id_is_one_word(cloud: Cloud, id: str) -> None:
    status, answer = cloud.call("POST", "/-/keys", {"id": id})
    assert (status, "is no access key id" in str(answer["error"])) == (400, True)


def test_other_paths_and_methods_do_not_exist(cloud: Cloud) -> None:
    assert cloud.call("GET", "/-/")[0] == 404
    assert cloud.call("GET", "/-/other")[0] == 404
    assert cloud.call("PUT", "/-/log")[0] == 405


def test_the_log_is_asked_with_filters(cloud: Cloud) -> None:
    for name in ("one", "two"):
        cloud.log.append(record(name))
    _, answer = cloud.call("GET", "/-/log?request_id=two&operation=GetObject&from=0&to=2")
    records = answer["records"]
    assert isinstance(records, list)
    assert ([entry["request_id"] for entry in records], answer["mark"]) == (["two"], 2)
    status, answer = cloud.call("GET", "/-/log?status=4x")
    assert (status, str(answer["error"])[:22]) == (400, "status cannot be '4x':")


def test_keys_are_made_disabled_and_removed(cloud: Cloud) -> None:
    statement = {"Effect": "Allow", "Action": "oss:GetObject", "Resource": "*"}
    status, key = cloud.call("POST", "/-/keys", {"id": "AK", "secret": "SK", "policy": {"Statement": statement}})
    assert (status, key["id"], key["secret"], key["status"]) == (200, "AK", "SK", "Active")
    assert not cloud.service.accounts.allows("AK", "oss:PutObject", "acs:oss:*:*:b/k")
    assert cloud.call("POST", "/-/keys", {"id": "AK"})[0] == 409
    assert cloud.call("POST", "/-/keys/AK/disable")[0] == 200
    _, answer = cloud.call("GET", "/-/keys")
    assert answer["keys"] == [{**key, "status": "Disabled"}]
    assert cloud.call("POST", "/-/keys/AK/enable")[0] == 200
    assert cloud.call("DELETE", "/-/keys/AK")[0] == 200
    assert cloud.call("DELETE", "/-/keys/AK")[0] == 404
    assert len(str(cloud.call("POST", "/-/keys", {})[1]["id"])) == 24
    for wrong in ({"id": 1}, {"color": "red"}, {"policy": "all"}, {"policy": {"Statement": []}}, []):
        assert cloud.call("POST", "/-/keys", wrong)[0] == 400
    assert cloud.call("POST", "/-/keys", {"user": "nobody"})[0] == 404


def test_buckets_are_made_and_removed_with_everything_in_them(cloud: Cloud) -> None:
    assert cloud.call("POST", "/-/buckets", {"name": "demo", "versioning": "Enabled"})[0] == 200
    cloud.service.admin.put("demo", "k")
    assert cloud.call("GET", "/-/buckets") == (200, {"buckets": ["demo"]})
    assert cloud.call("POST", "/-/buckets", {"name": "demo"})[0] == 409
    assert cloud.call("POST", "/-/buckets", {"name": "Demo"})[0] == 400
    assert cloud.call("POST", "/-/buckets", {"name": "other", "versioning": "Maybe"})[0] == 400
    assert cloud.call("POST", "/-/buckets", {})[0] == 400
    assert cloud.call("DELETE", "/-/buckets/demo")[0] == 200
    assert cloud.call("DELETE", "/-/buckets/demo")[0] == 404


def test_the_state_is_taken_out_and_put_back(cloud: Cloud) -> None:
    cloud.service.admin.create_bucket("demo")
    cloud.service.admin.put("demo", "k", b"x" * 100_000)
    headers = {"authorization": "Bearer t0k"}
    response = cloud.control.handle(Request("GET", "/-/snapshot", headers))
    assert (response.status, response.headers["Content-Type"]) == (200, "application/zip")
    file = response.read()
    assert len(file) == int(response.headers["Content-Length"])
    cloud.service.admin.delete_bucket("demo", force=True)
    status, answer = cloud.call("PUT", "/-/snapshot", file)
    assert (status, answer) == (200, {"buckets": 1, "versions": 1, "uploads": 0, "bytes": 100_000})
    view = cloud.service.admin.object("demo", "k")
    assert view is not None
    assert view.read() == b"x" * 100_000
    status, answer = cloud.call("PUT", "/-/snapshot", file[:-9])
    assert (status, "nothing was changed" in str(answer["error"])) == (400, True)
    assert cloud.call("POST", "/-/snapshot", file)[0] == 405
