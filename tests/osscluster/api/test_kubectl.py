"""What else kubectl does with a served API: applying, patching, waiting, watching, and how it is refused."""

from __future__ import annotations

import json
import socket
import ssl
import stat
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from tests.osscluster.api.served import FAQ_VOLUME, NODE, Served, running_pod

from osscluster.api.objects import KubeObject


def test_apply_says_what_it_did(served: Served) -> None:
    assert served.output("kubectl apply -f -", FAQ_VOLUME) == "persistentvolume/oss-pv created\n"
    assert served.output("kubectl apply -f -", FAQ_VOLUME) == "persistentvolume/oss-pv unchanged\n"
    labelled = FAQ_VOLUME.replace("  name: oss-pv\n", "  name: oss-pv\n  labels: {alicloud-pvname: oss-pv}\n", 1)
    assert served.output("kubectl apply -f -", labelled) == "persistentvolume/oss-pv configured\n"
    assert served.output("kubectl apply -f -", FAQ_VOLUME) == "persistentvolume/oss-pv configured\n"
    assert "labels" not in served.api.get("PersistentVolume", "oss-pv")["metadata"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'useSharedPath: "false"',
            "useSharedPath: false",
            'Error from server (BadRequest): error when creating "STDIN": PersistentVolume in version "v1" cannot be '
            "handled as a PersistentVolume: json: cannot unmarshal bool into Go struct field "
            "CSIPersistentVolumeSource.spec.csi.volumeAttributes of type string\n",
        ),
        (
            "volumeMode:",
            "volumemode:",
            'Error from server (BadRequest): error when creating "STDIN": PersistentVolume in version "v1" cannot be '
            'handled as a PersistentVolume: strict decoding error: unknown field "spec.volumemode"\n',
        ),
        (
            "    volumeHandle: oss-pv\n",
            "",
            'The PersistentVolume "oss-pv" is invalid: spec.csi.volumeHandle: Required value\n',
        ),
        (
            "kind: PersistentVolume",
            "kind: PersistantVolume",
            'error: resource mapping not found for name: "oss-pv" namespace: "" from "STDIN": no matches for kind '
            '"PersistantVolume" in version "v1"\nensure CRDs are installed first\n',
        ),
    ],
)
def test_a_mistake_is_refused_as_a_cluster_refuses_it(served: Served, old: str, new: str, message: str) -> None:
    done = served.shell("kubectl apply -f -", FAQ_VOLUME.replace(old, new))
    assert (done.returncode, done.stderr) == (1, message)
    assert served.api.list("PersistentVolume") == []


def test_the_attributes_of_a_volume_cannot_be_changed(served: Served) -> None:
    served.output("kubectl apply -f -", FAQ_VOLUME)
    done = served.shell("kubectl apply -f -", FAQ_VOLUME.replace('"false"', '"true"'))
    assert done.stderr == (
        'The PersistentVolume "oss-pv" is invalid: spec.persistentvolumesource: Forbidden: '
        "spec.persistentvolumesource is immutable after creation\n"
    )


def test_unknown_fields_are_dropped_where_kubectl_only_warns(served: Served) -> None:
    done = served.shell("kubectl apply --validate=warn -f -", FAQ_VOLUME.replace("volumeMode:", "volumemode:"))
    assert done.returncode == 0
    assert done.stderr == 'Warning: unknown field "spec.volumemode"\n'
    assert "volumemode" not in served.api.get("PersistentVolume", "oss-pv")["spec"]


def test_server_side_apply_names_the_manager_it_would_overrule(served: Served) -> None:
    claim = FAQ_VOLUME.replace("  persistentVolumeReclaimPolicy: Delete\n", "")
    assert (
        served.output("kubectl apply --server-side -f -", FAQ_VOLUME) == "persistentvolume/oss-pv serverside-applied\n"
    )
    other = claim + "  persistentVolumeReclaimPolicy: Retain\n"
    done = served.shell("kubectl apply --server-side --field-manager=other -f -", other)
    assert done.returncode == 1
    assert 'conflict with "kubectl" using v1: .spec.persistentVolumeReclaimPolicy' in done.stderr
    served.output("kubectl apply --server-side --field-manager=other --force-conflicts -f -", other)
    assert served.api.get("PersistentVolume", "oss-pv")["spec"]["persistentVolumeReclaimPolicy"] == "Retain"


