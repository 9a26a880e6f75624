"""What the API server refuses in an object, word by word."""

from __future__ import annotations

import random
from typing import Any

import pytest

from osscluster.api.objects import ApiError, KubeObject
from osscluster.api.store import MemoryApi


@pytest.fixture
def api() -> MemoryApi:
    return MemoryApi(lambda: 0.0, random.Random(1))


def refused(api: MemoryApi, object: KubeObject) -> str:
    with pytest.raises(ApiError) as caught:
        api.create(object)
    return str(caught.value)


def volume(**spec: Any) -> KubeObject:
    csi = {"driver": "ossplugin.csi.alibabacloud.com", "volumeHandle": "pv"}
    body = {"capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteMany"], "csi": csi, **spec}
    body = {key: value for key, value in body.items() if value is not ...}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv"}, "spec": body}


def claim(**spec: Any) -> KubeObject:
    body = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "5Gi"}}, **spec}
    body = {key: value for key, value in body.items() if value is not ...}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"}, "spec": body}


def pod(container: dict[str, Any] | None = None, **spec: Any) -> KubeObject:
    containers = [{"name": "app", "image": "nginx", **(container or {})}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": containers, **spec}}


MODES = '"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"'
DATA = [{"name": "data", "persistentVolumeClaim": {"claimName": "pvc-oss"}}]


def mount(**fields: Any) -> dict[str, Any]:
    return {"volumeMounts": [{"name": "data", "mountPath": "/data", **fields}]}


@pytest.mark.parametrize(
    ("object", "text"),
    [
        (volume(capacity=...), "spec.capacity: Required value"),
        (volume(accessModes=...), "spec.accessModes: Required value"),
        (volume(accessModes=["RWX"]), f'spec.accessModes: Unsupported value: "RWX": supported values: {MODES}'),
        (volume(csi=...), "spec: Required value: must specify a volume type"),
        (volume(hostPath={"path": "/x"}), "spec.hostPath: Forbidden: may not specify more than 1 volume type"),
        (volume(csi={"driver": "d"}), "spec.csi.volumeHandle: Required value"),
        (volume(csi={"volumeHandle": "h"}), "spec.csi.driver: Required value"),
        (
            volume(csi={"driver": "d", "volumeHandle": "h", "nodePublishSecretRef": {"name": "s"}}),
            "spec.csi.nodePublishSecretRef.namespace: Required value",
        ),
        (
            volume(persistentVolumeReclaimPolicy="Keep"),
            'spec.persistentVolumeReclaimPolicy: Unsupported value: "Keep": supported values: "Delete", "Recycle", '
            '"Retain"',
        ),
        (volume(capacity={"storage": "0"}), 'spec.capacity[storage]: Invalid value: "0": must be greater than zero'),
        (claim(accessModes=...), "spec.accessModes: Required value: at least 1 access mode is required"),
        (claim(resources=...), "spec.resources[storage]: Required value"),
        (pod(mount(), volumes=[]), 'spec.containers[0].volumeMounts[0].name: Not found: "data"'),
        (
            pod(mount(subPath="/abs"), volumes=DATA),
            'spec.containers[0].volumeMounts[0].subPath: Invalid value: "/abs": must be a relative path',
        ),
        (
            pod(mount(subPathExpr="a/../b"), volumes=DATA),
            "spec.containers[0].volumeMounts[0].subPathExpr: Invalid value: \"a/../b\": must not contain '..'",
        ),
        (
            pod(mount(mountPropagation="Bidirectional"), volumes=DATA),
            "spec.containers[0].volumeMounts[0].mountPropagation: Forbidden: Bidirectional mount propagation is "
            "available only to privileged containers",
        ),
        (
            pod(securityContext={"fsGroupChangePolicy": "OnMismatch"}),
            'spec.securityContext.fsGroupChangePolicy: Unsupported value: "OnMismatch": supported values: "Always", '
            '"OnRootMismatch"',
        ),
        (
            pod(securityContext={"runAsUser": -1}),
            "spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
        ),
        (pod({"image": ""}), "spec.containers[0].image: Required value"),
        (pod(containers=[]), "spec.containers: Required value"),
        (pod(volumes=DATA + DATA), 'spec.volumes[1].name: Duplicate value: "data"'),
    ],
)
def test_it_is_refused_in_the_words_of_the_api_server(api: MemoryApi, object: KubeObject, text: str) -> None:
    name = object["metadata"]["name"]
    assert refused(api, object) == f'{object["kind"]} "{name}" is invalid: {text}'


def test_every_mistake_is_named_at_once(api: MemoryApi) -> None:
    text = refused(api, volume(capacity=..., accessModes=...))
    assert text == (
        'PersistentVolume "pv" is invalid: [spec.accessModes: Required value, spec.capacity: Required value]'
    )


def test_a_name_with_capitals_is_refused(api: MemoryApi) -> None:
    object = volume()
    object["metadata"]["name"] = "OSS_pv"
    assert refused(api, object).startswith(
        'PersistentVolume "OSS_pv" is invalid: metadata.name: Invalid value: "OSS_pv": a lowercase RFC 1123 subdomain '
        "must consist of lower case alphanumeric characters, '-' or '.'"
    )


def test_an_object_without_a_name_is_refused(api: MemoryApi) -> None:
    object = volume()
    object["metadata"] = {}
    assert "metadata.name: Required value: name or generateName is required" in refused(api, object)


def test_a_volume_id_that_is_no_label_value_is_refused(api: MemoryApi) -> None:
    object = pod()
    object["metadata"]["labels"] = {"csi.alibabacloud.com/volume-id": "x" * 64}
    assert "must be no more than 63 characters" in refused(api, object)


@pytest.mark.parametrize("text", ["5GB", "five", "5 Gi", ""])
def test_what_is_no_quantity_is_refused(api: MemoryApi, text: str) -> None:
    assert refused(api, volume(capacity={"storage": text})) == (
        'PersistentVolume in version "v1" cannot be handled as a PersistentVolume: quantities must match the regular '
        "expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    )


def test_a_number_is_a_quantity(api: MemoryApi) -> None:
    assert api.create(volume(capacity={"storage": 1024}))["spec"]["capacity"] == {"storage": "1024"}


@pytest.mark.parametrize(("text", "byte"), [("LTAI!", 4), ("abc", 0), ("YWJj\nZGVm", None)])
def test_secret_data_that_is_not_base64_is_refused_at_its_byte(api: MemoryApi, text: str, byte: int | None) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"akId": text}}
    if byte is None:
        api.create(secret)
        return
    assert refused(api, secret) == (
        f'Secret in version "v1" cannot be handled as a Secret: illegal base64 data at input byte {byte}'
    )


def workload(labels: dict[str, str], selector: Any = None, **spec: Any) -> KubeObject:
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "i"}], **spec}}
    body: dict[str, Any] = {"template": template}
    if selector is not None:
        body["selector"] = selector
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": body}


@pytest.mark.parametrize(
    ("object", "text"),
    [
        (workload({"app": "a"}), "spec.selector: Required value"),
        (
            workload({"app": "a"}, {"matchLabels": {"app": "b"}}),
            'spec.template.metadata.labels: Invalid value: {"app":"a"}: `selector` does not match template `labels`',
        ),
        (
            workload({"app": "a"}, {"matchLabels": {"app": "a"}}, restartPolicy="Never"),
            'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
        ),
    ],
)
def test_a_deployment_is_refused_in_the_words_of_the_api_server(api: MemoryApi, object: KubeObject, text: str) -> None:
    assert refused(api, object) == f'Deployment.apps "d" is invalid: {text}'


def test_a_kind_that_is_not_there_is_never_guessed(api: MemoryApi) -> None:
    text = refused(api, {"apiVersion": "extensions/v1beta1", "kind": "Deployment", "metadata": {"name": "x"}})
    assert text == 'no matches for kind "Deployment" in version "extensions/v1beta1"'
