"""ossfs2's command line: `mount MOUNTPOINT [-c FILE] --key=value ...`, and the form that mount(8) uses for fstab.

The table has every option of the real tool. Each is modelled, inert (accepted; it changes speed or memory only, or the
log) or not modelled: given another value than its default the mount is refused in those words, because the simulation
would not behave as the original does. Pure, but for the configuration file that -c names. Any thread.

Source: 2.0.7, options.cpp, main.cpp, fstab.h.
"""

from __future__ import annotations

import enum
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ossfuse.options import Answered, UsageError
from ossfuse.ossfs2.profile import PROFILES, Profile

__all__ = ["OPTIONS", "MountOptions", "NotModelled", "Option", "Support", "from_mount_options", "parse"]

MIB = 1024 * 1024
GIB = 1024 * MIB
_UNITS = {"": 1, "B": 1, "KB": 1024, "K": 1024, "MB": MIB, "M": MIB, "GB": GIB, "G": GIB, "TB": GIB * 1024}
_CREDENTIALS = frozenset({"oss_access_key_id", "oss_access_key_secret"})
# Words of fstab that mean nothing to ossfs2 (source: fstab.h).
_FSTAB_WORDS = frozenset(
    ("auto", "noauto", "user", "nouser", "users", "_netdev", "nofail", "dev", "nodev", "suid", "nosuid", "rw")
)
_TRUE = frozenset({"1", "t", "true", "y", "yes"})
_FALSE = frozenset({"0", "f", "false", "n", "no"})


_INTEGERS = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1), "uint64": (0, 2**64 - 1)}


class Support(enum.Enum):
    """What the simulation does with an option."""

    MODELLED = "modelled"
    INERT = "inert"
    NOT_MODELLED = "not modelled"


class NotModelled(UsageError):
    """The option would change the behaviour of the real tool in a way that is not simulated. Leave it out, or use the
    real binary."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option. kind: the gflags type (bool, int32, int64, uint64, double), str, size (bytes, with or without a unit)
    or mode (four octal digits). valid: of the value that was read."""

    name: str
    kind: str
    default: object
    support: Support = Support.INERT
    valid: Callable[[object], bool] = field(default=lambda value: True)

    def read(self, text: str) -> object:
        """The value. Raises ValueError with what is wrong, as gflags says it."""
        try:
            value = self._parsed(text)
        except ValueError:
            raise ValueError(f"illegal value '{text}' specified for {self.kind} flag '{self.name}'") from None
        if value is None or not self.valid(value):
            raise ValueError(f"failed validation of new value '{text}' for flag '{self.name}'")
        return value

    def _parsed(self, text: str) -> object:
        """None for a text that its validator would refuse."""
        if self.kind == "bool":
            lower = text.lower()
            if lower not in _TRUE | _FALSE:
                raise ValueError
            return lower in _TRUE
        if self.kind in _INTEGERS:
            low, high = _INTEGERS[self.kind]
            number = int(text, 10)
            if not low <= number <= high:
                raise ValueError
            return number
        if self.kind == "double":
            return float(text)
        if self.kind == "size":
            return _bytes(text)
        if self.kind == "mode":
            return int(text, 8) if re.fullmatch(r"0[0-7]{3}", text) else None
        return text


def _bytes(text: str) -> int | None:
    found = re.fullmatch(r"(\d+)\s*([a-zA-Z]*)", text)
    if not found or found[2].upper() not in _UNITS:
        return None
    return int(found[1]) * _UNITS[found[2].upper()]


def _within(low: int, high: int | None = None) -> Callable[[object], bool]:
    return lambda value: isinstance(value, int) and value >= low and (high is None or value <= high)


_DONE, _NO = Support.MODELLED, Support.NOT_MODELLED
_id = _within(0, 2**32 - 1)
_seconds = _within(0)

