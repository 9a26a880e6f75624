"""What ossfs makes of an object's headers: type, mode, owner, times and size; and the metadata headers that it writes.

Pure functions of headers, key and rules; no request, no cache. Any thread may call them.

Header names are lower case throughout ("content-type", "x-oss-meta-mode").
"""

from __future__ import annotations

import calendar
import email.utils
import functools
import math
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import quote, unquote

from ossfuse.options import MountOptions
from ossfuse.profile import Profile

__all__ = [
    "BLOCK_SIZE",
    "META",
    "AttributeRules",
    "Attributes",
    "Headers",
    "blocks_of",
    "content_length",
    "format_time",
    "http_date",
    "may_be_directory",
    "symlink_header",
    "symlink_target",
]

Headers = dict[str, str]

META = "x-oss-meta-"
BLOCK_SIZE = 4096
DIRECTORY_TYPE = "application/x-directory"
UNIX_DIRECTORY_TYPE = "httpd/unix-directory"
OCTET_STREAMS = frozenset({"application/octet-stream", "binary/octet-stream"})
FOLDER_SUFFIX = "_$folder$"
PERMISSIONS = stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO
# Any of these, and an empty object is no directory made by another tool (source: is_need_check_obj_detail).
_TELLING_180 = tuple(META + name for name in ("mode", "mtime", "uid", "gid", "owner", "group", "permissions"))
_TELLING_191 = (*_TELLING_180, META + "ctime", META + "atime")


@dataclass(slots=True)
class Attributes:
    """What stat(2) shows. mode: with type bits; size in bytes; times in seconds since the epoch."""

    mode: int
    uid: int
    gid: int
    size: int = 0
    mtime: float = 0.0
    atime: float = 0.0
    ctime: float = 0.0
    nlink: int = 1
    blocks: int = 1
    blksize: int = BLOCK_SIZE
    rdev: int = 0

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_symlink(self) -> bool:
        return stat.S_ISLNK(self.mode)

    def copy(self) -> Attributes:
        # Every stat makes one; dataclasses.replace takes five times as long.
        return Attributes(
            self.mode,
            self.uid,
            self.gid,
            self.size,
            self.mtime,
            self.atime,
            self.ctime,
            self.nlink,
            self.blocks,
            self.blksize,
            self.rdev,
        )


def blocks_of(size: int) -> int:
    """st_blocks as ossfs counts: size / 512 + 1, so an empty file shows 1."""
    return size // 512 + 1


def content_length(headers: Mapping[str, str]) -> int:
    """Content-Length, 0 when it is missing or not a number."""
    return _number(headers.get("content-length", ""), 10)


def format_time(seconds: float) -> str:
    """Seconds since the epoch as 1.91 stores them: "1795412045", or with nine decimals when there is a fraction."""
    whole = math.floor(seconds)
    nanoseconds = int((Decimal(repr(seconds)) - whole) * 1_000_000_000)
    return f"{whole}.{nanoseconds:09d}" if nanoseconds else str(whole)


def http_date(seconds: float) -> str:
    """Seconds since the epoch as the Date and Last-Modified headers write them."""
    return _http_date(math.floor(seconds))


# Most requests are made in the same second as the one before, and most objects of a directory in the same few.
@functools.lru_cache(maxsize=1024)
def _http_date(seconds: int) -> str:
    return email.utils.formatdate(seconds, usegmt=True)


@functools.lru_cache(maxsize=4096)
def parse_http_date(text: str) -> float | None:
    """The opposite; None when it is no date."""
    parsed = email.utils.parsedate(text)
    return float(calendar.timegm(parsed)) if parsed else None


