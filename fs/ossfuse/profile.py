"""The table of ossfs releases: every difference between them is a field of `Profile`, a release is a row.

It is data, not behaviour: no code elsewhere asks for a version number. Rows are immutable; any thread may read them.

Sources, named at each field: "source" is the function of the ossfs release (C++), "measured" a run of the built binary
against a bucket, "FAQ" the vendor's volume FAQ (the only source for 1.88, of which no source code was published).
"""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypedDict

__all__ = [
    "DEFAULT_VERSION",
    "DEFECTS",
    "PROFILES",
    "CheckRequest",
    "CheckTime",
    "CheckWording",
    "Defect",
    "Fixed",
    "LinkRefusal",
    "NegativeCache",
    "Profile",
    "UnknownDefect",
    "UnknownVersion",
    "find",
    "left_out",
    "without_defects",
]

DEFAULT_VERSION = "1.91.3"

Fixed = bool | tuple[str, ...]
"""What is left out of a release: all of its defects, none, or those of these names."""

KIB = 1024
MIB = 1024 * 1024
GIB = 1024 * 1024 * 1024


class UnknownVersion(LookupError):
    """No row for that version. The message lists the known ones; pick one of them."""


class UnknownDefect(LookupError):
    """No defect of that name. The message lists the known ones; pick one of them."""


class CheckTime(enum.Enum):
    """When the mount-time check runs."""

    BEFORE_MOUNT = "before"  # in main: a failure is the exit code of the command
    AFTER_MOUNT = "after"  # in init: the command has returned 0, the daemon unmounts itself
    BOTH = "both"  # in main and again in init


class CheckRequest(enum.Enum):
    """What the mount-time check asks for."""

    PREFIX_OBJECT = "prefix object"  # GET /p/ as an object; GET / of the bucket without prefix
    BUCKET = "bucket"  # GET / of the bucket, the prefix is not looked at
    BUCKET_THEN_PREFIX = "bucket, then prefix object"  # GET /, and GET /p/ only when that was refused
    LIST_PREFIX = "list"  # GET /?max-keys=2&prefix=p/


class CheckWording(enum.Enum):
    """How failures of the mount-time check are worded and where they go."""

    XML_BODY = "1.80"  # stderr: short text, blank line, XML body
    LOG_RESULT = "1.91.1"  # log: "... - result of checking service."
    LOG_FAILED = "1.91.3"  # log: "Failed to check bucket ..."
    STDERR_FAILED = "1.91.8"  # the same text, also on stderr


class NegativeCache(enum.Enum):
    """The cache of missing names."""

    OPTION = "enable_noobj_cache"  # off unless asked for
    DEFAULT = "disable_noobj_cache"  # on unless switched off


class LinkRefusal(enum.Enum):
    """What link(2) answers after the lookup of the new name."""

    EPERM = "EPERM"
    ENOTSUP = "ENOTSUP"


