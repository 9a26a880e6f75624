"""The FAQ's own commands, typed through the real kubectl."""

from __future__ import annotations

import re

import pytest
from tests.osscluster.api.served import FAQ_CONFIG_MAP, NODE, Served, running_pod

VOLUME = {
    "apiVersion": "v1",
    "kind": "PersistentVolume",
    "metadata": {"name": "pv-oss"},
    "spec": {
        "capacity": {"storage": "5Gi"},
        "accessModes": ["ReadOnlyMany"],
        "csi": {"driver": "ossplugin.csi.alibabacloud.com", "volumeHandle": "pv-oss"},
    },
}

CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "pvc-oss"},
    "spec": {"accessModes": ["ReadOnlyMany"], "resources": {"requests": {"storage": "5Gi"}}, "volumeName": "pv-oss"},
    "status": {"phase": "Bound", "accessModes": ["ReadOnlyMany"], "capacity": {"storage": "5Gi"}},
}

ATTACHMENT = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "VolumeAttachment",
    "metadata": {"name": "csi-bd463c719189f858c2394608da7feb5af8f181704b77a46bbc219b00112233445"},
    "spec": {
        "attacher": "ossplugin.csi.alibabacloud.com",
        "nodeName": NODE,
        "source": {"persistentVolumeName": "pv-oss"},
    },
    "status": {"attached": True},
}

FUSE_NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ack-csi-fuse"}}
VOLUME_LABEL = {"csi.alibabacloud.com/volume-id": "pv-oss"}


def test_csi_plugin_is_restarted_by_its_name_and_by_its_label(served: Served) -> None:
    served.create(running_pod("csi-plugin-x2x4z", "kube-system", app="csi-plugin"))
    assert served.output("kubectl -n kube-system delete pod csi-plugin-x2x4z") == (
        'pod "csi-plugin-x2x4z" deleted from kube-system namespace\n'
    )
    served.create(running_pod("csi-plugin-abcde", "kube-system", app="csi-plugin"))
    served.create(running_pod("other", "kube-system", app="other"))
    assert '"csi-plugin-abcde" deleted' in served.output("kubectl -n kube-system delete pod -l app=csi-plugin")
    assert [each["metadata"]["name"] for each in served.api.list("Pod")] == ["other"]


def test_the_configuration_of_csi_plugin_is_looked_for(served: Served) -> None:
    done = served.shell("kubectl -n kube-system get cm csi-plugin")
    assert (done.returncode, done.stderr) == (1, 'Error from server (NotFound): configmaps "csi-plugin" not found\n')
    assert served.output("kubectl apply -f -", FAQ_CONFIG_MAP) == "configmap/csi-plugin created\n"
    table = served.output("kubectl -n kube-system get cm csi-plugin").split()
    assert table[:5] == ["NAME", "DATA", "AGE", "csi-plugin", "1"]


def test_the_uid_of_a_pod_is_printed_by_a_go_template(served: Served) -> None:
    served.create(running_pod("oss-static-94849f647-4abcd"))
    command = "kubectl -n default get pod oss-static-94849f647-4abcd -ogo-template --template='{{.metadata.uid}}'"
    assert served.output(command) == served.api.list("Pod")[0]["metadata"]["uid"]


def test_the_log_of_the_console_s_check_is_followed_to_its_end(served: Served) -> None:
    served.create(running_pod("pv-oss-check-7k2xq"))
    assert served.output("kubectl -n default get pod | grep pv-oss-check").startswith("pv-oss-check-7k2xq ")
    lines = "check ossutil\nendpoint: oss-cn-beijing-internal.aliyuncs.com\nbucket: demo\npath: /"
    with served.server.lock:
        served.api.log("default", "pv-oss-check-7k2xq", "app", lines)
    following = served.popen("kubectl -n default logs -f pv-oss-check-7k2xq")
    assert following.stdout is not None
    seen = [following.stdout.readline() for _ in range(4)]
    assert "".join(seen) == lines + "\n"
    with served.server.lock:
        served.api.log("default", "pv-oss-check-7k2xq", "app", "Error: oss: service returned error: StatusCode=403")
        pod = served.api.get("Pod", "pv-oss-check-7k2xq", "default")
        pod["status"]["phase"] = "Failed"
        served.api.update_status(pod)
    rest, _ = following.communicate(timeout=30)
    assert rest == "Error: oss: service returned error: StatusCode=403\n"
    assert following.returncode == 0


