"""What ossfs 2.x does, in words, and how that differs from a release of ossfs 1.x or from another of 2.x.

A statement whose field is one of ossfs 1.x's table is compared with the words of that field; the others bring what all
of ossfs 1.x does. Pure; any thread. `ossvol explain ossfs` prints it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ossfuse import profile as ossfs1
from ossfuse.explanation import TOPICS, WORDS, Change, Statement
from ossfuse.ossfs2.options import OPTIONS, Support
from ossfuse.ossfs2.profile import PROFILES, Profile

__all__ = ["ROWS", "Row", "against", "changes", "statements"]


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that ossfs 2.x does. field: of ossfs 1.x's table where that has one. before: what all of ossfs 1.x
    does, where not."""

    topic: str
    field: str
    text: str
    before: str = ""


_COMMAND, _OPTIONS, _CREDENTIALS, _CHECK, _ATTRIBUTES, _CACHES, _ACCESS = TOPICS[:7]
_FILES, _NAMES, _METADATA, _HTTP, _PROCESS = TOPICS[7:12]

ROWS: tuple[Row, ...] = (
    Row(
        _COMMAND,
        "command_form",
        "ossfs2 mount MOUNTPOINT [-c FILE] --key=value ..., or BUCKET MOUNTPOINT -o a,b for mount(8)",
        "ossfs BUCKET[:/PATH] MOUNTPOINT -o option ...",
    ),
    Row(_COMMAND, "parse_failed_line", "names every wrong option in a line of its own, and nothing more"),
    Row(
        _OPTIONS,
        "unknown_option",
        "an unknown option is refused on the command line and ignored in the file",
        "what ossfs does not know goes to libfuse, which refuses it",
    ),
    Row(_OPTIONS, "allow_other_default", "allow_other is on", "allow_other is off"),
    Row(
        _OPTIONS,
        "region_option",
        "signs with V4 when --oss_region is given, with V1 otherwise",
        "signs with V1 unless sigv4",
    ),
    Row(
        _OPTIONS,
        "url_style",
        "the bucket is always part of the host's name",
        "the bucket is part of the host's name unless use_path_request_style",
    ),
    Row(
        _CREDENTIALS,
        "credentials_missing_long",
        "takes keys from its options, from the environment or from a program; no password file",
    ),
    Row(_CHECK, "check_time", "checks before it mounts"),
    Row(_CHECK, "check_request", "lists the mounted directory"),
    Row(_CHECK, "check_max_keys", "asks for max-keys=1 when it checks"),
    Row(_CHECK, "check_prefix_missing_tolerated", "mounts a directory that has no object"),
    Row(
        _CHECK,
        "check_wording",
        'prints "ERROR: failed to mount ossfs2, see more details in log dir: ..." and exits with the errno',
    ),
    Row(
        _ATTRIBUTES,
        "stored_metadata",
        "x-oss-meta-* are neither read nor written: owner and modes are those of the mount",
        "owner, mode and times are kept in x-oss-meta-*",
    ),
    Row(_ATTRIBUTES, "file_mode_missing", "shows every file as 0777, or as file_mode says"),
    Row(_ATTRIBUTES, "directory_mode_missing", "shows every directory as 0777, or as dir_mode says"),
    Row(
        _ATTRIBUTES,
        "owner_missing_is_process",
        "everything belongs to the user of the ossfs2 process, or to uid and gid",
    ),
    Row(_ATTRIBUTES, "directory_size", "shows every directory with size 0"),
    Row(_ATTRIBUTES, "unix_directory_type", "no Content-Type makes a directory"),
    Row(
        _CACHES,
        "lookup_requests",
        "looks a name up with HEAD ?objectMeta and, when that is missing, a LIST below it",
        "looks a name up with HEAD N, HEAD N/, HEAD N_$folder$ and a LIST",
    ),
    Row(_CACHES, "stat_cache_expire", "attributes count for 60 s, in ossfs2 and in the kernel (attr_timeout)"),
    Row(_CACHES, "max_stat_cache_size", "keeps every name that the kernel knows"),
    Row(_CACHES, "negative_cache", "asks for a missing name each time, unless oss_negative_cache_timeout"),
    Row(
        _CACHES,
        "close_to_open",
        "open looks at the object again with close_to_open=true only",
        "open asks when the cached attributes have expired",
    ),
    Row(
        _CACHES,
        "listing_requests",
        "a listing is LIST alone, 100 keys a page; its entries need no HEAD",
        "a listing is LIST, 1000 keys a page, and a HEAD for each entry",
    ),
    Row(
        _ACCESS,
        "permission_checks",
        "the kernel checks modes and owner (default_permissions)",
        "ossfs checks modes and owner itself",
    ),
    Row(
        _FILES,
        "random_write",
        "a write is EINVAL unless it is at the end of the file",
        "a file may be written anywhere",
    ),
    Row(_FILES, "truncate_sizes", "truncates to 0 only, else ENOTSUP", "truncates to any size"),
    Row(
        _FILES,
        "second_writer",
        "a second open file that writes is EBUSY, and so is reading through a handle with unsaved data",
        "several open files write into the same local copy",
    ),
    Row(_FILES, "create_uploads_empty", "creating a file sends nothing; the object appears at the first flush"),
    Row(_FILES, "fsync_uploads", "fsync does nothing unless ignore_fsync=false", "fsync uploads"),
    Row(
        _FILES,
        "multipart_size",
        "a part of an upload has 8 MiB (upload_buffer_size), and goes out while the file is written",
    ),
    Row(_FILES, "too_many_parts_errno", "a file of more than 10000 parts is EFBIG"),
    Row(
        _FILES,
        "failed_upload",
        "after a failed upload every write of the handle is EIO",
        "after a failed upload the data stay readable while the file is open",
    ),
    Row(
        _FILES,
        "local_disk",
        "nothing is kept on the local disk",
        "content is kept in a temporary file, or in use_cache",
    ),
    Row(_NAMES, "link_refusal", "link(2) is ENOSYS, which Linux turns into EPERM since 6.16"),
    Row(
        _NAMES,
        "symlink_objects",
        "symbolic links are ENOTSUP, and with enable_symlink OSS's own symlink objects (relative targets only)",
        "a symbolic link is an object whose content is the target",
    ),
    Row(_NAMES, "mknod_regular_creates", "mknod is ENOSYS, for regular files too"),
    Row(
        _NAMES,
        "rename_directory_copies",
        "a directory is renamed by copying its objects, which DeleteObjects then removes (allow_rename_dir)",
        "a directory is renamed by copying and deleting its objects one by one",
    ),
    Row(_NAMES, "rename_onto_full_directory_merges", "a rename onto a directory with entries is ENOTEMPTY"),
    Row(
        _NAMES,
        "rmdir_check",
        "rmdir is ENOTEMPTY when a child is known; what another client has put there is not looked for",
        "rmdir lists the directory",
    ),
    Row(_NAMES, "name_max", "a name of more than 255 bytes is ENAMETOOLONG", "a name may have 1024 bytes"),
    Row(
        _METADATA,
        "chmod_stored",
        "chmod, chown and utimens succeed and nothing is stored",
        "chmod, chown and utimens copy the object onto itself with new metadata",
    ),
    Row(_METADATA, "xattr_default", "there are no extended attributes: ENOTSUP"),
    Row(_METADATA, "statfs_blocks", "df shows 16777215 TiB"),
    Row(_METADATA, "statfs_files", "df -i shows 18014398509481983 inodes"),
    Row(_HTTP, "forbidden_errno", "401 and 403 are EACCES", "403 is EPERM"),
    Row(_HTTP, "client_errors", "400 and 416 are EINVAL, 409 is ENOTSUP, other 4xx EIO", "other 4xx are EIO"),
    Row(_HTTP, "not_implemented_errno", "500 and above are ENXIO, or EINVAL where the request is HEAD"),
    Row(_HTTP, "retries", "a request is tried 3 times"),
    Row(_HTTP, "retry_any_5xx", "every status from 500 on is tried again"),
    Row(_HTTP, "retry_wait_fixed", "waits 0.1 and 0.2 s between attempts"),
    Row(_HTTP, "readwrite_timeout", "gives up a transfer that stands still for 60 s (oss_request_timeout_ms)"),
    Row(_PROCESS, "syslog_identity", "logs to /tmp/ossfs2/USER/ossfs2.log (log_dir)"),
    Row(_PROCESS, "log_level", "logs from level info on"),
)