@dataclass(frozen=True, slots=True)
class Profile:
    """One release of ossfs. Sizes in bytes, times in seconds."""

    # --- identity ---
    name: str
    user_agent: str  # source: S3fsCurl::InitUserAgent; 1.80 writes no slash before the version
    version_text: str  # source: show_version; first line of --version
    sigv1_notice: str = ""  # source, main: NOTICE about V1 signatures on stdout at mount, from 1.91.6
    sigv1_notice_always: bool = False  # 1.91.6 prints it even with sigv4

    # --- options and their defaults (source: my_fuse_opt_proc, main) ---
    options: frozenset[str] = frozenset()  # names that ossfs itself consumes; the others go to libfuse
    bucket_option: bool = True  # 1.91: -o bucket=NAME[:/PATH]
    public_bucket_copies: bool = False  # 1.80: public_bucket=1 leaves the copy requests on
    acl_names_checked: bool = True  # 1.80 takes any text for default_acl=
    storage_classes: frozenset[str] = frozenset()  # 1.80 knows three names; empty: any text
    singlepart_copy_unit: int = MIB  # 1.80 multiplies singlepart_copy_limit= by 1024 only
    lenient_numbers: bool = False  # 1.80: s3fs_strtoofft; 1.91: what is no number is 0
    ram_role_auto: bool = True  # 1.80: ram_role needs a value
    log_level: str = "crit"  # without dbglevel=; from 1.91.9 on err
    customer_keys: bool = False  # 1.80: use_sse=custom, load_sse_c; commented out in 1.91
    header_regex: bool = True  # 1.91: "reg:REGEX" in ahbe_conf
    sse_unknown_text: str = "something wrong use_sse option."  # misspelt in 1.80
    sse_conflict_text: str = "already set SSE another type, so conflict use_sse option or environment."
    sse_no_key_text: str = "use_sse=kms but not loaded kms id by environment."
    mountpoint_told_first: bool = False  # 1.80: a missing mount point is told before missing credentials
    missing_bucket_usage: bool = False  # 1.80: the usage line follows "missing BUCKET argument."
    disk_space_text: str = "There is no enough disk space for used as cache(or temporary) directory by s3fs."
    disk_space_amounts: bool = False  # 1.91.5 and later add what is required and what is there
    check_wants_parallel_parts: bool = True  # space for parallel_count parts; 1.80: for one
    kept_time_from_metadata: bool = True  # 1.91, source, s3fs_utimens: the time that is kept is that of the metadata
    utime_omit: bool = True  # 1.91: flag_utime_omit_ok; before, libfuse drops a change of one time only
    syslog_identity: str = "ossfs"  # 1.80 logs as s3fs
    third_option_word: str = "option"  # 1.80 misspells it "optioni"
    utility_asks: bool = False  # 1.80: -u lists unfinished uploads and asks whether to abort them
    umask_c_radix: bool = False  # 1.80 reads umask= and mp_umask= as C does: 022 octal, 22 decimal
    parse_failed_line: str = ""  # 1.91.8 and later add a last line to argument errors
    default_url: str = "https://oss-cn-hangzhou.aliyuncs.com"  # 1.80: empty, url= must be given
    max_stat_cache_size: int = 100_000  # 1.80: 1000
    stat_cache_expire: float | None = 900.0  # None: entries never expire (1.80)
    stat_cache_expire_minus_one: bool = True  # 1.91.3 and later: -1 means never
    multipart_size: int = 10 * MIB
    parallel_count: int = 5
    multireq_max: int = 20
    retries: int = 5  # 1.80: 3
    retries_zero_allowed: bool = False  # 1.80: retries=0 is accepted and every request fails
    connect_timeout: float = 300.0
    readwrite_timeout: float = 120.0  # 1.80: 60
    max_dirty_data: int | None = 5 * GIB  # so much not uploaded makes a write upload; 1.80: never
    singlepart_copy_limit: int = 512 * MIB  # 1.80: 5 GiB
    multipart_copy_size: int = 512 * MIB  # 1.80: 500 MB, not an option
    default_acl: str = ""  # 1.80: "private", sent on every PUT and POST
    acl_header: str = "x-oss-object-acl"  # up to 1.91.2 x-oss-acl
    complement_stat_default: bool = False  # on from 1.91.5
    xattr_default: bool = False  # 1.80: on unless noxattr
    negative_cache: NegativeCache = NegativeCache.OPTION  # on by default from 1.91.6

    # --- password file (source: read_passwd_file, S3fsCred) ---
    passwd_keyed_entries: bool = True  # 1.80 reads lines in their order, 1.91 entries by bucket
    environment_aliases: bool = True  # 1.91 also reads OSS_ACCESS_KEY_ID, OSS_ACCESS_KEY_SECRET, OSS_SESSION_TOKEN
    passwd_default_entry: bool = True  # 1.80, measured: a line AK:SK without bucket is refused
    passwd_strict_whitespace: bool = False  # 1.80: whitespace and brackets have their own messages
    passwd_stat_strerror: bool = False  # 1.91.6 and later append strerror to "unexpected error from stat"
    metadata_lines: bool = False  # 1.80 wants one field a line in the metadata service's answer, source
    metadata_token: bool = False  # 1.91.7 on: IMDSv2, a token for the metadata service first, source
    credentials_missing_long: bool = False  # 1.91.8 and later word the missing credentials longer

    # --- mount check (source: s3fs_check_service, S3fsCurl::CheckBucket; measured) ---
    check_time: CheckTime = CheckTime.BOTH
    check_request: CheckRequest = CheckRequest.PREFIX_OBJECT
    check_max_keys: int = 0  # 1.91.9 and later send max-keys=2
    check_prefix_missing_tolerated: bool = True  # 404 NoSuchKey of the prefix object passes from 1.91.5
    check_repeats_refusal: bool = False  # 1.80: 403 and 400 are asked once more ("sigv2 retry")
    check_follows_endpoint: bool = True  # 1.91: 403 with <Endpoint> in the body switches the host
    check_public_bucket_skipped: bool = False  # 1.80: public_bucket=1 needs no check
    check_wording: CheckWording = CheckWording.STDERR_FAILED

    # --- attributes (source: convert_header_to_stat, get_mode; measured) ---
    file_mode_missing: int = 0o640  # 1.80: 0777
    directory_mode_missing: int = 0o750  # key ends in "/"; 1.80: 0777
    owner_missing_is_process: bool = True  # 1.80: uid and gid 0
    unix_directory_type: bool = True  # httpd/unix-directory counts as x-directory; 1.80: no
    symlink_target_header: bool = True  # x-oss-meta-symlink-target makes a symlink; 1.80: no
    google_mode_header: bool = True  # x-oss-meta-goog-reserved-posix-mode is read; 1.80: no
    mode_any_base: bool = True  # "0100644" is octal as strtoll base 0 reads it; 1.80: decimal only
    fractional_times: bool = True  # "1500000000.123" is accepted and written; 1.80 reads it as 0, measured
    access_and_change_times: bool = True  # atime and ctime are kept in metadata; 1.80 shows 0
    slash_directory_any_type: bool = (
        False  # 1.80 and 1.91.6 on: a key ending "/" is a directory for any Content-Type sent
    )
    directory_size: int | None = None  # from 1.91.6: 4096 shown for every directory; None: as the object says
    complement_text_directory: bool = (
        True  # complement_stat before 1.91.5: d/ of text/plain, size 0 or 1, is a directory
    )
    complement_minimal_permission: bool = True  # complement_stat shows permission 0 as 0400 (directory 0500)
    # FAQ (1.88 only): without complement_stat a key ending in "/" that has content, or no mode, is shown as a file
    directory_needs_empty: bool = False
    directory_needs_mode: bool = False
    stat_checks_empty_object: bool = True  # source: is_need_check_obj_detail

    # --- lookups and caches (source: get_object_attribute, StatCache) ---
    forbidden_head_exists: bool = False  # 1.91.1 to 1.91.4: HEAD 403 is an existing file without metadata, measured
    forbidden_head_final: bool = False  # 1.91.5 on: HEAD 403 ends the lookup with EPERM
    negative_cache_any_failure: bool = True  # EIO too is remembered as missing (defect; measured with 1.91.10)
    negative_cache_hit_refreshes: bool = (
        True  # a hit makes the entry young again, measured; 1.80: not while entries expire
    )
    stat_cache_whole_seconds: bool = False  # 1.80 compares whole seconds, so an entry lives up to one longer
    stat_cache_hit_refreshes: bool = False  # 1.80 without expiry: a hit makes the entry young again
    # 1.80, source, GetStat: a name that is cached without ETag (a directory of nothing but children) is dropped when a
    # listing shows an object for it
    stat_cache_needs_etag: bool = False
    stat_cache_evicts_by_name: bool = False  # 1.80: of the oldest second's entries the first by name makes room
    overcheck_lists_plain: bool = True  # 1.91: a lookup of "N/" alone that misses still sends the LIST
    # 1.91, source, get_object_attribute: who asks whether a directory has no object hears no where it was not cached
    asking_for_prefix_forgets_it: bool = True
    create_pins_entry: bool = True  # 1.91: a created file that is not on the server lives in the stat cache
    skip_clean_on_read_only_flush: bool = False  # 1.91.10 knows the option

    # --- access (source: check_object_access; section "access checks") ---
    missing_execute_is_eperm: bool = False  # 1.80: EPERM where 1.91 says EACCES
    opendir_needs_execute: bool = False  # 1.80: opendir needs R and X, and the same on the parents

    # --- files (source: s3fs_create, s3fs_open, FdEntity) ---
    create_uploads_empty: bool = False  # 1.80: empty PUT and HEAD at open(O_CREAT)
    open_missing_succeeds: bool = False  # 1.80: a file deleted elsewhere since the kernel looked opens empty, measured
    read_only_truncate_refused: bool = True  # O_RDONLY|O_TRUNC: EACCES; 1.80 truncates
    multipart_doubles: bool = False  # 1.80: one PUT below 2 x multipart_size; 1.91: below multipart_size
    last_part_absorbs: bool = True  # 1.91: a remainder below 2 parts goes into one part
    mix_upload: bool = True  # 1.91: unchanged ranges are copied on the server
    upload_content_type_from_name: bool = True  # 1.80 keeps what HEAD answered
    too_many_parts_errno: str = "EFBIG"  # 1.80: ENOTSUP
    loads_before_write: bool = False  # 1.80 downloads what lies before a write at the write
    fetches_beyond_end: bool = False  # 1.80: a hole behind the object's end sends a GET without Range, measured
    upload_tells_remote_size: bool = True  # 1.80: a file goes on with the object's size at open (size_orgmeta)
    parallel_read_doubles: bool = False  # 1.80 reads in parallel above 2 x multipart_size
    failed_read_is_eio: bool = False  # 1.80, source, FdEntity::Read: whatever the download failed with
    read_tried_directly: bool = False  # 1.91.2 on: a failed read is tried once more, past the local file
    object_state_is_eremote: bool = True  # 403 InvalidObjectState: EREMOTE; 1.80: EPERM
    rename_flushes_source: bool = True  # 1.80 copies the stale object
    disk_cache_by_inode: bool = True  # use_cache: 1.91 keeps inode and changes in the page map, data age by mtime
    disk_cache_size_checked: bool = False  # use_cache: from 1.91.6 unchanged data of another size are dropped
    entity_shared: bool = True  # 1.91: all opens of a path share one local file; 1.80 (no use_cache): one each
    timeless_size_is_new: bool = True  # 1.91: a file opened without a time counts as grown to its size; 1.80: as remote
    size_from_local_file: bool = True  # 1.91: st_size of an open file; 1.80 (no use_cache) adds writes to a cached size
    pending_metadata: bool = True  # 1.91: chmod and utimens of a dirty file wait for its upload
    max_write: int = 131_072  # 1.80: 4096 without big_writes, measured
    upload_max_parts: int = 10_000

    # --- documented defects; `DEFECTS` lists these and those among the other sections ---
    zero_fills_behind_write: bool = False  # 1.80.6: partial overwrite zero-fills what lies behind it, measured
    unlinked_close_crashes: bool = True  # 1.91.1 to 1.91.8: close(2) of a file unlinked with hard_remove, measured
    hole_forgets_change: bool = False  # 1.80: filling a hole takes the file for unchanged, source: FdEntity::Load
    # 1.91, measured: chmod, chown, utimens, setxattr of a directory whose object is "N" or "N_$folder$" end it
    old_directory_metadata_crashes: bool = True
    # 1.91, measured: what is open below a renamed directory and not on the server keeps its old name
    rename_leaves_new_files: bool = True
    # from 1.91.6: a handle counts only with the path of its file; what a rename left behind is lost. Source:
    # FdManager::GetExistFdEntity; measured with 1.91.1 and 1.91.10
    handle_needs_path: bool = False
    path_truncate_ignored: bool = True  # 1.91: truncate(2) of a file nobody has open does nothing, measured
    # 1.91: a file that is open more than once and not uploaded can't be made shorter. Source: s3fs_truncate; measured
    dirty_shrink_ignored: bool = True
    # 1.91: a new file whose first upload failed can't be looked up any more although it is open, measured
    failed_upload_hides_new_file: bool = True
    # 1.91: a change of metadata of a file that was written and not uploaded takes its type away where metadata do not
    # tell it; the kernel gives the inode up, and what was written is lost. Source: StatCache::UpdateMetaStats; measured
    dirty_metadata_forgets_type: bool = True
    # 1.91: a read that fetches a file as a whole forgets that it was made shorter. Source:
    # PageList::SetPageLoadedStatus; measured
    read_forgets_shrink: bool = True
    # 1.91: one more open of a file that was made shorter and not uploaded takes the object's size. Source:
    # FdEntity::Open; measured
    dirty_reopen_grows: bool = True
    # 1.91: one more open of a file takes the metadata that the server has, and forgets a change that waits for the
    # upload. The stat cache knows the change. Source: FdEntity::Open; measured
    reopen_forgets_metadata: bool = True

    # --- namespace and metadata (source: s3fs_mkdir, s3fs_rename, s3fs_chmod ...; measured) ---
    link_refusal: LinkRefusal = LinkRefusal.ENOTSUP  # 1.80: EPERM
    rename_stats_target: bool = False  # 1.80: a copy first looks its target up
    reupload_dates_links: bool = True  # norenameapi: 1.80 uploads a symlink without a time, source: get_local_fent
    reupload_keeps_owner: bool = (
        True  # nocopyapi: 1.80 stores 4294967295 for what chown keeps, source: s3fs_chown_nocopy
    )
    rename_updates_ctime: bool = True  # 1.91
    rename_directory_errno_mapped: bool = True  # 1.80: EIO for whatever fails below a renamed directory
    rename_onto_full_directory_merges: bool = False  # 1.80; 1.91: ENOTEMPTY
    shallow_copy: bool = True  # 1.91: rename tries one plain copy for any size
    metadata_change_retypes: bool = True  # 1.91: chmod recomputes Content-Type from the name
    directory_metadata_recreates: bool = False  # 1.80: chmod of a directory deletes N and writes a fresh N/
    metadata_errno_mapped: bool = True  # 1.80: EIO for every failed self-copy
    readlink_cached: bool = True  # 1.80 reads the target each time
    mknod_regular_creates: bool = False  # 1.80: mknod of a regular file makes an object
    noxattr_pretends: bool = False  # 1.80 without xattr: set answers success, get ENODATA; 1.91: ENOTSUP
    statfs_blocks: int = 1_099_511_627_775  # (2^64 - 1) / 16 MiB, measured; 1.80: 16777216
    # use_cache of 1.91, measured: a file that is renamed and was not in the cache is zeros from then on
    cached_rename_zero_fills: bool = True
    # del_cache of 1.80, measured: data go, page maps stay, and the next read takes zeros for what was loaded
    del_cache_keeps_maps: bool = False
    xattr_flags_first: bool = (
        False  # 1.80 looks at XATTR_CREATE and XATTR_REPLACE before it rewrites a directory, source
    )
    last_xattr_stays: bool = True  # 1.91, measured: the only attribute of a file that is not open can't be removed
    statfs_files: int = 0  # from 1.91.9: 18014398509481983
    # source: CHECKPATH, s3fs_flush. With hard_remove libfuse has no path for a file that was unlinked while open
    unlinked_close_is_stale: bool = False  # from 1.91.9: its close(2) is ESTALE
    multi_request_retries_inside: bool = (
        True  # 1.91: each of several parallel requests has its own attempts and waits too
    )

    # --- HTTP (source: S3fsCurl::RequestPerform) ---
    retry_any_5xx: bool = False  # 1.80 retries every status from 500 on; 1.91 only 500 and 503
    retry_wait_fixed: float | None = None  # 1.80: 4 s; None: 2*2^n s plus up to the same again
    not_implemented_errno: str = "ENOTSUP"  # 501; 1.80: as any 5xx
    head_bad_request_errno: str = "EPERM"  # HEAD 400; 1.80: EIO
    size_error_codes: bool = True  # EntityTooLarge: EFBIG, KeyTooLongError: ENAMETOOLONG; 1.80: EIO
    failed_parts_errno: str = "EIO"  # an upload without id, or whose parts fail; 1.80 goes on to complete it: EPERM
    aborts_failed_upload: bool = True  # 1.80 leaves the unfinished upload behind
    multi_request_reversed: bool = False  # 1.80 sends each batch of parallel requests back to front, measured
    complete_content_type: str = "application/xml"  # of the POST that completes an upload; 1.80: by the name
    redirect_is_failure: bool = True  # 1.80 takes every status below 400 for success
    put_body_error: bool = True  # PUT 200 with <Code> in its body: EIO; 1.80: success
    exits_on_certificate_error: bool = False  # 1.80: the process ends
    signature_v4: bool = True  # sigv4, region: from 1.91.4

    # --- signals ---
    hangup_unmounts: bool = False  # SIGHUP: 1.80 unmounts, 1.91 reopens the log file


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What both lines of ossfs consume themselves (source: my_fuse_opt_proc). Names without "=value".
_OPTIONS_BOTH = _names(
    """uid gid umask allow_other mp_umask default_acl retries use_cache del_cache multireq_max nonempty nomultipart
    storage_class use_sse ssl_verify_hostname passwd_file ram_role public_bucket host servicepath
    no_check_certificate connect_timeout readwrite_timeout max_stat_cache_size stat_cache_expire nodnscache nosscache
    parallel_count parallel_upload fd_page_size multipart_size ensure_diskfree singlepart_copy_limit ahbe_conf noxmlns
    nocopyapi norenameapi enable_content_md5 url endpoint use_path_request_style dbglevel f2 curldbg accessKeyId
    secretAccessKey"""
)
_OPTIONS_180 = _OPTIONS_BOTH | _names(
    "use_rrs load_sse_c noxattr default_permission sigv2 createbucket enable_noobj_cache"
)
_OPTIONS_1911 = _OPTIONS_BOTH | _names(
    """bucket tmpdir check_cache_dir_exist list_object_max_keys stat_cache_interval_expire enable_noobj_cache
    multipart_copy_size max_dirty_data fake_diskfree multipart_threshold nomixupload complement_stat notsup_compat_dir
    enable_unsigned_payload sigv1 noua listobjectsv2 use_xattr cipher_suites instance_name mime upload_traffic_limit
    download_traffic_limit noshallowcopyapi readdir_optimize readdir_check_size symlink_in_meta logfile
    no_time_stamp_msg set_check_cache_sigusr1 use_wtf8 requester_pays use_session_token auto noauto user nouser users
    _netdev"""
)
_OPTIONS_1912 = _OPTIONS_1911 | _names(
    """direct_read direct_read_chunk_size direct_read_prefetch_chunks direct_read_prefetch_thread
    direct_read_prefetch_limit"""
)
_OPTIONS_1913 = _OPTIONS_1912 | {"direct_read_backward_chunks", "direct_read_local_file_cache_size_mb"}
_OPTIONS_1914 = _OPTIONS_1913 | {"sigv4", "region", "cloudbox_id", "credlib", "credlib_opts"}
_OPTIONS_1915 = _OPTIONS_1914 | {"free_space_ratio"}
_OPTIONS_1916 = (_OPTIONS_1915 - {"enable_noobj_cache"}) | {"disable_noobj_cache"}
_OPTIONS_1917 = _OPTIONS_1916 | {"disable_imdsv2", "simulate_mtime_ns_with_crc64"}
_OPTIONS_1919 = _OPTIONS_1917 | {"credential_process"}
_OPTIONS_19110 = _OPTIONS_1919 | {"skip_clean_statcache_on_ro_flush"}

