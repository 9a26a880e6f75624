"""The command line of ossfs: which options a release knows, what they mean, and the message for each mistake.

`parse` turns an argument vector into `MountOptions`, the value that the rest of the package works from. It looks at
the mount point (as ossfs does while parsing) and at nothing else; credentials, the mount-time check and the mount
itself are the business of `passwd`, `filesystem` and `mount`. Which names a release consumes itself is a field of its
`Profile`; what it does not consume goes to libfuse 2, whose own options are the second table here.

Pure functions over immutable tables; any thread may call them.
"""

from __future__ import annotations

import dataclasses
import enum
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ossfuse.additional_headers import NO_HEADERS, AdditionalHeaders, BadHeaderFile
from ossfuse.encryption import BadKeyFile, CustomerKey, customer_keys
from ossfuse.profile import NegativeCache, Profile

__all__ = [
    "OPTIONS",
    "Answered",
    "MountOptions",
    "Option",
    "UsageError",
    "Value",
    "check_libfuse_options",
    "complete",
    "parse",
    "usage_text",
]

MIB = 1024 * 1024
DAY = 24 * 60 * 60
ILLEGAL_IN_BUCKET = frozenset("/:\\;!@#$%^&*?|+=")
PERMISSION_BITS = 0o777


class UsageError(Exception):
    """The command line is wrong. message: everything ossfs prints on stderr (on_stdout: on stdout), without the last
    newline; usage: the usage line follows on stdout; exit_code: of the command. Correct the option that it names."""

    def __init__(self, message: str, exit_code: int = 1, usage: bool = False, *, on_stdout: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
        self.usage = usage
        self.on_stdout = on_stdout


class Answered(Exception):
    """--help or --version: the answer is `text` on stdout and exit code 0; there is nothing to mount."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Value(enum.Enum):
    """What follows the name of an option."""

    FLAG = "flag"  # name
    TEXT = "text"  # name=anything
    NUMBER = "number"  # name=decimal digits
    MASK = "mask"  # name=permission bits
    EITHER = "either"  # name or name=anything


@dataclass(frozen=True, slots=True)
class Option:
    """One option of ossfs. field: of MountOptions, "" for an option accepted without effect here; setting: what a flag
    stores; scale: multiplies a number into bytes; passed_on: libfuse gets it too."""

    name: str
    value: Value
    field: str = ""
    setting: bool = True
    scale: int = 1
    passed_on: bool = False


@dataclass(frozen=True, slots=True)
class MountOptions:
    """What one mount was asked to do. Sizes in bytes, times in seconds; None: not given, or without limit.

    prefix: directory in the bucket, "" or "/a/b" without a slash at its end. fuse_options: what libfuse is to be given,
    in order ("allow_other", "ro", "-s", ...). The defaults here are those of 1.91; `parse` starts from those of the
    release.
    """

    bucket: str = ""
    prefix: str = ""
    mountpoint: str = ""
    url: str = "https://oss-cn-hangzhou.aliyuncs.com"
    service_path: str = "/"
    endpoint: str = ""
    use_path_request_style: bool = False
    # permissions
    allow_other: bool = False
    umask: int | None = None
    mp_umask: int | None = None
    uid: int | None = None
    gid: int | None = None
    default_permission: int | None = None
    # attributes and caches
    complement_stat: bool = False
    notsup_compat_dir: bool = False
    listobjectsv2: bool = False
    list_object_max_keys: int = 1000
    max_stat_cache_size: int = 100_000
    stat_cache_expire: float | None = 900.0
    stat_cache_interval: bool = False
    noobj_cache: bool = False
    skip_clean_statcache_on_ro_flush: bool = False
    readdir_optimize: bool = False
    readdir_check_size: int = 0
    symlink_in_meta: bool = False
    xattr: bool = False
    simulate_mtime_ns_with_crc64: bool = False
    # local data
    use_cache: str = ""
    check_cache_dir_exist: bool = False
    del_cache: bool = False
    tmpdir: str = "/tmp"
    ensure_diskfree: int = 0
    free_space_ratio: int = 0
    fake_diskfree: int | None = None
    max_dirty_data: int | None = None
    # transfers
    retries: int = 5
    connect_timeout: float = 300.0
    readwrite_timeout: float = 120.0
    multipart_size: int = 10 * MIB
    multipart_copy_size: int = 512 * MIB
    multipart_threshold: int = 25 * MIB
    singlepart_copy_limit: int = 512 * MIB
    parallel_count: int = 5
    multireq_max: int = 20
    nomultipart: bool = False
    nomixupload: bool = False
    nocopyapi: bool = False
    norenameapi: bool = False
    noshallowcopyapi: bool = False
    direct_read: bool = False
    direct_read_chunk_size: int = 4 * MIB
    direct_read_prefetch_chunks: int = 32
    direct_read_prefetch_thread: int = 64
    direct_read_prefetch_limit: int = 1024 * MIB
    direct_read_backward_chunks: int = 1
    direct_read_local_file_cache_size: int = 0
    upload_traffic_limit: int = 0
    download_traffic_limit: int = 0
    # request headers and signatures
    sigv4: bool = False
    region: str = ""
    cloudbox_id: str = ""
    default_acl: str = ""
    storage_class: str = "standard"
    sse: str = ""
    sse_kms_id: str = ""
    sse_keys: tuple[CustomerKey, ...] = ()
    additional_headers: AdditionalHeaders = NO_HEADERS
    mime: str = "/etc/mime.types"
    enable_content_md5: bool = False
    enable_unsigned_payload: bool = False
    requester_pays: bool = False
    noua: bool = False
    instance_name: str = ""
    ssl_verify_hostname: bool = True
    check_certificate: bool = True
    use_wtf8: bool = False
    # credentials
    passwd_file: str = ""
    public_bucket: bool = False
    ram_role: str = ""
    rrsa_endpoint: str = ""
    use_session_token: bool = False
    credential_process: str = ""
    credlib: str = ""
    credlib_opts: str = ""
    disable_imdsv2: bool = False
    # the process
    nonempty: bool = False
    foreground: bool = False
    debug: bool = False
    single_thread: bool = False
    logfile: str = ""
    log_level: str = "crit"
    log_time_stamp: bool = True
    check_cache_signal: bool = False
    check_cache_output: str = ""
    fuse_options: tuple[str, ...] = ()
    # instead of mounting: "list" or "abort" unfinished multipart uploads, those older than so many seconds (0: all)
    utility: str = ""
    utility_age: int = DAY


def _table(*rows: Option) -> Mapping[str, Option]:
    return {row.name: row for row in rows}


def _flags(*names: str) -> tuple[Option, ...]:
    return tuple(Option(name, Value.FLAG, name) for name in names)


def _texts(*names: str) -> tuple[Option, ...]:
    return tuple(Option(name, Value.TEXT, name) for name in names)


# Every option that some release consumes (source: my_fuse_opt_proc, S3fsCred::DetectParam of 1.80.6 to 1.91.10).
# An option with a rule of its own has a method `_set_NAME` in `_Parser`.
OPTIONS: Mapping[str, Option] = _table(
    Option("allow_other", Value.FLAG, "allow_other", passed_on=True),
    Option("nonempty", Value.FLAG, "nonempty", passed_on=True),
    Option("uid", Value.NUMBER, "uid", passed_on=True),
    Option("gid", Value.NUMBER, "gid", passed_on=True),
    Option("umask", Value.MASK, "umask", passed_on=True),
    Option("mp_umask", Value.MASK, "mp_umask"),
    Option("default_permission", Value.TEXT, "default_permission"),
    Option("bucket", Value.TEXT, "bucket"),
    Option("url", Value.TEXT, "url"),
    Option("host", Value.TEXT, "url"),
    Option("servicepath", Value.TEXT, "service_path"),
    Option("endpoint", Value.TEXT, "endpoint"),
    *_flags("use_path_request_style", "complement_stat", "notsup_compat_dir", "listobjectsv2", "readdir_optimize"),
    *_flags("symlink_in_meta", "simulate_mtime_ns_with_crc64", "skip_clean_statcache_on_ro_flush", "use_wtf8"),
    *_flags("check_cache_dir_exist", "del_cache", "nomultipart", "nomixupload", "nocopyapi", "norenameapi"),
    *_flags("noshallowcopyapi", "direct_read", "sigv4", "enable_content_md5", "enable_unsigned_payload"),
    *_flags("requester_pays", "noua", "use_session_token", "disable_imdsv2"),
    *_texts("use_cache", "tmpdir", "default_acl", "storage_class", "mime", "region", "cloudbox_id"),
    *_texts(
        "passwd_file", "rrsa_endpoint", "credential_process", "credlib", "credlib_opts", "logfile", "instance_name"
    ),
    Option("list_object_max_keys", Value.NUMBER, "list_object_max_keys"),
    Option("max_stat_cache_size", Value.NUMBER, "max_stat_cache_size"),
    Option("stat_cache_expire", Value.NUMBER, "stat_cache_expire"),
    Option("stat_cache_interval_expire", Value.NUMBER, "stat_cache_expire"),
    Option("enable_noobj_cache", Value.FLAG, "noobj_cache"),
    Option("disable_noobj_cache", Value.FLAG, "noobj_cache", setting=False),
    Option("readdir_check_size", Value.NUMBER, "readdir_check_size"),
    Option("noxattr", Value.FLAG, "xattr", setting=False),
    Option("use_xattr", Value.EITHER, "xattr"),
    Option("ensure_diskfree", Value.NUMBER, "ensure_diskfree", scale=MIB),
    Option("free_space_ratio", Value.NUMBER, "free_space_ratio"),
    Option("fake_diskfree", Value.NUMBER, "fake_diskfree", scale=MIB),
    Option("max_dirty_data", Value.NUMBER, "max_dirty_data", scale=MIB),
    Option("retries", Value.NUMBER, "retries"),
    Option("connect_timeout", Value.NUMBER, "connect_timeout"),
    Option("readwrite_timeout", Value.NUMBER, "readwrite_timeout"),
    Option("multipart_size", Value.NUMBER, "multipart_size", scale=MIB),
    Option("multipart_copy_size", Value.NUMBER, "multipart_copy_size", scale=MIB),
    Option("multipart_threshold", Value.NUMBER, "multipart_threshold", scale=MIB),
    Option("singlepart_copy_limit", Value.NUMBER, "singlepart_copy_limit"),
    Option("parallel_count", Value.NUMBER, "parallel_count"),
    Option("parallel_upload", Value.NUMBER, "parallel_count"),
    Option("multireq_max", Value.NUMBER, "multireq_max"),
    Option("direct_read_chunk_size", Value.NUMBER, "direct_read_chunk_size", scale=MIB),
    Option("direct_read_prefetch_chunks", Value.NUMBER, "direct_read_prefetch_chunks"),
    Option("direct_read_prefetch_thread", Value.NUMBER, "direct_read_prefetch_thread"),
    Option("direct_read_prefetch_limit", Value.NUMBER, "direct_read_prefetch_limit", scale=MIB),
    Option("direct_read_backward_chunks", Value.NUMBER, "direct_read_backward_chunks"),
    Option("direct_read_local_file_cache_size_mb", Value.NUMBER, "direct_read_local_file_cache_size", scale=MIB),
    Option("upload_traffic_limit", Value.NUMBER, "upload_traffic_limit"),
    Option("download_traffic_limit", Value.NUMBER, "download_traffic_limit"),
    Option("use_rrs", Value.EITHER, "storage_class"),
    Option("use_sse", Value.EITHER, "sse"),
    Option("load_sse_c", Value.TEXT, "sse_keys"),
    Option("ahbe_conf", Value.TEXT, "additional_headers"),
    Option("ssl_verify_hostname", Value.NUMBER, "ssl_verify_hostname"),
    Option("no_check_certificate", Value.FLAG, "check_certificate", setting=False),
    Option("public_bucket", Value.NUMBER, "public_bucket"),
    Option("ram_role", Value.EITHER, "ram_role"),
    Option("dbglevel", Value.TEXT, "log_level"),
    Option("f2", Value.FLAG, "log_level"),
    Option("no_time_stamp_msg", Value.FLAG, "log_time_stamp", setting=False),
    Option("curldbg", Value.EITHER),
    Option("set_check_cache_sigusr1", Value.EITHER, "check_cache_signal"),
    Option("accessKeyId", Value.TEXT),
    Option("secretAccessKey", Value.TEXT),
    Option("fd_page_size", Value.NUMBER),
    Option("cipher_suites", Value.TEXT),
    Option("createbucket", Value.FLAG),
    *(
        Option(name, Value.FLAG)
        for name in (
            *("nodnscache", "nosscache", "noxmlns", "sigv1", "sigv2"),
            *("auto", "noauto", "user", "nouser", "users", "_netdev"),
        )
    ),
)

# libfuse 2.9: what its three parsers (mount, high level, low level) know. A pattern is what sscanf wants behind "=".
_UNSIGNED = re.compile(r"\s*[-+]?\d")
_OCTAL = re.compile(r"\s*[-+]?[0-7]")
_FLOAT = re.compile(r"\s*[-+]?(\d|\.\d|inf|nan)", re.IGNORECASE)
_LIBFUSE_FLAGS = frozenset(
    (
        *("-d", "-f", "-s", "-r", "debug", "allow_other", "allow_root", "nonempty", "blkdev", "auto_unmount"),
        *("large_read", "ro", "rw", "suid", "nosuid", "dev", "nodev", "exec", "noexec", "async", "sync", "dirsync"),
        *("atime", "noatime", "hard_remove", "use_ino", "readdir_ino", "direct_io", "kernel_cache", "auto_cache"),
        *("noauto_cache", "noforget", "nopath", "intr", "async_read", "sync_read", "atomic_o_trunc", "no_remote_lock"),
        *("no_remote_flock", "no_remote_posix_lock", "big_writes", "splice_write", "no_splice_write", "splice_move"),
        *("no_splice_move", "splice_read", "no_splice_read", "default_permissions"),
    )
)
_LIBFUSE_VALUES: Mapping[str, re.Pattern[str] | None] = {
    "umask": _OCTAL,
    **dict.fromkeys(("entry_timeout", "attr_timeout", "ac_attr_timeout", "negative_timeout"), _FLOAT),
    **dict.fromkeys(("uid", "gid", "remember", "intr_signal", "max_read", "max_write", "max_readahead"), _UNSIGNED),
    **dict.fromkeys(("max_background", "congestion_threshold"), _UNSIGNED),
    **dict.fromkeys(("fsname", "subtype", "blksize", "user", "modules"), None),
    **dict.fromkeys(("fscontext", "context", "defcontext", "rootcontext"), None),
}

_LOG_LEVELS = {
    **dict.fromkeys(("silent", "critical", "crit"), "crit"),
    **dict.fromkeys(("error", "err"), "err"),
    **dict.fromkeys(("wan", "warn", "warning"), "warn"),
    **dict.fromkeys(("inf", "info", "information"), "info"),
    **dict.fromkeys(("dbg", "debug"), "dbg"),
}
_ACLS = frozenset(("private", "public-read", "public-read-write", "default"))
_LONG_OPTIONS = ("help", "version", "debug", "incomplete-mpu-list", "incomplete-mpu-abort")


def usage_text(program: str = "ossfs") -> str:
    """The line that follows "missing ... argument." on stdout (source: show_usage)."""
    return f"Usage: {program} BUCKET:[PATH] MOUNTPOINT [OPTION]..."


def complete(message: str, profile: Profile) -> str:
    """An error of the option parser with what the release prints behind it (source: main, 1.91.8 and later)."""
    text = f"ossfs: {message}"
    return f"{text}\nossfs: {profile.parse_failed_line}" if profile.parse_failed_line else text


def parse(
    argv: Sequence[str],
    profile: Profile,
    *,
    euid: int = 0,
    egid: int = 0,
    program: str = "ossfs",
    look_at_mountpoint: bool = True,
    libfuse: bool = True,
    environment: Mapping[str, str] | None = None,
) -> MountOptions:
    """Reads a command line as the release reads it.

    argv: without the program's name. euid, egid: of the ossfs process. program: argv[0] as typed, for getopt's
    messages. environment: variables, for the key of use_sse=kmsid. look_at_mountpoint: False where there is no mount
    point to look at. libfuse: False leaves `check_libfuse_options` to the caller, for releases that do other things
    first. A missing bucket or mount point is left as "": which of the two, or of missing credentials, is told first
    depends on the release (see `mount`).

    Raises UsageError, and Answered for --help and --version. Source: main, my_fuse_opt_proc, set_bucket; libfuse 2.9,
    fuse_opt_parse; glibc's getopt_long.
    """
    parser = _Parser(profile, euid, egid, look_at_mountpoint, environment or {})
    words, parser.utility = _permute(argv, profile, program)
    only_positionals = False
    iterator = iter(words)
    for word in iterator:
        if only_positionals or not word.startswith("-") or word == "-":
            parser.positional(word)
        elif word == "--":
            only_positionals = True
        elif word.startswith("-o"):
            for item in _split_group(word[2:] or next(iterator)):
                parser.option(item)
        else:
            parser.switch(word)
    options = parser.result()
    if libfuse:
        check_libfuse_options(options.fuse_options)
    return options


def check_libfuse_options(options: Sequence[str]) -> None:
    """Raises UsageError as libfuse 2.9 does for the first option that none of its parsers knows."""
    for option in options:
        name, equals, value = option.partition("=")
        if option in _LIBFUSE_FLAGS:
            continue
        if equals and name in _LIBFUSE_VALUES:
            pattern = _LIBFUSE_VALUES[name]
            if pattern is None or pattern.match(value):
                continue
            raise UsageError(f"fuse: invalid parameter in option `{option}'")
        raise UsageError(f"fuse: unknown option `{option}'")


@dataclass(slots=True)
class _Utility:
    """mode: "", "list" or "abort"; age: seconds."""

    mode: str = ""
    age: int = DAY

    def choose(self, mode: str, age: str = "") -> None:
        if self.mode:
            raise UsageError("ossfs: already utility mode option is specified.")
        self.mode = mode
        if age:
            self.age = 0 if age.lower() == "all" else _age(age)


def _age(text: str) -> int:
    """Seconds of "1D12h": each unit once, the larger first (source: convert_unixtime_from_option_arg)."""
    units = {"Y": 365 * DAY, "M": 30 * DAY, "D": DAY, "h": 3600, "m": 60, "s": 1}
    match = re.fullmatch("".join(rf"(?:(\d*){unit})?" for unit in units), text, re.ASCII)
    if match is None or not text:
        raise UsageError("ossfs: --incomplete-mpu-abort option argument is wrong.")
    counts = zip(match.groups(), units.values(), strict=True)
    return sum(int(count or "0") * seconds for count, seconds in counts if count is not None)


def _permute(argv: Sequence[str], profile: Profile, program: str) -> tuple[list[str], _Utility]:
    """argv as getopt_long leaves it: options, then "--" and the positionals; and what of them asks for the utility
    mode. Refuses what getopt refuses."""
    utility = _Utility()
    options: list[str] = []
    positionals: list[str] = []
    words = iter(argv)
    for word in words:
        if word == "--":
            positionals[:0] = ["--"]
            positionals.extend(words)
            break
        if word.startswith("--"):
            _long_option(word[2:], profile, program, utility)
            options.append(word)
        elif word.startswith("-") and word != "-":
            options.append(word)
            options.extend(_short_options(word, words, profile, program, utility))
        else:
            positionals.append(word)
    return options + positionals, utility


def _short_options(word: str, words: Iterator[str], profile: Profile, program: str, utility: _Utility) -> Iterator[str]:
    for position, letter in enumerate(word[1:], start=2):
        if letter == "h":
            raise Answered(_help_text(profile))
        if letter == "o":
            if position == len(word):
                value = next(words, None)
                if value is None:
                    raise UsageError(f"{program}: option requires an argument -- 'o'")
                yield value
            return
        if letter == "u":
            if not profile.utility_asks or not utility.mode:
                utility.choose("list")
            continue
        if letter not in "dfs":
            raise UsageError(f"{program}: invalid option -- '{letter}'")


def _long_option(text: str, profile: Profile, program: str, utility: _Utility) -> None:
    name, equals, value = text.partition("=")
    options = [option for option in _LONG_OPTIONS if not (profile.utility_asks and option.startswith("incomplete"))]
    known = [option for option in options if option == name] or [
        option for option in options if option.startswith(name)
    ]
    if not known:
        raise UsageError(f"{program}: unrecognized option '--{name if equals else text}'")
    if len(known) > 1:
        possible = " ".join(f"'--{option}'" for option in known)
        raise UsageError(f"{program}: option '--{text}' is ambiguous; possibilities: {possible}")
    if equals and known[0] != "incomplete-mpu-abort":
        raise UsageError(f"{program}: option '--{known[0]}' doesn't allow an argument")
    if known[0] == "help":
        raise Answered(_help_text(profile))
    if known[0] == "version":
        raise Answered(f"{profile.version_text}\nas simulated by ossvol; no code of the original is in it")
    if known[0] == "incomplete-mpu-list":
        utility.choose("list")
    if known[0] == "incomplete-mpu-abort":
        utility.choose("abort", value)


def _help_text(profile: Profile) -> str:
    """The options of the release, from the table; not the wording of the original's help."""
    lines = [usage_text(), "", profile.version_text, "", "Options of ossfs:"]
    for name in sorted(profile.options):
        option = OPTIONS[name]
        valued = {Value.FLAG: "", Value.EITHER: "[=VALUE]"}.get(option.value, "=VALUE")
        lines.append(f"    -o {name}{valued}{'' if option.field else '  (accepted, without effect here)'}")
    lines += ["", "Options of libfuse:"]
    lines += [f"    -o {name}" for name in sorted(_LIBFUSE_FLAGS) if not name.startswith("-")]
    lines += [f"    -o {name}=VALUE" for name in sorted(_LIBFUSE_VALUES)]
    lines += ["", "    -f foreground    -s single-threaded    -d debug messages    -h help    --version"]
    lines += ["", "Of the simulation: --ossfs-version V picks the release, as the variable OSSFS_SIM_VERSION does."]
    lines += ["    --fixed leaves out the defects of the release that damage data or take an error for an answer;"]
    lines += ["    --fixed=NAME,NAME some of them."]
    return "\n".join(lines)


def _split_group(group: str) -> Iterator[str]:
    """ "a,b=c" into its items; a backslash hides a comma, three octal digits behind it are a byte (fuse_opt.c)."""
    item: list[str] = []
    position = 0
    while position < len(group):
        letter = group[position]
        if letter == ",":
            yield "".join(item)
            item.clear()
        elif letter == "\\" and position + 1 < len(group):
            octal = re.compile(r"[0-3][0-7][0-7]").match(group, position + 1)
            if octal:
                item.append(chr(int(octal.group(), 8)))
                position += 3
            else:
                position += 1
                item.append(group[position])
        else:
            item.append(letter)
        position += 1
    yield "".join(item)


def _lenient_number(text: str) -> int:
    """s3fs_strtoofft of 1.80: decimal, or hexadecimal behind 0x; anything below "0" makes it 0."""
    text = text.lstrip()
    if text[:2].lower() == "0x":
        digits = re.match(r"[0-9a-fA-F]*", text[2:])
        return int(digits.group() or "0", 16) if digits else 0
    total = 0
    for letter in text:
        if letter < "0":
            return 0
        total = total * 10 + ord(letter) - ord("0")
    return total


def _c_number(text: str, base: int) -> int | None:
    """strtol(text, base) of the whole text; None where something is left over."""
    match = re.fullmatch(r"\s*([-+]?)(0[xX](?=[0-9a-fA-F]))?([0-9a-fA-F]+)", text)
    if match is None or (match[2] and base not in (0, 16)):
        return None
    if base == 0:
        base = 16 if match[2] else 8 if match[3].startswith("0") and len(match[3]) > 1 else 10
    try:
        number = int(match[3], base)
    except ValueError:
        return None
    return -number if match[1] == "-" else number


class _Refused(Exception):
    """An error of the option parser, without prefix."""


@dataclass(slots=True)
class _Parser:
    """The state that my_fuse_opt_proc keeps in globals."""

    profile: Profile
    euid: int
    egid: int
    look_at_mountpoint: bool
    environment: Mapping[str, str]
    utility: _Utility = field(default_factory=_Utility)
    values: dict[str, object] = field(default_factory=dict)
    fuse_options: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        profile = self.profile
        self.values.update(
            url=profile.default_url,
            max_stat_cache_size=profile.max_stat_cache_size,
            stat_cache_expire=profile.stat_cache_expire,
            multipart_size=profile.multipart_size,
            multipart_copy_size=profile.multipart_copy_size,
            singlepart_copy_limit=profile.singlepart_copy_limit,
            parallel_count=profile.parallel_count,
            multireq_max=profile.multireq_max,
            retries=profile.retries,
            max_dirty_data=profile.max_dirty_data,
            connect_timeout=profile.connect_timeout,
            readwrite_timeout=profile.readwrite_timeout,
            default_acl=profile.default_acl,
            complement_stat=profile.complement_stat_default,
            xattr=profile.xattr_default,
            noobj_cache=profile.negative_cache is NegativeCache.DEFAULT,
            log_level=profile.log_level,
        )

    # --- words ------------------------------------------------------------------------------------------------------

    def positional(self, word: str) -> None:
        try:
            if not self.values.get("bucket"):
                self._set_bucket(word)
            elif self.profile.bucket_option and word == "ossfs":
                return  # fstab's first field, with -o bucket=
            elif self.utility.mode:
                raise _Refused(
                    f"specified unknown second {self.profile.third_option_word}({word}). you don't need to specify "
                    "second option(mountpoint) for utility mode(-u)."
                )
            elif not self.values.get("mountpoint"):
                self.values["mountpoint"] = word
                if self.look_at_mountpoint:
                    self._look_at(word)
            else:
                raise _Refused(f"specified unknown third {self.profile.third_option_word}({word}).")
        except _Refused as refused:
            raise UsageError(complete(str(refused), self.profile)) from None

    def switch(self, word: str) -> None:
        """-f, -d, -s, --debug and bundles of them, as fuse_opt_parse hands them on: whole."""
        if "f" in word and not word.startswith("--"):
            self.values["foreground"] = True
        if word in ("-d", "--debug"):
            if self.values["log_level"] not in ("info", "dbg"):
                self.values["log_level"] = "info"
                return
            if word == "--debug":
                return
            self.values.update(debug=True, foreground=True)
        if word.startswith("--incomplete-mpu") or word == "-u":
            return
        if word == "-s":
            self.values["single_thread"] = True
        self.fuse_options.append(word)

    def option(self, item: str) -> None:
        name, equals, value = item.partition("=")
        option = OPTIONS.get(name) if name in self.profile.options else None
        fits = option is not None and (option.value is Value.EITHER or (option.value is Value.FLAG) == (not equals))
        if option is None or not fits:
            self._hand_on(item)
            return
        try:
            rule: Callable[[str], None] | None = getattr(self, f"_set_{name}", None)
            if rule is not None:
                rule(value if equals else "")
            elif option.field:
                self.values[option.field] = self._value(option, value)
        except _Refused as refused:
            raise UsageError(complete(str(refused), self.profile)) from None
        if option.passed_on:
            self._hand_on(item)

    def _hand_on(self, item: str) -> None:
        if item in ("debug",):
            self.values.update(debug=True, foreground=True)
        self.fuse_options.append(item)

    def result(self) -> MountOptions:
        values = dict(self.values)
        if values.get("nomultipart") or values.get("nocopyapi") or values.get("norenameapi"):
            values["nomixupload"] = True
        if "default_permission" in self.profile.options:
            values.setdefault("default_permission", self.profile.file_mode_missing)
        values["fuse_options"] = tuple(self.fuse_options)
        values.update(utility=self.utility.mode, utility_age=self.utility.age)
        known = {row.name for row in dataclasses.fields(MountOptions)}
        given: dict[str, Any] = {name: value for name, value in values.items() if name in known}
        return MountOptions(**given)

    # --- values -----------------------------------------------------------------------------------------------------

    def number(self, text: str, base: int = 10) -> int:
        if self.profile.lenient_numbers:
            return _lenient_number(text)
        return _c_number(text, base) or 0

    def _value(self, option: Option, text: str) -> object:
        if option.value is Value.FLAG:
            return option.setting
        if option.value is Value.NUMBER:
            return self.number(text) * option.scale
        if option.value is Value.MASK:
            base = 0 if self.profile.umask_c_radix else 8
            return (_c_number(text, base) or 0) & PERMISSION_BITS
        return text

    # --- options with a rule of their own ---------------------------------------------------------------------------

    def _set_bucket(self, text: str) -> None:
        if not self.profile.bucket_option:
            bucket, *rest = [part for part in text.split(":") if part] or [""]
            path = rest[0] if rest and ":" in text else ""
            if path and not path.startswith("/"):
                raise _Refused(f'path({path}) must be prefix "/".')
            self.values.update(bucket=bucket, prefix=path.removesuffix("/"))
            return
        malformed = f'bucket name and path("{text}") is wrong, it must be "bucket[:/path]".'
        if "://" in text:
            raise _Refused(malformed)
        bucket, _, path = text.lstrip(":").partition(":")
        if not bucket:
            raise _Refused(malformed)
        if path and not path.startswith("/"):
            raise _Refused(f'path({path}) must be prefix "/".')
        self.values.update(bucket=bucket, prefix=path.rstrip("/") if path else self.values.get("prefix", ""))

    def _look_at(self, mountpoint: str) -> None:
        try:
            found = os.stat(mountpoint)
        except OSError as error:
            raise _Refused(f"unable to access MOUNTPOINT {mountpoint}: {error.strerror}") from None
        if not stat.S_ISDIR(found.st_mode):
            raise _Refused(f"MOUNTPOINT: {mountpoint} is not a directory.")
        if not self._may_mount_on(found):
            raise _Refused(f"MOUNTPOINT: {mountpoint} permission denied.")
        if self.values.get("nonempty"):
            return
        try:
            with os.scandir(mountpoint) as entries:
                empty = next(entries, None) is None
        except OSError as error:
            raise _Refused(f"failed to open MOUNTPOINT: {mountpoint}: {error.strerror}") from None
        if not empty:
            raise _Refused(
                f"MOUNTPOINT directory {mountpoint} is not empty. if you are sure this is safe, can use the 'nonempty' "
                "mount option."
            )

    def _may_mount_on(self, found: os.stat_result) -> bool:
        if self.euid in (0, found.st_uid):
            return True
        if found.st_gid == self.egid and found.st_mode & stat.S_IRWXG == stat.S_IRWXG:
            return True
        return found.st_mode & stat.S_IRWXO == stat.S_IRWXO

    def _set_uid(self, text: str) -> None:
        self.values["uid"] = self.number(text, 0)
        if self.euid != 0 and self.values["uid"] == 0:
            raise _Refused("root user can only specify uid=0.")

    def _set_gid(self, text: str) -> None:
        self.values["gid"] = self.number(text, 0)
        if self.egid != 0 and self.values["gid"] == 0:
            raise _Refused("root user can only specify gid=0.")

    def _set_default_permission(self, text: str) -> None:
        mode = _c_number(text, 8)
        if mode is None or not 0 <= mode <= PERMISSION_BITS:
            # The original prints this one with printf, without its name in front.
            raise UsageError(f"Illegal default permission: {text}. It must be: 0-777.", on_stdout=True)
        self.values["default_permission"] = mode

    def _set_default_acl(self, text: str) -> None:
        if self.profile.acl_names_checked and text not in _ACLS:
            raise _Refused(f"unknown value for default_acl: {text}")
        self.values["default_acl"] = "" if text == "default" else text

    def _set_retries(self, text: str) -> None:
        self.values["retries"] = self.number(text)
        if self.values["retries"] == 0 and not self.profile.retries_zero_allowed:
            raise _Refused("retries must be greater than zero")

    def _set_storage_class(self, text: str) -> None:
        if self.profile.storage_classes and text not in self.profile.storage_classes:
            raise _Refused(f"unknown value for storage_class: {text}")
        self.values["storage_class"] = text

    def _set_use_rrs(self, text: str) -> None:
        rrs = self.number(text) if text else 1
        if rrs not in (0, 1):
            raise _Refused("poorly formed argument to option: use_rrs")
        self.values["storage_class"] = "reduced_redundancy" if rrs else "standard"

    def _set_use_sse(self, text: str) -> None:
        kind, _, key = text.partition(":")
        if text in ("", "1"):
            wanted = "AES256"
        elif kind in ("kmsid", "k") and key:
            wanted = "KMS"
            self.values["sse_kms_id"] = key
        elif text == "kms" and self.profile.ram_role_auto:
            wanted = "KMS"
        elif text in ("kmsid", "k"):
            if not self.environment.get("OSSSSEKMSID"):
                raise _Refused(self.profile.sse_no_key_text)
            wanted = "KMS"
            self.values["sse_kms_id"] = self.environment["OSSSSEKMSID"]
        elif self.profile.customer_keys and kind in ("custom", "c"):
            wanted = "SSE-C"
            if key:
                self._set_load_sse_c(key)
        else:
            raise _Refused(self.profile.sse_unknown_text)
        if self.values.get("sse") not in (None, "", wanted):
            raise _Refused(self.profile.sse_conflict_text)
        self.values["sse"] = wanted

    def _set_load_sse_c(self, text: str) -> None:
        try:
            self.values["sse_keys"] = customer_keys(text)
        except BadKeyFile:
            raise _Refused(f"failed to load use_sse custom key file({text}).") from None

    def _set_ahbe_conf(self, text: str) -> None:
        try:
            headers = AdditionalHeaders.load(text, regex=self.profile.header_regex)
        except BadHeaderFile:
            raise _Refused(f"failed to load ahbe_conf file({text}).") from None
        self.values["additional_headers"] = headers

    def _set_ssl_verify_hostname(self, text: str) -> None:
        number = self.number(text)
        if number not in (0, 1):
            raise _Refused("poorly formed argument to option: ssl_verify_hostname.")
        self.values["ssl_verify_hostname"] = bool(number)

    def _set_public_bucket(self, text: str) -> None:
        number = self.number(text)
        if number not in (0, 1):
            raise _Refused("poorly formed argument to option: public_bucket.")
        self.values["public_bucket"] = bool(number)
        if number and not self.profile.public_bucket_copies:
            self.values["nocopyapi"] = True

    def _set_ram_role(self, text: str) -> None:
        if not self.profile.ram_role_auto and not text:
            self._hand_on("ram_role")
            return
        self.values["ram_role"] = text or "auto"

    def _set_credential_process(self, text: str) -> None:
        if not text.startswith("/") or "$" in text:
            raise _Refused(f"failed to set credential process : {text}")
        self.values["credential_process"] = text

    def _set_credlib(self, text: str) -> None:
        if not text:
            raise _Refused("failed to set credlib option : ")
        self.values["credlib"] = text

    def _set_credlib_opts(self, text: str) -> None:
        if not text:
            raise _Refused("failed to set credlib_opts option : ")
        self.values["credlib_opts"] = text

    def _set_list_object_max_keys(self, text: str) -> None:
        self.values["list_object_max_keys"] = self.number(text)
        if self.number(text) < 1000:
            raise _Refused("argument should be over 1000: list_object_max_keys")

    def _set_stat_cache_expire(self, text: str) -> None:
        seconds = self.number(text)
        never = seconds == -1 and self.profile.stat_cache_expire_minus_one
        self.values.update(stat_cache_expire=None if never else float(seconds), stat_cache_interval=False)

    def _set_stat_cache_interval_expire(self, text: str) -> None:
        self.values.update(stat_cache_expire=float(self.number(text)), stat_cache_interval=True)

    def _set_connect_timeout(self, text: str) -> None:
        self.values["connect_timeout"] = float(self.number(text))

    def _set_readwrite_timeout(self, text: str) -> None:
        self.values["readwrite_timeout"] = float(self.number(text))

    def _set_parallel_count(self, text: str) -> None:
        self.values["parallel_count"] = self.number(text)
        if self.number(text) <= 0:
            raise _Refused("argument should be over 1: parallel_count")

    _set_parallel_upload = _set_parallel_count

    def _set_multipart_size(self, text: str) -> None:
        self.values["multipart_size"] = self._at_least_5_mib("multipart_size", text)

    def _set_multipart_copy_size(self, text: str) -> None:
        self.values["multipart_copy_size"] = self._at_least_5_mib("multipart_copy_size", text)

    def _at_least_5_mib(self, name: str, text: str) -> int:
        size = self.number(text) * MIB
        if size < 5 * MIB:
            raise _Refused(f"{name} option must be at least 5 MB.")
        return size

    def _set_multipart_threshold(self, text: str) -> None:
        size = self.number(text) * MIB
        if size <= 5 * MIB:
            raise _Refused(f"multipart_threshold must be at least {5 * MIB}, was: {size}")
        self.values["multipart_threshold"] = size

    def _set_singlepart_copy_limit(self, text: str) -> None:
        self.values["singlepart_copy_limit"] = self.number(text) * self.profile.singlepart_copy_unit

    def _set_max_dirty_data(self, text: str) -> None:
        size = self.number(text)
        if size != -1 and size < 50:
            raise _Refused("max_dirty_data option must be at least 50 MB.")
        self.values["max_dirty_data"] = None if size == -1 else size * MIB

    def _set_ensure_diskfree(self, text: str) -> None:
        self._one_disk_rule()
        self.values["ensure_diskfree"] = self.number(text) * MIB

    def _set_free_space_ratio(self, text: str) -> None:
        self._one_disk_rule()
        ratio = self.number(text)
        if not 0 <= ratio <= 100:
            raise _Refused(f"option free_space_ratio must between 0 to 100, which is: {ratio}")
        self.values["free_space_ratio"] = ratio

    def _one_disk_rule(self) -> None:
        exclusive = "free_space_ratio" in self.profile.options
        if exclusive and (self.values.get("ensure_diskfree") or self.values.get("free_space_ratio")):
            raise _Refused("option free_space_ratio conflicts with ensure_diskfree, please set only one of them.")

    def _set_url(self, text: str) -> None:
        self.values["url"] = text.rstrip("/")

    def _set_use_xattr(self, text: str) -> None:
        if text not in ("", "0", "1"):
            raise _Refused(f"option use_xattr has unknown parameter({text}).")
        self.values["xattr"] = text != "0"

    def _set_instance_name(self, text: str) -> None:
        self.values["instance_name"] = f"[{text}]"

    def _set_direct_read_prefetch_thread(self, text: str) -> None:
        self.values["direct_read_prefetch_thread"] = self.number(text)
        if self.number(text) <= 0:
            raise _Refused("direct_read_max_prefetch_thread_count should be over 1")

    def _set_direct_read_chunk_size(self, text: str) -> None:
        self.values["direct_read_chunk_size"] = self.number(text) * MIB
        if not 1 <= self.number(text) <= 32:
            raise _Refused("direct_read_prefetch_chunk_size option must between 1 and 32.")

    def _set_direct_read_prefetch_limit(self, text: str) -> None:
        self.values["direct_read_prefetch_limit"] = self.number(text) * MIB
        if self.number(text) < 128:
            raise _Refused("prefetch_cache_limits option should be greater than 128.")

    def _set_logfile(self, text: str) -> None:
        try:
            with open(text, "a"):
                self.values["logfile"] = text
        except OSError:
            raise _Refused(f"The file({text}) specified by logfile option could not be opened.") from None

    def _set_dbglevel(self, text: str) -> None:
        level = _LOG_LEVELS.get(text.lower())
        if level is None:
            raise _Refused(f"option dbglevel has unknown parameter({text}).")
        self.values["log_level"] = level

    def _set_f2(self, _: str) -> None:
        self.values["log_level"] = "dbg"

    def _set_set_check_cache_sigusr1(self, text: str) -> None:
        self.values.update(check_cache_signal=True, check_cache_output=text)

    def _set_curldbg(self, text: str) -> None:
        if text.lower() not in ("", "normal", "body"):
            raise _Refused(f"option curldbg has unknown parameter({text}).")

    def _set_accessKeyId(self, _: str) -> None:  # named after the option
        raise _Refused("option accessKeyId is no longer supported.")

    def _set_secretAccessKey(self, _: str) -> None:  # named after the option
        raise _Refused("option secretAccessKey is no longer supported.")
