"""Origins of scenarios: moto's S3 server, which ends with its run however that ends, or a LocalStack that is there."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from osscluster.errors import ClusterError, EnvironmentMissing
from osscluster.identity import ProcessIdentity
from osscluster.leftovers import Run
from ossvol.errors import ScenarioErrors
from ossvol.origin import MotoServer, S3Bucket, localstack_endpoint, open_bucket
from ossvol.result import Result, Status
from ossvol.runner import Runner, RunOptions
from ossvol.scenario import loads


def fetch(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def ends(pid: int) -> bool:
    deadline = time.monotonic() + 20
    while ProcessIdentity.of(pid) is not None and time.monotonic() < deadline:
        time.sleep(0.02)
    return ProcessIdentity.of(pid) is None


def test_a_bucket_of_moto_holds_what_was_put_there_and_refuses_what_is_private() -> None:
    bucket = open_bucket("moto", "site")
    bucket.put("a b/ü", b"hello", content_type="text/css")
    bucket.put("closed", b"", content_type="text/css", acl="private")
    assert fetch(bucket.url + "a%20b/%C3%BC") == (200, b"hello")
    assert fetch(bucket.url + "closed")[0] == 403
    bucket.delete("a b/ü")
    bucket.delete("a b/ü")
    assert fetch(bucket.url + "a%20b/%C3%BC")[0] == 404
    bucket.close()
    bucket.close()
    assert fetch(bucket.url + "closed")[0] == 404


def test_one_server_serves_a_process_and_knows_nothing_of_the_bucket_before() -> None:
    first = open_bucket("moto", "one")
    pid = MotoServer.shared().pid
    first.put("a", b"", content_type="text/plain")
    second = open_bucket("moto", "two")
    assert MotoServer.shared().pid == pid
    assert fetch(first.url + "a")[0] == 404
    second.close()


def test_the_server_ends_with_its_run(tmp_path: Path) -> None:
    run = Run(tmp_path / "state")
    server = MotoServer(run)
    assert ProcessIdentity.of(server.pid) is not None
    run.close()
    assert ends(server.pid)
    assert not run.directory.exists()


_RUNNER = """
import sys, time
from pathlib import Path
from osscluster.leftovers import Run
from ossvol.origin import MotoServer
print(MotoServer(Run(Path(sys.argv[1]))).pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_server_ends_when_its_runner_is_killed(tmp_path: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _RUNNER, str(tmp_path / "state")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as runner:
        assert runner.stdout is not None
        pid = int(runner.stdout.readline())
        runner.send_signal(number)
    assert ends(pid)


def test_a_server_that_was_killed_is_started_again() -> None:
    import os

    old = MotoServer.shared().pid
    os.kill(old, signal.SIGKILL)
    assert ends(old)
    bucket = open_bucket("moto", "again")
    assert MotoServer.shared().pid != old
    bucket.close()


def test_what_the_origin_refuses_is_told() -> None:
    bucket = open_bucket("moto", "site")
    MotoServer.shared().reset()
    with pytest.raises(ClusterError, match="answers PUT /site/a with 404"):
        bucket.put("a", b"", content_type="text/plain")
    bucket.close()


def without(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == module else found(name))


def test_without_moto_the_machine_lacks_something(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without(monkeypatch, "moto")
    run = Run(tmp_path / "state")
    with pytest.raises(EnvironmentMissing, match=r"moto's S3 server is not installed .*ossvol\[mirror\]"):
        MotoServer(run)
    run.close()


# LocalStack


def test_without_its_client_localstack_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "localstack_client")
    with pytest.raises(EnvironmentMissing, match=r"ossvol\[localstack\]"):
        localstack_endpoint()


@pytest.fixture
def health() -> dict[str, Any]:
    return {"services": {"s3": "available"}}


@pytest.fixture
def localstack(monkeypatch: pytest.MonkeyPatch, health: dict[str, Any]) -> Iterator[str]:
    """A server that answers as a LocalStack that runs already: its health, and moto's S3 for the rest, which is what
    LocalStack's own was made of."""
    pytest.importorskip("localstack_client")
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    s3 = DomainDispatcherApplication(create_backend_app)

    def application(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        if environ["PATH_INFO"] != "/_localstack/health":
            return s3(environ, start)
        start("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(health).encode()]

    server = make_server("127.0.0.1", 0, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    yield endpoint
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_bucket_beside_what_a_localstack_has_goes_again(localstack: str) -> None:
    theirs = S3Bucket(localstack, "site")
    theirs.put("precious", b"data", content_type="text/plain")
    ours = open_bucket("localstack", "site")
    assert ours.name.startswith("ossvol-site-")
    ours.put("a", b"hello", content_type="text/plain")
    assert fetch(ours.url + "a") == (200, b"hello")
    ours.close()
    assert fetch(ours.url + "a")[0] == 404
    assert fetch(theirs.url + "precious") == (200, b"data")
    theirs.close()


@pytest.mark.parametrize("health", [{"services": {}}, {}, [], "no"])
def test_what_answers_there_has_to_be_a_localstack_with_s3(localstack: str) -> None:
    with pytest.raises(EnvironmentMissing, match="no LocalStack with S3 answers"):
        localstack_endpoint()


# In scenarios


def scenario(given: str, when: str) -> str:
    return (
        "scenario: shop/mirror\ntitle: {en: A, zh: 甲}\n"
        f"given:\n  bucket: {{name: demo, mirror: {{}}}}\n  volume: {{}}\n{given}when:\n{when}"
    )


def run(text: str) -> Result:
    with Runner(RunOptions("direct")) as runner:
        return runner.run(loads(text))


def test_a_scenario_without_a_localstack_is_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("localstack_client")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    result = run(scenario("  origin: {s3: {server: localstack}}\n", "  - {stat: a}\n"))
    assert result.status is Status.SKIPPED
    assert "no LocalStack with S3 answers at http://127.0.0.1:9" in result.reason


def test_a_scenario_mirrors_from_a_localstack(localstack: str) -> None:
    origin = "  origin: {s3: {server: localstack, objects: [{key: a.txt, body: hello}]}}\n"
    steps = "  - {head: a.txt, expect: {errno: ENOENT}}\n  - {origin_put: b.txt, body: more}\n  - {list: ''}\n"
    result = run(scenario(origin, steps))
    assert result.status is Status.PASSED, result.failures
    assert b"ossvol-" not in fetch(localstack)[1]


@pytest.mark.parametrize("via", ["direct", "kernel"])
def test_a_scenario_mirrors_from_a_bucket_of_its_own_cloud(via: Literal["direct", "kernel"]) -> None:
    objects = "[{key: a.txt, body: hello}, {key: secret, body: hush, acl: private}]"
    steps = """\
  - {list: "", expect: {entries: []}}
  - {head: a.txt, expect: {errno: ENOENT}}
  - {get: a.txt, expect: {body: hello, size: 5, object: {a.txt: {body: hello}}}}
  - {read: a.txt, expect: {body: hello}}
  - {get: secret, expect: {errno: EIO}}
  - {get: missing, expect: {errno: ENOENT}}
  - {origin_put: b.txt, body: more}
  - {get: b.txt, expect: {body: more}}
  - {origin_delete: b.txt}
  - {get: b.txt, expect: {body: more}}
"""
    with Runner(RunOptions(via)) as runner:
        text = scenario(f"  origin: {{s3: {{server: cloud, objects: {objects}}}}}\n", steps)
        result = runner.run(loads(text))
        assert result.status is Status.PASSED, result.failures
        result = runner.run(loads(text))  # nothing of the first run is left
        assert result.status is Status.PASSED, result.failures


def test_a_mirror_that_is_refused_leaves_the_one_before() -> None:
    steps = """\
  - {versioning: Enabled}
  - {mirror: {prefix: other/}, expect: {errno: EIO}}
  - mirror:
  - {website: {index: index.html}}
"""
    result = run(scenario("  origin: {s3: {server: cloud}}\n", steps))
    assert result.status is Status.PASSED, result.failures


def test_a_url_of_this_machine_is_an_origin_too() -> None:
    text = scenario("  origin: {url: 'http://127.0.0.1:9/'}\n", "  - {list: '', expect: {entries: []}}\n")
    assert run(text).status is Status.PASSED


@pytest.mark.parametrize(
    ("given", "when", "message"),
    [
        ("", "  - {stat: a}\n", 'E116 "mirror" needs a "url", or an "origin" under "given"'),
        ("  origin: {}\n", "  - {stat: a}\n", 'E116 either "s3" or "url"'),
        ("  origin: {url: 'http://example.com/'}\n", "  - {stat: a}\n", "E114"),
        ("  origin: {url: 'http://127.0.0.1/a'}\n", "  - {stat: a}\n", "E114"),
        (
            "  origin: {url: 'http://127.0.0.1/'}\n",
            "  - {origin_put: a}\n",
            'E116 "origin_put" needs an "origin" with "s3" under "given"',
        ),
        ("  origin: {s3: {server: minio}}\n", "  - {stat: a}\n", 'E114 "minio" is none of moto, localstack'),
        ("  origin: {s3: {objects: [{key: a, body: x, size: 1}]}}\n", "  - {stat: a}\n", 'either "body" or "size"'),
        ("  origin: {s3: {bukket: a}}\n", "  - {stat: a}\n", 'unknown key "bukket"; did you mean "bucket"?'),
        ("  origin: {s3: {}}\n", "  - {website: {indx: a}}\n", 'unknown key "indx"; did you mean "index"?'),
        ("  origin: {s3: {}}\n", "  - {origin_put: a, body: x, size: 1}\n", 'either "body" or "size"'),
    ],
)
def test_mistakes_about_origins_are_told(given: str, when: str, message: str) -> None:
    with pytest.raises(ScenarioErrors) as caught:
        loads(scenario(given, when))
    assert any(message in str(problem) for problem in caught.value.problems), caught.value.problems