@pytest.mark.parametrize("namespace", ["kube-system", "ack-csi-fuse"])
def test_the_fuse_pod_of_a_volume_on_a_node_is_found(served: Served, namespace: str) -> None:
    if namespace == "ack-csi-fuse":
        served.create(FUSE_NAMESPACE)
    served.create(running_pod("csi-fuse-ossfs-x7k2q", namespace, **VOLUME_LABEL))
    served.create(running_pod("csi-fuse-ossfs-other", namespace, node="cn-beijing.192.168.100.4", **VOLUME_LABEL))
    with served.server.lock:
        served.timeline.advance(10 * 86400)
    command = f"kubectl -n {namespace} get pod -lcsi.alibabacloud.com/volume-id=pv-oss -owide | grep {NODE}"
    line = re.sub(r" {2,}", "   ", served.output(command).strip())
    assert line == f"csi-fuse-ossfs-x7k2q   1/1   Running   0   10d   192.168.128.244   {NODE}   <none>   <none>"


def test_the_pods_that_use_a_claim_are_listed_by_describe(served: Served) -> None:
    served.create(VOLUME, CLAIM, running_pod("oss-static-94849f647-4abcd"), running_pod("oss-static-94849f647-6abcd"))
    text = served.output("kubectl -n default describe pvc pvc-oss")
    used = text[text.index("Used By:") :].split("Events:")[0].split()
    assert used == ["Used", "By:", "oss-static-94849f647-4abcd", "oss-static-94849f647-6abcd"]
    assert re.search(r"^Status: +Bound$", text, re.MULTILINE)
    wide = served.output(f"kubectl -n default get pod -owide | grep {NODE}").splitlines()
    assert [line.split()[0] for line in wide] == ["oss-static-94849f647-4abcd", "oss-static-94849f647-6abcd"]


def test_the_attachment_of_a_volume_to_a_node_is_found_and_deleted(served: Served) -> None:
    served.create(VOLUME, ATTACHMENT)
    line = served.output(f"kubectl get volumeattachment | grep pv-oss | grep {NODE}").split()
    assert line[:5] == [ATTACHMENT["metadata"]["name"], "ossplugin.csi.alibabacloud.com", "pv-oss", NODE, "true"]
    served.output(f"kubectl delete volumeattachment {line[0]}")
    assert served.api.list("VolumeAttachment") == []


def test_a_pod_that_stays_terminating_goes_by_force(served: Served) -> None:
    pod = running_pod("stuck")
    pod["spec"]["terminationGracePeriodSeconds"] = 86400
    served.create(pod)
    served.output("kubectl delete pod stuck --wait=false")
    assert served.output("kubectl get pod stuck").split()[5:8] == ["stuck", "1/1", "Terminating"]
    assert 'pod "stuck" force deleted' in served.output("kubectl delete pod stuck --force --grace-period=0")
    assert served.api.list("Pod") == []


def test_an_application_is_scaled_to_zero_and_back(served: Served) -> None:
    served.create(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "oss-static"},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": {"app": "oss"}},
                "template": {
                    "metadata": {"labels": {"app": "oss"}},
                    "spec": {"containers": [{"name": "app", "image": "nginx"}]},
                },
            },
        }
    )
    assert served.output("kubectl -n default scale deployment oss-static --replicas=0") == (
        "deployment.apps/oss-static scaled\n"
    )
    assert served.output("kubectl get deploy oss-static -o jsonpath='{.spec.replicas}'") == "0"
    served.output("kubectl -n default scale deployment oss-static --replicas=2 --current-replicas=0")
    assert served.output("kubectl get deploy oss-static").split()[5:7] == ["oss-static", "0/2"]


def test_a_repeated_event_is_shown_with_its_count_and_time(served: Served) -> None:
    from osscluster.api.objects import ObjectReference

    served.create(running_pod("nginx"))
    message = 'Error: failed to create subPath directory for volumeMount "pvc-oss" of container "nginx"'
    with served.server.lock:
        for _ in range(8):
            about = ObjectReference("Pod", "default", "nginx")
            served.api.event(about, "Warning", "Failed", message, component="kubelet", host=NODE)
            served.timeline.advance(12)
    line = next(each for each in served.output("kubectl get events").splitlines() if "Failed" in each)
    assert re.fullmatch(rf"\S+ +Warning +Failed +pod/nginx +{re.escape(message)}", line)
    assert served.output("kubectl get events -o jsonpath='{.items[0].count}'") == "8"
    described = served.output("kubectl describe pod nginx")
    assert re.search(rf"Warning +Failed +\S+ \(x8 over \S+\) +kubelet +{re.escape(message)}", described)
