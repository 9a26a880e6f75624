from __future__ import annotations

from pathlib import Path

import pytest

from ossfuse.options import OPTIONS, Answered, MountOptions, UsageError, check_libfuse_options, parse
from ossfuse.profile import PROFILES, find

MIB = 1024 * 1024


def parsed(*argv: str, version: str = "1.91.3", euid: int = 0, egid: int = 0) -> MountOptions:
    return parse(["bkt", "/mnt", *argv], find(version), euid=euid, egid=egid, look_at_mountpoint=False)


@pytest.mark.parametrize("version", PROFILES)
def test_every_name_that_a_release_consumes_has_a_row_in_the_table(version: str) -> None:
    assert set(find(version).options) <= set(OPTIONS)


@pytest.mark.parametrize(
    "argv",
    [
        ["bkt:/p", "/mnt", "-o", "allow_other,umask=022", "-ourl=http://h"],
        ["-o", "allow_other", "bkt:/p", "-oumask=022", "/mnt", "-o", "url=http://h/"],
        ["-oallow_other,umask=022,url=http://h//", "--", "bkt:/p/", "/mnt"],
        ["-o", "bucket=bkt:/p", "/mnt", "-o", "umask=022,allow_other,url=http://h"],
        ["ossfs", "/mnt", "-o", "bucket=bkt:/p,url=http://h,allow_other,umask=022,_netdev"],
    ],
)
def test_options_may_stand_anywhere_and_in_any_group(argv: list[str]) -> None:
    if argv[0] == "ossfs":
        argv = argv[2:] + argv[:2]
    options = parse(argv, find("1.91.3"), look_at_mountpoint=False)
    assert (options.bucket, options.prefix, options.mountpoint) == ("bkt", "/p", "/mnt")
    assert (options.url, options.allow_other, options.umask) == ("http://h", True, 0o22)


def test_what_libfuse_has_to_know_is_handed_on_in_order() -> None:
    options = parsed("-o", "ro,allow_other,mp_umask=007,uid=5,url=http://h", "-s", "-f")
    assert options.fuse_options == ("ro", "allow_other", "uid=5", "-s", "-f")
    assert options.single_thread
    assert options.foreground


def test_a_backslash_hides_a_comma_and_octal_digits_are_a_byte() -> None:
    assert parsed("-o", r"passwd_file=/a\,b,region=x\054y", version="1.91.4").passwd_file == "/a,b"
    assert parsed("-o", r"passwd_file=/a\,b,region=x\054y", version="1.91.4").region == "x,y"


@pytest.mark.parametrize(
    ("version", "text", "mask"),
    [("1.80.6", "022", 0o22), ("1.80.6", "22", 22), ("1.91.1", "022", 0o22), ("1.91.1", "22", 0o22)],
)
def test_180_reads_masks_as_c_does_and_191_always_in_octal(version: str, text: str, mask: int) -> None:
    options = parsed("-o", f"umask={text},mp_umask={text}", version=version)
    assert options.umask == mask
    assert options.mp_umask == mask


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.80.6", (1000, None, 3, 60.0, False, False)),
        ("1.91.1", (100_000, 900.0, 5, 120.0, False, False)),
        ("1.91.5", (100_000, 900.0, 5, 120.0, True, False)),
        ("1.91.6", (100_000, 900.0, 5, 120.0, True, True)),
    ],
)
def test_defaults_follow_the_release(version: str, expected: tuple[object, ...]) -> None:
    options = parsed(version=version)
    assert (
        options.max_stat_cache_size,
        options.stat_cache_expire,
        options.retries,
        options.readwrite_timeout,
        options.complement_stat,
        options.noobj_cache,
    ) == expected


def test_sizes_become_bytes_and_stat_caches_may_never_expire() -> None:
    options = parsed("-o", "multipart_size=16,max_dirty_data=60,stat_cache_expire=-1,singlepart_copy_limit=7")
    assert options.multipart_size == 16 * MIB
    assert options.max_dirty_data == 60 * MIB
    assert options.stat_cache_expire is None
    assert options.singlepart_copy_limit == 7 * MIB
    assert parsed("-o", "stat_cache_expire=-1", version="1.91.1").stat_cache_expire == -1.0
    assert parsed("-o", "singlepart_copy_limit=7", version="1.80.6").singlepart_copy_limit == 7 * 1024
    interval = parsed("-o", "stat_cache_interval_expire=5")
    assert (interval.stat_cache_expire, interval.stat_cache_interval) == (5.0, True)