OPTIONS: Mapping[str, Option] = {
    option.name: option
    for option in (
        Option("d", "bool", False, _DONE),
        Option("f", "bool", False, _DONE),
        Option("nonempty", "bool", False, _DONE),
        Option("total_mem_limit", "size", 0),
        Option("total_rw_mem_ratio", "double", 0.6),
        Option("ro", "bool", False, _DONE),
        Option("uid", "uint64", None, _DONE, _id),
        Option("gid", "uint64", None, _DONE, _id),
        Option("dir_mode", "mode", 0o777, _DONE),
        Option("file_mode", "mode", 0o777, _DONE),
        Option("fuse_threads", "int32", 128, valid=_within(1, 1024)),
        Option("readdirplus", "bool", True, _DONE),
        Option("ignore_fsync", "bool", True, _DONE),
        Option("allow_mark_dir_stale_recursively", "bool", False, _DONE),
        Option("allow_rename_dir", "bool", True, _DONE),
        Option("rename_dir_limit", "uint64", 2_000_000, _DONE, _seconds),
        Option("allow_other", "bool", True, _DONE),
        Option("seq_read_detect_count", "int32", 3, _DONE, _within(0, 64)),
        Option("sync_upload", "bool", True, _DONE),
        Option("enable_symlink", "bool", False, _DONE),
        Option("oss_endpoint", "str", "", _DONE, bool),
        Option("oss_bucket", "str", "", _DONE, bool),
        Option("oss_bucket_prefix", "str", "", _DONE),
        Option("oss_region", "str", "", _DONE),
        Option("oss_access_key_id", "str", "", _DONE),
        Option("oss_access_key_secret", "str", "", _DONE),
        Option("ram_role", "str", "", _NO),
        Option("credential_process", "str", "", _DONE, lambda value: _safe_command(str(value))),
        Option("attr_timeout", "uint64", 60, _DONE, _seconds),
        Option("negative_timeout", "uint64", 0, _DONE, _seconds),
        Option("fuse_attr_timeout", "int64", -1, _DONE, _within(-1)),
        Option("fuse_entry_timeout", "int64", -1, _DONE, _within(-1)),
        Option("kernel_readdir_cache_timeout", "int64", 0, _NO),
        Option("close_to_open", "bool", False, _DONE),
        Option("inode_cache_eviction_threshold", "uint64", 0, _NO, _seconds),
        Option("inode_cache_eviction_interval_ms", "uint64", 30000, valid=_seconds),
        Option("max_inode_cache_count", "uint64", 0, _NO, _seconds),
        Option("oss_negative_cache_timeout", "uint64", 0, _DONE, _seconds),
        Option("oss_negative_cache_size", "uint64", 10000, _DONE, _seconds),
        Option("cache_type", "str", "standard", valid=lambda value: value == "standard"),
        Option("memory_data_cache_size", "size", 0, _NO),
        Option("upload_buffer_size", "size", 8 * MIB, _DONE, _within(MIB, 5 * GIB)),
        Option("upload_concurrency", "int32", 64, valid=_within(1, 1024)),
        Option("upload_copy_concurrency", "int32", 64, valid=_within(1, 1024)),
        Option("prefetch_concurrency", "int32", 256, valid=_within(0, 4096)),
        Option("prefetch_concurrency_per_file", "int32", 64, valid=_within(1, 4096)),
        Option("prefetch_chunk_size", "size", 8 * MIB, _DONE, _within(MIB, 128 * MIB)),
        Option("prefetch_chunks", "int32", 0, valid=_within(-1)),
        Option("min_reserved_buffer_size_per_file", "uint64", MIB, valid=lambda value: value in (0, MIB)),
        Option("enable_appendable_object", "bool", False, _DONE),
        Option("appendable_object_autoswitch_threshold", "uint64", 0, _DONE, _within(0, 5 * GIB)),
        Option("enable_crc64", "bool", True),
        Option("oss_vcpu_count", "uint64", 8, valid=_within(1, 128)),
        Option("use_list_obj_v2", "bool", True, _DONE),
        Option("max_list_ret_count", "int32", 100, _DONE, _within(100, 1000)),
        Option("oss_request_timeout_ms", "uint64", 60000, _DONE, _within(1000, 900_000)),
        Option("bind_ips", "str", "", _NO),
        Option("set_mime_for_rename_dst", "bool", False, _NO),
        Option("use_auth_cache", "bool", False),
        Option("rename_dir_concurrency", "int32", 128, _DONE, _within(1, 1024)),
        Option("enable_transmission_control", "bool", True),
        Option("tc_max_latency_threshold_us", "uint64", 5_000_000),
        Option("http_proxy", "str", "", _NO),
        Option("log_dir", "str", "/tmp/ossfs2/", _DONE),
        Option("log_level", "str", "info", _DONE),
        Option("log_file_max_size", "uint64", 64 * MIB),
        Option("log_file_max_count", "uint64", 8),
        Option("enable_photon_logs", "bool", False),
        Option("skip_trim_options", "bool", False, _DONE),
        Option("metrics_port", "int32", 0, _NO, _within(0, 65535)),
        Option("metrics_ip", "str", "127.0.0.1"),
        Option("enable_test_signal_handler", "bool", False),
        Option("enable_admin_server", "bool", True),
    )
}
"""Every option of 2.0.7 by name."""


