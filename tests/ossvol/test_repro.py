"""`ossvol repro`: a user's own manifests in, what he would see out."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

MANIFESTS = """\
apiVersion: v1
kind: Secret
metadata: {name: oss-secret, namespace: default}
stringData: {akId: LTAI5tCustomer, akSecret: customersecret}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: pv-oss, labels: {alicloud-pvname: pv-oss}}
spec:
  capacity: {storage: 5Gi}
  accessModes: [ReadWriteMany]
  csi:
    driver: ossplugin.csi.alibabacloud.com
    volumeHandle: pv-oss
    nodePublishSecretRef: {name: oss-secret, namespace: default}
    volumeAttributes: {bucket: reports, url: oss-cn-hangzhou.aliyuncs.com, otherOpts: "-o allow_other", path: /data}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: pvc-oss}
spec:
  accessModes: [ReadWriteMany]
  resources: {requests: {storage: 5Gi}}
  selector: {matchLabels: {alicloud-pvname: pv-oss}}
---
apiVersion: v1
kind: Pod
metadata: {name: reader}
spec:
  securityContext: {runAsUser: 1000, runAsGroup: 1000}
  containers:
    - name: main
      image: nginx
      volumeMounts: [{name: oss, mountPath: /data}]
  volumes: [{name: oss, persistentVolumeClaim: {claimName: pvc-oss}}]
"""
GIVEN = "objects: [{key: data/a.csv, body: 'a,b', via: ossutil}]\n"


def repro(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ossvol", "repro", *map(str, arguments), "--via", "direct"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    manifests, given = tmp_path / "app.yaml", tmp_path / "given.yaml"
    manifests.write_text(MANIFESTS, encoding="utf-8")
    given.write_text(GIVEN, encoding="utf-8")
    return manifests, given


def test_what_a_container_cannot_do_is_shown_with_its_errno_and_the_requests_behind_it(
    files: tuple[Path, Path],
) -> None:
    done = repro(files[0], "--given", files[1])
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert any(line.split() == ["default/reader", "Running"] for line in lines)
    assert any(line.split() == ["read", "/data/a.csv", "EACCES"] for line in lines)
    assert any(line.split() == ["write", "/data/.ossvol-repro", "yes"] for line in lines)
    assert any("type fuse.ossfs (rw,relatime" in line for line in lines)
    assert "HeadObject data/a.csv -> 200" in done.stdout


def test_a_remedy_shows_at_once(files: tuple[Path, Path]) -> None:
    text = files[0].read_text(encoding="utf-8").replace("-o allow_other", "-o allow_other -o umask=000")
    files[0].write_text(text, encoding="utf-8")
    done = repro(files[0], "--given", files[1], "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert report["version"] == 1
    assert report["well"] is True
    assert [attempt["errno"] for attempt in report["containers"][0]["attempts"]] == ["", "", ""]


def test_a_mount_that_fails_comes_with_its_event_and_the_log_of_the_fuse_pod(files: tuple[Path, Path]) -> None:
    done = repro(files[0], "--csi", "1.28.3", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert report["pods"]["default/reader"].startswith("Pending ContainerCreating")
    assert any("FailedMount" in event and "timed out waiting" in event for event in report["events"])
    assert any("does not exist" in text for text in report["logs"].values())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("volumeHandle: pv-oss", "volumeHandle: [x]"), "app.yaml:14:19: K120"),
        (("bucket: reports, ", ""), "names a bucket"),
    ],
)
def test_manifests_that_are_wrong_are_refused_at_their_place(
    files: tuple[Path, Path], change: tuple[str, str], said: str
) -> None:
    files[0].write_text(MANIFESTS.replace(*change), encoding="utf-8")
    done = repro(files[0])
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert done.stdout == ""


def test_manifests_that_are_no_text_are_a_usage_error(files: tuple[Path, Path]) -> None:
    files[0].write_bytes(b"\xff\xfe")
    done = repro(files[0])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("ossvol: cannot read the manifests: ")


def test_a_description_that_is_wrong_is_refused_with_what_was_meant(files: tuple[Path, Path]) -> None:
    files[1].write_text("objcts: []\n", encoding="utf-8")
    done = repro(files[0], "--given", files[1])
    assert done.returncode == 2
    assert 'unknown key "objcts"; did you mean "objects"?' in done.stderr


def test_the_bucket_may_be_described_by_a_list_of_objects_alone(files: tuple[Path, Path]) -> None:
    files[1].write_text("- {key: data/b.csv, size: 3, via: console}\n", encoding="utf-8")
    report = json.loads(repro(files[0], "--given", files[1], "--json").stdout)
    assert report["containers"][0]["entries"] == ["b.csv"]
    files[1].write_text("- {key: data/b.csv, sise: 3}\n", encoding="utf-8")
    done = repro(files[0], "--given", files[1])
    assert (done.returncode, 'unknown key "sise"; did you mean "size"?' in done.stderr) == (2, True), done.stderr


def test_the_bucket_may_be_a_snapshot_with_the_key_that_the_manifests_name(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    from osscloud.clock import VirtualClock
    from osscloud.service import OssService
    from ossvol.keeping import save_file

    service = OssService(clock=VirtualClock(), rng=random.Random(1))
    service.admin.create_bucket("reports")
    service.admin.put("reports", "data/c.csv", b"c")
    service.accounts.create_key(id="LTAI5tCustomer", secret="customersecret")
    saved = tmp_path / "cloud.snapshot"
    save_file(service, saved)
    done = repro(files[0], "--snapshot", saved, "--json")
    assert json.loads(done.stdout)["containers"][0]["entries"] == ["c.csv"], done.stderr
    saved.write_bytes(saved.read_bytes()[:100])
    damaged = repro(files[0], "--snapshot", saved)
    assert (damaged.returncode, str(saved) in damaged.stderr) == (2, True), damaged.stderr


def test_unknown_releases_and_missing_files_are_said(files: tuple[Path, Path], tmp_path: Path) -> None:
    assert repro(files[0], "--csi", "9.9").returncode == 2
    assert repro(files[0], "--kubernetes", "latest").returncode == 2
    done = repro(tmp_path / "nothing.yaml")
    assert (done.returncode, "No such file or directory" in done.stderr) == (2, True)
