"""`ossvol cluster` and `ossvol kubectl`: a cluster in a process of its own, the real kubectl, nothing left behind."""

from __future__ import annotations

import json
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from osscluster.engine import kernel_unavailable
from ossvol.cluster_command import exec_kubectl
from ossvol.errors import UsageError

pytestmark = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl is not there; fix: pip install 'ossvol[kubectl]'"
)

APPLICATION = """\
apiVersion: v1
kind: Secret
metadata: {name: oss-secret}
stringData: {akId: LTAI5tUser, akSecret: its-secret}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: pv-oss}
spec:
  capacity: {storage: 5Gi}
  accessModes: [ReadWriteMany]
  storageClassName: ""
  csi:
    driver: ossplugin.csi.alibabacloud.com
    volumeHandle: pv-oss
    nodePublishSecretRef: {name: oss-secret, namespace: default}
    volumeAttributes: {bucket: demo, url: oss-cn-hangzhou.aliyuncs.com, otherOpts: "-o allow_other"}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: pvc-oss}
spec: {accessModes: [ReadWriteMany], resources: {requests: {storage: 5Gi}}, storageClassName: "", volumeName: pv-oss}
---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: app, image: nginx, volumeMounts: [{name: oss, mountPath: /data}]}
  volumes: [{name: oss, persistentVolumeClaim: {claimName: pvc-oss}}]
"""


NAMES = (
    "kubeconfig",
    "server",
    "kubernetes",
    "csi",
    "nodes",
    "via",
    "endpoint",
    "access_key_id",
    "access_key_secret",
    "pid",
)


def ossvol(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "ossvol", *arguments]


def refused(*arguments: str) -> str:
    done = subprocess.run(ossvol("cluster", *arguments), capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr


@contextmanager
def running(*arguments: str, via: str = "direct") -> Iterator[tuple[dict[str, Any], subprocess.Popen[str]]]:
    """A cluster twenty times as fast as life."""
    command = ossvol("cluster", "--via", via, "--factor", "20", "--json", *arguments)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline()), process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def kubectl(facts: dict[str, Any], *arguments: str) -> str:
    command = ossvol("kubectl", "--kubeconfig", facts["kubeconfig"], *arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.mark.parametrize(
    ("via", "number"),
    [("direct", signal.SIGINT), pytest.param("kernel", signal.SIGTERM, marks=pytest.mark.kernel)],
)
def test_a_pod_of_a_manifest_runs_kubectl_sees_it_and_a_signal_ends_all(
    tmp_path: Path, via: str, number: signal.Signals
) -> None:
    missing = kernel_unavailable() if via == "kernel" else None
    if missing is not None:
        pytest.skip(f"{missing.reason}; fix: {missing.remedy}")
    file = tmp_path / "app.yaml"
    file.write_text(APPLICATION, encoding="utf-8")
    with running("--nodes", "2", "-f", str(file), via=via) as (facts, process):
        assert tuple(facts) == NAMES
        assert (facts["nodes"], facts["via"], facts["pid"]) == (["node-1", "node-2"], via, process.pid)
        kubeconfig = Path(facts["kubeconfig"])
        assert stat.S_IMODE(kubeconfig.stat().st_mode) == 0o600
        kubectl(facts, "wait", "--for=condition=Ready", "pod/web", "--timeout=30s")
        assert kubectl(facts, "get", "pvc", "pvc-oss", "-o", "jsonpath={.status.phase}") == "Bound"
        # The age of an event is reckoned by kubectl: the cluster's time began where its clock is.
        assert " Scheduled " in kubectl(facts, "describe", "pod", "web")
        process.send_signal(number)
        assert process.wait(60) == 0
        assert not kubeconfig.parent.exists()
        assert facts["kubeconfig"].removesuffix("/kubeconfig") not in Path("/proc/mounts").read_text(encoding="utf-8")


def test_a_manifest_that_is_wrong_starts_nothing(tmp_path: Path) -> None:
    file = tmp_path / "app.yaml"
    file.write_text(APPLICATION.replace("bucket: demo", "bucket: 5"), encoding="utf-8")
    assert refused("-f", str(file)).startswith(f"{file}:17:32: K120 ")
    assert refused("-f", str(tmp_path / "none.yaml")).startswith("ossvol: cannot read the manifests: ")


def test_what_the_cluster_refuses_is_named_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "app.yaml"
    file.write_text(APPLICATION.replace("{name: web}", "{name: web, namespace: shop}"), encoding="utf-8")
    assert refused("--via", "direct", "-f", str(file)) == f'ossvol: {file}:24: namespaces "shop" not found\n'


def test_a_version_that_is_not_modelled_is_refused() -> None:
    assert "0.9.9" in refused("--via", "direct", "--csi", "0.9.9")
    assert "1.5" in refused("--via", "direct", "--kubernetes", "1.5")


def test_kubectl_is_told_which_cluster_when_it_cannot_know(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    runs = [tmp_path / "run-1", tmp_path / "run-2", tmp_path / "run-3"]
    monkeypatch.setattr("osscluster.leftovers.living_runs", lambda base: runs)
    with pytest.raises(UsageError, match="no cluster runs: start one with ossvol cluster"):
        exec_kubectl(["get", "pod"])
    for run in runs[:2]:
        run.mkdir()
        (run / "kubeconfig").touch()
    with pytest.raises(UsageError, match=rf"2 clusters run; say which:\n  ossvol kubectl --kubeconfig {runs[0]}"):
        exec_kubectl(["get", "pod"])


def test_the_exit_code_of_kubectl_is_the_command_s(tmp_path: Path) -> None:
    config = tmp_path / "kubeconfig"
    config.write_text("{}", encoding="utf-8")
    done = subprocess.run(ossvol("kubectl", "--kubeconfig", str(config), "get"), capture_output=True, check=False)
    assert done.returncode == 1
    assert b"You must specify the type of resource to get" in done.stderr
