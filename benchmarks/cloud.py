"""The cloud over HTTP beside moto's server and fauxqs: PUT, GET, HEAD of 4 KiB, a page of a long listing, memory.

The servers run in one go and take turns, pinned to one core; the client (a raw asyncio protocol on uvloop, requests
signed beforehand) has another, where there is one. Counted is the processor time that the server's process took for a
request, all its threads together, so that neither the client nor what else the machine does is in it. Each server is
asked in its native tongue: moto gets AWS SigV4 (it does not verify), ours OSS V1 (it does); the last columns show ours
with the very bytes that moto gets, translated and verified by its S3 face. The long bucket and the memory come from
objects stored inside the server process, ours by signed PutObject requests to the service, moto's by its backend, since
100,000 PUTs to moto over HTTP take four minutes.

fauxqs, the fastest other S3 server found, comes by name from npm into a temporary directory (with a node that it runs
on, where the machine's is too old), is filled over HTTP, listens on loopback only and logs nothing. Without npm its
column stays empty. It verifies no signature.

Usage: python benchmarks/cloud.py [--rounds N] [--requests N] [--keys N]       (about 40 s; needs the `bench` extra)
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import gc
import hashlib
import hmac
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from email.utils import formatdate
from pathlib import Path
from typing import cast
from urllib.parse import quote

KEY_ID, SECRET, REGION = "AKIDBENCH", "SECRETBENCH", "us-east-1"
BODY = bytes(range(256)) * 16
CONNECTIONS = 8
TARGETS = {"PUT 4 KiB": 25.0, "GET 4 KiB": 25.0, "HEAD": 25.0, "LIST 1,000": 100.0}
FAUXQS_TARGETS = {"PUT 4 KiB": 1.2, "GET 4 KiB": 1.2, "HEAD": 1.2, "LIST 1,000": 5.0}
MEMORY_TARGET = 0.8
FAUXQS = "fauxqs@2.4.1"


# Requests


def sign_v4(method: str, path: str, query: dict[str, str], host: str, body: bytes) -> bytes:
    """A whole request, signed as boto3 signs it over HTTP."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    digest = hashlib.sha256(body).hexdigest()
    uri = quote(path, safe="/-_.~")
    text = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted(query.items()))
    signed = "host;x-amz-content-sha256;x-amz-date"
    canonical = (
        f"{method}\n{uri}\n{text}\nhost:{host}\nx-amz-content-sha256:{digest}\nx-amz-date:{stamp}\n\n{signed}\n{digest}"
    )
    scope = f"{stamp[:8]}/{REGION}/s3/aws4_request"
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    key = ("AWS4" + SECRET).encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashed}".encode(), "sha256").hex()
    return (
        f"{method} {uri}{'?' + text if text else ''} HTTP/1.1\r\nHost: {host}\r\nx-amz-date: {stamp}\r\n"
        f"x-amz-content-sha256: {digest}\r\nContent-Length: {len(body)}\r\nAuthorization: AWS4-HMAC-SHA256 "
        f"Credential={KEY_ID}/{scope}, SignedHeaders={signed}, Signature={signature}\r\n\r\n"
    ).encode() + body


def authorisation_v1(method: str, resource: str, date: str) -> str:
    text = f"{method}\n\n\n{date}\n{resource}"
    signature = base64.b64encode(hmac.digest(SECRET.encode(), text.encode(), "sha1")).decode()
    return f"OSS {KEY_ID}:{signature}"


def sign_v1(method: str, path: str, query: dict[str, str], host: str, body: bytes) -> bytes:
    """A whole request, signed as ossfs signs it; the query must hold no sub-resource."""
    date = formatdate(usegmt=True)
    resource = path if path.count("/") > 1 else path + "/"
    text = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted(query.items()))
    return (
        f"{method} {quote(path)}{'?' + text if text else ''} HTTP/1.1\r\nHost: {host}\r\nDate: {date}\r\n"
        f"Content-Length: {len(body)}\r\nAuthorization: {authorisation_v1(method, resource, date)}\r\n\r\n"
    ).encode() + body


