"""The API server in memory: what it fills in, refuses, counts and tells."""

from __future__ import annotations

import base64
import copy
import random
from typing import Any

import pytest

from osscluster.api.objects import ApiError, KubeObject, ObjectReference, WatchEvent
from osscluster.api.store import MemoryApi
from osscluster.timeline import Timeline

START = 1_725_350_400.0  # 2024-09-03T08:00:00Z


@pytest.fixture
def line() -> Timeline:
    return Timeline(START)


@pytest.fixture
def api(line: Timeline) -> MemoryApi:
    return MemoryApi(line.now, random.Random(7))


def pod(name: str = "web", **spec: Any) -> KubeObject:
    containers = [{"name": "app", "image": "nginx:1.25"}]
    metadata = {"name": name, "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers, **spec}}


def volume(name: str = "pv-oss", **attributes: Any) -> KubeObject:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "5Gi"},
            "accessModes": ["ReadOnlyMany"],
            "csi": {
                "driver": "ossplugin.csi.alibabacloud.com",
                "volumeHandle": name,
                "volumeAttributes": {"bucket": "demo", "url": "oss-cn-hangzhou.aliyuncs.com", **attributes},
            },
        },
    }


def claim(name: str = "pvc-oss") -> KubeObject:
    spec = {"accessModes": ["ReadOnlyMany"], "resources": {"requests": {"storage": "5Gi"}}, "storageClassName": ""}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def deployment(replicas: int = 2) -> KubeObject:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app", "image": "nginx"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


def refusal(call: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        call()
    return caught.value


# Creating


def test_a_new_object_has_what_the_server_gives(api: MemoryApi) -> None:
    created = api.create(pod())
    metadata = created["metadata"]
    assert metadata["namespace"] == "default"
    assert metadata["creationTimestamp"] == "2024-09-03T08:00:00Z"
    assert len(metadata["uid"]) == 36
    assert metadata["resourceVersion"] == api.resource_version
    assert created["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    spec = created["spec"]
    assert (spec["restartPolicy"], spec["terminationGracePeriodSeconds"], spec["serviceAccountName"]) == (
        "Always",
        30,
        "default",
    )
    assert spec["containers"][0]["imagePullPolicy"] == "IfNotPresent"


def test_the_same_random_source_gives_the_same_ids(line: Timeline) -> None:
    one, two = (MemoryApi(line.now, random.Random(1)).create(pod()) for _ in range(2))
    assert one["metadata"]["uid"] == two["metadata"]["uid"]


def test_a_generated_name_continues_the_prefix(api: MemoryApi) -> None:
    object = pod()
    object["metadata"] = {"generateName": "csi-fuse-ossfs-", "namespace": "kube-system"}
    one, two = (api.create(object)["metadata"]["name"] for _ in range(2))
    assert one != two
    assert all(name.startswith("csi-fuse-ossfs-") and len(name) == 20 for name in (one, two))


def test_text_of_a_secret_is_kept_as_base64(api: MemoryApi) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "oss-secret"}, "stringData": {"akId": "LTAI"}}
    created = api.create(secret)
    assert created["type"] == "Opaque"
    assert "stringData" not in created
    assert base64.b64decode(created["data"]["akId"]) == b"LTAI"


