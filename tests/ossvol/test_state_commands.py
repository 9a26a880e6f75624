"""`ossvol serve --data/--snapshot` and `ossvol snapshot`, as processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

with warnings.catch_warnings():
    # Its docstrings have escape sequences that Python is to refuse one day.
    warnings.simplefilter("ignore")
    import oss2

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


def ossvol(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ossvol", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


class Server:
    """A served cloud, and a client of it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        self.facts: dict[str, str] = json.loads(line)
        self.process = process
        self.endpoint = self.facts["endpoint"]
        self.control = ("--endpoint", self.endpoint, "--control-token", self.facts["control_token"])
        self._auth = oss2.Auth(self.facts["access_key_id"], self.facts["access_key_secret"])

    def bucket(self, name: str = "demo") -> oss2.Bucket:
        return oss2.Bucket(self._auth, self.endpoint, name)


@contextmanager
def served(*arguments: object) -> Iterator[Server]:
    process = subprocess.Popen(
        [sys.executable, "-m", "ossvol", "serve", "--json", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield Server(process)
    finally:
        process.kill()
        process.communicate()


def test_a_killed_server_comes_back_with_everything_and_the_same_key(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with served("--data", data, "--bucket", "demo") as server:
        server.bucket().put_object("k", b"x" * 200_000)
        os.kill(server.process.pid, signal.SIGKILL)
        first = server.facts
    with served("--data", data, "--bucket", "demo", "--bucket", "more") as server:
        assert server.facts["access_key_id"] == first["access_key_id"]
        assert server.bucket().get_object("k").read() == b"x" * 200_000
        busy = ossvol("serve", "--data", data)
        assert (busy.returncode, busy.stdout) == (2, "")
        assert f"is served by process {server.process.pid} already" in busy.stderr
        offline = ossvol("snapshot", "save", tmp_path / "s.zip", "--data", data)
        assert (offline.returncode, f"process {server.process.pid} already" in offline.stderr) == (2, True)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
    wrong = ossvol("serve", "--data", data, "--access-key-id", first["access_key_id"], "--access-key-secret", "other")
    assert (wrong.returncode, "has another secret there" in wrong.stderr) == (2, True)


def test_a_state_goes_from_server_to_file_to_directory_to_server(tmp_path: Path) -> None:
    one, two, three = (tmp_path / name for name in ("one.zip", "two.zip", "three.zip"))
    with served("--bucket", "demo") as server:
        server.bucket().put_object("k", b"body")
        saved = ossvol("snapshot", "save", one, *server.control)
        assert (saved.returncode, saved.stdout[: len(f"saved to {one}")]) == (0, f"saved to {one}")
        server.bucket().delete_object("k")
        loaded = ossvol("snapshot", "load", one, *server.control, "--json")
        assert json.loads(loaded.stdout) == {
            "version": 1, "file": str(one), "buckets": 1, "versions": 1, "uploads": 0, "bytes": 4,
            "access_key_ids": [server.facts["access_key_id"]],
        }  # fmt: skip
        assert server.bucket().get_object("k").read() == b"body"
    assert ossvol("snapshot", "load", one, "--data", tmp_path / "data").returncode == 0
    assert ossvol("snapshot", "save", two, "--data", tmp_path / "data").returncode == 0
    with served("--snapshot", two) as server:
        assert server.bucket().get_object("k").read() == b"body"
        assert ossvol("snapshot", "save", three, *server.control).returncode == 0
    assert one.read_bytes() == two.read_bytes() == three.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"one.zip", "two.zip", "three.zip", "data"}


def test_what_cannot_be_used_is_said_and_nothing_changes(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("mine")
    file, missing = tmp_path / "s.zip", tmp_path / "missing"
    token = ("--control-token", "t")
    cases = [
        (("serve", "--data", tmp_path), "is no data directory of ossvol"),
        (("serve", "--snapshot", text), "notes.txt is no snapshot of ossvol"),
        (("serve", "--snapshot", missing), "cannot read"),
        (("serve", "--sync"), "--sync is about --data DIR"),
        (("snapshot", "save", file), "of what cloud?"),
        (("snapshot", "save", file, "--data", missing), "there is nothing to save"),
        (("snapshot", "save", file, "--endpoint", "http://127.0.0.1:1"), "needs --control-token"),
        (("snapshot", "save", file, "--endpoint", "http://127.0.0.1:1", *token), "cannot reach http://127.0.0.1:1"),
        (("snapshot", "save", file, "--endpoint", "127.0.0.1", *token), "is no endpoint"),
        (("snapshot", "load", missing, "--data", tmp_path / "new"), "cannot read"),
    ]
    for arguments, message in cases:
        told = ossvol(*arguments)
        assert (told.returncode, told.stdout) == (2, ""), arguments
        assert message in told.stderr
        assert "Traceback" not in told.stderr
    assert not file.exists()
    with served("--bucket", "demo", "--data", tmp_path / "kept") as server:
        told = ossvol("snapshot", "load", text, *server.control)
        assert (told.returncode, "is no snapshot" in told.stderr) == (2, True)
        told = ossvol("snapshot", "save", file, "--endpoint", server.endpoint, "--control-token", "wrong")
        assert (told.returncode, "the control token is wrong" in told.stderr) == (2, True)
        assert ossvol("snapshot", "save", file, *server.control).returncode == 0
    told = ossvol("serve", "--data", tmp_path / "kept", "--snapshot", file)
    assert (told.returncode, "holds a state already" in told.stderr) == (2, True)


def test_real_latency_makes_answers_wait() -> None:
    with served("--bucket", "demo", "--real-latency") as server:
        bucket = server.bucket()
        start = time.monotonic()
        for number in range(10):
            bucket.put_object(f"k{number}", b"")
        assert time.monotonic() - start >= 0.12
