"""What a release of ossfs does, in words, and what changed between two releases.

Every field of `Profile` has its words here, so a difference in the table is a sentence that a user can read. Pure;
any thread. `ossvol explain ossfs` prints it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ossfuse.profile import CheckRequest, CheckTime, CheckWording, LinkRefusal, NegativeCache, Profile

__all__ = ["TOPICS", "WORDS", "Change", "Statement", "Words", "changes", "choice", "either", "statements"]


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one field. topic: of the section that it belongs to. say: from the field's value to a sentence
    without a full stop."""

    topic: str
    say: Callable[[object], str]


@dataclass(frozen=True, slots=True)
class Statement:
    """One thing that a release does."""

    topic: str
    field: str
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two releases. before, after: what each does."""

    topic: str
    field: str
    before: str
    after: str


def statements(profile: Profile) -> list[Statement]:
    """All that is modelled of one release, by topic."""
    found = [
        Statement(words.topic, name, words.say(getattr(profile, name)))
        for name, words in WORDS.items()
        if name not in _IDENTITY
    ]
    return sorted(found, key=lambda one: TOPICS.index(one.topic))


def changes(before: Profile, after: Profile) -> list[Change]:
    """What is different in `after`, by topic. Empty when both rows say the same."""
    found: list[Change] = []
    for name, words in WORDS.items():
        old, new = getattr(before, name), getattr(after, name)
        if old == new or name in _IDENTITY:
            continue
        if isinstance(old, frozenset) and isinstance(new, frozenset) and name == "options":
            found += _option_changes(words.topic, old, new)
            continue
        found.append(Change(words.topic, name, words.say(old), words.say(new)))
    return sorted(found, key=lambda one: TOPICS.index(one.topic))


def _option_changes(topic: str, old: frozenset[str], new: frozenset[str]) -> list[Change]:
    found = []
    if gone := old - new:
        found.append(Change(topic, "options", f"knows {_listed(gone)}", f"refuses {_listed(gone)}"))
    if come := new - old:
        found.append(Change(topic, "options", f"refuses {_listed(come)}", f"knows {_listed(come)}"))
    return found


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))


# --- how values are said --------------------------------------------------------------------------------------------


def either(yes: str, no: str) -> Callable[[object], str]:
    """How a field that is on or off is said."""
    return lambda value: yes if value else no


def _plain(text: str, *, empty: str = "") -> Callable[[object], str]:
    return lambda value: text.format(value) if value or not empty else empty


def _octal(text: str) -> Callable[[object], str]:
    return lambda value: text.format(f"{value:04o}")


def _size(text: str) -> Callable[[object], str]:
    def say(value: object) -> str:
        assert isinstance(value, int)
        for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
            if value >= unit and value % unit == 0:
                return text.format(f"{value // unit} {name}")
        return text.format(f"{value} bytes")

    return say


def _seconds(text: str, never: str) -> Callable[[object], str]:
    return lambda value: never if value is None else text.format(f"{value:g} s")


def _names(text: str, none: str) -> Callable[[object], str]:
    return lambda value: text.format(_listed(value)) if isinstance(value, frozenset) and value else none


def choice(words: Mapping[enum.Enum, str]) -> Callable[[object], str]:
    """How a field with one of several values is said."""

    def say(value: object) -> str:
        assert isinstance(value, enum.Enum)
        return words[value]

    return say


# --- the words ------------------------------------------------------------------------------------------------------

_COMMAND, _OPTIONS, _CREDENTIALS, _CHECK = "Command line", "Options", "Credentials", "Mount-time check"
_ATTRIBUTES, _CACHES, _ACCESS, _FILES = "Attributes", "Lookups and caches", "Permissions", "Open files"
_NAMES, _METADATA, _HTTP, _PROCESS, _DEFECTS = "Names", "Metadata", "Requests and errors", "Process", "Defects"
TOPICS = (
    *(_COMMAND, _OPTIONS, _CREDENTIALS, _CHECK, _ATTRIBUTES, _CACHES, _ACCESS),
    *(_FILES, _NAMES, _METADATA, _HTTP, _PROCESS, _DEFECTS),
)
# What names a release, or is a text that belongs to another difference.
_IDENTITY = frozenset({"name", "version_text"})

WORDS: Mapping[str, Words] = {
    "name": Words(_COMMAND, _plain("is ossfs {}")),
    "version_text": Words(_COMMAND, _plain('--version begins with "{}"')),
    "user_agent": Words(_HTTP, _plain('sends User-Agent "{}"')),
    "sigv1_notice": Words(
        _COMMAND,
        lambda value: (
            "prints a NOTICE about signature V1 at mount (V1 ends {})".format(
                str(value).partition("available ")[2].partition(".")[0]
            )
            if value
            else "prints nothing at a successful mount"
        ),
    ),
    "sigv1_notice_always": Words(
        _COMMAND,
        either("prints the NOTICE about V1 even with sigv4", "prints a NOTICE about V1 at most without sigv4"),
    ),
    "options": Words(_OPTIONS, _names("knows the options {}", "knows no options")),
    "bucket_option": Words(
        _OPTIONS, either("takes the bucket as -o bucket=NAME[:/PATH] too", "takes the bucket as an argument only")
    ),
    "public_bucket_copies": Words(
        _OPTIONS,
        either("public_bucket=1 leaves server-side copies on", "public_bucket=1 switches server-side copies off"),
    ),
    "acl_names_checked": Words(
        _OPTIONS, either("refuses an unknown default_acl=", "takes any text for default_acl= and sends it")
    ),
    "storage_classes": Words(
        _OPTIONS, _names("storage_class= takes {}", "storage_class= takes any text and leaves the judgement to OSS")
    ),
    "singlepart_copy_unit": Words(_OPTIONS, _size("singlepart_copy_limit= counts in units of {}")),
    "lenient_numbers": Words(
        _OPTIONS,
        either("numbers may be hexadecimal; letters behind a number are added up", "what is no number counts as 0"),
    ),
    "ram_role_auto": Words(
        _CREDENTIALS,
        either("ram_role alone asks the metadata service for the role", "ram_role needs the URL of the role's key"),
    ),
    "log_level": Words(_PROCESS, _plain("logs from level {} on without dbglevel=")),
    "customer_keys": Words(
        _OPTIONS,
        either("use_sse=custom encrypts with the client's own keys", "has no use_sse=custom"),
    ),
    "header_regex": Words(
        _OPTIONS,
        either("ahbe_conf takes regular expressions (reg:)", "ahbe_conf takes suffixes only"),
    ),
    "sse_unknown_text": Words(_OPTIONS, _plain('answers a wrong use_sse= with "{}"')),
    "sse_conflict_text": Words(_OPTIONS, _plain('answers contradicting use_sse= with "{}"')),
    "sse_no_key_text": Words(_OPTIONS, _plain('answers use_sse=kmsid without a key with "{}"')),
    "mountpoint_told_first": Words(
        _COMMAND,
        either(
            "complains about a missing mount point before it looks for credentials",
            "complains about missing credentials before a missing mount point",
        ),
    ),
    "missing_bucket_usage": Words(
        _COMMAND,
        either('prints the usage line behind "missing BUCKET argument."', 'prints "missing BUCKET argument." alone'),
    ),
    "disk_space_text": Words(_OPTIONS, _plain('refuses to mount without local disk space: "{}"')),
    "disk_space_amounts": Words(
        _OPTIONS,
        either("says how much local disk space it wants and finds", "does not say how much local disk space it wants"),
    ),
    "check_wants_parallel_parts": Words(
        _OPTIONS,
        either(
            "wants local disk space for parallel_count parts before it mounts",
            "wants local disk space for one part before it mounts",
        ),
    ),
    "kept_time_from_metadata": Words(
        _METADATA,
        either(
            "utimens of one time keeps the other as the object's metadata have it",
            "utimens of one time keeps the other as stat shows it",
        ),
    ),
    "utime_omit": Words(
        _METADATA,
        either(
            "sets one of access and modification time alone (touch -a, touch -m)", "ignores utimensat(2) of one time"
        ),
    ),
    "syslog_identity": Words(_PROCESS, _plain("logs to syslog as {}")),
    "third_option_word": Words(_COMMAND, _plain('calls a third argument "unknown third {}"')),
    "utility_asks": Words(
        _COMMAND,
        either(
            "-u lists unfinished multipart uploads and asks whether to abort them",
            "--incomplete-mpu-list lists unfinished multipart uploads, --incomplete-mpu-abort aborts them",
        ),
    ),
    "umask_c_radix": Words(
        _OPTIONS,
        either("umask= and mp_umask= are octal only with a leading 0", "umask= and mp_umask= are always octal"),
    ),
    "parse_failed_line": Words(
        _COMMAND, _plain('ends a wrong command line with "{}"', empty="says nothing behind the error of a wrong option")
    ),
    "default_url": Words(_OPTIONS, _plain("url= is {} when left out", empty="url= must be given")),
    "max_stat_cache_size": Words(_CACHES, _plain("the stat cache keeps {} names")),
    "stat_cache_expire": Words(
        _CACHES, _seconds("the stat cache believes an entry for {}", "the stat cache believes an entry for ever")
    ),
    "stat_cache_expire_minus_one": Words(
        _OPTIONS, either("stat_cache_expire=-1 means never", "stat_cache_expire=-1 has no special meaning")
    ),
    "multipart_size": Words(_FILES, _size("a part of an upload has {}")),
    "parallel_count": Words(_FILES, _plain("{} parts go out at a time")),
    "multireq_max": Words(_HTTP, _plain("{} HEADs of a listing go out at a time")),
    "max_dirty_data": Words(
        _FILES, _plain("a write uploads from {} bytes of unsaved data on", empty="a write never uploads")
    ),
    "retries": Words(_HTTP, _plain("a request is tried {} times")),
    "retries_zero_allowed": Words(_OPTIONS, either("accepts retries=0, and every request fails", "refuses retries=0")),
    "connect_timeout": Words(_HTTP, _seconds("gives up connecting after {}", "never gives up connecting")),
    "readwrite_timeout": Words(
        _HTTP, _seconds("gives up a transfer that stands still for {}", "never gives up a transfer")
    ),
    "singlepart_copy_limit": Words(_NAMES, _size("copies in parts from {} on")),
    "multipart_copy_size": Words(_NAMES, _size("a part of a copy has {}")),
    "default_acl": Words(
        _OPTIONS, _plain('sends the ACL "{}" with every new object', empty="sends an ACL only with default_acl=")
    ),
    "acl_header": Words(_OPTIONS, _plain("sends the ACL as {}")),
    "complement_stat_default": Words(
        _ATTRIBUTES, either("complement_stat is always on", "complement_stat is off unless asked for")
    ),
    "xattr_default": Words(
        _METADATA,
        either("extended attributes are on unless noxattr", "extended attributes are off unless use_xattr"),
    ),
    "negative_cache": Words(
        _CACHES,
        choice(
            {
                NegativeCache.OPTION: "remembers missing names only with enable_noobj_cache",
                NegativeCache.DEFAULT: "remembers missing names unless disable_noobj_cache",
            }
        ),
    ),
    "passwd_keyed_entries": Words(
        _CREDENTIALS,
        either(
            "reads the password file as a table by bucket; the same bucket twice is an error",
            "takes the first line of the password file that fits",
        ),
    ),
    "environment_aliases": Words(
        _CREDENTIALS,
        either(
            "reads OSS_ACCESS_KEY_ID, OSS_ACCESS_KEY_SECRET and OSS_SESSION_TOKEN too",
            "reads OSSACCESSKEYID and OSSSECRETACCESSKEY only",
        ),
    ),
    "passwd_default_entry": Words(
        _CREDENTIALS,
        either(
            "a line AK:SK of the password file is good for every bucket",
            "refuses a password file that does not name the bucket",
        ),
    ),
    "passwd_strict_whitespace": Words(
        _CREDENTIALS,
        either(
            "spaces and brackets in the password file have errors of their own",
            "spaces around a line of the password file do not matter",
        ),
    ),
    "passwd_stat_strerror": Words(
        _CREDENTIALS,
        either(
            "says why the password file can't be looked at", "does not say why the password file can't be looked at"
        ),
    ),
    "metadata_lines": Words(
        _CREDENTIALS,
        either(
            "wants one field a line from the metadata service",
            "reads the metadata service's answer as it comes, fields between commas",
        ),
    ),
    "metadata_token": Words(
        _CREDENTIALS,
        either(
            "asks the metadata service for a token first (IMDSv2), unless disable_imdsv2",
            "asks the metadata service without a token",
        ),
    ),
    "credentials_missing_long": Words(
        _CREDENTIALS,
        either(
            "names password file, ram_role and environment when it finds no credentials",
            'says only "could not determine how to establish security credentials."',
        ),
    ),
    "check_time": Words(
        _CHECK,
        choice(
            {
                CheckTime.BEFORE_MOUNT: "checks before it mounts: a failure is the command's exit code",
                CheckTime.AFTER_MOUNT: "checks after it has mounted: the command returns 0, the daemon unmounts itself",
                CheckTime.BOTH: "checks before it mounts and once more in the daemon",
            }
        ),
    ),
    "check_request": Words(
        _CHECK,
        choice(
            {
                CheckRequest.PREFIX_OBJECT: "GETs the mounted directory's object",
                CheckRequest.BUCKET: "GETs the bucket and never looks at the mounted directory",
                CheckRequest.BUCKET_THEN_PREFIX: "GETs the bucket, and where that is refused the directory's object",
                CheckRequest.LIST_PREFIX: "lists the mounted directory",
            }
        ),
    ),
    "check_max_keys": Words(
        _CHECK, _plain("asks for max-keys={} when it checks", empty="sets no max-keys when it checks")
    ),
    "check_prefix_missing_tolerated": Words(
        _CHECK,
        either("mounts a directory that has no object", "refuses a directory that has no object, where it looks at it"),
    ),
    "check_repeats_refusal": Words(
        _CHECK, either("asks once more after 403 and 400", "takes the first 403 or 400 for the answer")
    ),
    "check_follows_endpoint": Words(
        _CHECK,
        either("goes to the endpoint that a refusal names", "stays with the given endpoint whatever a refusal names"),
    ),
    "check_public_bucket_skipped": Words(_CHECK, either("public_bucket=1 needs no check", "checks public buckets too")),
    "check_wording": Words(
        _CHECK,
        choice(
            {
                CheckWording.XML_BODY: "prints a short text and the server's XML on stderr",
                CheckWording.LOG_RESULT: 'writes "... - result of checking service." to the log',
                CheckWording.LOG_FAILED: 'writes "Failed to check bucket ..." to the log',
                CheckWording.STDERR_FAILED: 'prints "Failed to check bucket ..." on stderr',
            }
        ),
    ),
    "file_mode_missing": Words(_ATTRIBUTES, _octal("shows a file without mode as {}")),
    "directory_mode_missing": Words(_ATTRIBUTES, _octal("shows a directory without mode as {}")),
    "owner_missing_is_process": Words(
        _ATTRIBUTES,
        either("what has no owner belongs to the user of the ossfs process", "what has no owner belongs to root"),
    ),
    "unix_directory_type": Words(
        _ATTRIBUTES,
        either("Content-Type httpd/unix-directory makes a directory", "httpd/unix-directory means nothing"),
    ),
    "symlink_target_header": Words(
        _ATTRIBUTES,
        either("x-oss-meta-symlink-target makes a symlink", "knows symlinks by their mode and body only"),
    ),
    "google_mode_header": Words(
        _ATTRIBUTES,
        either("reads x-oss-meta-goog-reserved-posix-mode", "does not read x-oss-meta-goog-reserved-posix-mode"),
    ),
    "mode_any_base": Words(
        _ATTRIBUTES,
        either('reads the mode "0100644" as octal', "reads the mode as decimal, whatever it begins with"),
    ),
    "fractional_times": Words(
        _ATTRIBUTES,
        either("keeps fractions of a second", "takes a time with a fraction for 1970 and writes whole seconds"),
    ),
    "access_and_change_times": Words(
        _ATTRIBUTES,
        either("keeps access and change time in the metadata", "shows access and change time as 1970"),
    ),
    "slash_directory_any_type": Words(
        _ATTRIBUTES,
        either(
            'a key ending in "/" is a directory whatever its Content-Type',
            'a key ending in "/" of another Content-Type than a directory\'s or octet-stream is shown as a file',
        ),
    ),
    "directory_size": Words(
        _ATTRIBUTES,
        lambda value: (
            "shows every directory with the size of its object"
            if value is None
            else f"shows every directory with size {value}"
        ),
    ),
    "complement_text_directory": Words(
        _ATTRIBUTES,
        either(
            'complement_stat makes a directory of "d/" with text/plain and 0 or 1 byte',
            "complement_stat has no rule for text/plain",
        ),
    ),
    "complement_minimal_permission": Words(
        _ATTRIBUTES,
        either("complement_stat shows mode 0 as 0400", "complement_stat leaves mode 0 as it is"),
    ),
    "directory_needs_empty": Words(
        _ATTRIBUTES,
        either(
            'without complement_stat a key ending in "/" that has content is shown as a file',
            "content does not make a file of a directory object",
        ),
    ),
    "directory_needs_mode": Words(
        _ATTRIBUTES,
        either(
            'without complement_stat a key ending in "/" that has no mode is shown as a file',
            "a missing mode does not make a file of a directory object",
        ),
    ),
    "stat_checks_empty_object": Words(
        _CACHES,
        either(
            "lists below an empty object without metadata: it may be a directory", "takes an empty object for a file"
        ),
    ),
    "forbidden_head_exists": Words(
        _DEFECTS,
        either("HEAD 403 counts as an existing empty file", "HEAD 403 does not count as an existing file"),
    ),
    "forbidden_head_final": Words(
        _CACHES,
        either("HEAD 403 ends a lookup with EPERM at once", "after HEAD 403 a lookup goes on with its other requests"),
    ),
    "negative_cache_any_failure": Words(
        _DEFECTS,
        either(
            "the cache of missing names remembers every failed lookup, errors too",
            "the cache of missing names remembers what is missing and nothing else",
        ),
    ),
    "negative_cache_hit_refreshes": Words(
        _CACHES,
        either(
            "asking for a missing name again renews its entry: polling never sees it appear",
            "the entry of a missing name runs out however often it is asked for",
        ),
    ),
    "stat_cache_whole_seconds": Words(
        _CACHES,
        either("entries age in whole seconds, up to one longer", "entries age to the moment"),
    ),
    "stat_cache_hit_refreshes": Words(
        _CACHES,
        either("a hit makes an entry young again", "a hit leaves an entry as old as it is"),
    ),
    "stat_cache_needs_etag": Words(
        _CACHES,
        either(
            "a directory that was cached for its children only is looked up anew when a listing shows an object for it",
            "a directory that was cached for its children only stays as it is when a listing shows an object for it",
        ),
    ),
    "stat_cache_evicts_by_name": Words(
        _CACHES,
        either(
            "of the entries of the oldest second the first by name makes room, so a directory goes before its files",
            "the oldest entry makes room",
        ),
    ),
    "overcheck_lists_plain": Words(
        _CACHES,
        either('a lookup of "N/" alone that misses sends a LIST too', 'a lookup of "N/" alone ends with its HEAD'),
    ),
    "asking_for_prefix_forgets_it": Words(
        _CACHES,
        either(
            "chmod, chown, utimens, setxattr and rename take a directory without an object, when it is not in the stat "
            "cache, for an object that they can copy: ENOENT",
            "chmod, chown, utimens, setxattr and rename know a directory without an object",
        ),
    ),
    "create_pins_entry": Words(
        _CACHES,
        either(
            "a created file that is not on the server yet lives in the stat cache",
            "a created file is on the server, the stat cache knows nothing special of it",
        ),
    ),
    "skip_clean_on_read_only_flush": Words(
        _CACHES,
        either(
            "skip_clean_statcache_on_ro_flush keeps the entry of a file that was only read",
            "closing a file drops its entry",
        ),
    ),
    "missing_execute_is_eperm": Words(
        _ACCESS,
        either("a missing x bit is EPERM", "a missing x bit is EACCES"),
    ),
    "opendir_needs_execute": Words(
        _ACCESS,
        either(
            "listing a directory needs r and x, on its parents too", "listing a directory needs r, x on its parents"
        ),
    ),
    "create_uploads_empty": Words(
        _FILES,
        either(
            "creating a file uploads an empty object at once",
            "creating a file sends nothing; the object appears at the first flush",
        ),
    ),
    "open_missing_succeeds": Words(
        _FILES,
        either("a file deleted elsewhere opens as an empty one", "a file deleted elsewhere is ENOENT"),
    ),
    "read_only_truncate_refused": Words(
        _FILES,
        either("open(O_RDONLY|O_TRUNC) is EACCES", "open(O_RDONLY|O_TRUNC) truncates"),
    ),
    "multipart_doubles": Words(
        _FILES,
        either("uploads in parts from twice the part size on", "uploads in parts from one part size on"),
    ),
    "last_part_absorbs": Words(
        _FILES,
        either("the last part takes a rest of up to two part sizes", "the rest of an upload is a part of its own"),
    ),
    "mix_upload": Words(
        _FILES,
        either("copies unchanged ranges of a large file on the server", "uploads a changed large file as a whole"),
    ),
    "upload_content_type_from_name": Words(
        _FILES,
        either(
            "every upload sets the Content-Type by the name", "an upload keeps the Content-Type that the object had"
        ),
    ),
    "too_many_parts_errno": Words(_FILES, _plain("a file of more than 10000 parts is {}")),
    "loads_before_write": Words(
        _FILES,
        either("a write first downloads what lies before it", "what is missing of a file is downloaded at the upload"),
    ),
    "fetches_beyond_end": Words(
        _FILES,
        either(
            "a hole behind the object's end is asked for without a Range, which fails",
            "a hole behind the object's end is zero without a request",
        ),
    ),
    "upload_tells_remote_size": Words(
        _FILES,
        either(
            "an upload tells an open file how long its object is now",
            "an open file goes on with the length that its object had at open: after an upload, a write behind the end "
            "may ask for what is not there and fail with EIO",
        ),
    ),
    "parallel_read_doubles": Words(
        _FILES,
        either("reads in parallel above twice the part size", "reads in parallel from one part size on"),
    ),
    "failed_read_is_eio": Words(
        _FILES,
        either("a failed read is always EIO", "a failed read tells the errno of its request"),
    ),
    "read_tried_directly": Words(
        _FILES,
        either("a failed read is tried once more, past the local file", "a failed read is not tried in another way"),
    ),
    "object_state_is_eremote": Words(
        _HTTP,
        either("InvalidObjectState (an archived object) is EREMOTE", "InvalidObjectState is an error like any 403"),
    ),
    "rename_flushes_source": Words(
        _DEFECTS,
        either("a rename uploads an open, changed file first", "a rename copies the stale object of an open file"),
    ),
    "disk_cache_by_inode": Words(
        _FILES,
        either(
            "use_cache drops data that are older than the object",
            "use_cache believes data of the object's size, whatever they are",
        ),
    ),
    "disk_cache_size_checked": Words(
        _FILES,
        either(
            "use_cache drops unchanged data of another size than the object's",
            "use_cache cuts or fills data of another size than the object's",
        ),
    ),
    "timeless_size_is_new": Words(
        _FILES,
        either(
            "a truncated file of which no time is known counts as grown to its size",
            "a file of which no time is known is on the server as large as it is",
        ),
    ),
    "entity_shared": Words(
        _FILES,
        either("all opens of a path share one local file", "every open has its own local file; the last close wins"),
    ),
    "size_from_local_file": Words(
        _FILES,
        either(
            "st_size of an open file is that of the local file",
            "st_size of an open file grows by every write, also over what was there",
        ),
    ),
    "pending_metadata": Words(
        _METADATA,
        either(
            "chmod and utimens of an open, changed file wait for its upload",
            "chmod between open and close is undone by the close",
        ),
    ),
    "max_write": Words(_FILES, _size("the kernel hands over {} at most in a write (without big_writes)")),
    "upload_max_parts": Words(_FILES, _plain("an upload has {} parts at most")),
    "zero_fills_behind_write": Words(
        _DEFECTS,
        either(
            "overwriting inside a file makes zeros of what lies behind",
            "overwriting inside a file keeps what lies behind",
        ),
    ),
    "hole_forgets_change": Words(
        _DEFECTS,
        either(
            "reading the hole that a write behind the end left makes the file count as unchanged: what was written is "
            "never uploaded",
            "a file with a hole that is read is uploaded",
        ),
    ),
    "old_directory_metadata_crashes": Words(
        _DEFECTS,
        either(
            'chmod, chown or utimens of a directory stored as "N" or "N_$folder$" ends the process',
            'chmod of a directory stored as "N" or "N_$folder$" replaces its object',
        ),
    ),
    "rename_leaves_new_files": Words(
        _DEFECTS,
        either(
            "what is open below a directory while it is renamed, and not uploaded yet, keeps its old name",
            "open files move along with a renamed directory",
        ),
    ),
    "handle_needs_path": Words(
        _DEFECTS,
        either(
            "what a renamed directory has left behind is lost: writes are EIO, close is silent",
            "what a renamed directory has left behind is uploaded under the old name",
        ),
    ),
    "path_truncate_ignored": Words(
        _DEFECTS,
        either("truncate(2) of a file that nobody has open does nothing and returns 0", "truncate(2) truncates"),
    ),
    "dirty_shrink_ignored": Words(
        _DEFECTS,
        either(
            "a file that is open more than once and not uploaded cannot be made shorter",
            "a file that is open more than once can be made shorter",
        ),
    ),
    "dirty_metadata_forgets_type": Words(
        _DEFECTS,
        either(
            "after chown, utimens or setxattr a file that is being written is EIO, its close too, and what was written "
            "is lost, where its metadata have no mode, or one without type",
            "chown, utimens and setxattr do no harm to a file that is being written",
        ),
    ),
    "failed_upload_hides_new_file": Words(
        _DEFECTS,
        either(
            "a new file whose first upload failed is ENOENT while it is open",
            "a new file whose first upload failed can be read while it is open",
        ),
    ),
    "read_forgets_shrink": Words(
        _DEFECTS,
        either(
            "a file that is made shorter and then read as a whole keeps its old size on the server",
            "a file that is made shorter and then read is uploaded",
        ),
    ),
    "dirty_reopen_grows": Words(
        _DEFECTS,
        either(
            "opening a file that was made shorter and is not uploaded gives it the size of its object again",
            "opening a file that was made shorter keeps its size",
        ),
    ),
    "reopen_forgets_metadata": Words(
        _DEFECTS,
        either(
            "without stat cache, one more open forgets a change of owner or mode that waits for the upload",
            "one more open of a file knows what waits for its upload",
        ),
    ),
    "link_refusal": Words(
        _NAMES, choice({LinkRefusal.EPERM: "link(2) is EPERM", LinkRefusal.ENOTSUP: "link(2) is ENOTSUP"})
    ),
    "rename_stats_target": Words(
        _NAMES, either("a copy first looks its target up", "a copy does not look its target up")
    ),
    "reupload_keeps_owner": Words(
        _METADATA,
        either(
            "with nocopyapi, chown of the owner alone keeps the group, and the other way round",
            "with nocopyapi, chown of the owner alone stores 4294967295 for the group, and the other way round",
        ),
    ),
    "reupload_dates_links": Words(
        _NAMES,
        either(
            "with norenameapi, a renamed symlink has a time of modification",
            "with norenameapi, a renamed symlink has no time of modification",
        ),
    ),
    "rename_updates_ctime": Words(_NAMES, either("a rename sets the change time", "a rename keeps all times")),
    "rename_directory_errno_mapped": Words(
        _NAMES,
        either("a failing rename of a directory tells the errno", "a failing rename of a directory is EIO"),
    ),
    "rename_onto_full_directory_merges": Words(
        _NAMES,
        either(
            "a directory renamed onto one with entries merges into it",
            "a rename onto a directory with entries is ENOTEMPTY",
        ),
    ),
    "shallow_copy": Words(
        _NAMES,
        either("a rename tries one copy for any size", "a rename copies in parts as soon as the file is large"),
    ),
    "metadata_change_retypes": Words(
        _METADATA,
        either("chmod sets the Content-Type by the name", "chmod keeps the Content-Type"),
    ),
    "directory_metadata_recreates": Words(
        _METADATA,
        either("chmod of a directory deletes and rewrites its object", "chmod of a directory copies its object"),
    ),
    "metadata_errno_mapped": Words(
        _METADATA,
        either("chmod and chown tell the errno of a refusal", "every failing chmod and chown is EIO"),
    ),
    "readlink_cached": Words(_NAMES, either("remembers the target of a symlink", "reads a symlink's target each time")),
    "mknod_regular_creates": Words(
        _NAMES,
        either("mknod of a regular file makes an object", "mknod of a regular file makes nothing on the server"),
    ),
    "noxattr_pretends": Words(
        _METADATA,
        either(
            "without extended attributes, setting one answers success",
            "without extended attributes, setting one is ENOTSUP",
        ),
    ),
    "statfs_blocks": Words(_METADATA, lambda value: f"df shows {int(str(value)) * 16 // (1 << 20)} TiB"),
    "cached_rename_zero_fills": Words(
        _DEFECTS,
        either(
            "with use_cache, renaming a file that is not in the cache makes zeros of it",
            "with use_cache, renaming a file keeps what is in it",
        ),
    ),
    "del_cache_keeps_maps": Words(
        _DEFECTS,
        either(
            "del_cache leaves page maps behind that make zeros of files read before",
            "del_cache deletes data and page maps",
        ),
    ),
    "xattr_flags_first": Words(
        _METADATA,
        either(
            "setxattr looks at XATTR_CREATE and XATTR_REPLACE before it rewrites the object of a directory",
            "setxattr rewrites the object of a directory before it looks at XATTR_CREATE and XATTR_REPLACE",
        ),
    ),
    "last_xattr_stays": Words(
        _DEFECTS,
        either("the last extended attribute cannot be removed", "the last extended attribute can be removed"),
    ),
    "statfs_files": Words(_METADATA, _plain("df -i shows {} inodes", empty="df -i shows no inodes")),
    "unlinked_close_crashes": Words(
        _DEFECTS,
        either(
            "with hard_remove, close(2) of a file that was unlinked while open ends the process",
            "with hard_remove, close(2) of a file that was unlinked while open does not end the process",
        ),
    ),
    "unlinked_close_is_stale": Words(
        _FILES,
        either(
            "with hard_remove, close(2) of a file that was unlinked while open is ESTALE",
            "with hard_remove, close(2) of a file that was unlinked while open is no error",
        ),
    ),
    "multi_request_retries_inside": Words(
        _HTTP,
        either(
            "parallel requests are each retried with their own waits",
            "parallel requests are retried in rounds without waits",
        ),
    ),
    "retry_any_5xx": Words(
        _HTTP, either("every status from 500 on is tried again", "only 500 and 503 are tried again")
    ),
    "retry_wait_fixed": Words(
        _HTTP, _seconds("waits {} between attempts", "waits 2, 4, 8, ... s and up to as much again between attempts")
    ),
    "not_implemented_errno": Words(_HTTP, _plain("501 is {}")),
    "head_bad_request_errno": Words(_HTTP, _plain("HEAD 400 is {}")),
    "size_error_codes": Words(
        _HTTP,
        either("EntityTooLarge is EFBIG, KeyTooLongError ENAMETOOLONG", "EntityTooLarge and KeyTooLongError are EIO"),
    ),
    "failed_parts_errno": Words(_HTTP, _plain("an upload with failed parts is {}")),
    "aborts_failed_upload": Words(
        _DEFECTS,
        either("aborts a multipart upload that failed", "leaves a multipart upload that failed behind"),
    ),
    "multi_request_reversed": Words(
        _HTTP,
        either("sends each batch of parallel requests back to front", "sends parallel requests in their order"),
    ),
    "complete_content_type": Words(
        _HTTP,
        _plain("completes an upload with Content-Type {}", empty="completes an upload with the file's Content-Type"),
    ),
    "redirect_is_failure": Words(
        _HTTP, either("a redirect without Location is EIO", "a redirect without Location is success")
    ),
    "put_body_error": Words(
        _HTTP,
        either("PUT 200 whose body holds an error code is EIO", "PUT 200 is success whatever its body says"),
    ),
    "exits_on_certificate_error": Words(
        _HTTP,
        either("a bad certificate ends the process", "a bad certificate is EIO"),
    ),
    "signature_v4": Words(_HTTP, either("can sign with V4 (sigv4, region=)", "signs with V1 only")),
    "hangup_unmounts": Words(_PROCESS, either("SIGHUP unmounts", "SIGHUP reopens the log file")),
}