# The client


class Connection(asyncio.Protocol):
    """Sends its requests one after the other, each when the answer before it is complete; connects again when the
    server closes after an answer, as moto's does."""

    def __init__(self, port: int, requests: Iterator[bytes], *, head: bool, done: asyncio.Future[None]) -> None:
        self.port = port
        self.requests = requests
        self.head = head
        self.done = done
        self.buffer = bytearray()
        self.needed = 0
        self.closes = False
        self.closed_by_us = 0

    async def connect(self) -> None:
        await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self.port)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)  # uvloop's claims no such base class
        self.send()

    def send(self) -> None:
        request = next(self.requests, None)
        if request is not None:
            self.transport.write(request)
            return
        self.close()
        if not self.done.done():
            self.done.set_result(None)

    def close(self) -> None:
        self.closed_by_us += 1
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.needed:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self.buffer[:end]).lower()
            if not head.startswith(b"http/1.1 200"):
                self.fail(f"the server answered {bytes(self.buffer[:300])!r}")
                return
            start = head.find(b"content-length:")
            length = 0 if self.head or start < 0 else int(head[start + 15 :].split(b"\r\n", 1)[0])
            self.needed = end + 4 + length
            self.closes = b"\nconnection: close" in head
        if len(self.buffer) >= self.needed:
            self.buffer.clear()
            self.needed = 0
            if self.closes:
                self.close()
                self.reconnecting = asyncio.ensure_future(self.connect())
            else:
                self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.closed_by_us:
            self.closed_by_us -= 1
        else:
            self.fail(f"the server closed the connection: {exc}")

    def fail(self, reason: str) -> None:
        if not self.done.done():
            self.done.set_exception(RuntimeError(reason))


async def exchange(port: int, requests: Sequence[bytes], connections: int, *, head: bool) -> float:
    """Seconds until all requests are answered."""
    loop = asyncio.get_running_loop()
    shared = iter(requests)
    done = [loop.create_future() for _ in range(connections)]
    started = time.perf_counter()
    for future in done:
        await Connection(port, shared, head=head, done=future).connect()
    await asyncio.gather(*done)
    return time.perf_counter() - started


# The servers


def rss() -> int:
    """Resident bytes of this process."""
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def report(port: int, before: int, keys: int) -> None:
    print(json.dumps({"port": port, "bytes_per_object": (rss() - before) / keys}), flush=True)


def key_of(number: int) -> str:
    return f"dir-{number // 1000:03}/object-{number:07}"


def run_ours(keys: int) -> None:
    """The server process: fills bucket "long", serves until its stdin ends."""
    from osscloud.clock import WallClock
    from osscloud.http_server import HttpServer
    from osscloud.message import Request
    from osscloud.service import OssService, ServiceConfig

    config = ServiceConfig(log_limit=1000)
    service = OssService(clock=WallClock(), rng=random.Random(1), config=config)
    service.accounts.create_key(id=KEY_ID, secret=SECRET)
    for name in ("bench", "long", "warm"):
        service.admin.create_bucket(name)

    def put(bucket: str, key: str) -> None:
        date = formatdate(usegmt=True)
        headers = {
            "host": "127.0.0.1",
            "date": date,
            "content-length": "0",
            "authorization": authorisation_v1("PUT", f"/{bucket}/{key}", date),
        }
        response = service.handle(Request("PUT", f"/{bucket}/{key}", headers))
        assert response.status == 200, response.read()

    for number in range(2000):
        put("warm", key_of(number))
    before = rss()
    for number in range(keys):
        put("long", key_of(number))
    with HttpServer(service) as server:
        report(server.port, before, keys)
        sys.stdin.read()


