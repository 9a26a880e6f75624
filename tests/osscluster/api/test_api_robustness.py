"""Whatever a client sends, the answer is one of the API's own: no input makes the server fail."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osscluster.api.discovery import groups
from osscluster.api.endpoint import Answer, Endpoint, KubeRequest
from osscluster.api.kinds import KINDS
from osscluster.api.schema import element, field_types
from osscluster.api.store import MemoryApi

SCALARS = st.none() | st.booleans() | st.integers(-5, 2**40) | st.text(max_size=5) | st.floats(allow_nan=False)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
NAMES = st.sampled_from(["a", "web", "pv-oss", "", "A B", "x" * 70])


def typed(type: str, depth: int) -> st.SearchStrategy[Any]:
    """Values of a Go type: each field may be left out, be null, or be right; deep ones are seldom there."""
    if type.startswith("[]"):
        return st.lists(st.none() | typed(element(type), depth), max_size=2)
    if type.startswith("map[string]"):
        return st.dictionaries(NAMES, st.none() | typed(element(type), depth), max_size=2)
    fields = field_types(type)
    if fields is not None:
        if depth == 0:
            return st.just({})
        return st.fixed_dictionaries(
            {},
            optional={
                name: st.none() | st.deferred(lambda t=inner: typed(t, depth - 1)) for name, inner in fields.items()
            },
        )
    return _plain(type)


def _plain(type: str) -> st.SearchStrategy[Any]:
    match type:
        case "bool":
            return st.booleans()
        case "int32" | "int64":
            return st.integers(-2, 10)
        case "Quantity":
            return st.sampled_from(["5Gi", "0", "-1", "1e3"])
        case "IntOrString":
            return st.sampled_from([1, "25%"])
        case "Time" | "MicroTime":
            return st.just("2024-09-03T08:00:00Z")
        case "bytes":
            return st.just("YWJj")
        case "RawExtension" | "FieldsV1":
            return st.just({})
    return NAMES | st.sampled_from(["ReadWriteMany", "Always", "Retain", "Filesystem", "OnRootMismatch"])


def endpoint() -> Endpoint:
    api = MemoryApi(lambda: 0.0, random.Random(1))
    api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}, "data": {"a": "b"}})
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    api.create({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec})
    api.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": template["spec"]})
    return Endpoint(api, lambda: 0.0, version="1.30.0")


def ask(server: Endpoint, method: str, path: str, body: Any = None, query: Mapping[str, str] | None = None) -> Answer:
    raw = b"" if body is None else json.dumps(body).encode()
    content = {"content-type": "application/strategic-merge-patch+json"} if method == "PATCH" else {}
    answer = server.answer(KubeRequest(method, path, query or {}, content, raw))
    if not isinstance(answer, Answer):
        answer.next()
        return Answer(200, b"{}")
    assert answer.status < 500
    return answer


def collection(kind: str) -> str:
    known = KINDS[kind]
    root = f"/apis/{known.group}/v1" if known.group else "/api/v1"
    return f"{root}/namespaces/default/{known.plural}" if known.namespaced else f"{root}/{known.plural}"


@pytest.mark.parametrize("kind", sorted(KINDS))
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_any_object_of_the_right_types_is_created_and_shown_or_refused(kind: str, data: st.DataObject) -> None:
    server = endpoint()
    object = data.draw(typed(kind, 4))
    object |= {"kind": kind, "apiVersion": KINDS[kind].api_version}
    object["metadata"] = (object.get("metadata") or {}) | {"name": "mine"}
    object["metadata"].pop("namespace", None)
    created = ask(server, "POST", collection(kind), object)
    if created.status == 201:
        if KINDS[kind].status:
            shown = json.loads(created.body) | {"status": object.get("status") or {}}
            created = ask(server, "PUT", f"{collection(kind)}/mine/status", shown)
            assert created.status == 200
        table = server.answer(KubeRequest("GET", collection(kind), {}, {"accept": "application/json;as=Table;v=v1"}))
        assert isinstance(table, Answer)
        assert b'"Table"' in table.body
        again = json.loads(created.body)
        assert ask(server, "PUT", f"{collection(kind)}/mine", again).status == 200
        assert ask(server, "DELETE", f"{collection(kind)}/mine").status == 200


@settings(max_examples=60, deadline=None)
@given(
    method=st.sampled_from(["POST", "PUT", "PATCH", "DELETE", "GET"]),
    kind=st.sampled_from(sorted(KINDS)),
    below=st.sampled_from(["", "/web", "/web/status", "/web/scale", "/web/log", "/web/exec", "/web/log/x"]),
    body=JSON,
)
def test_any_json_is_answered_by_a_status(method: str, kind: str, below: str, body: Any) -> None:
    ask(endpoint(), method, collection(kind) + below, body)


@settings(max_examples=40, deadline=None)
@given(
    path=st.sampled_from(
        ["/api/v1/pods", "/api/v1/namespaces/default/pods/web/log", "/api/v1/namespaces/default/pods"]
    ),
    query=st.dictionaries(
        st.sampled_from(
            [
                "watch",
                "resourceVersion",
                "timeoutSeconds",
                "labelSelector",
                "fieldSelector",
                "tailLines",
                "sinceSeconds",
                "sinceTime",
                "limitBytes",
                "container",
                "follow",
            ]
        ),
        st.text(max_size=8) | st.sampled_from(["1", "true", "-1", "999999", "a in (b", "!", "=", "a=b"]),
        max_size=4,
    ),
)
def test_any_query_is_answered(path: str, query: Mapping[str, str]) -> None:
    ask(endpoint(), "GET", path, None, query)


@settings(max_examples=40, deadline=None)
@given(body=JSON)
def test_any_patch_is_answered(body: Any) -> None:
    for path in ("/api/v1/namespaces/default/pods/web", "/apis/apps/v1/namespaces/default/deployments/web"):
        for form in ("strategic-merge-patch+json", "merge-patch+json", "json-patch+json", "apply-patch+yaml"):
            headers = {"content-type": f"application/{form}"}
            answer = endpoint().answer(KubeRequest("PATCH", path, {}, headers, json.dumps(body).encode()))
            assert isinstance(answer, Answer)
            assert answer.status < 500


@settings(max_examples=40, deadline=None)
@given(body=st.binary(max_size=60), magic=st.booleans())
def test_any_bytes_that_say_they_are_protobuf_are_answered(body: bytes, magic: bool) -> None:
    headers = {"content-type": "application/vnd.kubernetes.protobuf"}
    raw = b"k8s\x00" + body if magic else body
    answer = endpoint().answer(KubeRequest("POST", "/api/v1/namespaces/default/secrets", {}, headers, raw))
    assert isinstance(answer, Answer)
    assert answer.status < 500


def test_every_group_is_in_discovery() -> None:
    server = endpoint()
    for group, version in groups():
        root = f"/apis/{group}/{version}" if group else f"/api/{version}"
        assert ask(server, "GET", root).status == 200
        assert ask(server, "GET", f"/openapi/v3{root}").status == 200
    assert ask(server, "GET", "/apis/batch/v1").status == 404