def test_volumes_and_claims_are_protected_by_their_finalizers(api: MemoryApi) -> None:
    assert api.create(volume())["metadata"]["finalizers"] == ["kubernetes.io/pv-protection"]
    assert api.create(claim())["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]


def test_status_in_a_manifest_is_not_taken(api: MemoryApi) -> None:
    assert api.create(volume() | {"status": {"phase": "Bound"}})["status"] == {"phase": "Pending"}


def test_an_existing_name_is_refused(api: MemoryApi) -> None:
    api.create(volume())
    error = refusal(lambda: api.create(volume()))
    assert (error.reason, error.code, str(error)) == (
        "AlreadyExists",
        409,
        'persistentvolumes "pv-oss" already exists',
    )


def test_a_namespace_that_is_not_there_is_named(api: MemoryApi) -> None:
    object = pod()
    object["metadata"]["namespace"] = "nowhere"
    assert str(refusal(lambda: api.create(object))) == 'namespaces "nowhere" not found'


def test_a_missing_service_account_is_what_admission_says_it_is(api: MemoryApi) -> None:
    object = pod(serviceAccountName="csi-fuse-mine")
    error = refusal(lambda: api.create(object))
    assert error.reason == "Forbidden"
    assert str(error) == (
        'pods "web" is forbidden: error looking up service account default/csi-fuse-mine: '
        'serviceaccount "csi-fuse-mine" not found'
    )


def test_an_unquoted_boolean_in_volume_attributes_is_refused_as_go_refuses_it(api: MemoryApi) -> None:
    error = refusal(lambda: api.create(volume(useSharedPath=False)))
    assert error.reason == "BadRequest"
    assert str(error) == (
        'PersistentVolume in version "v1" cannot be handled as a PersistentVolume: json: cannot unmarshal bool into Go '
        "struct field CSIPersistentVolumeSource.spec.csi.volumeAttributes of type string"
    )


def test_a_number_in_the_environment_of_a_template_is_refused_as_go_refuses_it(api: MemoryApi) -> None:
    object = deployment()
    object["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "PORT", "value": 80}]
    assert str(refusal(lambda: api.create(object))) == (
        'Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal number into Go struct '
        "field EnvVar.spec.template.spec.containers.env.value of type string"
    )


def test_fields_that_nobody_knows_are_kept(api: MemoryApi) -> None:
    object = pod()
    object["spec"]["securityContext"] = {"fsgroup": 1000}
    assert api.create(object)["spec"]["securityContext"] == {"fsgroup": 1000}


def test_a_claim_without_a_class_gets_the_default_one(api: MemoryApi) -> None:
    marked = {"storageclass.kubernetes.io/is-default-class": "true"}
    storage_class = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "p"}
    api.create(storage_class | {"metadata": {"name": "oss", "annotations": marked}})
    object = claim()
    del object["spec"]["storageClassName"]
    assert api.create(object)["spec"]["storageClassName"] == "oss"
    assert api.create(claim("empty"))["spec"]["storageClassName"] == ""


# Copies


def test_what_is_handed_out_is_a_copy(api: MemoryApi) -> None:
    given = pod()
    created = api.create(given)
    given["spec"]["containers"][0]["image"] = "changed"
    created["spec"]["containers"][0]["image"] = "changed"
    api.get("Pod", "web", "default")["spec"]["nodeName"] = "n"
    api.list("Pod")[0]["spec"]["nodeName"] = "n"
    kept = api.get("Pod", "web", "default")["spec"]
    assert kept["containers"][0]["image"] == "nginx:1.25"
    assert "nodeName" not in kept


# Updating


def test_an_update_of_an_old_copy_is_a_conflict(api: MemoryApi) -> None:
    old = api.create(pod())
    new = copy.deepcopy(old)
    new["metadata"]["labels"]["tier"] = "front"
    api.update(new)
    error = refusal(lambda: api.update(old))
    assert (error.reason, error.code) == ("Conflict", 409)
    assert str(error) == (
        'Operation cannot be fulfilled on pods "web": the object has been modified; please apply your changes to the '
        "latest version and try again"
    )


def test_an_update_that_changes_nothing_is_none(api: MemoryApi) -> None:
    created = api.create(pod())
    seen: list[WatchEvent] = []
    api.watch(seen.append)
    assert api.update(created)["metadata"]["resourceVersion"] == created["metadata"]["resourceVersion"]
    assert seen == []


def test_update_leaves_status_alone_and_update_status_all_else(api: MemoryApi) -> None:
    object = api.create(pod())
    object["status"]["phase"] = "Running"
    object["metadata"]["labels"] = {"new": "label"}
    updated = api.update(object)
    assert (updated["status"]["phase"], updated["metadata"]["labels"]) == ("Pending", {"new": "label"})
    updated["status"]["phase"] = "Running"
    updated["metadata"]["labels"] = {}
    after = api.update_status(updated)
    assert (after["status"]["phase"], after["metadata"]["labels"]) == ("Running", {"new": "label"})


def test_generation_counts_changes_of_spec_only(api: MemoryApi) -> None:
    object = api.create(deployment())
    assert object["metadata"]["generation"] == 1
    object["metadata"]["annotations"] = {"a": "b"}
    object = api.update(object)
    assert object["metadata"]["generation"] == 1
    object["spec"]["replicas"] = 0
    assert api.update(object)["metadata"]["generation"] == 2


def test_the_source_of_a_volume_cannot_be_changed(api: MemoryApi) -> None:
    object = api.create(volume())
    object["spec"]["csi"]["volumeAttributes"]["otherOpts"] = "-o allow_other"
    error = refusal(lambda: api.update(object))
    assert (error.reason, error.code) == ("Invalid", 422)
    assert str(error) == (
        'PersistentVolume "pv-oss" is invalid: spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is '
        "immutable after creation"
    )
    assert error.causes[0]["field"] == "spec.persistentvolumesource"


def test_a_pod_may_change_its_image_and_get_a_node_but_not_its_volumes(api: MemoryApi) -> None:
    object = api.create(pod())
    object["spec"]["containers"][0]["image"] = "nginx:1.26"
    object["spec"]["nodeName"] = "node-1"
    object = api.update(object)
    object["spec"]["nodeName"] = "node-2"
    assert "spec: Forbidden: pod updates may not change fields other than" in str(refusal(lambda: api.update(object)))


# Deleting


def test_a_pod_without_a_node_goes_at_once(api: MemoryApi) -> None:
    api.create(pod())
    api.delete("Pod", "web", "default")
    assert api.find("Pod", "web", "default") is None


def test_a_pod_on_a_node_has_its_grace_period_until_kubelet_removes_it(api: MemoryApi) -> None:
    api.create(pod(nodeName="node-1"))
    api.delete("Pod", "web", "default")
    metadata = api.get("Pod", "web", "default")["metadata"]
    assert (metadata["deletionGracePeriodSeconds"], metadata["deletionTimestamp"]) == (30, "2024-09-03T08:00:30Z")
    api.delete("Pod", "web", "default", grace_seconds=5)
    assert api.get("Pod", "web", "default")["metadata"]["deletionTimestamp"] == "2024-09-03T08:00:05Z"
    api.remove("Pod", "web", "default")
    api.remove("Pod", "web", "default")
    assert api.find("Pod", "web", "default") is None


def test_a_forced_deletion_does_not_wait_for_kubelet(api: MemoryApi) -> None:
    api.create(pod(nodeName="node-1"))
    api.delete("Pod", "web", "default")
    api.delete("Pod", "web", "default", force=True)
    assert api.find("Pod", "web", "default") is None


def test_a_finalizer_holds_an_object_until_it_is_taken_off(api: MemoryApi) -> None:
    api.create(volume())
    api.delete("PersistentVolume", "pv-oss")
    held = api.get("PersistentVolume", "pv-oss")
    assert held["metadata"]["deletionTimestamp"] == "2024-09-03T08:00:00Z"
    seen: list[str] = []
    api.watch(lambda event: seen.append(event.type))
    held["metadata"]["finalizers"].append("example.com/late")
    assert "no new finalizers can be added if the object is being deleted" in str(refusal(lambda: api.update(held)))
    del held["metadata"]["finalizers"]
    api.update(held)
    assert api.find("PersistentVolume", "pv-oss") is None
    assert seen == ["MODIFIED", "DELETED"]


def test_a_deletion_that_means_another_object_of_that_name_is_a_conflict(api: MemoryApi) -> None:
    api.create(pod())
    assert refusal(lambda: api.delete("Pod", "web", "default", uid="other")).reason == "Conflict"


def test_a_namespace_on_its_way_out_takes_nothing_new(api: MemoryApi) -> None:
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    api.delete("Namespace", "shop")
    assert api.get("Namespace", "shop")["status"]["phase"] == "Terminating"
    object = pod()
    object["metadata"]["namespace"] = "shop"
    assert "because it is being terminated" in str(refusal(lambda: api.create(object)))


# Selecting


def test_lists_are_selected_by_labels_and_fields(api: MemoryApi) -> None:
    for name, node in (("a", "n1"), ("b", "n2"), ("c", "n1")):
        api.create(pod(name, nodeName=node))

    def names(**selectors: str) -> list[str]:
        return [each["metadata"]["name"] for each in api.list("Pod", **selectors)]

    assert names() == ["a", "b", "c"]
    assert names(labels="app in (a, b),app!=b") == ["a"]
    assert names(labels="!app") == []
    assert names(fields="spec.nodeName=n1,metadata.name!=c") == ["a"]
    assert names(fields="status.phase=Pending", labels="app notin (a)") == ["b", "c"]


def test_a_field_that_cannot_be_selected_by_is_named(api: MemoryApi) -> None:
    error = refusal(lambda: api.list("Pod", fields="spec.color=red"))
    assert (error.reason, str(error)) == ("BadRequest", "field label not supported: spec.color")


# Watching


def test_who_watches_learns_every_change_in_order_until_it_ends(api: MemoryApi) -> None:
    seen: list[tuple[str, str]] = []
    stop = api.watch(lambda event: seen.append((event.type, event.object["metadata"]["resourceVersion"])))
    object = api.create(pod())
    object["metadata"]["labels"]["x"] = "y"
    api.update(object)
    api.delete("Pod", "web", "default")
    stop()
    api.create(pod())
    assert [kind for kind, _ in seen] == ["ADDED", "MODIFIED", "DELETED"]
    versions = [int(version) for _, version in seen]
    assert versions == sorted(set(versions))


# Events

ABOUT = ObjectReference("Pod", "default", "web")


def tell(api: MemoryApi, message: str, reason: str = "Failed") -> None:
    api.event(ABOUT, "Warning", reason, message, component="kubelet", host="node-1")


def test_a_repeated_event_is_counted_over_its_time(api: MemoryApi, line: Timeline) -> None:
    api.create(pod())
    for _ in range(8):
        tell(api, "Error: failed to create subPath directory")
        line.advance(97 / 7)
    (event,) = api.list("Event")
    assert event["count"] == 8
    assert (event["firstTimestamp"], event["lastTimestamp"]) == ("2024-09-03T08:00:00Z", "2024-09-03T08:01:37Z")
    assert event["involvedObject"]["uid"] == api.get("Pod", "web", "default")["metadata"]["uid"]
    assert event["source"] == {"component": "kubelet", "host": "node-1"}


def test_ten_messages_that_differ_become_one_event(api: MemoryApi) -> None:
    for number in range(12):
        tell(api, f"request {number} failed")
    events = api.list("Event")
    combined = [event for event in events if event["message"].startswith("(combined from similar events): ")]
    assert len(events) == 10
    assert [event["count"] for event in combined] == [3]


def test_a_source_that_tells_too_much_is_held_back_and_its_count_goes_on(api: MemoryApi, line: Timeline) -> None:
    for _ in range(40):
        tell(api, "again")
    assert [event["count"] for event in api.list("Event")] == [25]
    line.advance(301)
    tell(api, "again")
    assert [event["count"] for event in api.list("Event")] == [41]


def test_a_pod_of_the_same_name_has_events_of_its_own(api: MemoryApi) -> None:
    for _ in range(2):
        api.create(pod())
        tell(api, "the same")
        api.delete("Pod", "web", "default")
    assert [event["count"] for event in api.list("Event")] == [1, 1]


# Logs


def test_logs_are_kept_by_container_as_long_as_the_pod_is_there(api: MemoryApi) -> None:
    api.create(pod())
    api.log("default", "web", "app", "one\ntwo\n")
    assert [line.text for line in api.logs.of("default", "web", "app")] == ["one", "two"]
    api.delete("Pod", "web", "default")
    assert api.logs.of("default", "web", "app") == ()


# Applying and patching


def test_apply_creates_configures_and_leaves_alone(api: MemoryApi) -> None:
    assert api.apply(deployment())[1] == "created"
    assert api.apply(deployment())[1] == "unchanged"
    updated, outcome = api.apply(deployment(replicas=0))
    assert (outcome, updated["spec"]["replicas"]) == ("configured", 0)


def test_apply_takes_away_what_it_had_applied_and_keeps_what_others_set(api: MemoryApi) -> None:
    first = deployment()
    first["metadata"]["labels"] = {"mine": "1", "gone": "1"}
    object, _ = api.apply(first)
    object["metadata"]["labels"]["theirs"] = "1"
    object["spec"]["template"]["spec"]["containers"].append({"name": "sidecar", "image": "x"})
    api.update(object)
    second = deployment()
    second["metadata"]["labels"] = {"mine": "2"}
    object, _ = api.apply(second)
    assert object["metadata"]["labels"] == {"mine": "2", "theirs": "1"}
    assert [each["name"] for each in object["spec"]["template"]["spec"]["containers"]] == ["app", "sidecar"]


def test_apply_refuses_to_change_a_volume_and_changes_nothing(api: MemoryApi) -> None:
    api.apply(volume())
    before = api.get("PersistentVolume", "pv-oss")
    assert refusal(lambda: api.apply(volume(useSharedPath="false"))).reason == "Invalid"
    assert api.get("PersistentVolume", "pv-oss") == before


def test_a_strategic_patch_merges_lists_by_their_key(api: MemoryApi) -> None:
    api.create(deployment())
    containers = [{"name": "app", "env": [{"name": "A", "value": "1"}]}, {"name": "two", "image": "y"}]
    api.patch("Deployment", "web", {"spec": {"template": {"spec": {"containers": containers}}}}, "default")
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "two", "$patch": "delete"}]}}}}
    object = api.patch("Deployment", "web", patch, "default")
    (container,) = object["spec"]["template"]["spec"]["containers"]
    assert (container["image"], container["env"]) == ("nginx", [{"name": "A", "value": "1"}])


