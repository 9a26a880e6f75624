"""The same random steps against our S3-compatible face and against moto's S3: every difference is one that is listed.

What differs, and why, is `s3_differences`; an entry that nothing brings about any more fails as well.
"""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from tests.parity.s3_differences import DIFFERENCES, Difference
from tests.parity.sides import Observation, Side, Step

from osscloud.clock import WallClock
from osscloud.http_server import HttpServer
from osscloud.service import OssService, ServiceConfig

# moto and werkzeug leave sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")

KEY_ID, SECRET = "LTAI5tParity", "a-secret"
KEYS = ("a", "a/", "a/b", "b", "c/d/e", "é+ %")

Sides = tuple[Side, Side]


@pytest.fixture(scope="module")
def sides() -> Iterator[Sides]:
    """Our side and moto's."""
    from moto.server import ThreadedMotoServer

    service = OssService(clock=WallClock(), rng=random.Random(1), config=ServiceConfig(max_buckets=100_000))
    service.accounts.create_key(id=KEY_ID, secret=SECRET)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    endpoint = f"http://{host}:{port}"

    with HttpServer(service) as server:
        ours = Side(server.endpoint, KEY_ID, SECRET, missing_id="CAEQ" + "0" * 12 + "A" * 44)
        missing_id = "00000000-0000-4000-8000-000000000000"
        theirs = Side(endpoint, KEY_ID, SECRET, missing_id=missing_id)
        yield ours, theirs
        ours.close()
        theirs.close()
    moto.stop()


class Unexplained(AssertionError):
    """The two sides differ in a way that is not listed."""


class Comparison:
    """Runs steps on both sides. used: names of the differences met. over: the buckets are not the same any more.
    status: of versioning."""

    def __init__(self, sides: Sides) -> None:
        self.ours, self.theirs = sides
        self.used: set[str] = set()
        self.over = False
        self.status = "never"
        for side in sides:
            side.begin()

    def run(self, step: Step) -> None:
        """One step, then the state of both buckets. Raises Unexplained."""
        if step[0] == "versioning":
            self.status = str(step[1])
        self.compare(step[0], step, self.ours.run(step), self.theirs.run(step))
        self.compare("state", step, self.ours.look(("versions",)), self.theirs.look(("versions",)))

    def compare(self, kind: str, step: Step, ours: Observation, theirs: Observation) -> None:
        outcomes = outcome(ours), outcome(theirs)
        if outcomes[0] != outcomes[1]:
            self.explain(kind, step, "outcome", *outcomes)
            return
        for field in sorted((ours.keys() | theirs.keys()) - {"status", "code"}):
            mine, other = self.plain(ours.get(field)), self.plain(theirs.get(field))
            if isinstance(mine, list) and isinstance(other, list):
                if mine == other:
                    continue
                left = [entry for entry in mine if entry not in other]
                right = [entry for entry in other if entry not in mine]
                # Neither: the same entries in another order, or one of them twice.
                self.explain(kind, step, field, *((left, right) if left or right else (mine, other)))
            elif mine != other:
                self.explain(kind, step, field, mine, other)

    def explain(self, kind: str, step: Step, field: str, ours: object, theirs: object) -> None:
        said = tuple(re.sub(r"#\d+", "", repr(value)) for value in (ours, theirs))
        for known in DIFFERENCES:
            if (
                kind in known.steps
                and known.when in ("", self.status)
                and known.field == field
                and re.fullmatch(known.ours, said[0])
                and re.fullmatch(known.theirs, said[1])
            ):
                self.used.add(known.name)
                self.over |= known.ends
                return
        raise Unexplained(f"{kind} after {step} ({self.status}): {field}\n  ours   {said[0]}\n  theirs {said[1]}")

    def plain(self, value: object) -> object:
        """ETags without what is listed as different in all of them."""
        if isinstance(value, list | tuple):
            return type(value)(map(self.plain, value))
        if isinstance(value, str):
            for known in DIFFERENCES:
                if known.steps == ("*",) and re.fullmatch(known.ours, value):
                    self.used.add(known.name)
                if known.steps == ("*",) and (re.fullmatch(known.ours, value) or re.fullmatch(known.theirs, value)):
                    return value.lower() if "-" not in value else "multipart"
        return value


def outcome(seen: Observation) -> str:
    return f"{seen['status']} {seen.get('code', '')}"