# What the builds that ACK ships have besides, as far as it is modelled (source: the CSI driver gives it to them).
_OPTIONS_ACK = _names("rrsa_endpoint")

_SIGV1_NOTICE = (
    "[NOTICE] OSS signature V1 service will not be available {when}. "
    "It is recommended to mount with OSS signature V4:\n"
    "\t ossfs [oss-bucket] [mount-path] [options] -osigv4 -oregion=[your-region-id]"
)

_V1806 = Profile(
    name="1.80.6",
    user_agent="aliyun-sdk-http/1.0()/ossfs1.80.6",
    version_text="Aliyun Open Storage Service File System V1.80.6(commit:9640e79) with OpenSSL",
    options=_OPTIONS_180,
    bucket_option=False,
    public_bucket_copies=True,
    acl_names_checked=False,
    storage_classes=frozenset(("standard", "standard_ia", "reduced_redundancy")),
    singlepart_copy_unit=KIB,
    lenient_numbers=True,
    ram_role_auto=False,
    sse_unknown_text="something wrong use_sse optino.",
    sse_conflict_text="already set SSE another type, so confrict use_sse option or environment.",
    sse_no_key_text="use_sse=kms but not loaded kms id by environemnt.",
    mountpoint_told_first=True,
    missing_bucket_usage=True,
    check_wants_parallel_parts=False,
    kept_time_from_metadata=False,
    utime_omit=False,
    syslog_identity="s3fs",
    third_option_word="optioni",
    utility_asks=True,
    umask_c_radix=True,
    default_url="",
    max_stat_cache_size=1000,
    stat_cache_expire=None,
    stat_cache_expire_minus_one=False,
    retries=3,
    retries_zero_allowed=True,
    readwrite_timeout=60.0,
    max_dirty_data=None,
    singlepart_copy_limit=5 * GIB,
    multipart_copy_size=500 * MIB,
    default_acl="private",
    acl_header="x-oss-acl",
    xattr_default=True,
    passwd_keyed_entries=False,
    environment_aliases=False,
    passwd_default_entry=False,
    passwd_strict_whitespace=True,
    metadata_lines=True,
    customer_keys=True,
    header_regex=False,
    check_time=CheckTime.BEFORE_MOUNT,
    check_request=CheckRequest.PREFIX_OBJECT,
    check_prefix_missing_tolerated=False,
    check_repeats_refusal=True,
    check_follows_endpoint=False,
    check_public_bucket_skipped=True,
    check_wording=CheckWording.XML_BODY,
    file_mode_missing=0o777,
    directory_mode_missing=0o777,
    owner_missing_is_process=False,
    unix_directory_type=False,
    symlink_target_header=False,
    google_mode_header=False,
    mode_any_base=False,
    fractional_times=False,
    access_and_change_times=False,
    slash_directory_any_type=True,
    complement_text_directory=False,
    overcheck_lists_plain=False,
    stat_cache_whole_seconds=True,
    stat_cache_hit_refreshes=True,
    stat_cache_needs_etag=True,
    stat_cache_evicts_by_name=True,
    negative_cache_hit_refreshes=False,
    asking_for_prefix_forgets_it=False,
    create_pins_entry=False,
    missing_execute_is_eperm=True,
    opendir_needs_execute=True,
    create_uploads_empty=True,
    open_missing_succeeds=True,
    read_only_truncate_refused=False,
    multipart_doubles=True,
    last_part_absorbs=False,
    mix_upload=False,
    upload_content_type_from_name=False,
    too_many_parts_errno="ENOTSUP",
    loads_before_write=True,
    fetches_beyond_end=True,
    upload_tells_remote_size=False,
    parallel_read_doubles=True,
    object_state_is_eremote=False,
    failed_read_is_eio=True,
    rename_flushes_source=False,
    disk_cache_by_inode=False,
    cached_rename_zero_fills=False,
    del_cache_keeps_maps=True,
    entity_shared=False,
    timeless_size_is_new=False,
    size_from_local_file=False,
    pending_metadata=False,
    max_write=4096,
    zero_fills_behind_write=True,
    hole_forgets_change=True,
    old_directory_metadata_crashes=False,
    rename_leaves_new_files=False,
    path_truncate_ignored=False,
    dirty_shrink_ignored=False,
    dirty_reopen_grows=False,
    reopen_forgets_metadata=False,
    dirty_metadata_forgets_type=False,
    read_forgets_shrink=False,
    failed_upload_hides_new_file=False,
    link_refusal=LinkRefusal.EPERM,
    rename_stats_target=True,
    reupload_dates_links=False,
    reupload_keeps_owner=False,
    rename_updates_ctime=False,
    rename_directory_errno_mapped=False,
    rename_onto_full_directory_merges=True,
    shallow_copy=False,
    metadata_change_retypes=False,
    directory_metadata_recreates=True,
    metadata_errno_mapped=False,
    readlink_cached=False,
    mknod_regular_creates=True,
    noxattr_pretends=True,
    statfs_blocks=16_777_216,
    xattr_flags_first=True,
    last_xattr_stays=False,
    unlinked_close_crashes=False,
    multi_request_retries_inside=False,
    retry_any_5xx=True,
    retry_wait_fixed=4.0,
    not_implemented_errno="EIO",
    head_bad_request_errno="EIO",
    size_error_codes=False,
    failed_parts_errno="EPERM",
    aborts_failed_upload=False,
    multi_request_reversed=True,
    complete_content_type="",
    redirect_is_failure=False,
    put_body_error=False,
    exits_on_certificate_error=True,
    signature_v4=False,
    hangup_unmounts=True,
)