def _safe_command(command: str) -> bool:
    return not command or (command.startswith("/") and "$" not in command)


@dataclass(frozen=True, slots=True)
class MountOptions:
    """The command line of one mount, read. prefix: "" or without slashes at its ends. Times in seconds, sizes in bytes.
    given: names of the options that the command line or the file has. fuse_options: for libfuse."""

    mountpoint: str
    bucket: str
    endpoint: str
    prefix: str
    region: str
    access_key_id: str
    access_key_secret: str
    credential_process: str
    uid: int | None
    gid: int | None
    dir_mode: int
    file_mode: int
    read_only: bool
    allow_other: bool
    attr_timeout: float
    fuse_attr_timeout: float
    fuse_entry_timeout: float
    fuse_negative_timeout: float
    negative_cache_timeout: float
    negative_cache_size: int
    close_to_open: bool
    readdirplus: bool
    ignore_fsync: bool
    sync_upload: bool
    mark_stale_recursively: bool
    allow_rename_dir: bool
    rename_dir_limit: int
    rename_dir_concurrency: int
    enable_symlink: bool
    upload_buffer_size: int
    prefetch_chunk_size: int
    sequential_reads: int
    appendable: bool
    autoswitch_threshold: int
    list_v2: bool
    list_keys: int
    request_timeout: float
    nonempty: bool
    foreground: bool
    debug: bool
    log_dir: str
    log_level: str
    fuse_options: tuple[str, ...]
    given: frozenset[str]

    @property
    def url(self) -> str:
        """The endpoint with its scheme; without one the real tool speaks TLS."""
        return self.endpoint if "://" in self.endpoint else f"https://{self.endpoint}"

    # What `http_transport` asks for.

    @property
    def connect_timeout(self) -> float:
        return self.request_timeout

    @property
    def readwrite_timeout(self) -> float:
        return self.request_timeout

    @property
    def check_certificate(self) -> bool:
        return True

    @property
    def ssl_verify_hostname(self) -> bool:
        return True


def parse(
    argv: Sequence[str],
    profile: Profile,
    *,
    program: str = "ossfs2",
    directory_exists: Callable[[str], bool] = os.path.isdir,
) -> MountOptions:
    """Reads the arguments behind the program's name.

    Raises UsageError with what the tool prints and its exit code, NotModelled for what the simulation can't do,
    Answered for --version and --help. Unknown keys of the configuration file are ignored, those of the command line
    refused.
    """
    words = list(argv)
    if len(words) == 4 and words[2] == "-o":
        words = _from_fstab(words)
    if not words or words[0] != "mount":
        _without_command(words, profile, program)
    mountpoint, conf, rest = _positionals(words[1:])
    if conf is not None and not os.path.exists(conf):
        raise UsageError(f"--conf: File does not exist: {conf}\nRun with --help for more information.", 105)
    if mountpoint and not directory_exists(mountpoint):
        raise UsageError(
            f"MOUNTPOINT: Directory does not exist: {mountpoint}\nRun with --help for more information.", 105
        )
    flags = _Flags(profile)
    if conf is not None:
        flags.read_file(conf)
    flags.read_words(rest)
    values = flags.checked()
    _refuse_unmodelled(values)
    return _options(mountpoint, values, frozenset(flags.given))


def from_mount_options(words: Sequence[str]) -> list[str]:
    """`-o a,b=c` of mount(8) as ossfs2's own `--a --b=c`; other words stay. What mount(8) itself wants is left out
    (source: fstab.h)."""
    made = []
    waiting = iter(words)
    for word in waiting:
        if not word.startswith("-o"):
            made.append(word)
            continue
        for token in (word[2:] or next(waiting, "")).split(","):
            key = token.partition("=")[0]
            if key and key not in _FSTAB_WORDS and not key.startswith("x-"):
                made.append(f"--{token}")
    return made


