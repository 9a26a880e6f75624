"""Does the steps of a sequence on one engine and writes down what each of them showed.

`Bench` keeps an engine and mounts on it. What a step shows (`Shown`) is the outcome of the call as fields, and the
requests that it caused; behind the last step comes what the bucket holds. One thread, the runner's.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from osscluster.direct import DirectEngine, DirectVolume
from osscluster.errors import CallTimeout, ProcessDied
from osscluster.kernel import KernelEngine, KernelVolume
from osscluster.volume import MountFailed, Stat, Syscalls, VolumeSpec, errno_name
from ossvol.parity.recorder import Recorder, Times, describe, in_order, masked
from ossvol.parity.steps import VERBS, Sequence, Step

__all__ = ["Bench", "Shown", "Trace", "Worker", "content", "data_fields", "identities", "stat_fields"]

identities: Mapping[str, tuple[int, int, tuple[int, ...]]] = {
    "root": (0, 0, ()),
    "app": (1000, 1001, ()),
    "other": (2000, 2001, (1001,)),
}
"""uid, gid and further groups of each actor."""

_FLAGS = {
    "r": os.O_RDONLY,
    "w": os.O_WRONLY,
    "rw": os.O_RDWR,
    "creat": os.O_CREAT,
    "trunc": os.O_TRUNC,
    "excl": os.O_EXCL,
    "append": os.O_APPEND,
}
_DIRECTORY = {"mode": "16895", "uid": "0", "gid": "0", "mtime": "1000000000"}
_WHOLE = 32 << 20
_ENDS = frozenset(("hang", "died", "ENOTCONN", "ECONNABORTED"))  # of the mount or of the process


@dataclass(frozen=True, slots=True)
class Shown:
    """What one step showed. fields: "result" ("ok", an errno, "hang", "died") and what a call returned; requests: lines
    of the recorder, in order."""

    step: str
    fields: Mapping[str, str]
    requests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """Everything that a sequence showed. objects: key to description; uploads: keys of unfinished multipart uploads."""

    shown: tuple[Shown, ...]
    objects: Mapping[str, str]
    uploads: tuple[str, ...]


def content(size: int) -> bytes:
    """`size` bytes that no other size begins with."""
    period = bytes((index * 7 + size) % 251 for index in range(251))
    return (period * (size // 251 + 1))[:size]


class Bench:
    """An engine with the release that it shows, and the mount in use."""

    def __init__(self, engine: KernelEngine | DirectEngine, version: str) -> None:
        self.engine = engine
        self.version = version
        self.times = Times()
        self.recorder = engine.cloud.install(Recorder, self.times)
        self.volume: KernelVolume | DirectVolume | None = None
        self.bucket = ""
        self._options = ""
        self._path = ""
        self._cache: tempfile.TemporaryDirectory[str] | None = None
        self._buckets = 0

    def close(self) -> None:
        """Ends everything of the engine."""
        self.engine.close()
        self._drop_cache()

    def mount(self, options: str, *, prepare: Callable[[], None] | None = None) -> Shown:
        """A mount of a new bucket; the one before goes away. options: as `steps` describes them; prepare: fills the
        bucket before."""
        self._unmount()
        if self.bucket:
            self.engine.cloud.admin.delete_bucket(self.bucket, force=True)
        self._buckets += 1
        self.bucket = f"parity-{self._buckets}"
        self._options, self._path = options, ""
        if options.startswith("path="):
            self._path, _, self._options = options.removeprefix("path=").partition(" ")
        self._drop_cache()
        if "@cache" in options:
            self._cache = tempfile.TemporaryDirectory(prefix="ossvol-parity-")
            self._options = self._options.replace("@cache", self._cache.name)
        self.engine.cloud.admin.create_bucket(self.bucket)
        if self._path:
            self.put_directory("")
        if prepare is not None:
            prepare()
        return self._mount("mount")

    def put_directory(self, name: str) -> None:
        """A directory that everybody may write to, made by another client. name: "" is the one that is mounted."""
        key = f"{self.prefix}{name}/" if name else self.prefix
        self.engine.cloud.admin.put(self.bucket, key, content_type="application/x-directory", meta=_DIRECTORY)

    def put(self, name: str, size: int, meta: str) -> None:
        """An object of another client. meta: name=value,... or "-" for none."""
        pairs = dict(pair.split("=", 1) for pair in meta.split(",")) if meta != "-" else {}
        body = b"target" if pairs.get("mode") == "41471" else content(size)
        self.engine.cloud.admin.put(self.bucket, self.prefix + name, body, meta=pairs)

    @property
    def prefix(self) -> str:
        """Of the keys of everything that is mounted."""
        return f"{self._path.strip('/')}/" if self._path else ""

    def run(self, sequence: Sequence, base: str) -> Trace:
        """Does the sequence below the directory `base` of the volume ("" is its root), closes what it left open."""
        worker = Worker(self, base)
        self.times.start = min(self.times.start, Times().start)
        self.recorder.take()
        shown = []
        for step in sequence.steps:
            shown.append(worker.do(step))
            if shown[-1].fields["result"] in _ENDS:
                return Trace(tuple(shown), self._objects(base), ())
        shown += worker.close_all()
        prefix = f"{self.prefix}{base}/" if base else self.prefix
        uploads = {_relative(key, prefix) for key, _ in self.engine.cloud.admin.uploads(self.bucket)}
        return Trace(tuple(shown), self._objects(base), tuple(sorted(uploads)))

    def do(self, step: Step) -> Shown:
        """One step alone, in the root of the volume; what it opens is closed."""
        worker = Worker(self, "")
        shown = worker.do(step)
        worker.close_all()
        return shown

    def usable(self) -> bool:
        """Whether the mount answers."""
        if self.volume is None or not self.volume.alive():
            return False
        try:
            self.actor("root").statvfs("")
        except (OSError, ProcessDied, CallTimeout):
            return False
        return True

    def actor(self, name: str) -> Syscalls:
        """The process of an actor. Raises OSError ENOTCONN when nothing is mounted."""
        if self.volume is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        uid, gid, groups = identities[name]
        return self.volume.container(name, uid=uid, gid=gid, groups=groups)

    def remount(self) -> Shown:
        """Unmounts and mounts the same bucket again."""
        self._unmount()
        return self._mount("volume remount")

    def wait(self, seconds: float) -> Shown:
        """Lets time pass."""
        self.engine.advance(seconds)
        return Shown(f"volume wait {seconds:g}", {"result": "ok"}, ())

    def settle(self) -> None:
        """Waits until the mount has done what came before: with -s, libfuse answers in order."""
        if self.volume is not None:
            with suppress(OSError):
                self.actor("root").statvfs("")

    def _mount(self, step: str) -> Shown:
        self.recorder.take()
        try:
            self.volume = self.engine.mount(
                VolumeSpec(self.bucket, path=self._path, options=self._options, version=self.version)
            )
        except MountFailed as error:
            self.volume = None
            return Shown(step, {"result": f"exit code {error.returncode}"}, tuple(self.recorder.take()))
        return Shown(step, {"result": "ok"}, tuple(self.recorder.take()))

    def _unmount(self) -> None:
        if self.volume is None:
            return
        volume, self.volume = self.volume, None
        volume.discard()

    def _drop_cache(self) -> None:
        if self._cache is not None:
            self._cache.cleanup()
            self._cache = None

    def _objects(self, base: str) -> dict[str, str]:
        prefix = f"{self.prefix}{base}/" if base else self.prefix
        keys = self.engine.cloud.admin.keys(self.bucket, prefix)
        return {_relative(key, prefix): self._describe(key) for key in keys}

    def _describe(self, key: str) -> str:
        seen = self.engine.cloud.admin.object(self.bucket, key)
        assert seen is not None, "nobody else deletes"
        return describe(seen, self.times)


def _relative(key: str, prefix: str) -> str:
    return masked(key.removeprefix(prefix))


class Worker:
    """A sequence under way, below the directory `base` of the volume."""

    def __init__(self, bench: Bench, base: str) -> None:
        self._bench = bench
        self._base = base
        self._handles: dict[str, tuple[str, int]] = {}

    def do(self, step: Step) -> Shown:
        bench = self._bench
        bench.recorder.take()
        if step.verb == "wait":
            return bench.wait(float(step.words[0]))
        if step.actor == "volume":
            for name in self._handles:
                self.do(Step(self._handles[name][0], "close", (name,)))
            self._handles.clear()
            shown = bench.remount()
            return Shown(step.text(), shown.fields, self._lines(shown.requests))
        try:
            fields = self._fields(step)
            bench.settle()
        except OSError as error:
            fields = {"result": errno_name(error.errno or errno.EIO)}
            bench.settle()
        except CallTimeout:
            fields = {"result": "hang"}
        except ProcessDied:
            fields = {"result": "died"}
        return Shown(step.text(), fields, self._lines(tuple(bench.recorder.take())))

    def close_all(self) -> list[Shown]:
        """Closes what is still open, the oldest first."""
        if self._bench.volume is None:
            return []
        shown = []
        for name, (actor, _) in list(self._handles.items()):
            shown.append(self.do(Step(actor, "close", (name,))))
            if shown[-1].fields["result"] in _ENDS:
                break
        return shown

    def _lines(self, lines: tuple[str, ...]) -> tuple[str, ...]:
        if self._base:
            lines = tuple(re.sub(rf"(?<![\w]){re.escape(self._base)}/", "", line) for line in lines)
        return tuple(in_order(lines))

    def _path(self, path: str) -> str:
        if path == ".":
            return self._base
        return f"{self._base}/{path}" if self._base else path

    def _fields(self, step: Step) -> dict[str, str]:
        if step.actor == "cloud":
            self._other_client(step)
            return {"result": "ok"}
        calls = self._bench.actor(step.actor)
        kind = step.verb
        if VERBS[kind][0] == "HANDLE" and kind != "open":
            return self._with_handle(calls, step)
        return self._with_path(calls, step)

    def _other_client(self, step: Step) -> None:
        admin, bucket = self._bench.engine.cloud.admin, self._bench.bucket
        key = self._bench.prefix + self._path(step.words[0])
        if step.verb == "delete":
            if admin.object(bucket, key) is not None:
                admin.delete(bucket, key)
            return
        size, content_type, meta = step.words[1:]
        pairs = dict(pair.split("=", 1) for pair in meta.split(",")) if meta != "-" else {}
        body = b"target" if pairs.get("mode") == "41471" else content(int(size))
        admin.put(bucket, key, body, content_type=None if content_type == "-" else content_type, meta=pairs)

    def _with_handle(self, calls: Syscalls, step: Step) -> dict[str, str]:
        name, *rest = step.words
        if name not in self._handles or self._handles[name][0] != step.actor:
            return {"result": "not open"}
        fd = self._handles[name][1]
        match step.verb:
            case "fstat":
                return stat_fields(calls.fstat(fd), self._bench.times)
            case "close":
                del self._handles[name]
                calls.close(fd)
            case "read":
                return data_fields(calls.pread(fd, int(rest[0]), int(rest[1])))
            case "write":
                return {"result": "ok", "written": str(calls.pwrite(fd, content(int(rest[0])), int(rest[1])))}
            case "fsync":
                calls.fsync(fd)
            case "fdatasync":
                calls.fdatasync(fd)
            case "flush":
                calls.close(calls.dup(fd))
            case _:
                calls.ftruncate(fd, int(rest[0]))
        return {"result": "ok"}

    def _with_path(self, calls: Syscalls, step: Step) -> dict[str, str]:
        words = step.words
        if step.verb == "open":
            name, path, flags, mode = words
            if name in self._handles:
                return {"result": "already open"}
            wanted = 0
            for word in flags.split("+"):
                wanted |= _FLAGS[word]
            self._handles[name] = (step.actor, calls.open(self._path(path), wanted, int(mode, 8)))
            return {"result": "ok"}
        if step.verb == "symlink":
            calls.symlink(words[0], self._path(words[1]))
            return {"result": "ok"}
        path, rest = self._path(words[0]), words[1:]
        match step.verb:
            case "stat":
                return stat_fields(calls.stat(path), self._bench.times)
            case "lstat":
                return stat_fields(calls.lstat(path), self._bench.times)
            case "listdir":
                names = sorted(f"{masked(e.name)}:{e.kind}" for e in calls.listdir(path))
                return {"result": "ok", "entries": " ".join(names)}
            case "readlink":
                return {"result": "ok", "target": calls.readlink(path)}
            case "access":
                return {"result": "ok" if calls.access(path, int(rest[0])) else "refused"}
            case "statvfs":
                seen = calls.statvfs(path)
                return {"result": "ok", "statvfs": " ".join(map(str, seen[:10]))}
            case "put":
                self._write(calls, path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, int(rest[0]))
            case "append":
                self._write(calls, path, os.O_WRONLY | os.O_APPEND, int(rest[0]))
            case "cat":
                fd = calls.open(path, os.O_RDONLY)
                try:
                    return data_fields(calls.pread(fd, _WHOLE, 0))
                finally:
                    calls.close(fd)
            case "getxattr":
                return {"result": "ok", "value": calls.getxattr(path, rest[0]).decode("utf-8", "replace")}
            case "listxattr":
                return {"result": "ok", "names": " ".join(sorted(calls.listxattr(path)))}
            case _:
                self._change(calls, step.verb, path, rest)
        return {"result": "ok"}

    def _change(self, calls: Syscalls, verb: str, path: str, rest: tuple[str, ...]) -> None:
        match verb:
            case "truncate":
                calls.truncate(path, int(rest[0]))
            case "mkdir":
                calls.mkdir(path, int(rest[0], 8))
            case "rmdir":
                calls.rmdir(path)
            case "unlink":
                calls.unlink(path)
            case "rename":
                calls.rename(path, self._path(rest[0]))
            case "link":
                calls.link(path, self._path(rest[0]))
            case "mknod":
                calls.mknod(path, int(rest[0], 8))
            case "chmod":
                calls.chmod(path, int(rest[0], 8))
            case "chown":
                calls.chown(path, int(rest[0]), int(rest[1]))
            case "lchown":
                calls.lchown(path, int(rest[0]), int(rest[1]))
            case "utime":
                times = [None if word == "-" else float(word) for word in rest]
                calls.utime(path, times[0], times[1])
            case "setxattr":
                calls.setxattr(path, rest[0], rest[1].encode(), int(rest[2]))
            case "removexattr":
                calls.removexattr(path, rest[0])
            case _:
                raise AssertionError(f"{verb} is in the table of verbs, but nothing does it")

    def _write(self, calls: Syscalls, path: str, flags: int, size: int) -> None:
        fd = calls.open(path, flags, 0o666)
        try:
            if size:
                calls.write(fd, content(size))
        except BaseException:
            calls.close(fd)
            raise
        calls.close(fd)


def data_fields(data: bytes) -> dict[str, str]:
    """What a read showed."""
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()[:8]
    return {"result": "ok", "data": f"{len(data)} bytes, {digest}"}


def stat_fields(seen: Stat, times: Times) -> dict[str, str]:
    """What stat(2) showed."""
    return {
        "result": "ok",
        "mode": f"{seen.mode:o}",
        "uid": str(seen.uid),
        "gid": str(seen.gid),
        "size": str(seen.size),
        "blocks": str(seen.blocks),
        "nlink": str(seen.nlink),
        "mtime": times.text(seen.mtime),
        "atime": times.text(seen.atime),
        "ctime": times.text(seen.ctime),
    }