class _Identity(TypedDict):
    name: str
    user_agent: str
    version_text: str


_V1807 = dataclasses.replace(
    _V1806,
    name="1.80.7",
    user_agent="aliyun-sdk-http/1.0()/ossfs1.80.7",
    version_text="Aliyun Open Storage Service File System V1.80.7(commit:unknown) with OpenSSL",
    options=_OPTIONS_180 | {"listobjectsv2", "notsup_compat_dir", "requester_pays"},
    zero_fills_behind_write=False,  # source: "tail range" fix
)


def _line_191(version: str, commit: str = "unknown") -> _Identity:
    return {
        "name": version,
        "user_agent": f"aliyun-sdk-http/1.0()/ossfs/{version} (commit hash {commit}; OpenSSL)",
        "version_text": f"Alibaba Cloud Open Storage Service File System V{version} (commit:{commit}) with OpenSSL",
    }


_V1911 = Profile(
    **_line_191("1.91.1", "fff31f0"),
    options=_OPTIONS_1911,
    stat_cache_expire_minus_one=False,
    acl_header="x-oss-acl",
    check_time=CheckTime.AFTER_MOUNT,
    check_request=CheckRequest.BUCKET,
    check_wording=CheckWording.LOG_RESULT,
    forbidden_head_exists=True,
    signature_v4=False,
)
_V1912 = dataclasses.replace(
    _V1911,
    **_line_191("1.91.2"),
    options=_OPTIONS_1912,
    check_request=CheckRequest.BUCKET_THEN_PREFIX,
    check_prefix_missing_tolerated=False,
    read_tried_directly=True,
)
_V1913 = dataclasses.replace(
    _V1912,
    **_line_191("1.91.3"),
    options=_OPTIONS_1913,
    stat_cache_expire_minus_one=True,
    acl_header="x-oss-object-acl",
    check_wording=CheckWording.LOG_FAILED,
)
_V1914 = dataclasses.replace(_V1913, **_line_191("1.91.4"), options=_OPTIONS_1914, signature_v4=True)
_V1915 = dataclasses.replace(
    _V1914,
    **_line_191("1.91.5"),
    options=_OPTIONS_1915,
    disk_space_text="There is no enough disk space for used as cache(or temporary) directory by ossfs.",
    disk_space_amounts=True,
    complement_stat_default=True,
    forbidden_head_exists=False,
    forbidden_head_final=True,
    check_time=CheckTime.BOTH,
    check_request=CheckRequest.PREFIX_OBJECT,
    check_prefix_missing_tolerated=True,
    complement_text_directory=False,
    slash_directory_any_type=True,
)
_V1916 = dataclasses.replace(
    _V1915,
    **_line_191("1.91.6"),
    disk_cache_size_checked=True,
    handle_needs_path=True,
    options=_OPTIONS_1916,
    negative_cache=NegativeCache.DEFAULT,
    directory_size=4096,
    sigv1_notice=_SIGV1_NOTICE.format(when="for new uids since March 1st, 2025"),
    sigv1_notice_always=True,
    passwd_stat_strerror=True,
)
_V1917 = dataclasses.replace(
    _V1916,
    **_line_191("1.91.7"),
    options=_OPTIONS_1917,
    metadata_token=True,
    sigv1_notice=_SIGV1_NOTICE.format(when="in the near future"),
    sigv1_notice_always=False,
)
_V1918 = dataclasses.replace(
    _V1917,
    **_line_191("1.91.8"),
    check_wording=CheckWording.STDERR_FAILED,
    parse_failed_line="Fail to parse options, please check your options.",
    credentials_missing_long=True,
)
_V1919 = dataclasses.replace(
    _V1918,
    **_line_191("1.91.9"),
    options=_OPTIONS_1919,
    log_level="err",
    check_max_keys=2,
    statfs_files=18_014_398_509_481_983,
    unlinked_close_crashes=False,
    unlinked_close_is_stale=True,
)
_V19110 = dataclasses.replace(
    _V1919,
    **_line_191("1.91.10", "95e3f05"),
    options=_OPTIONS_19110,
    check_request=CheckRequest.LIST_PREFIX,
    skip_clean_on_read_only_flush=True,
)