def run_moto(keys: int) -> None:
    """The same for moto, with the server that `moto_server` runs."""
    import threading

    from moto.backends import get_backend
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    application = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
    backend = get_backend("s3")["123456789012"]["aws"]
    for name in ("bench", "long", "warm"):
        backend.create_bucket(name, REGION)
    for number in range(200):
        backend.put_object("warm", key_of(number), b"")
    before = rss()
    for number in range(keys):
        backend.put_object("long", key_of(number), b"")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    report(server.server_port, before, keys)
    sys.stdin.read()


def install_fauxqs(home: str) -> list[str]:
    """The command that starts it. Raises FauxqsMissing."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        raise FauxqsMissing("node or npm is missing")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    packages = [FAUXQS]
    if tuple(map(int, version.lstrip("v").split(".")[:2])) < (22, 5):
        suffix = {"x86_64": "x64", "aarch64": "arm64"}[platform.machine()]
        packages.append(f"node-linux-{suffix}@22")
        node = f"{home}/node_modules/node-linux-{suffix}/bin/node"
    command = ["npm", "install", "--prefix", home, "--no-audit", "--no-fund", "--ignore-scripts", *packages]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise FauxqsMissing(f"npm could not install it: {done.stderr.strip()[-200:]}")
    return [node, "--no-warnings", str(Path(__file__).with_name("serve_fauxqs.mjs")), home]


class FauxqsMissing(Exception):
    """fauxqs cannot run here; the message says why."""


@contextlib.contextmanager
def running_fauxqs(keys: int) -> Iterator[dict[str, float] | None]:
    with tempfile.TemporaryDirectory(prefix="ossvol-bench-") as home:
        try:
            command = install_fauxqs(home)
        except FauxqsMissing as missing:
            print(f"without fauxqs: {missing}", flush=True)
            yield None
            return
        with started("fauxqs", command) as server:
            port = int(server["port"])
            host = f"127.0.0.1:{port}"
            buckets = [sign_v4("PUT", f"/{name}", {}, host, b"") for name in ("bench", "long")]
            asyncio.run(exchange(port, buckets, 1, head=False))
            # It fails on an empty body.
            objects = [sign_v4("PUT", f"/long/{key_of(n)}", {}, host, b"x") for n in range(keys)]
            asyncio.run(exchange(port, objects, CONNECTIONS, head=False))
            yield server


def running(which: str, keys: int, core: int) -> contextlib.AbstractContextManager[dict[str, float]]:
    return started(which, [sys.executable, __file__, "--serve", which, "--keys", str(keys), "--core", str(core)])


@contextlib.contextmanager
def started(which: str, command: list[str]) -> Iterator[dict[str, float]]:
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"{which} did not start:\n{process.stderr.read()}")
    # moto's server logs a line a request; a full pipe would stop it.
    drain = subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
    try:
        yield {**json.loads(line), "pid": process.pid}
    finally:
        process.kill()
        process.wait()
        drain.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


# The comparison


def workloads(port: int, requests: int, keys: int, *, native: bool) -> dict[str, tuple[list[bytes], int]]:
    """What to send, and over how many connections."""
    host = f"127.0.0.1:{port}"
    sign = sign_v1 if native else sign_v4
    names = [f"/bench/k{number % 500}" for number in range(requests)]
    first = keys // 2
    page = {"list-type": "2", "max-keys": "1000", "start-after": key_of(first)}
    return {
        "PUT 4 KiB": ([sign("PUT", name, {}, host, BODY) for name in names], CONNECTIONS),
        "GET 4 KiB": ([sign("GET", name, {}, host, b"") for name in names], CONNECTIONS),
        "HEAD": ([sign("HEAD", name, {}, host, b"") for name in names], CONNECTIONS),
        "LIST 1,000": ([sign("GET", "/long", page, host, b"")] * max(4, requests // 100), 1),
    }


def measure(server: dict[str, float], requests: int, keys: int, *, native: bool = False) -> dict[str, float]:
    """Requests by workload in a second of the server's processor time."""
    port, pid = int(server["port"]), int(server["pid"])
    rates = {}
    for name, (data, connections) in workloads(port, requests, keys, native=native).items():
        began = cpu_of(pid)
        asyncio.run(exchange(port, data, connections, head=name == "HEAD"))
        rates[name] = len(data) / (cpu_of(pid) - began)
    return rates


