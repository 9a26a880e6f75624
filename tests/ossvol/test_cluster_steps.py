"""Steps of scenarios in a cluster: what each verb does there, and what it says when it can't."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from osscluster.engine import kernel_unavailable
from ossvol.result import Result, Status
from ossvol.runner import Runner, RunOptions
from ossvol.scenario import loads

GIVEN = """\
scenario: shop/cluster
title: {en: A, zh: 甲}
versions: {csi: ["1.30.4", "1.28.3"]}
given:
  bucket: {name: demo}
  objects: [{key: a.txt, body: hello, via: ossfs}, {key: old.txt, body: x, storage_class: Archive}]
  cluster: {nodes: [{name: node-1}, {name: node-2}]}
  manifests: |
    apiVersion: v1
    kind: Secret
    metadata: {name: oss-secret}
    stringData: {akId: LTAI5tOssvolExample, akSecret: OssvolExampleSecret}
    ---
    apiVersion: v1
    kind: PersistentVolume
    metadata: {name: pv-oss}
    spec:
      capacity: {storage: 5Gi}
      accessModes: [ReadWriteMany]
      csi:
        driver: ossplugin.csi.alibabacloud.com
        volumeHandle: pv-oss
        nodePublishSecretRef: {name: oss-secret, namespace: default}
        volumeAttributes: {bucket: demo, path: /, url: oss-cn-hangzhou.aliyuncs.com, otherOpts: "-o allow_other"}
    ---
    apiVersion: v1
    kind: PersistentVolumeClaim
    metadata: {name: pvc-oss}
    spec: {accessModes: [ReadWriteMany], resources: {requests: {storage: 5Gi}}}
    ---
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: app}
    spec:
      replicas: 1
      selector: {matchLabels: {app: app}}
      template:
        metadata: {labels: {app: app}}
        spec:
          containers: [{name: main, image: nginx, volumeMounts: [{name: oss, mountPath: /data}]}]
          volumes: [{name: oss, persistentVolumeClaim: {claimName: pvc-oss}}]
when:
"""
RUNS = "  - {wait: 60, expect: {pods: {app: {phase: Running}}}}\n"


def run(*steps: str, via: str = "direct", text: str = "") -> Result:
    body = text or GIVEN + RUNS + "".join(f"  - {step}\n" for step in steps)
    with Runner(RunOptions(via)) as runner:  # type: ignore[arg-type]
        return runner.run(loads(body, "case.yaml"))


def seen(*steps: str) -> tuple[str, str]:
    """Expected and seen of the one failure."""
    result = run(*steps)
    assert result.error == "", result.error
    (failure,) = result.failures
    return failure.expected, failure.seen


def passes(*steps: str) -> None:
    result = run(*steps)
    assert result.status is Status.PASSED, (result.error, [failure.text() for failure in result.failures])


def test_a_refusal_of_the_api_server_is_an_outcome_of_apply() -> None:
    manifest = "{apiVersion: v1, kind: Pod, metadata: {name: Bad_Name}, spec: {}}"
    passes(f"{{apply: [{manifest}], expect: {{refused: 'metadata.name'}}}}")
    expected, said = seen(f"{{apply: [{manifest}]}}")
    assert expected == "success"
    assert "Bad_Name" in said


def test_an_apply_that_should_be_refused_and_is_not_fails() -> None:
    manifest = "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}}"
    expected, said = seen(f"{{apply: [{manifest}], expect: {{refused: immutable}}}}")
    assert "immutable" in expected
    assert said == "success"


def test_waiting_takes_as_long_as_it_needs_and_no_longer() -> None:
    passes("{wait: 600, expect: {pods: {app: {ready: true}}, seconds: '<1'}}")
    expected, said = seen("{wait: 7, expect: {pods: {app: {phase: Failed}}}}")
    assert (expected, said) == ("pod app Failed", "pod app Running")


def test_a_container_that_is_restarted_is_counted() -> None:
    passes("{restart: app/main}", "{wait: 30, expect: {pods: {app: {restarts: 1, ready: true}}}}")
    expected, said = seen("{expect: {pods: {app: {restarts: 1}}}, wait: 1}")
    assert (expected, said) == ("pod app restarts 1", "pod app 0")


def test_scaling_spreads_over_the_nodes_and_takes_away_again() -> None:
    passes(
        "{scale: deployment/app, replicas: 2}",
        "{wait: 60, expect: {resources: [{kind: VolumeAttachment, count: 2}]}}",
        "{scale: deployment/app, replicas: 0}",
        "{wait: 60, expect: {resources: [{kind: VolumeAttachment, count: 0}], pods: {app: {absent: true}}}}",
    )


def test_scaling_what_is_not_there_is_refused() -> None:
    passes("{scale: deployment/shop, replicas: 2, expect: {refused: 'deployments.apps \"shop\" not found'}}")


def test_deleting_by_labels_takes_all_that_carry_them() -> None:
    passes(
        "{scale: deployment/app, replicas: 3}",
        "{wait: 60, expect: {resources: [{kind: Pod, labels: app=app, count: 3}]}}",
        "{delete_resource: deployment/app}",
        "{delete_resource: pod, labels: app=app}",
        "{wait: 60, expect: {resources: [{kind: Pod, labels: app=app, count: 0}]}}",
    )


def test_deleting_what_is_not_there_is_refused() -> None:
    passes("{delete_resource: pod/shop, expect: {refused: 'pods \"shop\" not found'}}")


def test_a_command_on_a_node_shows_output_and_exit_code() -> None:
    passes(
        "{run: 'mount | grep {uid} | grep fuse.ossfs', pod: app, expect: {stdout: type fuse.ossfs, returncode: 0}}",
        "{run: umount /nowhere, node: node-1, expect: {returncode: 32}}",
    )


def test_a_frozen_object_can_be_read_once_it_is_restored() -> None:
    passes(
        "{read: /data/old.txt, as: app, expect: {errno: EREMOTE}}",
        "{restore: old.txt}",
        "{advance: 7200}",
        "{read: /data/old.txt, as: app, expect: {body: x}}",
    )


def test_the_access_log_tells_who_asked() -> None:
    passes(
        "{read: /data/a.txt, as: app, expect: {body: hello}}",
        "{log: {operation: GetObject, object: a.txt, user_agent: aliyun-sdk-http/1.0()/ossfs}, "
        "expect: {records: [{operation: GetObject, object: a.txt, http_status: 206}]}}",
    )


def test_a_pod_that_is_not_there_is_an_outcome_that_names_it() -> None:
    result = run("{read: /data/a.txt, as: shop}")
    text = result.error + "".join(failure.text() for failure in result.failures)
    assert "there is no Pod default/shop" in text


@pytest.mark.parametrize("via", ["direct", "kernel"])
def test_the_reference_s_cluster_example_runs_whole(via: str) -> None:
    missing = kernel_unavailable() if via == "kernel" else None
    if missing is not None:
        pytest.skip(f"{missing.reason}; to fix it: {missing.remedy}")
    document = (Path(__file__).parents[2] / "docs/scenarios.md").read_text(encoding="utf-8")
    (example,) = [
        text for text in re.findall(r"```yaml\n(.*?)```", document, re.DOTALL) if "examples/in-a-cluster" in text
    ]
    result = run(via=via, text=example)
    assert result.status is Status.PASSED, (result.error, [failure.text() for failure in result.failures])