# Builds shipped with the CSI plugin 1.24 to 1.30.3; no source was published. The FAQ defines what it says,
# 1.91.1 the rest.
_V188 = dataclasses.replace(
    _V1911,
    **_line_191("1.88"),
    check_time=CheckTime.BEFORE_MOUNT,
    check_request=CheckRequest.PREFIX_OBJECT,  # FAQ: "the directory object must exist at mount"
    check_prefix_missing_tolerated=False,
    check_wording=CheckWording.XML_BODY,
    forbidden_head_exists=False,  # the FAQ knows no such effect
    directory_needs_empty=True,
    directory_needs_mode=True,
)

PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        row.name: row
        for row in (
            _V1806,
            _V1807,
            _V188,
            _V1911,
            _V1912,
            _V1913,
            _V1914,
            _V1915,
            _V1916,
            _V1917,
            _V1918,
            _V1919,
            _V19110,
        )
    }
)


@dataclass(frozen=True, slots=True)
class Defect:
    """A defect of releases: it loses or damages data, takes an error for an answer, or shows what is not so. name: as
    in docs/ossfs.md and of the scenario that shows it (scenarios/defects/NAME.yaml). field: of `Profile`; right: its
    value in a release without the defect."""

    name: str
    field: str
    right: bool

    def in_release(self, profile: Profile) -> bool:
        """Whether that release has it."""
        return bool(getattr(profile, self.field)) is not self.right