def test_secrets_namespaces_and_configurations_are_created_from_the_command_line(served: Served) -> None:
    served.output("kubectl create namespace shop")
    command = "kubectl create secret generic oss-secret -n shop --from-literal=akId=LTAI5t --from-literal=akSecret=x/+="
    assert served.output(command) == "secret/oss-secret created\n"
    assert served.output("kubectl get secret oss-secret -n shop -o go-template='{{.data.akSecret|base64decode}}'") == (
        "x/+="
    )
    served.output("kubectl create configmap csi-plugin -n kube-system --from-literal=fuse-ossfs=mime-support=true")
    assert served.api.get("ConfigMap", "csi-plugin", "kube-system")["data"] == {"fuse-ossfs": "mime-support=true"}
    served.output("kubectl create serviceaccount csi-fuse-mine -n shop")
    assert served.output("kubectl get sa -n shop -o name").split() == [
        "serviceaccount/csi-fuse-mine",
        "serviceaccount/default",
    ]


def test_every_kind_has_its_table(served: Served) -> None:
    kinds = "cm,ev,ns,no,pvc,pv,po,secret,sa,ds,deploy,rs,sts,csidriver,sc,volumeattachment"
    served.output("kubectl apply -f -", FAQ_VOLUME)
    served.create(running_pod("web"), *_one_of_each())
    lines = [line.split() for line in served.output(f"kubectl get {kinds} -A -o wide").splitlines() if line]
    headers = [line for line in lines if "NAME" in line]
    assert len(headers) == 15  # no Event
    rows = {line[0].partition("/")[0] if "/" in line[0] else line[1].partition("/")[0] for line in lines}
    assert {"persistentvolume", "pod", "deployment.apps", "storageclass.storage.k8s.io", "node"} <= rows


def _one_of_each() -> list[KubeObject]:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    claim = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "5Gi"}}}
    attachment = {"attacher": "d", "nodeName": "n", "source": {"persistentVolumeName": "oss-pv"}}
    apps = [
        {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "w"}, "spec": spec}
        for kind in ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet")
    ]
    storage = "storage.k8s.io/v1"
    return [
        *apps,
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "p"}, "spec": claim},
        {"apiVersion": storage, "kind": "StorageClass", "metadata": {"name": "oss"}, "provisioner": "p"},
        {"apiVersion": storage, "kind": "CSIDriver", "metadata": {"name": "d"}},
        {"apiVersion": storage, "kind": "VolumeAttachment", "metadata": {"name": "v"}, "spec": attachment},
    ]


def test_patches_of_all_three_forms_arrive(served: Served) -> None:
    served.create(running_pod("web"))
    served.output("""kubectl patch pod web -p '{"spec":{"containers":[{"name":"app","image":"nginx:2"}]}}'""")
    served.output("""kubectl patch pod web --type=merge -p '{"metadata":{"labels":{"a":"b"}}}'""")
    served.output("""kubectl patch pod web --type=json -p '[{"op":"remove","path":"/metadata/labels/a"}]'""")
    served.output("kubectl label pod web tier=front")
    served.output("kubectl annotate pod web note=x")
    pod = served.api.get("Pod", "web", "default")
    assert pod["spec"]["containers"][0]["image"] == "nginx:2"
    assert pod["metadata"]["labels"] == {"tier": "front"}
    assert pod["metadata"]["annotations"] == {"note": "x"}


def test_deletion_waits_until_the_pod_is_really_gone(served: Served) -> None:
    served.create(running_pod("web"))
    served.output("kubectl delete pod web")
    assert served.api.list("Pod") == []


def test_a_node_is_drained(served: Served) -> None:
    served.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}, running_pod("web"))
    text = served.output(f"kubectl drain {NODE} --force --timeout=30s")
    assert text == f"node/{NODE} cordoned\npod/web deleted\nnode/{NODE} drained\n"
    assert served.api.list("Pod") == []


def test_deletion_of_a_claim_in_use_waits_for_its_pod(served: Served) -> None:
    served.create(*(each for each in _one_of_each() if each["kind"] == "PersistentVolumeClaim"))
    pod = running_pod("web")
    pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = "p"
    served.create(pod)
    done = served.shell("kubectl delete pvc p --timeout=1s")
    assert "timed out waiting for the condition" in done.stderr
    assert "Terminating" in served.output("kubectl get pvc p")
    served.output("kubectl delete pod web")
    served.output("kubectl wait --for=delete pvc/p --timeout=20s")


