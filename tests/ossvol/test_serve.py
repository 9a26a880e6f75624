"""`ossvol serve`: a process that serves a cloud until a signal."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ossvol.errors import UsageError
from ossvol.serve import serve

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

CODE = "import sys; from ossvol.serve import serve; sys.exit(serve(**eval(sys.argv[1])))"


@contextmanager
def served(**options: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, repr(options)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def end(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    return process.returncode, errors


def first_line(process: subprocess.Popen[str]) -> dict[str, str]:
    assert process.stdout is not None
    facts: dict[str, str] = json.loads(process.stdout.readline())
    return facts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_line_tells_machines_all_and_a_signal_ends_it_cleanly(number: signal.Signals) -> None:
    with served(json=True, buckets=["demo", "other", "demo"]) as process:
        facts = first_line(process)
        assert list(facts) == [
            "endpoint",
            "region",
            "access_key_id",
            "access_key_secret",
            "control_token",
            "pid",
        ]
        assert facts["pid"] == process.pid
        import boto3

        s3 = boto3.client(
            "s3",
            endpoint_url=facts["endpoint"],
            region_name=facts["region"],
            aws_access_key_id=facts["access_key_id"],
            aws_secret_access_key=facts["access_key_secret"],
        )
        assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["demo", "other"]
        s3.close()
        assert end(process, number) == (0, "")


def test_keys_and_port_can_be_given_and_requests_are_logged_to_a_file(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    log = tmp_path / "access.log"
    with served(json=True, port=port, access_key_id="AK", access_key_secret="SK", access_log=str(log)) as process:
        facts = first_line(process)
        assert facts["endpoint"] == f"http://127.0.0.1:{port}"
        assert (facts["access_key_id"], facts["access_key_secret"]) == ("AK", "SK")
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(facts["endpoint"] + "/demo/k", timeout=10)
        caught.value.close()
        assert end(process, signal.SIGTERM) == (0, "")
    (record,) = map(json.loads, log.read_text().splitlines())
    assert (record["operation"], record["bucket"], record["object"]) == ("GetObject", "demo", "k")
    assert (record["http_status"], record["error_code"]) == (404, "NoSuchBucket")


def test_the_control_token_reads_the_log() -> None:
    with served(json=True) as process:
        facts = first_line(process)
        request = urllib.request.Request(
            facts["endpoint"] + "/-/log", headers={"Authorization": f"Bearer {facts['control_token']}"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            told = json.load(answer)
        assert (told["mark"], told["records"]) == (0, [])


def test_people_get_commands_to_try() -> None:
    with served(buckets=["demo"]) as process:
        assert process.stdout is not None
        text = "".join(iter(process.stdout.readline, "The access log:\n"))
        for part in ("ossfs-sim demo mnt -ourl=http://127.0.0.1:", "ossutil ls oss://demo", "boto3.client("):
            assert part in text
        assert end(process, signal.SIGINT) == (0, "")


def test_what_cannot_be_served_is_said_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port}: Address already in use; choose another port"):
            serve(port=port)
    with pytest.raises(UsageError, match="is not a loopback address"):
        serve(host="192.0.2.1")
    with pytest.raises(UsageError, match="'Bad_Name' is no bucket name"):
        serve(buckets=["Bad_Name"])
    with pytest.raises(UsageError, match=r"cannot write the access log .*: No such file or directory"):
        serve(access_log=str(tmp_path / "missing" / "log"))
    with pytest.raises(UsageError, match="go together"):
        serve(access_key_id="AK")
    with pytest.raises(UsageError, match="--access-key-id: 'a b' is no access key id"):
        serve(access_key_id="a b", access_key_secret="x")
    with pytest.raises(UsageError, match=r"cannot listen on nowhere.invalid: .*; name an address of this machine"):
        serve(host="nowhere.invalid", allow_remote=True)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(UsageError, match=r"cannot use .*file as data directory: it is no directory"):
        serve(data=file)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) & {signal.SIGINT, signal.SIGTERM} == set()