DEFECTS = (
    Defect("zero-fill", "zero_fills_behind_write", right=False),
    Defect("hole-forgets-change", "hole_forgets_change", right=False),
    Defect("new-file-lost-by-rename", "rename_leaves_new_files", right=False),
    Defect("truncate-ignored", "path_truncate_ignored", right=False),
    Defect("shrink-ignored", "dirty_shrink_ignored", right=False),
    Defect("shrink-lost-by-read", "read_forgets_shrink", right=False),
    Defect("shortened-grows-back", "dirty_reopen_grows", right=False),
    Defect("chmod-lost-by-open", "reopen_forgets_metadata", right=False),
    Defect("type-forgotten", "dirty_metadata_forgets_type", right=False),
    Defect("error-cached-as-missing", "negative_cache_any_failure", right=False),
    Defect("refused-name-exists", "forbidden_head_exists", right=False),
    Defect("stale-rename", "rename_flushes_source", right=True),
    Defect("failed-upload-hides", "failed_upload_hides_new_file", right=False),
    Defect("failed-upload-left", "aborts_failed_upload", right=True),
    Defect("old-directory-crash", "old_directory_metadata_crashes", right=False),
    Defect("unlinked-close-crash", "unlinked_close_crashes", right=False),
    Defect("cached-rename-zeros", "cached_rename_zero_fills", right=False),
    Defect("cache-misses-change", "disk_cache_by_inode", right=True),
    Defect("cache-keeps-other-size", "disk_cache_size_checked", right=True),
    Defect("del-cache-zeros", "del_cache_keeps_maps", right=False),
    Defect("polling-keeps-missing", "negative_cache_hit_refreshes", right=False),
    Defect("separate-opens", "entity_shared", right=True),
    Defect("chmod-undone", "pending_metadata", right=True),
    Defect("size-counted-twice", "size_from_local_file", right=True),
    Defect("deleted-opens-empty", "open_missing_succeeds", right=False),
    Defect("hole-behind-end", "fetches_beyond_end", right=False),
    Defect("rename-merges", "rename_onto_full_directory_merges", right=False),
    Defect("last-xattr-stays", "last_xattr_stays", right=False),
)


