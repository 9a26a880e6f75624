"""Every option of ossfs in words, and the page docs/ossfs-options.md: `python -m ossfuse.optionpage` prints it.

For whoever edits the option table; nothing at run time needs it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from ossfuse.options import OPTIONS, MountOptions, Value, parse
from ossfuse.profile import PROFILES

__all__ = ["INERT", "WORDS", "main", "page"]

WORDS: Mapping[str, str] = {
    "allow_other": "other users may use the mount; the root directory becomes 0777",
    "nonempty": "mounts over a directory that has entries",
    "uid": "owner that everything shows; that user passes every check of permissions",
    "gid": "group that everything shows",
    "umask": "every mode shown and checked is 0777 without these bits, the root directory's too; nothing is stored",
    "mp_umask": "mode of the root directory: 0777 without these bits; counts with allow_other only",
    "default_permission": "mode of what has none",
    "bucket": "the bucket, as BUCKET[:/PATH], instead of the first argument",
    "url": "the endpoint, http:// or https://",
    "host": "as url",
    "servicepath": "what x-oss-copy-source begins with",
    "use_path_request_style": "http://HOST/BUCKET/KEY instead of http://BUCKET.HOST/KEY",
    "complement_stat": "shows mode 0 as 0400; up to 1.91.4 also directories of any Content-Type",
    "notsup_compat_dir": "a lookup asks for N and N/ only: a directory without an object is ENOENT",
    "listobjectsv2": "lists with list-type=2",
    "readdir_optimize": "a listing sends HEAD for empty files only; others show 0640, size and time of the listing",
    "symlink_in_meta": "a symlink's target goes into the metadata instead of the body",
    "simulate_mtime_ns_with_crc64": "nanoseconds of mtime change with the content",
    "skip_clean_statcache_on_ro_flush": "closing a file that was only read keeps its entry in the stat cache",
    "use_wtf8": "names that are no UTF-8 are stored with private characters",
    "check_cache_dir_exist": "refuses to mount when the directory of use_cache is missing",
    "del_cache": "empties the cache of use_cache at start and end",
    "nomultipart": "one PUT for a file of any size",
    "nomixupload": "a changed large file is uploaded as a whole, unchanged ranges too",
    "nocopyapi": "chmod, chown, utimens and rename download and upload instead of copying",
    "norenameapi": "rename downloads and uploads instead of copying",
    "noshallowcopyapi": "copies in parts as soon as the object is large",
    "direct_read": "reads go into memory in chunks, ahead of the reader, and not into a local file",
    "sigv4": "signs with V4; needs region",
    "enable_content_md5": "sends Content-MD5 with uploads; checks the ETag of a part",
    "enable_unsigned_payload": "",
    "requester_pays": "sends x-oss-request-payer: requester",
    "noua": "sends no User-Agent",
    "use_session_token": "the environment must hold a session token",
    "disable_imdsv2": "asks the metadata service without a token",
    "use_cache": "keeps file data in this directory after the last close",
    "tmpdir": "directory for local data without use_cache",
    "default_acl": "ACL of new objects",
    "storage_class": "storage class of new objects",
    "ahbe_conf": "file of additional headers for uploads, by suffix or regular expression",
    "mime": "file of suffixes and Content-Types",
    "region": "scope of the V4 signature",
    "cloudbox_id": "scope of the V4 signature for a CloudBox",
    "passwd_file": "where the access key is",
    "credential_process": "program that prints temporary keys; asked again 20 minutes before they expire",
    "credlib": "refused by the simulation, which loads no external library: give credential_process a script",
    "credlib_opts": "refused like credlib",
    "logfile": "messages go there instead of syslog; SIGHUP opens it anew",
    "instance_name": "ends the User-Agent, in brackets",
    "list_object_max_keys": "keys a page of a listing, 1000 at least",
    "max_stat_cache_size": "names in the stat cache; 0 switches it off",
    "stat_cache_expire": "seconds that an entry of the stat cache is believed, from its making",
    "stat_cache_interval_expire": "the same, from its last use",
    "enable_noobj_cache": "remembers missing names",
    "disable_noobj_cache": "does not remember missing names",
    "readdir_check_size": "with readdir_optimize: files up to this size are looked at all the same (symlinks)",
    "noxattr": "no extended attributes",
    "use_xattr": "extended attributes, in x-oss-meta-xattr",
    "ensure_diskfree": "local disk space, in MB, that is left free; 0: parallel_count parts",
    "free_space_ratio": "the same in percent of the disk",
    "fake_diskfree": "free local disk space, in MB, that is reckoned with at most",
    "max_dirty_data": "MB of unsaved data that make a write upload; -1: never, as with nomixupload",
    "retries": "attempts of a request",
    "connect_timeout": "seconds for a connection",
    "readwrite_timeout": "seconds without progress that end a transfer",
    "multipart_size": "size of a part, in MB, 5 at least",
    "multipart_copy_size": "size of a part of a copy, in MB",
    "multipart_threshold": "with noshallowcopyapi: size, in MB, from which metadata changes copy in parts",
    "singlepart_copy_limit": "size from which a rename copies in parts",
    "parallel_count": "parts under way at a time; reads load that many parts ahead",
    "parallel_upload": "as parallel_count",
    "multireq_max": "HEADs of a listing under way at a time",
    "direct_read_chunk_size": "size of a chunk in MB, 1 to 32",
    "direct_read_prefetch_chunks": "chunks that are read ahead",
    "direct_read_prefetch_thread": "chunks under way at a time, over all files",
    "direct_read_prefetch_limit": "MB of chunks in memory at most, over all files",
    "direct_read_backward_chunks": "chunks behind the reader that are kept",
    "direct_read_local_file_cache_size_mb": "MB of a file that are read through the local file first",
    "upload_traffic_limit": "x-oss-traffic-limit of uploads, bit/s",
    "download_traffic_limit": "x-oss-traffic-limit of downloads, bit/s",
    "use_rrs": "storage class REDUCED_REDUNDANCY",
    "use_sse": "server-side encryption: OSS's key, a KMS key, in 1.80 also the client's own",
    "load_sse_c": "file of the client's own keys",
    "ssl_verify_hostname": "0: the certificate's host name is not checked",
    "no_check_certificate": "the certificate is not checked",
    "public_bucket": "1: requests are not signed, nothing is copied on the server",
    "rrsa_endpoint": "temporary keys of the role in ALIBABA_CLOUD_ROLE_ARN from this STS, for the token in "
    "ALIBABA_CLOUD_OIDC_TOKEN_FILE; in ACK's builds (1.91.3.ack) only",
    "ram_role": "temporary keys from the metadata service or a URL; asked again 20 minutes before they expire",
    "dbglevel": "log level: crit, err, warn, info, dbg; SIGUSR2 steps through them",
    "f2": "as dbglevel=dbg",
    "no_time_stamp_msg": "messages of the log without time",
    "set_check_cache_sigusr1": "SIGUSR1 compares use_cache's page maps with its data, into a file or on stdout",
    "accessKeyId": "refused in every release: use a password file",
    "secretAccessKey": "refused in every release: use a password file",
    "endpoint": "",
    "curldbg": "",
    "fd_page_size": "",
    "cipher_suites": "",
    "createbucket": "",
    "nodnscache": "",
    "nosscache": "",
    "noxmlns": "",
    "sigv1": "",
    "sigv2": "",
    "auto": "",
    "noauto": "",
    "user": "",
    "nouser": "",
    "users": "",
    "_netdev": "",
}

INERT: Mapping[str, str] = {
    "enable_unsigned_payload": "V4 requests of ossfs never sign their payload",
    "endpoint": "the original stores it and uses url",
    "curldbg": "the original logs more of libcurl",
    "fd_page_size": "ignored by the original too",
    "cipher_suites": "TLS as Python's ssl module sets it up",
    "createbucket": "the original does nothing for it at mount",
    "nodnscache": "names are looked up by the C library, connection by connection",
    "nosscache": "TLS sessions are not resumed",
    "noxmlns": "XML is read with and without a name space",
    "sigv1": "V1 is the default",
    "sigv2": "ignored by the original too",
    **dict.fromkeys(("auto", "noauto", "user", "nouser", "users", "_netdev"), "for mount(8) and fstab(5)"),
}

_REST = """\
Other options go to libfuse, which refuses what it does not know (``fuse: unknown option `X'``).

`-f` foreground, `-s` one thread, `-d` debug messages, `-h` help, `--version`; `-u` or `--incomplete-mpu-list` lists
unfinished multipart uploads, `--incomplete-mpu-abort[=all|AGE]` (1.91) aborts them; 1.80 lists and asks on stdin.

In /etc/fstab: `BUCKET[:/PATH] /mnt fuse.ossfs _netdev,allow_other,url=http://oss-cn-hangzhou.aliyuncs.com 0 0`, or in
the older spelling `ossfs#BUCKET[:/PATH] /mnt fuse OPTIONS 0 0`. mount(8) calls mount.fuse, which calls the program that
the type names: `ossfs BUCKET[:/PATH] /mnt -o OPTIONS`, looked for on root's path. For the simulation to be found, name
it so: `ln -s "$(command -v ossfs-sim)" /usr/local/bin/ossfs`; the release is OSSFS_SIM_VERSION of mount's environment.
mount.fuse keeps `_netdev` to itself, so it works with 1.80 too."""

_SIGNS = {Value.FLAG: "", Value.EITHER: "[=VALUE]"}


def page() -> str:
    """The whole page as Markdown."""
    lines = [
        "# Options of ossfs",
        "",
        "Made by `python -m ossfuse.optionpage`; a test keeps it so. Columns 1.80 and 1.91: the default, a dash where",
        "the release does not know the option, and which of the line know it when not all do.",
        "",
        "| option | 1.80 | 1.91 | effect |",
        "|---|---|---|---|",
    ]
    for name in sorted(OPTIONS, key=str.lower):
        if name not in INERT:
            lines.append(f"| `{_spelt(name)}` | {_column(name, '1.80')} | {_column(name, '1.91')} | {WORDS[name]} |")
    lines += [
        "",
        "## Accepted without effect",
        "",
        "| option | 1.80 | 1.91 | why |",
        "|---|---|---|---|",
    ]
    for name in sorted(INERT, key=str.lower):
        lines.append(f"| `{_spelt(name)}` | {_column(name, '1.80')} | {_column(name, '1.91')} | {INERT[name]} |")
    lines += [
        "",
        *_REST.split("\n"),
    ]
    return "\n".join(lines) + "\n"


def _spelt(name: str) -> str:
    return name + _SIGNS.get(OPTIONS[name].value, "=VALUE")


def _column(name: str, line: str) -> str:
    rows = [row for row in PROFILES.values() if row.name.startswith(line)]
    knowing = [row for row in rows if name in row.options]
    if not knowing:
        return "-"
    shown = _default(name, knowing[-1].name)
    if len(knowing) == len(rows):
        return shown
    first, last = knowing[0].name, knowing[-1].name
    span = first if first == last else f"{first} to {last}" if knowing[-1] is not rows[-1] else f"from {first}"
    return f"{shown} ({span})"


def _default(name: str, version: str) -> str:
    option = OPTIONS[name]
    if not option.field or option.field not in MountOptions.__dataclass_fields__:
        return "off" if option.value is Value.FLAG else "none"
    value = getattr(parse(["bkt"], PROFILES[version], look_at_mountpoint=False), option.field)
    if (option.value is Value.FLAG and not isinstance(value, bool)) or name == "bucket":
        return "off" if option.value is Value.FLAG else "none"
    if name == "default_permission":
        return f"{value:04o}"
    if isinstance(value, bool):
        on = value is option.setting if option.value is Value.FLAG else value
        return "on" if on else "off"
    if value is None or value in ("", (), "none"):
        return "never" if name.startswith("stat_cache") else "none"
    if isinstance(value, int | float):
        return f"{value // option.scale if option.scale > 1 else value:g}"
    return str(value) if isinstance(value, str) else "none"


def main() -> int:
    sys.stdout.write(page())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
