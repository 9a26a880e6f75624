"""The API over HTTP without a socket: watches, and what a client learns that no kubectl shows."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from osscluster.api import watching
from osscluster.api.endpoint import Answer, Endpoint, KubeRequest
from osscluster.api.objects import KubeObject
from osscluster.api.store import MemoryApi
from osscluster.api.watching import Watch

PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture
def api() -> MemoryApi:
    return MemoryApi(lambda: 0.0, random.Random(1))


@pytest.fixture
def endpoint(api: MemoryApi) -> Endpoint:
    return Endpoint(api, lambda: 0.0, version="1.30.0")


def pod(name: str, **labels: str) -> KubeObject:
    metadata = {"name": name, "labels": labels}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }


def watch(endpoint: Endpoint, **query: str) -> Watch:
    answer = endpoint.answer(KubeRequest("GET", PODS, {"watch": "1", **query}))
    assert isinstance(answer, Watch)
    return answer


def events(watch: Watch) -> list[tuple[str, str]]:
    lines = [json.loads(line) for line in watch.next().splitlines()]
    return [(line["type"], line["object"]["metadata"].get("name", "")) for line in lines]


def document(answer: object) -> dict[str, Any]:
    assert isinstance(answer, Answer)
    found: dict[str, Any] = json.loads(answer.body)
    return found


def test_an_object_that_comes_into_a_selection_is_added_and_one_that_leaves_it_deleted(
    api: MemoryApi, endpoint: Endpoint
) -> None:
    api.create(pod("web", tier="front"))
    watching = watch(endpoint, labelSelector="tier=front", resourceVersion=api.resource_version)
    assert events(watching) == []
    for labels in ({"new": "label"}, {"tier": "back"}, {"new": "label2"}, {"tier": "front"}):
        api.patch("Pod", "web", {"metadata": {"labels": labels}}, "default")
    api.create(pod("other", tier="back"))
    api.delete("Pod", "web", "default")
    assert events(watching) == [("MODIFIED", "web"), ("DELETED", "web"), ("ADDED", "web"), ("DELETED", "web")]
    assert events(watching) == []


def test_a_watch_from_nowhere_begins_with_what_is_there(api: MemoryApi, endpoint: Endpoint) -> None:
    api.create(pod("b"))
    api.create(pod("a"))
    watching = watch(endpoint)
    api.create(pod("c"))
    assert events(watching) == [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "c")]


def test_a_streamed_list_ends_with_a_bookmark(api: MemoryApi, endpoint: Endpoint) -> None:
    api.create(pod("a"))
    watching = watch(endpoint, sendInitialEvents="true", allowWatchBookmarks="true")
    assert events(watching) == [("ADDED", "a"), ("BOOKMARK", "")]
    api.delete("Pod", "a", "default")
    assert events(watching) == [("DELETED", "a")]


def test_what_an_old_event_says_stays_what_it_was(api: MemoryApi, endpoint: Endpoint) -> None:
    watching = watch(endpoint, resourceVersion=api.resource_version)
    created = api.create(pod("a"))
    api.delete("Pod", "a", "default")
    lines = [json.loads(line)["object"]["metadata"]["resourceVersion"] for line in watching.next().splitlines()]
    assert lines == [created["metadata"]["resourceVersion"], api.resource_version]


def test_who_asks_for_changes_that_are_forgotten_has_to_list_again(
    monkeypatch: pytest.MonkeyPatch, api: MemoryApi
) -> None:
    monkeypatch.setattr(watching, "_LENGTH", 3)
    endpoint = Endpoint(api, lambda: 0.0, version="1.30.0")
    start = api.resource_version
    for number in range(5):
        api.create(pod(f"p{number}"))
    answer = endpoint.answer(KubeRequest("GET", PODS, {"watch": "1", "resourceVersion": start}))
    assert (document(answer)["code"], document(answer)["reason"]) == (410, "Expired")


def test_a_list_has_the_version_to_watch_from(api: MemoryApi, endpoint: Endpoint) -> None:
    api.create(pod("a"))
    listed = document(endpoint.answer(KubeRequest("GET", PODS)))
    assert (listed["kind"], listed["metadata"]["resourceVersion"]) == ("PodList", api.resource_version)


def test_a_deleted_object_is_named_with_its_uid(api: MemoryApi, endpoint: Endpoint) -> None:
    uid = api.create(pod("a"))["metadata"]["uid"]
    status = document(endpoint.answer(KubeRequest("DELETE", f"{PODS}/a")))
    assert (status["status"], status["details"]["uid"]) == ("Success", uid)


def test_orphans_stay_when_their_owner_goes(api: MemoryApi, endpoint: Endpoint) -> None:
    owner = api.create(pod("owner"))
    owned = pod("owned")
    reference = {"apiVersion": "v1", "kind": "Pod", "name": "owner", "uid": owner["metadata"]["uid"]}
    owned["metadata"]["ownerReferences"] = [reference]
    api.create(owned)
    endpoint.answer(KubeRequest("DELETE", f"{PODS}/owner", {"propagationPolicy": "Orphan"}))
    assert "ownerReferences" not in api.get("Pod", "owned", "default")["metadata"]


def test_a_name_in_the_body_must_be_that_of_the_url(endpoint: Endpoint) -> None:
    body = json.dumps(pod("b")).encode()
    status = document(endpoint.answer(KubeRequest("PUT", f"{PODS}/a", {}, {"content-type": "application/json"}, body)))
    assert status["message"] == "the name of the object (b) does not match the name on the URL (a)"
