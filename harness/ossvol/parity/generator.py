"""Random sequences: a seed is a sequence, the same one on every machine.

The choice is steered towards what tells two file systems apart: few names that meet again and again, several users,
files held open over other steps, changes behind the mount's back, and option sets that switch code paths. Left out is
what would say nothing: rename of a name to itself when it has vanished (it blocks libfuse for ever), and names that
begin with ".fuse_hidden".

Pure functions: any thread.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field

from ossfuse.profile import Profile
from ossvol.parity.steps import ACTORS, Sequence, Step

__all__ = ["OPTION_SETS", "PER_MOUNT", "generate", "option_sets", "options_for"]

PER_MOUNT = 10
"""So many consecutive seeds have the same options and share a mount, each in its own directory; the first of
them works in the root."""

_NAMES = ("a", "b", "c.txt", "d", "d/x", "d/y", "d/e", "d/e/z", "l", "p", "p/q", "é +%&.txt")
_DIRECTORIES = ("d", "d/e", "p", "n")
_TARGETS = ("a", "d/x", "d", "nowhere", "../a", "./b")
_SIZES = (0, 1, 5, 100, 4096, 5000, 131_072, 200_000)
_PARTS = (5_300_000, 6_000_000, 11_000_000, 16_500_000)  # around multiples of the smallest multipart_size
_FLAGS = ("r", "r", "rw", "rw", "w", "w+trunc", "rw+creat", "rw+creat", "w+creat+trunc", "w+append", "w+creat+excl")
_MODES = ("644", "600", "666", "755", "400", "000", "4755", "2775", "040")
_TYPES = (
    "-",
    "application/octet-stream",
    "binary/octet-stream",
    "application/x-directory",
    "httpd/unix-directory",
    "text/plain",
    "text/html",
    "image/jpeg",
)
_METAS = (
    "-",
    "-",
    "mode=33188",
    "mode=33152,uid=1000,gid=1001",
    "mode=33152,uid=2000,gid=1001,mtime=1500000000",
    "mode=16877",
    "mode=493,uid=1000,gid=1001",
    "mode=0",
    "mode=41471",
    "mtime=1500000000.5",
    "uid=1000,gid=1001",
    "permissions=420",
    "mode=0100640",
)

# What is mounted with, beside allow_other, -s and retries=1 (an attempt more is seconds of waiting): one or two of
# them. What a release lacks is not drawn for it. direct_read is missing, it is not modelled.
OPTION_SETS = (
    "",
    "",
    "",
    "umask=022",
    "umask=077",
    "uid=1000,gid=1001",
    "mp_umask=022",
    "max_stat_cache_size=0",
    "use_xattr",
    "noxattr",
    "complement_stat",
    "notsup_compat_dir",
    "listobjectsv2",
    "symlink_in_meta",
    "readdir_optimize",
    "noshallowcopyapi",
    "norenameapi",
    "nocopyapi",
    "nomultipart",
    "nomixupload",
    "enable_noobj_cache",
    "disable_noobj_cache",
    "enable_content_md5",
    "default_acl=public-read",
    "multireq_max=2",
    "stat_cache_expire=1000",
    "use_sse",
    "storage_class=IA",
    "big_writes",
    "default_permission=0600",
    "multipart_size=5",
    "multipart_size=5",
    "multipart_size=5,nomixupload",
    "multipart_size=5,parallel_count=1",
    "multipart_size=5,nocopyapi",
    "multipart_size=5,noshallowcopyapi,singlepart_copy_limit=5,multipart_copy_size=5",
    "use_cache=@cache",
    "use_cache=@cache",
    "use_cache=@cache,del_cache",
    "use_cache=@cache,multipart_size=5",
    "stat_cache_expire=2",
    "stat_cache_expire=2,enable_noobj_cache",
    "stat_cache_interval_expire=2",
    "max_stat_cache_size=3",
    "uid=1000,umask=077",
    "umask=133,gid=1001",
    "readdir_optimize,readdir_check_size=4096",
    "sigv4,region=cn-hangzhou",
    "list_object_max_keys=1000",
    "enable_unsigned_payload",
    "requester_pays",
    "skip_clean_statcache_on_ro_flush",
    "simulate_mtime_ns_with_crc64",
    "ro",
    "direct_io",
    "kernel_cache",
    "auto_cache",
    "hard_remove",
    "default_permissions",
)
# How long the kernel may keep names and attributes: never, for the whole sequence, or one second as by default. Two of
# them leave no request to the machine's speed.
_TIMEOUTS = ("attr_timeout=0,entry_timeout=0", "attr_timeout=3600,entry_timeout=3600")
_LIBFUSE = frozenset(
    ("big_writes", "ro", "direct_io", "kernel_cache", "auto_cache", "hard_remove", "default_permissions")
)
_EXPIRY = "_expire=2"  # entries expire within a sequence; every other step is done long before
_EXPIRY_SECONDS = "3.5"  # 1.80 compares whole seconds


def option_sets(profile: Profile) -> list[str]:
    """Those of `OPTION_SETS` that the release has."""
    return [
        text
        for text in OPTION_SETS
        if all(word.partition("=")[0] in profile.options | _LIBFUSE for word in text.split(",") if word)
    ]


def options_for(seed: int, profile: Profile) -> str:
    """The mount options of the sequence `seed`."""
    rng = random.Random(f"options {seed // PER_MOUNT}")
    possible = option_sets(profile)
    chosen = [rng.choice(possible), rng.choice(possible) if rng.random() < _TWO else ""]
    # What the kernel remembers for the whole sequence never expires.
    timeouts = _TIMEOUTS[0] if any(_EXPIRY in text for text in chosen) else rng.choice(_TIMEOUTS)
    words = ["allow_other", "retries=1", *(text for text in dict.fromkeys(chosen) if text), timeouts]
    place = ["path=/vol"] if rng.random() < _DIRECTORY_MOUNTED else []
    return " ".join([*place, "-s", *(f"-o {word}" for word in words)])


def generate(seed: int, profile: Profile, *, steps: int) -> Sequence:
    """The sequence of a seed, for a release: it has about `steps` steps."""
    options = options_for(seed, profile)
    draw = _Draw(
        random.Random(f"steps {seed}"),
        big=_BIG_WITH_PARTS if "multipart_size" in options else _BIG,
        waits=_EXPIRY in options,
    )
    made = draw.prepare()
    while len(made) < steps:
        made.append(draw.step())
    return Sequence(options, tuple(made), seed, inside=seed % PER_MOUNT != 0)


@dataclass(slots=True)
class _Draw:
    """rng: the only source of choice. big: how likely a size is one of parts; waits: whether time may pass. handles:
    actor, name and path of what has been opened and not closed."""

    rng: random.Random
    big: float
    waits: bool
    handles: list[tuple[str, str, str]] = field(default_factory=list)
    opened: int = 0
    made: list[str] = field(default_factory=list)

    def prepare(self) -> list[Step]:
        """What is there at the beginning: objects of other clients."""
        return [self._cloud_put() for _ in range(self.rng.randrange(4))]

    def step(self) -> Step:
        kinds = ("call", "handle", "cloud", "volume")
        (kind,) = self.rng.choices(kinds, weights=(60, 30, 9, 4 if self.waits else 1))
        if kind == "volume":
            if self.waits and self.rng.random() < _WAIT:
                return Step("volume", "wait", (_EXPIRY_SECONDS,))
            return Step("volume", "remount") if not self.handles else self._handle()
        if kind == "cloud":
            return self._cloud_put() if self.rng.random() < 0.6 else Step("cloud", "delete", (self._key(),))
        return self._handle() if kind == "handle" else self._call()

    def _pick(self, choices: Seq[str]) -> str:
        return self.rng.choice(choices)

    def _actor(self) -> str:
        return self.rng.choices(ACTORS, weights=(6, 3, 1))[0]

    def _path(self) -> str:
        # What was made before is what most calls are about.
        return self._pick(self.made) if self.made and self.rng.random() < _KNOWN else self._pick(_NAMES)

    def _new(self, path: str) -> str:
        if path not in self.made:
            self.made.append(path)
        return path

    def _key(self) -> str:
        name = self._path()
        return self._pick((name, name, name + "/", name + "/below", name + "_$folder$"))

    def _size(self) -> str:
        if self.rng.random() < self.big:
            return str(self.rng.choice(_PARTS))
        return str(self.rng.choices(_SIZES, weights=(3, 3, 6, 4, 2, 2, 1, 1))[0])

    def _offset(self, choices: Seq[int]) -> str:
        return str(self.rng.choice(_PARTS if self.rng.random() < self.big else choices))

    def _cloud_put(self) -> Step:
        key = self._key()
        self._new(key.removesuffix("/").removesuffix("_$folder$").removesuffix("/below"))
        directory = key.endswith(("/", "_$folder$"))
        size = self._pick(("0", "0", "0", "5")) if directory else self._size()
        return Step("cloud", "put", (key, size, self._pick(_TYPES), self._pick(_METAS)))

    def _handle(self) -> Step:
        if not self.handles or (len(self.handles) < 4 and self.rng.random() < 0.3):
            actor, name = self._actor(), f"h{self.opened}"
            self.opened += 1
            flags = self._pick(_FLAGS)
            path = self._pick(_NAMES) if "creat" in flags else self._path()
            if self.handles and self.rng.random() < _SAME_FILE:
                path = self.rng.choice(self.handles)[2]
            self.handles.append((actor, name, path))
            if "creat" in flags:
                self._new(path)
            return Step(actor, "open", (name, path, flags, self._pick(_MODES)))
        index = self.rng.randrange(len(self.handles))
        actor, name, _ = self.handles[index]
        verb = self._pick(_OF_HANDLES)
        if verb == "close":
            del self.handles[index]
        arguments = {
            "read": (name, str(self.rng.choice((5, 100, 4096, 150_000))), self._offset((0, 0, 3, 4000))),
            "write": (name, self._size(), self._offset((0, 0, 2, 7, 4096, 6000, 300_000))),
            "ftruncate": (name, self._offset((0, 3, 50, 6000))),
        }
        return Step(actor, verb, arguments.get(verb, (name,)))

    def _call(self) -> Step:
        verb = self._pick(_CALLS)
        path, other = self._path(), self._path()
        while other == path:
            other = self._pick(_NAMES)
        if verb in _MAKING:
            path = self._new(self._pick(_NAMES))
        elif verb == "rename":
            if self.rng.random() < _DIRECTORIES_RENAMED:
                path, other = self.rng.sample(_DIRECTORIES, 2)
            self._new(other)
        name = "user." + self._pick(("a", "b"))
        arguments: dict[str, tuple[str, ...]] = {
            "access": (path, str(self.rng.choice((os.F_OK, os.R_OK, os.W_OK, os.X_OK, 6, 7)))),
            "listdir": (self._pick((".", *_DIRECTORIES)),),
            "put": (path, self._size()),
            "append": (path, self._size()),
            "truncate": (path, self._offset((0, 3, 50, 6000))),
            "mkdir": (self._new(self._pick((*_DIRECTORIES, path))), self._pick(("777", "700", "755", "000"))),
            "rmdir": (self._pick((*_DIRECTORIES, path)),),
            "rename": (path, other),
            "link": (path, other),
            "symlink": (self._pick(_TARGETS), path),
            "mknod": (path, self._pick(("010644", "0100600", "0140666"))),
            "chmod": (path, self._pick(_MODES)),
            "chown": (path, str(self.rng.choice((-1, 0, 1000))), str(self.rng.choice((-1, 1001, 2001)))),
            "lchown": (path, "1000", "1001"),
            "utime": (path, *self._pick_times()),
            "setxattr": (path, name, self._pick(("v", "longer value")), self._pick(("0", "0", "1", "2"))),
            "getxattr": (path, name),
            "removexattr": (path, name),
        }
        return Step(self._actor(), verb, arguments.get(verb, (path,)))

    def _pick_times(self) -> tuple[str, str]:
        atime, mtime = self._pick(("1000000000", "1234567890.25")), self._pick(("1111111111", "1300000000.5"))
        return self.rng.choice(((atime, mtime), (atime, mtime), ("-", mtime), (atime, "-")))


_KNOWN = 0.65
_TWO = 0.35
_DIRECTORY_MOUNTED = 0.3
_WAIT = 0.5
_SAME_FILE = 0.35
_DIRECTORIES_RENAMED = 0.3
_BIG = 0.002
_BIG_WITH_PARTS = 0.15
_OF_HANDLES = (
    *("read",) * 3,
    *("write",) * 3,
    *("close",) * 3,
    *("ftruncate",) * 2,
    *("fstat",) * 2,
    "fsync",
    "fdatasync",
    "flush",
)
_MAKING = frozenset(("put", "symlink", "mknod"))
_CALLS = (
    *("stat",) * 3,
    *("lstat",) * 2,
    *("listdir",) * 3,
    *("put",) * 3,
    *("cat",) * 3,
    *("append",) * 2,
    *("rename",) * 3,
    *("mkdir",) * 3,
    *("rmdir",) * 2,
    *("unlink",) * 3,
    *("chmod",) * 2,
    *("chown",) * 2,
    *("utime",) * 2,
    *("symlink",) * 2,
    "readlink",
    "access",
    "truncate",
    "link",
    "lchown",
    "mknod",
    "setxattr",
    "getxattr",
    "listxattr",
    "removexattr",
    "statvfs",
)