def test_a_merge_patch_replaces_lists_and_null_removes(api: MemoryApi) -> None:
    api.create(pod())
    patch = {"metadata": {"labels": {"app": None, "new": "1"}, "finalizers": ["example.com/hold"]}}
    object = api.patch("Pod", "web", patch, "default", type="merge")
    assert object["metadata"]["labels"] == {"new": "1"}
    patch = {"metadata": {"finalizers": None}}
    assert "finalizers" not in api.patch("Pod", "web", patch, "default", type="merge")["metadata"]


def test_a_json_patch_does_its_operations_or_none(api: MemoryApi) -> None:
    api.create(pod())
    add = {"op": "add", "path": "/metadata/labels/a~1b", "value": "1"}
    object = api.patch("Pod", "web", [add], "default", type="json")
    assert object["metadata"]["labels"]["a/b"] == "1"
    bad = [{"op": "remove", "path": "/metadata/labels/app"}, {"op": "remove", "path": "/metadata/labels/none"}]
    assert refusal(lambda: api.patch("Pod", "web", bad, "default", type="json")).reason == "BadRequest"
    assert api.get("Pod", "web", "default") == object


def test_fields_of_another_manager_are_disputed_unless_forced(api: MemoryApi) -> None:
    api.apply_fields(deployment(2), manager="kubectl")
    error = refusal(lambda: api.apply_fields(deployment(3), manager="other"))
    assert str(error) == 'Apply failed with 1 conflict: conflict with "kubectl" using apps/v1: .spec.replicas'
    object, created = api.apply_fields(deployment(3), manager="other", force=True)
    assert (object["spec"]["replicas"], created) == (3, False)


def test_a_dry_run_leaves_no_trace(api: MemoryApi) -> None:
    version = api.resource_version
    assert api.create(pod(), dry_run=True)["metadata"]["uid"]
    assert api.find("Pod", "web", "default") is None
    assert api.resource_version == version