def _from_fstab(words: Sequence[str]) -> list[str]:
    bucket, mountpoint, *options = words
    return ["mount", mountpoint, "--oss_bucket", bucket, *from_mount_options(options)]


def _without_command(words: Sequence[str], profile: Profile, program: str) -> None:
    if {"-v", "--version"} & set(words):
        raise Answered(f"Version ID: {profile.name} \nCommit  ID: simulated \nBuild Time: simulated ")
    if {"-h", "--help"} & set(words):
        raise Answered(_HELP.format(program))
    if words:
        raise UsageError(
            f"The following argument was not expected: {words[0]}\nRun with --help for more information.", 109
        )
    raise UsageError(_HELP.format(program), 255, on_stdout=True)


_HELP = (
    "This is used to mount an OSS bucket to a local directory.\n"
    "Usage: {} [OPTIONS] [SUBCOMMAND]\n\n"
    "Options:\n"
    "  -h,--help                   Print this help message and exit\n"
    "  -v,--version                Show version\n\n"
    "Subcommands:\n"
    "  mount                       Mount an OSS bucket to the target directory."
)


def _positionals(words: Sequence[str]) -> tuple[str, str | None, list[str]]:
    """Mount point, configuration file, and the options that remain."""
    mountpoint, conf, rest = "", None, []
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if word in ("-h", "--help"):
            raise Answered(_mount_help())
        if word in ("-c", "--conf"):
            if position == len(words):
                raise UsageError("--conf: 1 required TEXT:FILE missing\nRun with --help for more information.", 114)
            conf = words[position]
            position += 1
        elif word.startswith("--conf="):
            conf = word.partition("=")[2]
        elif word.startswith("-"):
            rest.append(word)
            name = word.lstrip("-")
            option = OPTIONS.get(name)
            if option is not None and option.kind != "bool" and position < len(words):
                rest[-1] = f"--{name}={words[position]}"
                position += 1
        elif not mountpoint:
            mountpoint = word
        else:
            rest.append(word)
    return mountpoint, conf, rest


def _mount_help() -> str:
    lines = ["Usage: ossfs2 mount [MOUNTPOINT] [OPTIONS]", ""]
    lines += [f"  --{option.name:<46}{option.support.value}. Default: {option.default}" for option in OPTIONS.values()]
    return "\n".join(lines)


_ADDED = frozenset[str]().union(*(row.options_added for row in PROFILES.values()))
_REQUIRED = ("oss_bucket", "oss_endpoint")