@pytest.mark.parametrize(
    ("version", "option", "known"),
    [
        ("1.80.6", "complement_stat", False),
        ("1.88", "complement_stat", True),
        ("1.80.7", "listobjectsv2", True),
        ("1.80.6", "listobjectsv2", False),
        ("1.91.1", "noxattr", False),
        ("1.91.3", "sigv4", False),
        ("1.91.4", "sigv4", True),
        ("1.91.5", "enable_noobj_cache", True),
        ("1.91.6", "enable_noobj_cache", False),
        ("1.91.6", "disable_noobj_cache", True),
        ("1.91.9", "skip_clean_statcache_on_ro_flush", False),
        ("1.91.10", "skip_clean_statcache_on_ro_flush", True),
        ("1.80.6", "_netdev", False),
        ("1.91.1", "_netdev", True),
        ("1.91.1", "use_rrs", False),
    ],
)
def test_a_release_knows_the_options_of_its_time(version: str, option: str, known: bool) -> None:
    if known:
        assert option not in parsed("-o", option, version=version).fuse_options
        return
    with pytest.raises(UsageError) as caught:
        parsed("-o", option, version=version)
    assert caught.value.message == f"fuse: unknown option `{option}'"
    assert caught.value.exit_code == 1


def test_a_flag_with_a_value_is_libfuses_business() -> None:
    with pytest.raises(UsageError, match="fuse: unknown option `complement_stat=0'"):
        parsed("-o", "complement_stat=0")


@pytest.mark.parametrize(
    "option",
    [
        *("ro", "rw", "big_writes", "max_write=131072", "max_read=4096", "direct_io", "kernel_cache", "auto_cache"),
        *("attr_timeout=0", "entry_timeout=1.5", "negative_timeout=.5", "allow_root", "default_permissions", "suid"),
        *("dev", "exec", "noatime", "hard_remove", "fsname=x", "subtype=y", "-d", "umask=22", "nonempty"),
    ],
)
def test_libfuses_own_options_pass(option: str) -> None:
    check_libfuse_options([option])


