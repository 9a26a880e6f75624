"""The simulated ossfs 1.91.10 beside the real one, on the same cloud, in one run.

The cloud is `ossvol serve` in a process of its own. The subjects are mounts with the same options: the real binary, the
simulation over HTTP, and the simulation with the cloud in the mount's own process (no sockets, single-threaded loop).
Each answers the same calls of this script, in turns; every round has names that no subject has seen. Figures are
medians of the rounds, ratios medians of the ratios within a round. All of it runs twice: everything pinned to one core,
where nothing waits for the wake-up of another, then with all cores free. "cpu" is the same ratio of processor time
(caller, mount and server together), which other work on the machine disturbs least.

- create: open(O_CREAT), write 4 KiB, close. read: open, read 4 KiB, close of a name not seen before.
- cold stat: of names not seen before. warm stat: of names that `ls -l` has shown, after the kernel's own second of
  caching has passed, so that each one is asked of the mount and answered from ossfs's cache.
- ls -l: the command on a directory of 1,000 files not seen before.
- write, read 256 MiB: in pieces of 1 MiB, open and close included, local files in memory (/dev/shm).
- eight readers: their rate together over that of one; small files not seen before, and 256 MiB.
- mount: from the start of the process to the first answered stat; the simulation is forked from a warm parent.

Targets: 1.5 for work on small files (create, read), 1.0 for the rest; in process 4 for all that sends small requests.

Needs root, /dev/fuse, libfuse 2 and a binary of ossfs 1.91.10:
`python benchmarks/ossfs.py --ossfs PATH [--rounds N] [--cores one|all]`; exits 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from osscloud.message import Request, Response
from ossfuse.client import ObjectClient, Part
from ossfuse.http_transport import HttpTransport
from ossfuse.mount import Mount, run
from ossfuse.options import parse
from ossfuse.passwd import Credentials
from ossfuse.profile import find

VERSION = "1.91.10"
BUCKET = "bench"
HOST = "localhost"
FILES = 200
LISTED = 1000
READERS = 8
SMALL = b"\0\1\2\3\4\5\6\7" * 512
MIB = 1 << 20
BIG = 256 * MIB
PIECE = b"0123456789abcdef" * (MIB // 16)
KERNEL_CACHE_SECONDS = 1.05
MOUNTS = 5
MOUNT_TARGET = 0.1
READERS_TARGET = 0.8
WARM = multiprocessing.get_context("forkserver")
WARM.set_forkserver_preload(["ossfuse.mount"])

REAL, HTTP, IN_PROCESS = "real", "HTTP", "in-process"
Measure = Callable[[Path, str, int], float]  # mount point, name of the subject, number of the round; a rate


@dataclass(frozen=True)
class Work:
    """One thing measured. unit: what `measure` returns a second of; targets: of the simulation over HTTP, and in
    process (None: only shown)."""

    name: str
    unit: str
    over_http: float
    in_process: float | None
    measure: Measure


# What is in the bucket before anything is mounted


def contents(rounds: int) -> Iterator[tuple[str, int]]:
    """Keys and sizes; a key that ends in "/" is a directory object."""
    for number in range(rounds):
        for name, count in (("stat", FILES), ("read", FILES), ("one", FILES), ("all", FILES), ("ls", LISTED)):
            yield f"{name}{number}/", 0
            for index in range(count):
                yield f"{name}{number}/f{index:04}", len(SMALL)
        yield f"create{number}/", 0
    yield "big", BIG
    for index in range(READERS):
        yield f"stream{index}", BIG // READERS


def metadata(key: str) -> dict[str, str]:
    mode = 0o40755 if key.endswith("/") else 0o100644
    return {"mode": str(mode), "uid": "0", "gid": "0", "mtime": "1790000000"}


def content_type(key: str) -> str:
    return "application/x-directory" if key.endswith("/") else "application/octet-stream"


def body(size: int) -> bytes:
    return SMALL[:size] if size <= len(SMALL) else PIECE * (size // MIB)


def fill_served(arguments: Sequence[str], rounds: int) -> None:
    profile = find(VERSION)
    options = parse([BUCKET, "/", *arguments], profile, look_at_mountpoint=False)
    transport = HttpTransport(options)
    key = Credentials(*Path(options.passwd_file).read_text().strip().split(":")[1:])

    class Known:
        def current(self, now: float) -> Credentials:
            return key

    from osscloud.clock import WallClock

    client = ObjectClient(
        transport, options=options, profile=profile, credentials=Known(), clock=WallClock(), rng=random.Random(1)
    )
    for name, size in contents(rounds):
        meta = {f"x-oss-meta-{name}": value for name, value in metadata(name).items()}
        if size <= 10 * MIB:
            client.put(f"/{name}", meta, body(size), content_type=content_type(name))
            continue
        parts = [Part(number + 1, number * 8 * MIB, 8 * MIB) for number in range(size // (8 * MIB))]
        client.multipart(
            f"/{name}", meta, parts, content_type=content_type(name), copied=False, body=lambda part: body(part.size)
        )
    transport.close()


# The subjects


def serve_over_http(argv: list[str], cores: Sequence[int]) -> None:
    os.sched_setaffinity(0, cores)
    with open(os.devnull, "w") as nowhere:
        sys.exit(run(argv, version=VERSION, stdout=nowhere))


def serve_in_process(argv: list[str], cores: Sequence[int], rounds: int) -> None:
    os.sched_setaffinity(0, cores)
    from osscloud.clock import AdjustableClock
    from osscloud.service import OssService, ServiceConfig

    clock = AdjustableClock()
    service = OssService(clock=clock, rng=random.Random(1), config=ServiceConfig(endpoint=HOST, log_limit=100_000))
    service.accounts.create_key(id="AK", secret="SK")
    service.admin.create_bucket(BUCKET)
    for key, size in contents(rounds):
        service.admin.put(BUCKET, key, body(size), content_type=content_type(key), meta=metadata(key))

    class InProcess:
        concurrent = False

        def send(self, request: Request) -> Response:
            return service.handle(request)

    with open(os.devnull, "w") as nowhere:
        mount = Mount(argv, profile=find(VERSION), environment={}, clock=clock, transport=InProcess(), stdout=nowhere)
        code = mount.prepare()
        sys.exit(mount.serve() if code is None else code)


@contextlib.contextmanager
def unmounted_afterwards(mountpoint: Path, wait: Callable[[], object], kill: Callable[[], object]) -> Iterator[None]:
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(mountpoint)], check=False, capture_output=True)
        try:
            wait()
        except subprocess.TimeoutExpired:
            kill()


def wait_for_mount(mountpoint: Path, alive: Callable[[], bool]) -> None:
    device = os.stat(mountpoint.parent).st_dev
    deadline = time.monotonic() + 60
    while os.stat(mountpoint).st_dev == device:
        if time.monotonic() > deadline or not alive():
            raise TimeoutError(f"{mountpoint} was not mounted")
        time.sleep(0.0005)


@contextlib.contextmanager
def mounted_real(binary: str, mountpoint: Path, arguments: Sequence[str]) -> Iterator[int]:
    process = subprocess.Popen([binary, BUCKET, str(mountpoint), *arguments, "-f"], stdout=subprocess.DEVNULL)
    with unmounted_afterwards(mountpoint, lambda: process.wait(10), process.kill):
        wait_for_mount(mountpoint, lambda: process.poll() is None)
        yield process.pid


@contextlib.contextmanager
def mounted_warm(mountpoint: Path, target: Callable[..., None], *arguments: object) -> Iterator[int]:
    process = WARM.Process(target=target, args=arguments)
    process.start()
    with unmounted_afterwards(mountpoint, lambda: process.join(10), process.kill):
        wait_for_mount(mountpoint, process.is_alive)
        assert process.pid is not None
        yield process.pid
    if process.is_alive():
        process.kill()
    process.join()


@contextlib.contextmanager
def served_cloud(directory: Path) -> Iterator[tuple[int, list[str]]]:
    """`ossvol serve` in a process of its own; its pid and the arguments of a mount of it."""
    command = [sys.executable, "-m", "ossvol", "serve", "--bucket", BUCKET, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            facts = json.loads(process.stdout.readline())
            found = mount_arguments(directory, facts["endpoint"], facts["access_key_id"], facts["access_key_secret"])
            yield process.pid, found
        finally:
            process.send_signal(signal.SIGTERM)


def mount_arguments(directory: Path, url: str, key: str, secret: str) -> list[str]:
    passwd = directory / f"passwd-{key}"
    passwd.write_text(f"{BUCKET}:{key}:{secret}\n")
    passwd.chmod(0o600)
    return [f"-ourl={url}", "-o", f"use_path_request_style,passwd_file={passwd},tmpdir={directory}"]


# What is measured; each returns a rate


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def names(mountpoint: Path, directory: str, count: int) -> list[bytes]:
    return [os.fsencode(mountpoint / directory / f"f{index:04}") for index in range(count)]


def create(mountpoint: Path, subject: str, number: int) -> float:
    directory = mountpoint / f"create{number}"
    os.stat(directory)
    paths = [os.fsencode(directory / f"{subject}{index}") for index in range(FILES)]

    def work() -> None:
        for path in paths:
            fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o644)
            os.write(fd, SMALL)
            os.close(fd)

    return FILES / seconds(work)


def read_files(paths: Sequence[bytes]) -> None:
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        if len(os.read(fd, len(SMALL))) != len(SMALL):
            raise OSError("short read")
        os.close(fd)


def read_small(mountpoint: Path, subject: str, number: int) -> float:
    os.stat(mountpoint / f"read{number}")
    paths = names(mountpoint, f"read{number}", FILES)
    return FILES / seconds(lambda: read_files(paths))


def stat_files(paths: Sequence[bytes]) -> None:
    for path in paths:
        os.stat(path)


def cold_stat(mountpoint: Path, subject: str, number: int) -> float:
    os.stat(mountpoint / f"stat{number}")
    paths = names(mountpoint, f"stat{number}", FILES)
    return FILES / seconds(lambda: stat_files(paths))


def list_long(mountpoint: Path, subject: str, number: int) -> float:
    command = ["ls", "-l", str(mountpoint / f"ls{number}")]
    return LISTED / seconds(lambda: subprocess.run(command, stdout=subprocess.DEVNULL, check=True))


def warm_stat(mountpoint: Path, subject: str, number: int) -> float:
    paths = names(mountpoint, f"ls{number}", LISTED)
    time.sleep(KERNEL_CACHE_SECONDS)
    return LISTED / seconds(lambda: stat_files(paths))


def write_big(mountpoint: Path, subject: str, number: int) -> float:
    path = os.fsencode(mountpoint / f"written-{subject}")

    def work() -> None:
        fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o644)
        for _ in range(BIG // MIB):
            os.write(fd, PIECE)
        os.close(fd)

    rate = BIG / MIB / seconds(work)
    os.unlink(path)
    return rate


def stream(path: bytes) -> None:
    buffer = bytearray(MIB)
    fd = os.open(path, os.O_RDONLY)
    while os.readv(fd, [buffer]):
        pass
    os.close(fd)


def read_big(mountpoint: Path, subject: str, number: int) -> float:
    path = os.fsencode(mountpoint / "big")
    return BIG / MIB / seconds(lambda: stream(path))


def together(jobs: Sequence[Callable[[], None]]) -> float:
    """Seconds that the jobs take, each in a process of its own, all let go at once."""
    gate, opener = os.pipe()
    children = []
    for job in jobs:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.close(opener)
                os.read(gate, 1)
                job()
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    os.close(gate)

    def work() -> None:
        os.close(opener)
        for child in children:
            if os.waitpid(child, 0)[1]:
                raise OSError("a reader failed")

    time.sleep(0.05)
    return seconds(work)


def readers_small(mountpoint: Path, subject: str, number: int) -> float:
    os.stat(mountpoint / f"one{number}")
    os.stat(mountpoint / f"all{number}")
    one, several = names(mountpoint, f"one{number}", FILES), names(mountpoint, f"all{number}", FILES)
    alone = together([lambda: read_files(one)])
    return alone / together([lambda paths=several[index::READERS]: read_files(paths) for index in range(READERS)])  # type: ignore[misc]


def readers_big(mountpoint: Path, subject: str, number: int) -> float:
    paths = [os.fsencode(mountpoint / f"stream{index}") for index in range(READERS)]
    alone = together([lambda: stream(os.fsencode(mountpoint / "big"))])
    return alone / together([lambda path=path: stream(path) for path in paths])  # type: ignore[misc]


WORKS = (
    Work("create + write 4 KiB + close", "/s", 1.5, 4.0, create),
    Work("read 4 KiB", "/s", 1.5, 4.0, read_small),
    Work("cold stat", "/s", 1.0, 4.0, cold_stat),
    Work("ls -l of 1,000 files", " files/s", 1.0, 4.0, list_long),
    Work("warm stat", "/s", 1.0, None, warm_stat),
    Work("write 256 MiB", " MiB/s", 1.0, None, write_big),
    Work("read 256 MiB", " MiB/s", 1.0, None, read_big),
)
READER_WORKS = {"8 readers, small files": readers_small, "8 readers, 256 MiB": readers_big}


# The run


@dataclass(frozen=True)
class Subject:
    """pids: of the mount and of its cloud, whose processor time counts."""

    name: str
    mountpoint: Path
    pids: tuple[int, ...]

    def processor_seconds(self) -> float:
        used = sum(time.clock_gettime(processor_clock(pid)) for pid in self.pids)
        own = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return used + sum(usage.ru_utime + usage.ru_stime for usage in own)


def processor_clock(pid: int) -> int:
    """What clock_getcpuclockid(3) answers on Linux; it counts threads that have ended too."""
    return (~pid << 3) | 2


@dataclass
class Figures:
    """Rates, and processor seconds a unit of work, of one subject; one entry a round."""

    rates: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)


class Side:
    """One pass over everything, with the processes on `cores`."""

    def __init__(self, label: str, cores: Sequence[int], binary: str, rounds: int) -> None:
        self.label = label
        self.cores = cores
        self.binary = binary
        self.rounds = rounds
        self.missed: list[str] = []

    def run(self) -> None:
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, self.cores)  # the server, the real binary and this process; the others pin themselves
        print(f"\n{self.label}, {self.rounds} rounds", flush=True)
        with contextlib.ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ossvol-bench-", dir="/dev/shm")))
            server, arguments = stack.enter_context(served_cloud(directory))
            fill_served(arguments, self.rounds)
            paths = {name: directory / name for name in (REAL, HTTP, IN_PROCESS)}
            for path in paths.values():
                path.mkdir()
            over_http = [BUCKET, str(paths[HTTP]), *arguments]
            inside = [BUCKET, str(paths[IN_PROCESS]), *mount_arguments(directory, f"http://{HOST}", "AK", "SK"), "-s"]
            real_pid = stack.enter_context(mounted_real(self.binary, paths[REAL], arguments))
            http_pid = stack.enter_context(mounted_warm(paths[HTTP], serve_over_http, over_http, self.cores))
            inside_pid = stack.enter_context(
                mounted_warm(paths[IN_PROCESS], serve_in_process, inside, self.cores, self.rounds)
            )
            subjects = [
                Subject(REAL, paths[REAL], (real_pid, server)),
                Subject(HTTP, paths[HTTP], (http_pid, server)),
                Subject(IN_PROCESS, paths[IN_PROCESS], (inside_pid,)),
            ]
            self._print_rates(self._measure(subjects, {work.name: work.measure for work in WORKS}))
            self._print_readers(self._measure(subjects, READER_WORKS))
            self._measure_mount(directory, arguments)
        os.sched_setaffinity(0, before)

    def _measure(self, subjects: Sequence[Subject], measures: Mapping[str, Measure]) -> dict[str, dict[str, Figures]]:
        found: dict[str, dict[str, Figures]] = {name: {one.name: Figures() for one in subjects} for name in measures}
        for number in range(self.rounds):
            first = number % len(subjects)
            for name, measure in measures.items():
                for subject in [*subjects[first:], *subjects[:first]]:
                    before = subject.processor_seconds()
                    rate = measure(subject.mountpoint, subject.name, number)
                    found[name][subject.name].rates.append(rate)
                    found[name][subject.name].costs.append(subject.processor_seconds() - before)
        return found

    def _print_rates(self, measured: Mapping[str, Mapping[str, Figures]]) -> None:
        columns = f"{'ratio':>7}{'cpu':>6}  {'target':13}"
        print(f"{'':29}{'real':>16}{'over HTTP':>16}{columns}{'in process':>16}{columns}".rstrip())
        for work in WORKS:
            figures = measured[work.name]
            real = figures[REAL]
            line = f"{work.name:29}{middle(real.rates):>{16 - len(work.unit)},.0f}{work.unit}"
            for subject, target in ((HTTP, work.over_http), (IN_PROCESS, work.in_process)):
                own = figures[subject]
                ratio = middle(mine / theirs for mine, theirs in zip(own.rates, real.rates, strict=True))
                saved = middle(theirs / mine for mine, theirs in zip(own.costs, real.costs, strict=True))
                verdict = self._judge(f"{work.name}, {subject}", ratio, target)
                line += f"{middle(own.rates):>{16 - len(work.unit)},.0f}{work.unit}{ratio:>7.2f}{saved:>6.2f}  "
                line += f"{verdict:13}"
            print(line.rstrip(), flush=True)

    def _print_readers(self, measured: Mapping[str, Mapping[str, Figures]]) -> None:
        for name, figures in measured.items():
            kept = {subject: middle(found.rates) for subject, found in figures.items()}
            verdict = self._judge(name, kept[HTTP], READERS_TARGET)
            line = f"{name:29}{kept[REAL]:>16.2f}{kept[HTTP]:>16.2f}{'':13}  {verdict:13}{kept[IN_PROCESS]:>16.2f}"
            print(line, flush=True)

    def _measure_mount(self, directory: Path, arguments: list[str]) -> None:
        times: dict[str, list[float]] = {REAL: [], HTTP: []}
        for number in range(MOUNTS):
            mountpoint = directory / f"quick{number}"
            mountpoint.mkdir()
            argv = [BUCKET, str(mountpoint), *arguments]
            for subject, found in times.items():
                began = time.perf_counter()
                with (
                    mounted_real(self.binary, mountpoint, arguments)
                    if subject == REAL
                    else mounted_warm(mountpoint, serve_over_http, argv, self.cores)
                ):
                    os.stat(mountpoint / "big")
                    found.append(time.perf_counter() - began)
        verdict = self._judge("mount to first answer", middle(times[HTTP]), MOUNT_TARGET, at_least=False)
        line = f"{'mount to first answer':29}{middle(times[REAL]):>14.3f} s{middle(times[HTTP]):>14.3f} s{'':13}"
        print(f"{line}  {verdict}", flush=True)

    def _judge(self, what: str, value: float, target: float | None, *, at_least: bool = True) -> str:
        if target is None:
            return ""
        met = value >= target if at_least else value <= target
        if not met:
            self.missed.append(f"{self.label}: {what}")
        return f"{'>=' if at_least else '<='} {target:g} {'met' if met else 'MISSED'}"


def middle(values: Iterable[float]) -> float:
    return statistics.median(values)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ossfs", metavar="PATH", help=f"a binary of ossfs {VERSION}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", choices=("one", "all"), help="only pinned to one core, or only with all of them")
    options = parser.parse_args()
    if not options.ossfs:
        print(f"Nothing to compare with: pass a binary of ossfs {VERSION}, `python benchmarks/ossfs.py --ossfs PATH`.")
        return 0
    WARM.Process(target=int).start()  # the warm parent is there before anything is measured
    every = sorted(os.sched_getaffinity(0))
    sides = {
        "one": Side("pinned to one core", every[-1:], options.ossfs, options.rounds),
        "all": Side("all cores free", every, options.ossfs, options.rounds),
    }
    for which, side in sides.items():
        if options.cores in (None, which):
            side.run()
    missed = [what for side in sides.values() for what in side.missed]
    print("\n" + ("missed: " + "; ".join(missed) if missed else "every target met"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
