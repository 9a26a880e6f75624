"""A cloud in a process of its own answers as one in this process does, and its end is told."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from types import FrameType
from urllib.request import urlopen

import pytest

from osscloud.accounts import Policy, Statement
from osscloud.admin import NewObject
from osscloud.clock import AdjustableClock, VirtualClock, WallClock
from osscloud.errors import OssError
from osscloud.faults import Fault
from osscloud.message import Request
from osscluster import cloudprocess
from osscluster.cloud import Cloud
from osscluster.direct import InProcessTransport
from osscluster.errors import CallTimeout, ClusterError, ProcessDied
from osscluster.identity import ProcessIdentity
from osscluster.leftovers import Run
from osscluster.spawner import Spawner

BIG = bytes(range(256)) * 40_000


def spawner() -> Spawner:
    return Spawner.shared(Run.current())


@pytest.fixture
def remote() -> Iterator[Cloud]:
    cloud, _ = cloudprocess.start(spawner())
    yield cloud
    cloud.close()


@pytest.fixture(params=["here", "in another process"])
def cloud(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    if request.param == "here":
        made = Cloud.here(clock=VirtualClock(), rng=random.Random(0))
    else:
        made, _ = cloudprocess.start(spawner())
    made.admin.create_bucket("bkt")
    yield made
    made.close()


# --- the same for both ------------------------------------------------------------------------------------------------


def test_a_seed_repeats_keys_and_ids(cloud: Cloud) -> None:
    other = Cloud.here(clock=VirtualClock(), rng=random.Random(0))
    assert cloud.key == other.key
    assert cloud.new_key() == other.new_key()


def test_objects_are_written_seen_and_read(cloud: Cloud) -> None:
    cloud.admin.put("bkt", "a", b"hello", meta={"mode": "33188"})
    cloud.admin.put("bkt", "big", BIG)
    seen = cloud.admin.object("bkt", "a")
    assert seen is not None
    assert (seen.size, seen.meta, seen.read()) == (5, {"mode": "33188"}, b"hello")
    with pytest.raises(FrozenInstanceError):
        seen.size = 6  # type: ignore[misc]
    large = cloud.admin.object("bkt", "big")
    assert large is not None
    cloud.admin.put("bkt", "big", b"small now")
    assert large.read() == BIG
    assert cloud.admin.object("bkt", "missing") is None
    assert cloud.admin.keys("bkt") == ["a", "big"]


def test_many_objects_are_written_and_deleted_as_one_by_one(cloud: Cloud) -> None:
    cloud.admin.set_versioning("bkt", "Enabled")
    ids = cloud.admin.put_many("bkt", [NewObject(f"k{n}", b"%d" % n, meta={"n": str(n)}) for n in range(3)])
    assert len(set(ids)) == 3
    seen = cloud.admin.object("bkt", "k2")
    assert seen is not None
    assert (seen.version_id, seen.read(), seen.meta) == (ids[2], b"2", {"n": "2"})
    cloud.admin.delete_many("bkt", ["k0", "k1"])
    assert cloud.admin.keys("bkt") == ["k2"]
    assert [view.delete_marker for view in cloud.admin.versions("bkt", "k0")] == [True, False]


def test_an_error_arrives_with_everything_it_says(cloud: Cloud) -> None:
    with pytest.raises(OssError, match="404 NoSuchBucket: The specified bucket does not exist") as caught:
        cloud.admin.put("missing", "a")
    assert (caught.value.code, caught.value.status, caught.value.extras) == (
        "NoSuchBucket",
        404,
        {"BucketName": "missing"},
    )
    with pytest.raises(KeyError):
        cloud.service.accounts.disable("nobody")
    with pytest.raises(AttributeError, match="nothing_like_it"):
        cloud.service.nothing_like_it  # type: ignore[attr-defined]  # noqa: B018


def test_the_access_log_can_be_asked_and_read(cloud: Cloud) -> None:
    mark = cloud.access_log.mark()
    for _ in range(3):
        cloud.service.handle(Request("GET", "/bkt/a", {"host": "localhost"}))
    assert [record.operation for record in cloud.access_log.since(mark)] == ["GetObject"] * 3
    records = cloud.service.access_log.records
    assert (len(records), records[-1].http_status, [record.bucket for record in records]) == (3, 403, ["bkt"] * 3)
    assert records[1:] == list(records)[1:]


def test_keys_policies_and_faults_take_effect(cloud: Cloud) -> None:
    accounts, faults = cloud.service.accounts, cloud.service.faults
    accounts.set_policy(cloud.key.id, Policy((Statement("Deny", ("oss:*",), ("*",)),)))
    assert not accounts.allows(cloud.key.id, "oss:GetObject", "acs:oss:*:*:bkt/a")
    accounts.disable(cloud.key.id)
    found = accounts.find(cloud.key.id)
    assert found is not None
    assert found.status == "Disabled"
    faults.add(Fault(operation="GetObject", code="InternalError", status=500))
    assert cloud.service.handle(Request("GET", "/bkt/a", {"host": "localhost"})).status == 500
    assert faults.pending() == []


def test_attributes_are_the_services_own_and_can_be_set(cloud: Cloud) -> None:
    cloud.service.cnames["www.example.com"] = "bkt"
    assert "www.example.com" in cloud.service.cnames
    assert dict(cloud.service.cnames.items()) == {"www.example.com": "bkt"}
    assert list(cloud.service.cnames) == ["www.example.com"]
    answer = cloud.service.handle(Request("GET", "/a", {"host": "www.example.com"}))
    assert cloud.access_log.records[-1].bucket == "bkt"
    assert answer.status == 403
    del cloud.service.cnames["www.example.com"]
    assert len(cloud.service.cnames) == 0
    cloud.service.config = replace(cloud.service.config, max_buckets=7)
    assert cloud.service.config.max_buckets == 7


def test_something_can_be_put_beside_the_service(cloud: Cloud) -> None:
    transport = cloud.install(InProcessTransport, "http://localhost", WallClock())  # type: ignore[arg-type]  # any does
    assert transport.send(Request("GET", "/bkt", {"host": "localhost"})).status == 403
    with pytest.raises(ConnectionRefusedError) as caught:
        transport.send(Request("GET", "/bkt", {"host": "elsewhere"}))
    assert caught.value.filename == "elsewhere"


def test_threads_take_turns(cloud: Cloud) -> None:
    def work(number: int) -> None:
        for count in range(20):
            cloud.admin.put("bkt", f"{number}-{count}", b"x" * number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cloud.admin.keys("bkt")) == 80


# --- another process --------------------------------------------------------------------------------------------------


def test_an_error_has_the_traceback_of_the_process_that_met_it(remote: Cloud) -> None:
    with pytest.raises(OssError) as caught:
        remote.admin.put("missing", "a")
    assert "admin.py" in str(caught.value.__cause__)
    assert "in _bucket" in str(caught.value.__cause__)


def test_its_clock_can_be_moved() -> None:
    cloud, clock = cloudprocess.start(spawner())
    clock.advance(5000)
    assert clock.offset == 5000
    assert abs(cloud.clock.now() - time.time() - 5000) < 60
    with pytest.raises(ValueError, match="cannot advance"):
        clock.advance(-1)
    cloud.close()


def test_what_can_not_travel_is_refused_and_nothing_is_lost(remote: Cloud) -> None:
    with pytest.raises(TypeError, match="can't travel"):
        remote.admin.create_bucket(lambda: None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="can't travel"):
        remote.service.faults.add(remote.service.access_log)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="can't travel"):
        remote._place.make(Path, "/").iterdir()
    with pytest.raises(AttributeError):
        remote.service._store  # noqa: B018
    assert remote.admin.buckets() == []


def test_a_defect_of_the_cloud_is_raised_with_its_traceback_by_the_next_call(remote: Cloud) -> None:
    remote.service.accounts = None  # type: ignore[assignment]
    with pytest.raises(OSError, match="500"):
        urlopen(f"{remote.endpoint}/bkt/a?OSSAccessKeyId=x&Signature=y&Expires=9999999999", timeout=10)
    with pytest.raises(ClusterError, match=r"defect of its own:(?s:.*)in authenticate(?s:.*)'NoneType'"):
        remote.admin.buckets()
    assert remote.admin.buckets() == []


def test_one_process_after_the_other_serves_from_empty_and_two_at_once_are_apart() -> None:
    first, _ = cloudprocess.start(spawner())
    second, _ = cloudprocess.start(spawner())
    assert len({first.pid, second.pid, os.getpid()}) == 3
    first.admin.create_bucket("bkt")
    assert second.admin.buckets() == []
    endpoint = first.endpoint
    first.close()
    first.close()
    third, _ = cloudprocess.start(spawner())
    assert third.pid == first.pid
    assert third.admin.buckets() == []
    with pytest.raises(OSError, match="refused"):
        urlopen(endpoint, timeout=10)
    with pytest.raises(ClusterError):
        first.admin.buckets()
    second.close()
    third.close()


def test_a_killed_process_is_named_with_its_end_and_is_not_used_again(remote: Cloud) -> None:
    os.kill(remote.pid, signal.SIGKILL)
    with pytest.raises(ProcessDied, match=rf"the cloud \(pid {remote.pid}\) ended, exit code -9"):
        remote.admin.buckets()
    with pytest.raises(ClusterError):
        remote.admin.buckets()
    remote.close()
    again, _ = cloudprocess.start(spawner())
    assert again.pid != remote.pid
    assert again.admin.buckets() == []
    again.close()


@pytest.mark.usefixtures("caplog")
def test_a_crash_shows_where_it_happened(remote: Cloud) -> None:
    with pytest.raises(ProcessDied, match=r"exit code -6:\nFatal Python error: Aborted(?s:.*)remote\.py"):
        remote._place.make(os.abort)


def _slow(cloud: Cloud) -> Callable[[], None]:
    return lambda: cloud.clock.sleep(30)


def test_a_call_that_takes_too_long_ends_the_process() -> None:
    cloud, _ = cloudprocess.start(spawner(), timeout=0.5)
    with pytest.raises(CallTimeout, match=r"not answered within 0\.5 s"):
        _slow(cloud)()
    cloud.close()
    assert ProcessIdentity.of(cloud.pid) is None


def test_after_an_interrupted_call_nothing_is_answered_wrongly() -> None:
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    cloud, _ = cloudprocess.start(spawner())
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            _slow(cloud)()
    finally:
        signal.signal(signal.SIGALRM, before)
    with pytest.raises(ClusterError, match="was interrupted"):
        cloud.admin.buckets()
    cloud.close()
    assert ProcessIdentity.of(cloud.pid) is None


def test_a_forked_child_can_not_take_answers_from_its_parent(remote: Cloud) -> None:
    child = os.fork()
    if child == 0:
        try:
            remote.admin.buckets()
        except ClusterError:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert remote.admin.buckets() == []


def test_an_adjustable_clock_is_what_the_engine_expects() -> None:
    cloud, clock = cloudprocess.start(spawner())
    assert repr(clock) == f"<{AdjustableClock.__name__} in the cloud (pid {cloud.pid})>"
    cloud.close()
