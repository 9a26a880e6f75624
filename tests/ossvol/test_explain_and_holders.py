"""`ossvol explain` and `ossvol holders`."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from ossvol.errors import UsageError
from ossvol.explain import explain


def ossvol(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ossvol", *words], capture_output=True, text=True, timeout=60, check=False
    )


def test_explain_compares_two_releases_in_words() -> None:
    done = ossvol("explain", "ossfs", "1.88", "1.91.3")
    assert done.returncode == 0
    assert done.stdout.startswith("From ossfs 1.88 to 1.91.3:\n\nOptions\n")
    assert (
        "  1.88    checks before it mounts: a failure is the command's exit code\n  1.91.3  checks after" in done.stdout
    )


def test_explain_says_what_one_release_does() -> None:
    done = ossvol("explain", "ossfs", "1.91.10")
    assert "link(2) is ENOTSUP" in done.stdout
    assert "lists the mounted directory" in done.stdout


def test_explain_answers_json_with_both_sides_of_each_change() -> None:
    answer = json.loads(ossvol("explain", "ossfs", "1.91.3", "1.91.4", "--json").stdout)
    assert (answer["version"], answer["before"], answer["after"]) == (1, "1.91.3", "1.91.4")
    assert {"topic", "field", "before", "after"} == answer["changes"][0].keys()


@pytest.mark.parametrize("words", [("ossfs", "1.92"), ("ossfs", "1.91.3", "1.2")])
def test_explain_names_the_known_releases_when_it_does_not_know_one(words: tuple[str, ...]) -> None:
    done = ossvol("explain", *words)
    assert done.returncode == 2
    assert "known: 1.80.6, 1.80.7, 1.88, 1.91.1" in done.stderr


def test_explain_refuses_another_product_and_too_many_releases() -> None:
    assert ossvol("explain", "s3fs", "1.80.6").returncode == 2
    assert ossvol("explain", "ossfs", "1.80.6", "1.88", "1.91.3").returncode == 2


def test_holders_refuses_a_path_that_is_no_mount(tmp_path) -> None:
    done = ossvol("holders", str(tmp_path))
    assert done.returncode == 2
    assert f"{tmp_path}: nothing is mounted there" in done.stderr


@pytest.mark.kernel
def test_holders_shows_who_has_what_open_as_lsof_does(oss_volume) -> None:
    volume = oss_volume()
    (volume.path / "a.txt").write_text("hello")
    with subprocess.Popen(["tail", "-f", str(volume.path / "a.txt")], stdout=subprocess.PIPE) as reader:
        assert reader.stdout is not None
        reader.stdout.read(5)
        try:
            done = ossvol("holders", str(volume.path))
            assert done.stdout.splitlines()[1].split() == [str(reader.pid), str(os.geteuid()), "tail", "a.txt"]
            answer = json.loads(ossvol("holders", str(volume.path), "--json").stdout)
            assert answer["mount"] == str(volume.path)
            assert answer["holders"] == [{"path": "a.txt", "pid": reader.pid, "command": "tail", "uid": os.geteuid()}]
        finally:
            reader.kill()
    assert "nobody has a file" in ossvol("holders", str(volume.path)).stdout


@pytest.mark.kernel
def test_holders_of_a_dead_mount_does_not_hang(oss_volume) -> None:
    volume = oss_volume()
    path = volume.path
    volume.kill()
    assert "nobody has a file" in ossvol("holders", str(path)).stdout


def test_two_releases_of_the_csi_driver_are_compared_in_words() -> None:
    said = explain("csi", ["1.28.1", "v1.30.4"], json=False)
    assert said.startswith("From csi 1.28.1 to 1.30.4:\n\nthe release\n")
    assert "\n  1.28.1  FUSE Pods are in kube-system\n  1.30.4  FUSE Pods are in ack-csi-fuse\n" in said


def test_one_release_of_the_csi_driver_is_told_as_json() -> None:
    said = json.loads(explain("csi", ["1.24.11"], json=True))
    assert said["csi"] == "1.24.10"
    assert {"topic": "ossfs's options", "field": "read_only", "text": "never adds ro"} in said["statements"]


def test_an_unknown_csi_driver_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"nothing is known of CSI driver '1\.29\.0'; known: 1\.24\.3"):
        explain("csi", ["1.29.0"], json=False)