def test_a_wait_ends_when_its_condition_comes(served: Served) -> None:
    pod = running_pod("web")
    ready = pod["status"]["conditions"][0]
    ready["status"] = "False"
    served.create(pod)

    def become_ready() -> None:
        current = served.api.get("Pod", "web", "default")
        current["status"]["conditions"][0]["status"] = "True"
        served.api.update_status(current)

    with served.server.lock:
        served.timeline.call_later(60, become_ready)
    assert served.output("kubectl wait --for=condition=Ready pod/web --timeout=30s") == "pod/web condition met\n"
    assert served.output("kubectl wait --for=jsonpath='{.status.phase}'=Running pod/web") == "pod/web condition met\n"


def test_a_watch_prints_a_line_for_each_change(served: Served) -> None:
    served.create(running_pod("web"))
    watching = served.popen("kubectl get pod -w")
    assert watching.stdout is not None
    assert watching.stdout.readline().split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert watching.stdout.readline().split()[:3] == ["web", "1/1", "Running"]
    with served.server.lock:
        served.api.delete("Pod", "web", "default")
    assert watching.stdout.readline().split()[:3] == ["web", "1/1", "Terminating"]
    watching.terminate()
    watching.communicate(timeout=10)


def test_a_selection_that_cannot_be_made_is_refused(served: Served) -> None:
    done = served.shell("kubectl get pod --field-selector=spec.color=red")
    assert done.returncode == 1
    assert "field label not supported: spec.color" in done.stderr


def test_logs_are_cut_as_asked_and_refused_while_the_container_waits(served: Served) -> None:
    waiting = running_pod("slow")
    waiting["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "ContainerCreating"}}
    served.create(running_pod("web"), waiting)
    with served.server.lock:
        served.api.log("default", "web", "app", "one\ntwo\nthree")
    assert served.output("kubectl logs web --tail=2") == "two\nthree\n"
    assert served.output("kubectl logs web --timestamps --tail=1").startswith("2024-09-03T")
    done = served.shell("kubectl logs slow")
    assert done.stderr == (
        'Error from server (BadRequest): container "app" in pod "slow" is waiting to start: ContainerCreating\n'
    )


def test_fields_are_explained_by_their_types(served: Served) -> None:
    text = served.output("kubectl explain pv.spec.csi")
    assert "volumeAttributes\t<map[string]string>" in text


def test_the_kubeconfig_is_for_its_owner_alone_and_nobody_comes_in_without_its_token(served: Served) -> None:
    path = Path(served.environment["KUBECONFIG"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    document = json.loads(path.read_text(encoding="utf-8"))
    document["users"][0]["user"]["token"] = "wrong"
    path.write_text(json.dumps(document), encoding="utf-8")
    done = served.shell("kubectl get pod")
    assert done.returncode == 1
    assert "Unauthorized" in done.stderr or "logged in" in done.stderr


def test_a_plain_http_client_is_turned_away_and_the_server_goes_on(served: Served) -> None:
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        urllib.request.urlopen(served.server.url.replace("https", "http"), timeout=5)
    assert served.output("kubectl get --raw /readyz") == "ok"


def test_what_a_controller_raises_is_answered_and_kept(served: Served) -> None:
    def broken() -> None:
        raise RuntimeError("a defect")

    with served.server.lock:
        served.timeline.call_later(0, broken)
    assert served.server.failed.wait(10)
    done = served.shell("kubectl get pod")
    assert done.returncode == 1
    assert "the cluster has failed: RuntimeError: a defect" in done.stderr
    error, served.server.error = served.server.error, None
    assert isinstance(error, RuntimeError)


def test_a_server_that_ends_ends_those_who_watch_and_follow(served: Served) -> None:
    served.create(running_pod("web"))
    with served.server.lock:
        served.api.log("default", "web", "app", "one")
    following = served.popen("kubectl logs -f web")
    assert following.stdout is not None
    assert following.stdout.readline() == "one\n"
    served.server.__exit__()
    following.communicate(timeout=30)
    assert [each.name for each in threading.enumerate() if each.name.startswith("kube-")] == []


def test_a_request_that_is_no_http_is_refused_and_the_next_one_is_answered(served: Served) -> None:
    context = ssl._create_unverified_context()
    address = served.server.url.removeprefix("https://").split(":")
    for head in (
        "POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
    ):
        with (
            socket.create_connection((address[0], int(address[1])), timeout=10) as raw,
            context.wrap_socket(raw) as connection,
        ):
            connection.sendall(head.encode())
            assert connection.recv(100).startswith((b"HTTP/1.1 400", b"HTTP/1.1 413"))
    assert served.output("kubectl get --raw /readyz") == "ok"
