"""`ossvol log`: asking a running server, or a file it wrote."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ossvol.cli import app

CALLER = "/mnt;getattr;4711;1000;ls"


@dataclass(frozen=True)
class Told:
    """What a command said."""

    returncode: int
    stdout: str
    stderr: str


def ossvol(*arguments: object) -> Told:
    """The command line, in this process."""
    found = CliRunner().invoke(app, ["log", *map(str, arguments)])
    return Told(found.exit_code, found.stdout, found.stderr)


def request(endpoint: str, method: str, path: str, **headers: str) -> None:
    sent = urllib.request.Request(endpoint + path, method=method, headers=headers)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(sent, timeout=10)
    caught.value.close()


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[tuple[str, ...], Path]]:
    """A server that was asked five times, and the file it writes."""
    file = tmp_path_factory.mktemp("log") / "access.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-m", "ossvol", "serve", "--json", "--bucket", "demo", "--access-log", str(file)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        facts = json.loads(process.stdout.readline())
        control = ("--endpoint", facts["endpoint"], "--control-token", facts["control_token"])
        for key in ("data/a.txt", "data/b.txt"):
            request(facts["endpoint"], "HEAD", f"/demo/{key}", **{"User-Agent": "ossfs/1", "ossvol-caller": CALLER})
        request(facts["endpoint"], "GET", "/missing/k%1b[31m", **{"User-Agent": "curl/8"})
        request(facts["endpoint"], "GET", "/demo/", **{"User-Agent": "curl/8"})
        plan = urllib.request.Request(
            facts["endpoint"] + "/-/faults", b"{}", {"Authorization": f"Bearer {facts['control_token']}"}
        )
        with urllib.request.urlopen(plan, timeout=10):
            pass
        request(facts["endpoint"], "HEAD", "/demo/data/a.txt", **{"User-Agent": "ossfs/1"})
        yield control, file
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=20) == ("", "")
    finally:
        process.kill()
        process.communicate()


def wait_for_file(file: Path) -> None:
    for _ in range(200):
        if file.exists() and len(file.read_text().splitlines()) == 5:
            return
        signal.sigtimedwait([], 0.05)
    raise AssertionError(file.read_text())


@pytest.fixture(params=["server", "file"])
def source(log: tuple[tuple[str, ...], Path], request: pytest.FixtureRequest) -> tuple[object, ...]:
    control, file = log
    if request.param == "server":
        return control
    wait_for_file(file)
    return ("--file", file)


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ((), 5),
        (("--operation", "HeadObject"), 3),
        (("--object", "data/a*"), 2),
        (("--status", "404"), 1),
        (("--status", "4xx"), 4),
        (("--error-code", "NoSuchBucket"), 1),
        (("--user-agent", "curl/"), 2),
        (("--client-ip", "127.0.0.1", "--bucket", "demo"), 4),
        (("--since", "1h"), 5),
        (("--until", "1h"), 0),
    ],
)
def test_records_are_filtered(source: tuple[object, ...], filters: tuple[str, ...], count: int) -> None:
    told = ossvol(*source, *filters, "--json")
    assert (told.returncode, told.stderr) == (0, "")
    answer = json.loads(told.stdout)
    assert (answer["version"], len(answer["records"])) == (1, count)


def test_people_get_a_table(source: tuple[object, ...]) -> None:
    told = ossvol(*source)
    assert (told.returncode, told.stderr) == (0, "")
    lines = told.stdout.splitlines()
    assert lines[0].split()[:6] == ["time", "operation", "bucket", "object", "http_status", "error_code"]
    assert sum("getattr by ls[4711]" in line for line in lines) == 2
    assert sum("503 fault" in line for line in lines) == 1
    assert "k\\x1b[31m" in told.stdout
    assert "\x1b" not in told.stdout
    assert lines[-1] == "5 records, 1 of them made by the fault plan"


def test_groups_tell_who_causes_what(source: tuple[object, ...]) -> None:
    told = json.loads(ossvol(*source, "--group-by", "process", "--json").stdout)
    assert [(one["name"], one["requests"], one["faults"]) for one in told["groups"]] == [
        ("-", 2, 1),
        ("ls[4711] uid 1000 on /mnt", 2, 0),
    ]
    by = {
        name: {one["name"] for one in json.loads(ossvol(*source, "--group-by", name, "--json").stdout)["groups"]}
        for name in ("file-operation", "operation")
    }
    assert by == {"file-operation": {"-", "getattr"}, "operation": {"HeadObject", "GetObject", "GetBucket"}}
    table = ossvol(*source, "--group-by", "user-agent").stdout
    assert table.split()[:3] == ["user-agent", "requests", "errors"]
    assert "curl/8" in table


def test_mistakes_are_told(log: tuple[tuple[str, ...], Path], tmp_path: Path) -> None:
    control, _ = log
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"time": 1}\n')
    cases = [
        ((), "the log of what cloud?"),
        ((*control, "--file", bad), "the log of what cloud?"),
        (("--file", tmp_path / "missing"), "cannot read"),
        (("--file", bad), "bad.jsonl:1: no record of an access log: no access_key_id"),
        ((*control, "--status", "4x"), "status cannot be '4x'"),
        ((*control, "--since", "yesterday"), "since cannot be 'yesterday'"),
        ((*control, "--group-by", "uid"), "--group-by cannot be 'uid': process, file-operation"),
        ((*control[:2],), "needs --control-token"),
        ((*control[:3], "wrong"), "the control token is wrong"),
    ]
    for arguments, message in cases:
        told = ossvol(*arguments)
        assert (told.returncode, told.stdout) == (2, ""), arguments
        assert message in told.stderr


def test_a_reader_that_has_seen_enough_is_no_error(log: tuple[tuple[str, ...], Path], tmp_path: Path) -> None:
    _, file = log
    wait_for_file(file)
    long = tmp_path / "long.jsonl"
    long.write_text(file.read_text() * 2000)
    command = f"{sys.executable} -m ossvol log --file {long} | head -n 3"
    told = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=60, check=False
    )
    assert (told.returncode, told.stderr, len(told.stdout.splitlines())) == (0, "", 3)