def cpu_of(pid: int) -> float:
    """Seconds of processor time that a process has taken, with its threads that have ended."""
    return time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3), which Python does not have


def compare(rounds: int, requests: int, keys: int) -> bool:
    """Prints the table; True when every target is met."""
    import uvloop

    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    core, own = max(os.sched_getaffinity(0)), min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})  # for the servers, which inherit it
    print(f"servers on core {core}, client on core {own}; {CONNECTIONS} connections, LIST over one", flush=True)
    print("microseconds of the server's processor time for a request, and how many times as many fit into a second")
    seen: dict[str, list[dict[str, float]]] = {"moto": [], "ours": [], "ours, S3": []}
    with running("ours", keys, core) as ours, running("moto", keys, core) as moto, running_fauxqs(keys) as fauxqs:
        os.sched_setaffinity(0, {own})
        for number in range(rounds + 1):
            batch = {
                "moto": measure(moto, max(200, requests // 10), keys),
                "ours": measure(ours, requests, keys, native=True),
                "ours, S3": measure(ours, requests, keys),
            }
            if fauxqs is not None:
                batch["fauxqs"] = measure(fauxqs, requests, keys)
            if number:  # the first round warms up
                for name, rates in batch.items():
                    seen.setdefault(name, []).append(rates)
    fine = True
    for peer, targets in (("moto", TARGETS), ("fauxqs", FAUXQS_TARGETS)):
        if peer in seen:
            fine &= compare_with(peer, targets, seen)
    size = ours["bytes_per_object"] / 1024
    fine &= size <= MEMORY_TARGET
    print(
        f"memory of an empty object at {keys:,}: ours {size:.2f} KiB, moto {moto['bytes_per_object'] / 1024:.2f} KiB;"
        f" target {MEMORY_TARGET} KiB" + ("" if size <= MEMORY_TARGET else "   MISSED")
    )
    return fine


def compare_with(peer: str, targets: dict[str, float], seen: dict[str, list[dict[str, float]]]) -> bool:
    """One table; True when its targets are met."""
    fine = True
    print(f"{'':12} {peer + ' us':>10} {'ours us':>10} {'ratio':>7} {'target':>7}    {'S3 face us':>10} {'ratio':>7}")
    for workload, target in targets.items():
        medians = {name: statistics.median(rates[workload] for rates in all_) for name, all_ in seen.items()}
        ratio, face = medians["ours"] / medians[peer], medians["ours, S3"] / medians[peer]
        fine &= ratio >= target
        print(
            f"{workload:12} {1e6 / medians[peer]:10,.1f} {1e6 / medians['ours']:10,.1f} {ratio:6.2f}x {target:6.1f}x"
            f"    {1e6 / medians['ours, S3']:10,.1f} {face:6.2f}x" + ("" if ratio >= target else "   MISSED")
        )
    return fine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="measured rounds after one that warms up (%(default)s)")
    parser.add_argument(
        "--requests", type=int, default=4000, help="to ours a workload; moto gets a tenth (%(default)s)"
    )
    parser.add_argument("--keys", type=int, default=100_000, help="in the long bucket (%(default)s)")
    parser.add_argument("--serve", choices=["ours", "moto"], help=argparse.SUPPRESS)
    parser.add_argument("--core", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        os.sched_setaffinity(0, {options.core})
        (run_ours if options.serve == "ours" else run_moto)(options.keys)
        return
    raise SystemExit(0 if compare(options.rounds, options.requests, options.keys) else 1)


if __name__ == "__main__":
    main()
