"""The versions of a bucket compared, after every step, with a model small enough to be obviously right."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from osscloud.clock import VirtualClock
from osscloud.message import Request, Response
from osscloud.service import OssService

KEYS = ("a", "a/", "a/b", "b")


@dataclass
class Model:
    """Per key a list of (version id, body), newest first; body None is a delete marker."""

    state: str = ""
    chains: dict[str, list[tuple[str, bytes | None]]] = field(default_factory=dict)

    def write(self, key: str, version_id: str, body: bytes | None) -> None:
        chain = self.chains.setdefault(key, [])
        if version_id == "null":
            chain[:] = [entry for entry in chain if entry[0] != "null"]
        chain.insert(0, (version_id, body))

    def delete(self, key: str, version_id: str) -> None:
        chain = self.chains.get(key, [])
        chain[:] = [entry for entry in chain if entry[0] != version_id]

    def current(self) -> dict[str, bytes]:
        return {key: chain[0][1] for key, chain in self.chains.items() if chain and chain[0][1] is not None}

    def versions(self) -> list[tuple[str, str, bool]]:
        return [(key, v, body is None) for key in sorted(self.chains) for v, body in self.chains[key]]


class Versioning(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.service = OssService(clock=VirtualClock(), rng=random.Random(1))
        self.service.admin.create_bucket("demo", acl="public-read-write")
        self.model = Model()

    def send(self, method: str, key: str, **headers: str) -> Response:
        return self.service.handle(Request(method, f"/demo/{key}", {"host": "127.0.0.1", **headers}, self.body))

    body = b""

    @rule(state=st.sampled_from(["Enabled", "Suspended"]))
    def switch(self, state: str) -> None:
        self.service.admin.set_versioning("demo", state)
        self.model.state = state

    @rule(key=st.sampled_from(KEYS), body=st.binary(max_size=3))
    def put(self, key: str, body: bytes) -> None:
        self.body = body
        answer = self.send("PUT", key)
        self.body = b""
        assert answer.status == 200
        self.model.write(key, self._written(answer), body)

    @rule(source=st.sampled_from(KEYS), key=st.sampled_from(KEYS))
    def copy(self, source: str, key: str) -> None:
        answer = self.send("PUT", key, **{"x-oss-copy-source": f"/demo/{source}"})
        found = self.model.current().get(source)
        assert answer.status == (404 if found is None else 200)
        if found is not None:
            self.model.write(key, self._written(answer), found)

    @rule(key=st.sampled_from(KEYS))
    def delete(self, key: str) -> None:
        answer = self.send("DELETE", key)
        assert answer.status == 204
        if self.model.state:
            self.model.write(key, self._written(answer), None)
        else:
            self.model.delete(key, "null")

    @rule(key=st.sampled_from(KEYS), data=st.data())
    def delete_version(self, key: str, data: st.DataObject) -> None:
        known = [version for version, _ in self.model.chains.get(key, [])]
        version = data.draw(st.sampled_from([*known, "null"]))
        self.service.admin.delete("demo", key, version_id=version)
        self.model.delete(key, version)

    def _written(self, answer: Response) -> str:
        version = answer.header("x-oss-version-id")
        if self.model.state == "Enabled":
            assert version.startswith("CAEQ")
        else:
            assert version == ("null" if self.model.state else "")
        return version or "null"

    @invariant()
    def everything_agrees(self) -> None:
        admin = self.service.admin
        current = self.model.current()
        assert admin.keys("demo") == sorted(current)
        for key in KEYS:
            answer = self.send("GET", key)
            assert answer.status == (200 if key in current else 404)
            if key in current:
                assert answer.read() == current[key]
        versions = [(view.key, view.version_id, view.delete_marker) for view in admin.versions("demo")]
        assert versions == self.model.versions()
        latest = [view.key for view in admin.versions("demo") if view.latest]
        assert latest == sorted(key for key, chain in self.model.chains.items() if chain)
        bucket = self.service._store.buckets["demo"]
        assert len(bucket) == len(versions)
        assert bucket.versions_between("", inclusive=True, below=None) == len(versions)


TestVersioning = Versioning.TestCase
TestVersioning.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
