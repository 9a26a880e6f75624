"""`ossvol check`: the console's check of what stands in a file, against a served cloud."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

VOLUME = """\
apiVersion: v1
kind: PersistentVolume
metadata:
  name: pv-oss
spec:
  capacity: {storage: 5Gi}
  accessModes: [ReadWriteMany]
  csi:
    driver: ossplugin.csi.alibabacloud.com
    volumeHandle: pv-oss
    nodePublishSecretRef: {name: oss-secret, namespace: default}
    volumeAttributes:
      bucket: demo
      url: oss-cn-hangzhou-internal.aliyuncs.com
      path: /data
"""
SECRET = """\
---
apiVersion: v1
kind: Secret
metadata:
  name: oss-secret
stringData:
  akId: LTAIcheck
  akSecret: checksecret
"""


def ossvol(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ossvol", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def cloud() -> Iterator[str]:
    words = ["--bucket", "demo", "--access-key-id", "LTAIcheck", "--access-key-secret", "checksecret", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "ossvol", "serve", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        facts: dict[str, Any] = json.loads(process.stdout.readline())
        yield facts["endpoint"]
    finally:
        process.terminate()
        process.communicate(timeout=60)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pv.yaml"
    path.write_text(VOLUME + SECRET)
    return path


def test_a_missing_directory_fails_the_check_and_says_what_helps(file: Path, cloud: str) -> None:
    done = ossvol("check", file, "--endpoint", cloud)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith(
        "check ossutil\nendpoint: oss-cn-hangzhou-internal.aliyuncs.com\nbucket: demo\npath: /data/\n"
        "Error: oss: service returned error: StatusCode=404, ErrorCode=NoSuchKey, "
    )
    assert "\npv-oss: the object of the directory does not exist;" in done.stdout
    assert "\nfix: create the directory in the bucket" in done.stdout


def test_what_passes_ends_with_0(tmp_path: Path, cloud: str) -> None:
    path = tmp_path / "pv.yaml"
    path.write_text(VOLUME.replace("      path: /data\n", "") + SECRET)
    done = ossvol("check", path, "--endpoint", cloud)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "pv-oss: passed")


def test_an_endpoint_out_of_reach_needs_no_cloud(file: Path) -> None:
    done = ossvol("check", file, "--region", "cn-beijing", "--json")
    assert done.returncode == 1
    (entry,) = json.loads(done.stdout)["checks"]
    assert (entry["volume"], entry["passed"], entry["finding"]["id"]) == ("pv-oss", False, "timeout")
    assert entry["log"][-1] == "Error: connection timed out"


def test_nobody_listening_is_an_error_of_the_check(file: Path) -> None:
    done = ossvol("check", file, "--endpoint", "http://127.0.0.1:1")
    assert done.returncode == 1
    assert "Error: Connection refused" in done.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (VOLUME, "pv.yaml:1: Secret default/oss-secret is in none of the files"),
        (SECRET, "no PersistentVolume there"),
        (VOLUME.replace("      bucket: demo\n", "") + SECRET, "pv.yaml:1: spec.csi.volumeAttributes has no bucket"),
        (VOLUME + SECRET, "is reached, but nothing here stands for it: name a cloud with --endpoint"),
        (VOLUME.replace("kind: PersistentVolume", "kind: PersistantVolume"), "pv.yaml:2:7: K112"),
    ],
)
def test_files_that_cannot_be_checked_are_usage_errors_with_their_place(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "pv.yaml"
    path.write_text(text)
    done = ossvol("check", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    done = ossvol("check", tmp_path / "none.yaml")
    assert done.returncode == 2
    assert done.stderr.startswith("ossvol: cannot read the manifests: ")
