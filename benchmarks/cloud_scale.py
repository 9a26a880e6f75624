"""The cloud at size: 8 MiB bodies beside a bare aiohttp server, a million objects, a million markers, start-up.

Large bodies: PUT and GET of 8 MiB over one connection, against an aiohttp server that reads the body and answers, or
answers 8 MiB, and against the same that also takes the body's MD5, which any answer to PutObject has as its ETag. A
million: objects and markers come to be through signed requests to the service inside this process; a page of 1,000 is
a signed request too. Start: from the process to its first line, `ossvol serve --json`, beside a bare Python.

Usage: python benchmarks/cloud_scale.py [--objects N] [--rounds N]        (about 4 minutes; needs the `bench` extra)
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from functools import partial
from pathlib import Path
from urllib.parse import quote

from cloud import KEY_ID, SECRET, authorisation_v1, key_of, rss, sign_v1

SIZE = 8 * 1024 * 1024
LARGE = bytes(range(256)) * (SIZE // 256)
BODY_TARGET = 0.6
PAGE_TARGET = 2.0
MEMORY_TARGET = 0.8
START_TARGET = 0.5


# Large bodies


def carry(port: int, request: bytes, count: int) -> float:
    """Bytes of body a second over one blocking connection, which takes less of the machine than an event loop."""
    buffer = bytearray(1 << 20)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        began = time.perf_counter()
        for _ in range(count):
            connection.sendall(request)
            got = connection.recv_into(buffer)
            head, _, rest = bytes(buffer[:got]).partition(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"the server answered {head!r}")
            left = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]) - len(rest)
            while left > 0:
                left -= connection.recv_into(buffer)
        return SIZE * count / (time.perf_counter() - began)


def run_aiohttp(*, digest: bool) -> None:
    import uvloop
    from aiohttp import web

    async def answer(request: web.BaseRequest) -> web.Response:
        body = await request.content.read()
        if request.method == "GET":
            return web.Response(body=LARGE)
        if digest:
            return web.Response(headers={"ETag": hashlib.md5(body).hexdigest()})
        return web.Response()

    async def main() -> None:
        manager = web.Server(answer, access_log=None)
        server = await asyncio.get_running_loop().create_server(manager, "127.0.0.1", 0)
        print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

    uvloop.run(main())


def run_ours() -> None:
    from osscloud.http_server import HttpServer

    service = make_service()
    service.admin.create_bucket("bench")
    service.admin.put("bench", "k", LARGE)
    with HttpServer(service) as server:
        print(json.dumps({"port": server.port}), flush=True)
        sys.stdin.read()


@contextlib.contextmanager
def running(which: str) -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, __file__, "--serve", which], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(json.loads(process.stdout.readline())["port"])
    finally:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()


def measure_bodies(rounds: int) -> bool:
    count = 40
    rates: dict[tuple[str, str], list[float]] = {}
    with running("ours") as ours, running("aiohttp") as bare, running("aiohttp-md5") as digesting:
        for number in range(rounds + 1):
            for name, port in (("ours", ours), ("aiohttp", bare), ("aiohttp+MD5", digesting)):
                for method, body in (("PUT", LARGE), ("GET", b"")):
                    request = sign_v1(method, "/bench/k", {}, f"127.0.0.1:{port}", body)
                    rate = carry(port, request, count)
                    if number:
                        rates.setdefault((name, method), []).append(rate)
    medians = {key: statistics.median(values) / 1e6 for key, values in rates.items()}
    fine = True
    print(f"{'8 MiB':8} {'ours MB/s':>10} {'aiohttp':>10} {'share':>6} {'with MD5':>10} {'share':>6}")
    for method in ("PUT", "GET"):
        mine, theirs = medians["ours", method], medians["aiohttp", method]
        digested = medians["aiohttp+MD5", method]
        fine &= mine / theirs >= BODY_TARGET
        print(
            f"{method:8} {mine:10,.0f} {theirs:10,.0f} {mine / theirs:6.0%} {digested:10,.0f} {mine / digested:6.0%}"
            + ("" if mine / theirs >= BODY_TARGET else f"   MISSED: target {BODY_TARGET:.0%} of bare aiohttp")
        )
    return fine


# A million


def make_service():  # type: ignore[no-untyped-def]
    from osscloud.clock import WallClock
    from osscloud.service import OssService, ServiceConfig

    service = OssService(clock=WallClock(), rng=random.Random(1), config=ServiceConfig(log_limit=1000))
    service.accounts.create_key(id=KEY_ID, secret=SECRET)
    return service


def measure_million(count: int) -> bool:
    from osscloud.message import Request

    service = make_service()
    for name in ("small", "large", "markers", "warm"):
        service.admin.create_bucket(name)
    service.admin.set_versioning("markers", "Enabled")

    def ask(method: str, path: str, query: str = "", resource: str = "") -> bytes:
        date = formatdate(usegmt=True)
        signature = authorisation_v1(method, resource or path, date)
        headers = {"host": "127.0.0.1", "date": date, "content-length": "0", "authorization": signature}
        response = service.handle(Request(method, quote(path) + query, headers))
        assert response.status < 300, response.read()
        return response.read()

    def fill(bucket: str, number: int, method: str) -> float:
        began = time.perf_counter()
        for n in range(number):
            ask(method, f"/{bucket}/{key_of(n)}")
        return number / (time.perf_counter() - began)

    def best(call: Callable[[], object]) -> float:
        times = []
        for _ in range(15):
            began = time.perf_counter()
            call()
            times.append(time.perf_counter() - began)
        return min(times) * 1e3

    def page(bucket: str, number: int, kind: str) -> bytes:
        middle = quote(key_of(number // 2), safe="")
        query = {
            "V2": f"?list-type=2&max-keys=1000&start-after={middle}",
            "V1": f"?max-keys=1000&marker={middle}",
            "versions": f"?versions&max-keys=1000&key-marker={middle}",
        }[kind]
        return ask("GET", f"/{bucket}/", query, f"/{bucket}/?versions" if kind == "versions" else "")

    fill("warm", 2000, "PUT")
    fill("small", 10_000, "PUT")
    before = rss()
    rate = fill("large", count, "PUT")
    size = (rss() - before) / count / 1024
    print(f"{count:,} objects: {rate:,.0f} PutObject/s in the process, {size:.2f} KiB each (target {MEMORY_TARGET})")
    fine = size <= MEMORY_TARGET
    for kind in ("V1", "V2"):
        small, large = best(partial(page, "small", 10_000, kind)), best(partial(page, "large", count, kind))
        fine &= large <= PAGE_TARGET * small
        print(
            f"a {kind} page of 1,000: {small:.2f} ms of 10,000, {large:.2f} ms of {count:,}: {large / small:.2f}x"
            f" (target {PAGE_TARGET}x)"
        )
    before = rss()
    rate = fill("markers", count, "DELETE")
    size = (rss() - before) / count / 1024
    print(f"{count:,} delete markers: {rate:,.0f} DeleteObject/s, {size:.2f} KiB each")
    for kind in ("V1", "V2", "versions"):
        answer = page("markers", count, kind)
        taken = best(partial(page, "markers", count, kind))
        record = service.access_log.records[-1]
        print(
            f"  {kind:8} {taken:7.2f} ms, {len(answer):,} bytes, scanned {record.scanned:,},"
            f" simulated {record.cost_ms:,.0f} ms"
        )
    return fine


# Start


def measure_start(rounds: int) -> bool:
    ossvol = Path(sys.executable).with_name("ossvol")
    # With compiled modules, as after any first start: the machine's setting may keep them from being written.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    cache = tempfile.TemporaryDirectory(prefix="ossvol-bench-")
    environment["PYTHONPYCACHEPREFIX"] = cache.name

    def first_line(command: list[str]) -> float:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline()
        taken = time.perf_counter() - began
        process.terminate()
        process.wait(20)
        process.stdout.close()
        process.stdin.close()
        return taken

    first_line([str(ossvol), "serve", "--json"])
    serve = statistics.median(first_line([str(ossvol), "serve", "--json"]) for _ in range(rounds * 2 + 1))
    python = statistics.median(first_line([sys.executable, "-c", "print()"]) for _ in range(rounds * 2 + 1))
    print(f"ossvol serve listens after {serve:.2f} s, Python prints after {python:.2f} s (target {START_TARGET} s)")
    cache.cleanup()
    return serve <= START_TARGET


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="measured rounds (%(default)s)")
    parser.add_argument("--objects", type=int, default=1_000_000, help="in the large bucket (%(default)s)")
    parser.add_argument("--only", choices=["bodies", "million", "start"], help="one part")
    parser.add_argument("--serve", choices=["ours", "aiohttp", "aiohttp-md5"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        if options.serve == "ours":
            run_ours()
        else:
            run_aiohttp(digest=options.serve == "aiohttp-md5")
        return
    print(f"on {len(os.sched_getaffinity(0))} cores", flush=True)
    fine = True
    if options.only in (None, "start"):
        fine &= measure_start(options.rounds)
    if options.only in (None, "bodies"):
        fine &= measure_bodies(options.rounds)
    if options.only in (None, "million"):
        fine &= measure_million(options.objects)
    raise SystemExit(0 if fine else 1)


if __name__ == "__main__":
    main()