class _Flags:
    """What gflags makes of a flag file and a command line: every mistake is told, in the order of the flags' names."""

    def __init__(self, profile: Profile) -> None:
        self._unknown = _ADDED - profile.options_added
        self._values: dict[str, object] = {name: option.default for name, option in OPTIONS.items()}
        self._mistakes: dict[str, str] = {}
        self._strays: list[str] = []
        self.given: set[str] = set()

    def read_file(self, conf: str) -> None:
        """One --key=value a line; comments and unknown keys are passed over."""
        with open(conf, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
        for line in lines:
            text = line.strip()
            if text.startswith("-"):
                self._take(text, strict=False)

    def read_words(self, words: Sequence[str]) -> None:
        """What is no option is libfuse's to refuse."""
        for word in words:
            if word.startswith("-"):
                self._take(word, strict=True)
            else:
                self._strays.append(word)

    def checked(self) -> Mapping[str, object]:
        """All values. Raises UsageError with every mistake."""
        for name in _REQUIRED:
            if name not in self.given:
                self._mistakes[name] = f"--{name} must be set on the commandline (default value fails validation)"
        if self._mistakes:
            raise UsageError("\n".join(f"ERROR: {self._mistakes[name]}" for name in sorted(self._mistakes)))
        if self._strays:
            raise UsageError(f"fuse: invalid argument `{self._strays[0]}'", 255)
        return self._values

    def _known(self, name: str) -> Option | None:
        return None if name in self._unknown else OPTIONS.get(name)

    def _take(self, word: str, *, strict: bool) -> None:
        name, equals, text = word.lstrip("-").partition("=")
        name = name.strip().replace("-", "_")
        option = self._known(name)
        if option is None and not equals and name.startswith("no"):
            option = self._known(name[2:])
            name, equals, text = name[2:] if option else name, "=", "false"
        if option is None:
            if strict:
                self._mistakes[name] = f"unknown command line flag '{name}'"
            return
        if option.kind != "bool" and not equals:
            if strict:
                self._mistakes[name] = f"flag '--{name}' is missing its argument"
            return
        try:
            self._values[name] = option.read(text.strip() if equals else "true")
            self.given.add(name)
        except ValueError as error:
            self._mistakes[name] = str(error)


def _refuse_unmodelled(values: Mapping[str, object]) -> None:
    for option in OPTIONS.values():
        if option.support is Support.NOT_MODELLED and values[option.name] != option.default:
            raise NotModelled(f"ossfs2-sim: --{option.name}={values[option.name]}: not modelled")


def _options(mountpoint: str, values: Mapping[str, object], given: frozenset[str]) -> MountOptions:
    def number(name: str) -> int:
        value = values[name]
        assert isinstance(value, int)
        return value

    def text(name: str) -> str:
        return str(values[name])

    def optional(name: str) -> int | None:
        return None if values[name] is None else number(name)

    attr = number("attr_timeout")
    fuse_attr, fuse_entry = number("fuse_attr_timeout"), number("fuse_entry_timeout")
    close_to_open = bool(values["close_to_open"])
    debug = bool(values["d"])
    attr_seconds = float(attr if fuse_attr == -1 else fuse_attr)
    entry_seconds = float(attr if fuse_entry == -1 else fuse_entry)
    return MountOptions(
        mountpoint=mountpoint,
        bucket=text("oss_bucket"),
        endpoint=text("oss_endpoint"),
        prefix=text("oss_bucket_prefix").strip("/"),
        region=text("oss_region"),
        access_key_id=text("oss_access_key_id"),
        access_key_secret=text("oss_access_key_secret"),
        credential_process=text("credential_process"),
        uid=optional("uid"),
        gid=optional("gid"),
        dir_mode=number("dir_mode"),
        file_mode=number("file_mode"),
        read_only=bool(values["ro"]),
        allow_other=bool(values["allow_other"]),
        attr_timeout=float(attr),
        fuse_attr_timeout=attr_seconds,
        fuse_entry_timeout=entry_seconds,
        fuse_negative_timeout=float(number("negative_timeout")),
        negative_cache_timeout=float(number("oss_negative_cache_timeout")),
        negative_cache_size=number("oss_negative_cache_size"),
        close_to_open=close_to_open,
        readdirplus=bool(values["readdirplus"]) and bool(attr or attr_seconds or entry_seconds),
        ignore_fsync=bool(values["ignore_fsync"]),
        # Close-to-open is worth nothing when close does not upload (source: parse_fuse_options).
        sync_upload=bool(values["sync_upload"]) or close_to_open,
        mark_stale_recursively=bool(values["allow_mark_dir_stale_recursively"]),
        allow_rename_dir=bool(values["allow_rename_dir"]),
        rename_dir_limit=number("rename_dir_limit"),
        rename_dir_concurrency=number("rename_dir_concurrency"),
        enable_symlink=bool(values["enable_symlink"]),
        # Whole cache blocks (source: init_fs_options).
        upload_buffer_size=-(-number("upload_buffer_size") // MIB) * MIB,
        prefetch_chunk_size=number("prefetch_chunk_size"),
        sequential_reads=number("seq_read_detect_count"),
        appendable=bool(values["enable_appendable_object"]),
        autoswitch_threshold=number("appendable_object_autoswitch_threshold"),
        list_v2=bool(values["use_list_obj_v2"]),
        list_keys=number("max_list_ret_count"),
        request_timeout=number("oss_request_timeout_ms") / 1000,
        nonempty=bool(values["nonempty"]),
        foreground=bool(values["f"]) or debug,
        debug=debug,
        log_dir=text("log_dir"),
        log_level=text("log_level"),
        fuse_options=_fuse_options(values, debug),
        given=given,
    )


def _fuse_options(values: Mapping[str, object], debug: bool) -> tuple[str, ...]:
    chosen = []
    if debug:
        chosen.append("-d")
    if values["ro"]:
        chosen.append("ro")
    if values["allow_other"]:
        chosen.append("allow_other")
    # hard_remove: ossfs2 is a file system of inodes, an unlinked open file needs no other name.
    return (*chosen, "default_permissions", "hard_remove")