def machine(sides: Sides) -> type[RuleBasedStateMachine]:
    """The state machine for these two servers."""
    keys = st.sampled_from(KEYS)
    bodies = st.sampled_from([b"", b"x", b"yy", b"zzz"])

    class Versioning(RuleBasedStateMachine):
        @initialize()
        def begin(self) -> None:
            self.comparison = Comparison(sides)

        def run(self, *step: Any) -> None:
            if not self.comparison.over:
                note(f"step {step}")
                self.comparison.run(step)

        def label(self, data: st.DataObject) -> str:
            known = sorted(set(sides[0].labels.values()) & set(sides[1].labels.values()))
            return data.draw(st.sampled_from([*known, *known, "null", "none"]))

        @rule(status=st.sampled_from(["Enabled", "Enabled", "Suspended"]))
        def versioning(self, status: str) -> None:
            self.run("versioning", status)

        @rule(key=keys, body=bodies)
        def put(self, key: str, body: bytes) -> None:
            self.run("put", key, body)

        @rule(key=keys, body=bodies)
        def put_again(self, key: str, body: bytes) -> None:
            self.run("put", key, body)

        @rule(key=keys)
        def parts(self, key: str) -> None:
            self.run("parts", key, b"ppp")

        @rule(source=keys, key=keys)
        def copy(self, source: str, key: str) -> None:
            self.run("copy", source, key)

        @rule(source=keys, key=keys, data=st.data())
        def copy_version(self, source: str, key: str, data: st.DataObject) -> None:
            self.run("copy", source, key, self.label(data))

        @rule(data=st.data())
        def delete(self, data: st.DataObject) -> None:
            """Mostly of what is there: deleting anything else ends the comparison."""
            there = [key for key, *_ in sides[0].look(("versions",))["versions"]]
            self.run("delete", data.draw(st.sampled_from([*there, *there, *there, "b"])))

        @rule(key=keys, data=st.data())
        def delete_version(self, key: str, data: st.DataObject) -> None:
            self.run("delete", key, self.label(data))

        @rule(wanted=st.lists(keys, min_size=1, max_size=3, unique=True), data=st.data())
        def delete_many(self, wanted: list[str], data: st.DataObject) -> None:
            self.run("delete_many", *((key, self.label(data)) for key in wanted))

        @rule(key=keys, kind=st.sampled_from(["get", "head", "tags"]))
        def read(self, key: str, kind: str) -> None:
            self.run(kind, key)

        @rule(key=keys, kind=st.sampled_from(["get", "head", "tags"]), data=st.data())
        def read_version(self, key: str, kind: str, data: st.DataObject) -> None:
            self.run(kind, key, self.label(data))

        @rule(key=keys, data=st.data())
        def tag(self, key: str, data: st.DataObject) -> None:
            self.run("tag", key, "v", data.draw(st.sampled_from(["", self.label(data)])))

        @rule(
            version=st.sampled_from([1, 2]),
            prefix=st.sampled_from(["", "a", "a/", "c"]),
            delimiter=st.sampled_from(["", "/"]),
            size=st.sampled_from([1, 2, 1000]),
        )
        def objects(self, version: int, prefix: str, delimiter: str, size: int) -> None:
            self.run("objects", version, prefix, delimiter, size)

        @rule(
            prefix=st.sampled_from(["", "a", "a/", "c"]),
            delimiter=st.sampled_from(["", "/"]),
            size=st.sampled_from([1, 2, 3, 1000]),
        )
        def versions(self, prefix: str, delimiter: str, size: int) -> None:
            self.run("versions", prefix, delimiter, size)

    return Versioning


def test_random_steps_differ_only_where_it_is_listed(sides: Sides) -> None:
    run_state_machine_as_test(
        machine(sides),
        settings=settings(
            max_examples=25,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("known", DIFFERENCES, ids=lambda known: known.name)
def test_a_listed_difference_is_still_one(sides: Sides, known: Difference) -> None:
    comparison = Comparison(sides)
    for step in known.example:
        comparison.run(step)
    assert known.name in comparison.used, "stale: take it off the list"
    assert known.source
    assert comparison.over or not known.ends


def test_a_difference_that_is_not_listed_is_reported(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    comparison = Comparison(sides)
    put: Callable[..., Any] = comparison.ours.put
    monkeypatch.setattr(comparison.ours, "put", lambda key, body: put(key, body + b"!"))
    with pytest.raises(Unexplained, match="etag"):
        comparison.run(("put", "a", b"x"))