def parse_iso_date(text: str) -> float:
    """The time in a listing ("2024-09-03T00:00:00.000Z"), to the second; 0 when it is none."""
    try:
        return float(calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")))
    except ValueError:
        return 0.0


def symlink_header(target: str) -> str:
    """x-oss-meta-symlink-target of the option symlink_in_meta: "header:LENGTH:urlencoded"."""

    raw = target.encode("utf-8", "surrogateescape")
    return f"header:{len(raw)}:{quote(raw, safe='/.-_~')}"


def symlink_target(headers: Mapping[str, str]) -> str | None:
    """The target kept in the metadata, None when the body has it."""

    kind, _, rest = headers.get(META + "symlink-target", "").partition(":")
    _, _, encoded = rest.partition(":")
    if kind != "header" or not encoded:
        return None
    return unquote(encoded, errors="surrogateescape")


def may_be_directory(headers: Mapping[str, str], profile: Profile) -> bool:
    """Whether ossfs must still look below the name: an empty object without metadata (is_need_check_obj_detail)."""
    if content_length(headers):
        return False
    telling = _TELLING_191 if profile.access_and_change_times else _TELLING_180
    if any(name in headers for name in telling):
        return False
    return headers.get("content-type", DIRECTORY_TYPE) != DIRECTORY_TYPE


@dataclass(frozen=True, slots=True)
class AttributeRules:
    """How one mount reads headers. euid, egid: of the ossfs process, the owner of what has none (1.91)."""

    profile: Profile
    options: MountOptions
    euid: int
    egid: int

    def read(self, key: str, headers: Mapping[str, str], *, forced: bool = False, listed: bool = False) -> Attributes:
        """Headers of `key` ("a/b", "a/b/") to attributes (source: convert_header_to_stat).

        forced: a directory that exists only through its children. listed: the headers come from a listing
        (readdir_optimize), so metadata is not looked at."""
        profile = self.profile
        mode = self.mode(key, headers, forced=forced, listed=listed)
        modified = parse_http_date(headers.get("last-modified", ""))
        found = Attributes(mode=mode, uid=self._owner(headers, listed), gid=self._group(headers, listed))
        found.mtime = self._time(headers, "mtime", modified, listed)
        if self.options.simulate_mtime_ns_with_crc64 and found.mtime.is_integer():
            # The nanoseconds change with the content, for libfuse's auto_cache to see it.
            found.mtime += _number(headers.get("x-oss-hash-crc64ecma", ""), 10) % 1_000_000_000 / 1_000_000_000
        if profile.access_and_change_times:
            found.ctime = self._time(headers, "ctime", modified, listed)
            found.atime = self._time(headers, "atime", modified, listed)
        size = content_length(headers)
        if profile.directory_size is not None and found.is_directory:
            size = profile.directory_size
        if listed and found.is_symlink and not self._checked_anyway(size):
            found.mode = (mode & ~stat.S_IFMT(mode)) | stat.S_IFREG
        if found.is_symlink and size == 0 and profile.symlink_target_header:
            size = _number("".join(headers.get(META + "symlink-target", "").split(":")[1:2]), 10)
        found.size = size
        found.blocks = blocks_of(size)
        return found

    def times(self, headers: Mapping[str, str]) -> tuple[float, float]:
        """mtime and ctime that metadata tell, in seconds, whatever is displayed (source: ToTimeStat)."""
        modified = parse_http_date(headers.get("last-modified", ""))
        return self._time(headers, "mtime", modified, False), self._time(headers, "ctime", modified, False)

    def mode(
        self,
        key: str,
        headers: Mapping[str, str],
        *,
        forced: bool = False,
        listed: bool = False,
        typed: bool = True,
    ) -> int:
        """Mode with type bits; typed False: only with those that metadata tell (source: get_mode)."""
        profile = self.profile
        slash = key.endswith("/")
        s3sync = False
        if listed:
            mode = self._listed_mode(slash, headers)
        elif (text := headers.get(META + "mode")) is not None:
            mode = _number(text, 0 if profile.mode_any_base else 10)
        elif (text := headers.get(META + "permissions")) is not None:
            mode = _number(text, 0 if profile.mode_any_base else 10)
            s3sync = True
        elif profile.google_mode_header and (text := headers.get(META + "goog-reserved-posix-mode")) is not None:
            mode = _number(text, 8)
        elif self.options.default_permission is not None:
            mode = self.options.default_permission
        else:
            mode = profile.directory_mode_missing if slash else profile.file_mode_missing
        if stat.S_IFMT(mode):
            return mode
        if profile.symlink_target_header and META + "symlink-target" in headers:
            return mode | stat.S_IFLNK | PERMISSIONS
        if s3sync:
            return mode
        directory = typed and (forced or self._typed_directory(slash, headers))
        if typed:
            mode |= stat.S_IFDIR if directory else stat.S_IFREG
        if self.options.complement_stat and profile.complement_minimal_permission and not mode & PERMISSIONS:
            mode |= stat.S_IRUSR | (stat.S_IXUSR if directory else 0)
        return mode

    def _typed_directory(self, slash: bool, headers: Mapping[str, str]) -> bool:
        profile = self.profile
        complement = self.options.complement_stat
        if "content-type" not in headers:
            return False
        if slash and profile.directory_needs_empty and content_length(headers):
            return False
        if slash and profile.directory_needs_mode and META + "mode" not in headers and not complement:
            return False
        kind = headers["content-type"]
        if profile.unix_directory_type:
            kind = kind.partition(";")[0]
            if kind == UNIX_DIRECTORY_TYPE:
                return True
        if kind == DIRECTORY_TYPE:
            return True
        if not slash:
            return False
        if profile.slash_directory_any_type or kind in OCTET_STREAMS:
            return True
        text_rule = complement and profile.complement_text_directory
        return text_rule and kind == "text/plain" and content_length(headers) <= 1

    def _listed_mode(self, slash: bool, headers: Mapping[str, str]) -> int:
        """With readdir_optimize: the type that metadata tell, permissions that nothing tells."""
        kind = stat.S_IFMT(_number(headers.get(META + "mode", ""), 0))
        if kind == stat.S_IFLNK:
            return kind | PERMISSIONS
        if kind == stat.S_IFDIR:
            return kind | 0o750
        if kind in (stat.S_IFCHR, stat.S_IFBLK):
            return kind | 0o644
        if kind:
            return kind | 0o640
        profile = self.profile
        return profile.directory_mode_missing if slash else profile.file_mode_missing

    def _checked_anyway(self, size: int) -> bool:
        return size <= self.options.readdir_check_size

    def _owner(self, headers: Mapping[str, str], listed: bool) -> int:
        names = ("uid", "owner", "goog-reserved-posix-uid")
        return self._identity(headers, names, listed, self.euid)

    def _group(self, headers: Mapping[str, str], listed: bool) -> int:
        names = ("gid", "group", "goog-reserved-posix-gid")
        return self._identity(headers, names, listed, self.egid)

    def _identity(self, headers: Mapping[str, str], names: tuple[str, str, str], listed: bool, process: int) -> int:
        known = names if self.profile.google_mode_header else names[:2]
        if not listed:
            for name in known:
                if (text := headers.get(META + name)) is not None:
                    return _number(text, 0 if self.profile.mode_any_base else 10) & 0xFFFFFFFF
        return process if self.profile.owner_missing_is_process else 0

    def _time(self, headers: Mapping[str, str], name: str, modified: float | None, listed: bool) -> float:
        if not self.profile.fractional_times:
            text = headers.get(META + name)
            return float(_number(text, 10)) if text is not None else (modified or 0.0)
        names = (name, "goog-reserved-file-mtime") if name == "mtime" else (name,)
        for candidate in () if listed else names:
            seconds = _fractional(headers.get(META + candidate, ""))
            if seconds >= 1.0:
                return seconds
        return modified or 0.0


@functools.lru_cache(maxsize=4096)
def _fractional(text: str) -> float:
    whole, _, fraction = text.partition(".")
    seconds = float(_number(whole, 10))
    # ossfs takes the digits behind the point as nanoseconds, however many there are.
    return seconds + _number(fraction, 10) / 1_000_000_000


# The same few modes, owners and times come with every object.
@functools.lru_cache(maxsize=4096)
def _number(text: str, base: int) -> int:
    """As strtoll reads a whole string; 0 when it is not one. base 0: 0x and leading 0 count as in C."""
    text = text.strip()
    if base == 0:
        digits = text.lstrip("+-")
        base = 16 if digits[:2].lower() == "0x" else 8 if len(digits) > 1 and digits[0] == "0" else 10
    if not text.isascii() or "_" in text:
        return 0
    try:
        return int(text, base)
    except ValueError:
        return 0