# What a row of the table of 2.x says.
_OWN: tuple[tuple[str, str, Callable[[Profile], str]], ...] = (
    (_OPTIONS, "options_added", lambda row: f"knows the options {', '.join(sorted(_options(row)))}"),
    (_OPTIONS, "not_modelled", lambda row: f"not modelled, and refused in those words: {', '.join(_refused(row))}"),
    (
        _COMMAND,
        "fstab_echo",
        lambda row: (
            "repeats the command line on a terminal when mount(8) calls it"
            if row.fstab_echo
            else "does not repeat the command line when mount(8) calls it"
        ),
    ),
    (_HTTP, "user_agent", lambda row: f'sends User-Agent "{row.user_agent}"'),
)


def _options(row: Profile) -> set[str]:
    newer = set[str]().union(*(other.options_added for other in PROFILES.values())) - row.options_added
    return OPTIONS.keys() - newer


def _refused(row: Profile) -> list[str]:
    return sorted(name for name in _options(row) if OPTIONS[name].support is Support.NOT_MODELLED)


def statements(row: Profile) -> list[Statement]:
    """All that is modelled of one release of 2.x, by topic."""
    found = [Statement(one.topic, one.field, one.text) for one in ROWS]
    found += [Statement(topic, field, say(row)) for topic, field, say in _OWN]
    return sorted(found, key=lambda one: TOPICS.index(one.topic))


def changes(before: Profile, after: Profile) -> list[Change]:
    """What is different between two releases of 2.x, by topic."""
    found = []
    for topic, field, say in _OWN:
        if field == "options_added":
            come, gone = _options(after) - _options(before), _options(before) - _options(after)
            found += [Change(topic, field, f"refuses {name}", f"knows {name}") for name in sorted(come)]
            found += [Change(topic, field, f"knows {name}", f"refuses {name}") for name in sorted(gone)]
        elif field != "not_modelled" and say(before) != say(after):
            found.append(Change(topic, field, say(before), say(after)))
    return sorted(found, key=lambda one: TOPICS.index(one.topic))


def against(before: ossfs1.Profile, after: Profile) -> list[Change]:
    """What is different in 2.x for a user of ossfs 1.x, by topic."""
    found = []
    for one in statements(after):
        row = next((row for row in ROWS if row.field == one.field), None)
        if one.field in WORDS:
            said = WORDS[one.field].say(getattr(before, one.field))
        elif row is not None:
            said = row.before
        else:
            continue
        if said != one.text:
            found.append(Change(one.topic, one.field, said, one.text))
    return found