@pytest.mark.parametrize("option", ["umask=9", "uid=x", "attr_timeout=soon", "max_write="])
def test_libfuse_refuses_a_value_that_it_cannot_read(option: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_libfuse_options(["ro", option, "later"])
    assert caught.value.message == f"fuse: invalid parameter in option `{option}'"


def test_an_ordinary_user_may_not_claim_to_be_root() -> None:
    with pytest.raises(UsageError, match=r"ossfs: root user can only specify uid=0\."):
        parsed("-o", "uid=0", euid=1000)
    with pytest.raises(UsageError, match=r"ossfs: root user can only specify gid=0\."):
        parsed("-o", "gid=0", egid=1000)
    assert parsed("-o", "uid=0,gid=0").uid == 0


def test_a_first_d_raises_the_log_level_and_a_second_one_is_libfuses() -> None:
    once = parsed("-d")
    assert (once.log_level, once.debug, once.foreground) == ("info", False, False)
    twice = parsed("-d", "-d")
    assert (twice.debug, twice.foreground) == (True, True)
    assert twice.fuse_options == ("-d",)


@pytest.mark.parametrize("word", ["-h", "--help", "--he", "-fh"])
def test_help_lists_the_options_of_the_release(word: str) -> None:
    with pytest.raises(Answered) as answer:
        parsed(word, version="1.91.10")
    assert "skip_clean_statcache_on_ro_flush" in answer.value.text
    assert "noxattr" not in answer.value.text


@pytest.mark.parametrize(
    ("version", "line"),
    [
        ("1.80.6", "Aliyun Open Storage Service File System V1.80.6(commit:9640e79) with OpenSSL"),
        ("1.91.1", "Alibaba Cloud Open Storage Service File System V1.91.1 (commit:fff31f0) with OpenSSL"),
        ("1.91.10", "Alibaba Cloud Open Storage Service File System V1.91.10 (commit:95e3f05) with OpenSSL"),
    ],
)
def test_version_begins_as_the_binary_does(version: str, line: str) -> None:
    with pytest.raises(Answered) as answer:
        parsed("--version", version=version)
    assert answer.value.text.splitlines()[0] == line


def test_an_ambiguous_long_option_is_refused_as_getopt_refuses_it() -> None:
    with pytest.raises(UsageError, match="option '--inc' is ambiguous"):
        parsed("--inc")
    with pytest.raises(UsageError, match="option '--help' doesn't allow an argument"):
        parsed("--help=me")


def test_the_mount_point_is_looked_at_unless_it_exists_nowhere(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    full = str(tmp_path / "full")
    with pytest.raises(UsageError, match="is not empty"):
        parse(["bkt", full], find("1.91.3"))
    assert parse(["bkt", full, "-o", "nonempty"], find("1.91.3")).nonempty
    assert parse(["bkt", full], find("1.91.3"), look_at_mountpoint=False).mountpoint == full
    with pytest.raises(UsageError, match="permission denied"):
        parse(["bkt", full], find("1.91.3"), euid=4242, egid=4242)


@pytest.mark.parametrize("version", ["1.80.6", "1.91.10"])
def test_public_bucket_turns_copies_off_only_in_191(version: str) -> None:
    assert parsed("-o", "public_bucket=1", version=version).nocopyapi is (version == "1.91.10")


@pytest.mark.parametrize(
    ("version", "text", "mode"),
    [("1.80.6", "", 0o777), ("1.80.6", "default_permission=640", 0o640), ("1.91.1", "", None)],
)
def test_only_180_has_a_default_permission(version: str, text: str, mode: int | None) -> None:
    assert parsed(*(("-o", text) if text else ()), version=version).default_permission == mode


@pytest.mark.parametrize(
    ("text", "sse", "key"), [("use_sse", "AES256", ""), ("use_sse=kms", "KMS", ""), ("use_sse=k:abc", "KMS", "abc")]
)
def test_server_side_encryption_is_chosen_by_name(text: str, sse: str, key: str) -> None:
    options = parsed("-o", text)
    assert (options.sse, options.sse_kms_id) == (sse, key)


def test_two_kinds_of_server_side_encryption_are_refused() -> None:
    with pytest.raises(UsageError, match="already set SSE another type"):
        parsed("-o", "use_sse,use_sse=kms")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("multipart_copy_size=1", "multipart_copy_size option must be at least 5 MB."),
        ("multipart_threshold=5", "multipart_threshold must be at least 5242880, was: 5242880"),
        ("free_space_ratio=101", "option free_space_ratio must between 0 to 100, which is: 101"),
        (
            "ensure_diskfree=1,free_space_ratio=5",
            "option free_space_ratio conflicts with ensure_diskfree, please set only ",
        ),
        ("direct_read_chunk_size=33", "direct_read_prefetch_chunk_size option must between 1 and 32."),
        ("direct_read_prefetch_thread=0", "direct_read_max_prefetch_thread_count should be over 1"),
        ("direct_read_prefetch_limit=127", "prefetch_cache_limits option should be greater than 128."),
        ("ssl_verify_hostname=2", "poorly formed argument to option: ssl_verify_hostname."),
        ("logfile=/nonexistent/log", "The file(/nonexistent/log) specified by logfile option could not be opened."),
        ("curldbg=all", "option curldbg has unknown parameter(all)."),
        ("credential_process=relative", "failed to set credential process : relative"),
        ("credlib=", "failed to set credlib option : "),
        ("credlib_opts=", "failed to set credlib_opts option : "),
        ("secretAccessKey=x", "option secretAccessKey is no longer supported."),
        ("use_sse=kmsid", "use_sse=kms but not loaded kms id by environment."),
    ],
)
def test_a_value_out_of_range_has_its_own_message(option: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parsed("-o", option, version="1.91.10")
    assert caught.value.message.startswith(f"ossfs: {message}")
    assert caught.value.message.endswith("\nossfs: Fail to parse options, please check your options.")