def without_defects(profile: Profile, names: Collection[str] | None = None) -> Profile:
    """The same release without its defects, or without those in `names`. What is merely odd stays. Raises
    UnknownDefect."""
    known = {defect.name: defect for defect in DEFECTS}
    for name in names or ():
        if name not in known:
            raise UnknownDefect(f"unknown defect {name!r}; known: {', '.join(known)}")
    left_out = DEFECTS if names is None else [known[name] for name in names]
    right: dict[str, Any] = {defect.field: defect.right for defect in left_out}
    return dataclasses.replace(profile, **right)


def left_out(profile: Profile, fixed: Fixed) -> Profile:
    """The release as `fixed` wants it. Raises UnknownDefect."""
    if isinstance(fixed, bool):
        return without_defects(profile) if fixed else profile
    return without_defects(profile, fixed)


@functools.cache
def find(version: str, *, fixed: Fixed = False) -> Profile:
    """The row of a release by its exact name ("1.91.3", also written "v1.91.3"), or ACK's build of it ("1.91.3.ack");
    fixed: without its defects, or without some. Raises UnknownVersion, UnknownDefect."""
    name, _, build = version.removeprefix("v").partition(".ack")
    try:
        row = PROFILES[name]
        if version.endswith(f".ack{build}") and name != version.removeprefix("v"):
            row = dataclasses.replace(row, name=f"{name}.ack{build}", options=row.options | _OPTIONS_ACK)
        return left_out(row, fixed)
    except KeyError:
        raise UnknownVersion(f"unknown ossfs version {version!r}; known: {', '.join(PROFILES)}") from None
