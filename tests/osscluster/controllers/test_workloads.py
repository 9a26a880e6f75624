"""Deployments, StatefulSets, DaemonSets and the scheduler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.osscluster.clusterlab import ClusterLab, claim, named, pod, volume, workload

Lab = Callable[..., ClusterLab]


def pods(one: ClusterLab, app: str = "app") -> list[Any]:
    return list(one.api.list("Pod", "default", labels=f"app={app}"))


def ready(one: ClusterLab, name: str = "app") -> int:
    return int(one.api.get("Deployment", name, "default")["status"].get("readyReplicas", 0))


def scaled(one: ClusterLab) -> list[str]:
    """What the Deployment's events say, without the names of its ReplicaSets."""
    return [
        " ".join(
            word for word in text.removeprefix("Scaled ").split() if not word.startswith(("replica", "set", "app-"))
        )
        for _, text, _ in one.told("app", "ScalingReplicaSet")
    ]


def change(one: ClusterLab) -> None:
    template = {"spec": {"containers": [{"name": "main", "env": [{"name": "N", "value": "2"}]}]}}
    one.api.patch("Deployment", "app", {"spec": {"template": template}}, "default")
    one.cluster.timeline.settle()


def test_a_rolling_update_keeps_the_old_pod_until_the_new_one_is_ready(lab: Lab) -> None:
    """And so a shared mount outlives it: the new Pod is served by the ossfs of the old one."""
    one = lab()
    one.run(volume(), claim(), workload("Deployment", "app", 1, pod()))
    before = one.host().ossfs_at(one.target(pods(one)[0]["metadata"]["name"]))
    (old,) = pods(one)
    change(one)
    assert one.wait(lambda: len(pods(one)) == 1 and ready(one) == 1, 120)
    (new,) = pods(one)
    assert new["metadata"]["name"] != old["metadata"]["name"]
    assert one.host().ossfs_at(one.target(new["metadata"]["name"])) is before
    assert scaled(one) == ["up to 1", "up to 1", "down to 0 from 1"]


def test_recreate_waits_until_the_old_pods_are_gone(lab: Lab) -> None:
    one = lab()
    one.run(volume(), claim(), workload("Deployment", "app", 2, pod(), strategy={"type": "Recreate"}))
    assert one.wait(lambda: ready(one) == 2, 60)
    before = {p["metadata"]["name"] for p in pods(one)}
    change(one)
    assert one.wait(lambda: ready(one) == 2 and not before & {p["metadata"]["name"] for p in pods(one)}, 120)
    assert scaled(one) == ["up to 2", "down to 0 from 2", "up to 2"]


def test_a_rolling_update_that_never_gets_ready_keeps_what_works(lab: Lab) -> None:
    one = lab()
    one.run(volume(), claim(), workload("Deployment", "app", 4, pod()))
    assert one.wait(lambda: ready(one) == 4, 60)
    one.api.patch("Deployment", "app", {"spec": {"template": {"spec": {"nodeSelector": {"disk": "none"}}}}}, "default")
    one.advance(120)
    # A quarter may be missing, a quarter may be too many.
    assert ready(one) == 3
    assert len(pods(one)) == 5


def test_a_pod_that_is_deleted_is_replaced_and_the_one_without_a_node_goes_first(lab: Lab) -> None:
    one = lab()
    one.run(volume(), claim(), workload("Deployment", "app", 2, pod()))
    gone = pods(one)[0]["metadata"]["name"]
    one.cluster.delete("Pod", gone)
    assert one.wait(lambda: ready(one) == 2 and len(pods(one)) == 2, 60)
    one.api.patch("Node", "node-1", {"spec": {"unschedulable": True}})
    one.api.patch("Deployment", "app", {"spec": {"replicas": 4}}, "default")
    one.advance(5)
    waiting = {p["metadata"]["name"] for p in pods(one) if not p["spec"].get("nodeName")}
    assert len(waiting) == 2
    text = "0/1 nodes are available: 1 node(s) were unschedulable."
    assert one.told(waiting.copy().pop(), "FailedScheduling")[0][1] == text
    one.api.patch("Deployment", "app", {"spec": {"replicas": 2}}, "default")
    one.advance(5)
    assert not waiting & {p["metadata"]["name"] for p in pods(one)}
    assert ready(one) == 2


def test_a_node_selector_decides_and_each_refusal_is_counted(lab: Lab) -> None:
    one = lab(nodes=3)
    one.api.patch("Node", "node-2", {"spec": {"unschedulable": True}, "metadata": {"labels": {"disk": "oss"}}})
    one.apply(volume(), claim(), pod(nodeSelector={"disk": "oss"}))
    one.advance(1)
    assert one.told(reason="FailedScheduling")[0][1] == (
        "0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) didn't match Pod's node affinity/selector."
    )
    one.api.patch("Node", "node-2", {"spec": {"unschedulable": None}})
    assert one.wait(lambda: one.phase() == "Running", 60)
    assert one.api.get("Pod", "app", "default")["spec"]["nodeName"] == "node-2"


def test_a_daemon_set_has_a_pod_on_each_node(lab: Lab) -> None:
    one = lab(nodes=3)
    template = named("Pod", "x", spec={"containers": [{"name": "main", "image": "nginx"}]})
    daemon = workload("DaemonSet", "agent", 1, template)
    del daemon["spec"]["replicas"]
    one.apply(daemon)
    one.advance(5)
    assert sorted(p["spec"]["nodeName"] for p in pods(one, "agent")) == ["node-1", "node-2", "node-3"]
    one.cluster.delete("DaemonSet", "agent")
    one.advance(60)
    assert not pods(one, "agent")


def test_a_claim_of_a_pod_without_a_node_may_go(lab: Lab) -> None:
    one = lab()
    one.apply(volume(), claim(), pod(nodeSelector={"disk": "none"}))
    one.cluster.delete("PersistentVolumeClaim", "pvc-oss")
    one.advance(1)
    assert one.api.find("PersistentVolumeClaim", "pvc-oss", "default") is None
