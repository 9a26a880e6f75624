"""`ossvol mount`: a volume and its cloud in one process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from osscluster.engine import kernel_unavailable
from ossvol.errors import UsageError
from ossvol.mount_command import mount

missing = kernel_unavailable()
needs_fuse = pytest.mark.skipif(
    missing is not None, reason=f"{missing.reason}; to fix it: {missing.remedy}" if missing else ""
)


@contextmanager
def mounted(place: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    place.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "ossvol", "mount", "demo", str(place), "--json", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline() or "{}")
    finally:
        process.kill()
        process.communicate()
        subprocess.run(["umount", "-l", place], check=False, capture_output=True)


@needs_fuse
def test_what_is_written_is_in_its_cloud_and_other_clients_write_into_the_volume(tmp_path: Path) -> None:
    place = tmp_path / "mnt"
    with mounted(place, "-o", "umask=022") as (process, facts):
        assert facts["pid"] == process.pid
        (place / "a.txt").write_text("hello")
        import boto3

        s3 = boto3.client(
            "s3",
            endpoint_url=facts["endpoint"],
            region_name="oss-cn-hangzhou",
            aws_access_key_id=facts["access_key_id"],
            aws_secret_access_key=facts["access_key_secret"],
        )
        assert s3.get_object(Bucket=facts["bucket"], Key="a.txt")["Body"].read() == b"hello"
        s3.put_object(Bucket="demo", Key="b.txt", Body=b"hi")
        s3.close()
        assert (place / "b.txt").read_text() == "hi"
        assert sorted(os.listdir(place)) == ["a.txt", "b.txt"]
        subprocess.run(["umount", place], check=True)
        assert process.wait(20) == 0


@needs_fuse
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_data_directory_outlives_every_end_of_the_process(tmp_path: Path, number: signal.Signals) -> None:
    place = tmp_path / "mnt"
    with mounted(place, "--data", str(tmp_path / "data")) as (process, _):
        (place / "kept").write_text("kept")
        process.send_signal(number)
        process.wait(20)
        assert number is signal.SIGKILL or not place.is_mount()
    with mounted(place, "--data", str(tmp_path / "data")):
        assert (place / "kept").read_text() == "kept"


def test_mistakes_are_told_before_anything_is_mounted(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no bucket name"):
        mount("Demo", tmp_path)
    with pytest.raises(UsageError, match=r"unknown ossfs version '9'"):
        mount("demo", tmp_path, version="9")


def test_what_ossfs_refuses_is_told_in_its_words(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert mount("demo", tmp_path / "nowhere") == 1
    assert "unable to access MOUNTPOINT" in capfd.readouterr().err
