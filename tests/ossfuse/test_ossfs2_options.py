"""ossfs2's command line: what is read, what is refused, and in which words (measured on 2.0.7)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ossfuse.options import Answered, UsageError
from ossfuse.ossfs2.options import OPTIONS, MountOptions, NotModelled, Support, from_mount_options, parse
from ossfuse.ossfs2.profile import find

GIVEN = ("--oss_bucket=demo", "--oss_endpoint=oss.example")


def read(*words: str, version: str = "2.0.7", given: tuple[str, ...] = GIVEN) -> MountOptions:
    return parse(["mount", "/mnt", *given, *words], find(version), directory_exists=lambda path: path == "/mnt")


def refusal(*words: str, given: tuple[str, ...] = GIVEN) -> tuple[int, str]:
    with pytest.raises(UsageError) as caught:
        read(*words, given=given)
    return caught.value.exit_code, caught.value.message


def test_defaults_are_those_of_the_original() -> None:
    options = read()
    assert (options.file_mode, options.dir_mode, options.allow_other, options.read_only) == (0o777, 0o777, True, False)
    assert (options.attr_timeout, options.fuse_entry_timeout, options.negative_cache_timeout) == (60.0, 60.0, 0.0)
    assert (options.ignore_fsync, options.sync_upload, options.close_to_open) == (True, True, False)
    assert (options.enable_symlink, options.allow_rename_dir, options.upload_buffer_size) == (False, True, 8 << 20)
    assert options.url == "https://oss.example"


def test_the_command_line_wins_over_the_file_whatever_the_order(tmp_path: Path) -> None:
    conf = tmp_path / "c.conf"
    conf.write_text("# a comment\n--oss_bucket=demo\n--oss_endpoint=e\n--attr_timeout=5\n--nonsense=1\n")
    assert read("--attr_timeout=7", "-c", str(conf), given=()).attr_timeout == 7
    assert read("-c", str(conf), given=()).attr_timeout == 5


@pytest.mark.parametrize(
    ("word", "field", "value"),
    [
        ("--upload_buffer_size=16MB", "upload_buffer_size", 16 << 20),
        ("--upload_buffer_size=1048577", "upload_buffer_size", 2 << 20),
        ("--file_mode=0640", "file_mode", 0o640),
        ("--noreaddirplus", "readdirplus", False),
        ("--ro", "read_only", True),
        ("--oss_bucket_prefix=/a/b/", "prefix", "a/b"),
        ("--fuse_attr_timeout=3", "fuse_attr_timeout", 3.0),
    ],
)
def test_values_are_read_as_gflags_reads_them(word: str, field: str, value: object) -> None:
    assert getattr(read(word), field) == value


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--attr_timeout=x",), "ERROR: illegal value 'x' specified for uint64 flag 'attr_timeout'"),
        (("--attr_timeout=-1",), "ERROR: illegal value '-1' specified for uint64 flag 'attr_timeout'"),
        (("--ro=maybe",), "ERROR: illegal value 'maybe' specified for bool flag 'ro'"),
        (("--fuse_attr_timeout=-2",), "ERROR: failed validation of new value '-2' for flag 'fuse_attr_timeout'"),
        (("--dir_mode=644",), "ERROR: failed validation of new value '644' for flag 'dir_mode'"),
        (("--total_mem_limit=12Q",), "ERROR: failed validation of new value '12Q' for flag 'total_mem_limit'"),
        (("--rename_dir_concurrency=99999999999",), "ERROR: illegal value '99999999999' specified for int32 flag"),
        (("--umask=022",), "ERROR: unknown command line flag 'umask'"),
    ],
)
def test_a_wrong_option_is_refused_as_by_the_original(words: tuple[str, ...], message: str) -> None:
    code, said = refusal(*words)
    assert (code, said[: len(message)]) == (1, message)


def test_every_mistake_is_named_in_the_order_of_the_names() -> None:
    code, said = refusal("--prefetch_chunks=z", "--attr_timeout=z", "--bogus", given=())
    assert code == 1
    assert said.split("\n") == [
        "ERROR: illegal value 'z' specified for uint64 flag 'attr_timeout'",
        "ERROR: unknown command line flag 'bogus'",
        "ERROR: --oss_bucket must be set on the commandline (default value fails validation)",
        "ERROR: --oss_endpoint must be set on the commandline (default value fails validation)",
        "ERROR: illegal value 'z' specified for int32 flag 'prefetch_chunks'",
    ]


def test_a_word_that_is_no_option_is_libfuses_to_refuse() -> None:
    assert refusal("extra") == (255, "fuse: invalid argument `extra'")


@pytest.mark.parametrize("name", [one.name for one in OPTIONS.values() if one.support is Support.NOT_MODELLED])
def test_what_the_simulation_does_not_know_is_refused_in_those_words(name: str) -> None:
    value = "7" if OPTIONS[name].kind not in ("bool", "str") else "true"
    with pytest.raises(NotModelled, match=rf"--{name}=.*: not modelled") as caught:
        read(f"--{name}={value}")
    assert caught.value.exit_code == 1


def test_an_option_of_a_later_release_is_unknown_to_an_earlier_one() -> None:
    with pytest.raises(UsageError, match="unknown command line flag 'kernel_readdir_cache_timeout'"):
        read("--kernel_readdir_cache_timeout=0", version="2.0.6")
    read("--kernel_readdir_cache_timeout=0", version="2.0.7")


def test_the_words_of_mount_become_options() -> None:
    assert from_mount_options(["-o", "ro,_netdev,uid=5", "-onodev", "-oattr_timeout=1", "--f"]) == [
        "--ro",
        "--uid=5",
        "--attr_timeout=1",
        "--f",
    ]
    options = parse(["demo", "/mnt", "-o", "oss_endpoint=e,nofail"], find("2.0.7"), directory_exists=lambda path: True)
    assert (options.bucket, options.mountpoint) == ("demo", "/mnt")


@pytest.mark.parametrize(
    ("argv", "code", "text"),
    [
        ([], 255, "Usage: ossfs2 [OPTIONS] [SUBCOMMAND]"),
        (["umount"], 109, "The following argument was not expected: umount\nRun with --help for more information."),
        (["mount", "/none"], 105, "MOUNTPOINT: Directory does not exist: /none\n"),
        (["mount", "/mnt", "-c"], 114, "--conf: 1 required TEXT:FILE missing\n"),
        (["mount", "/mnt", "-c", "/none"], 105, "--conf: File does not exist: /none\n"),
    ],
)
def test_a_command_that_is_none_is_refused_with_its_own_exit_code(argv: list[str], code: int, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(argv, find("2.0.7"), directory_exists=lambda path: path == "/mnt")
    assert caught.value.exit_code == code
    assert text in caught.value.message


def test_version_and_help_are_answered() -> None:
    with pytest.raises(Answered, match=r"Version ID: 2\.0\.7"):
        parse(["--version"], find("2.0.7"))
    with pytest.raises(Answered, match="attr_timeout"):
        parse(["mount", "--help"], find("2.0.7"))


def command(module: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *words], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(
    "words", [("ossfuse.command", "--ossfs-version", "2.0.7"), ("ossfuse.ossfs2.command",)], ids=["ossfs-sim", "ossfs2"]
)
def test_both_commands_reach_it(words: tuple[str, ...]) -> None:
    done = command(*words, "--version")
    assert (done.returncode, done.stdout.split("\n")[0].strip()) == (0, "Version ID: 2.0.7")
    refused = command(*words, "mount", "/nowhere", "--oss_bucket=b")
    assert refused.returncode == 105
    assert refused.stderr.startswith("MOUNTPOINT: Directory does not exist: /nowhere\n")


def test_ossfs2_is_no_release_of_ossfs_1() -> None:
    done = command("ossfuse.ossfs2.command", "--ossfs-version=1.91.10", "--version")
    assert (done.returncode, done.stderr) == (2, "ossfs2-sim: 1.91.10 is no release of ossfs2; known: 2.0.6, 2.0.7\n")


def test_a_mount_point_with_something_in_it_and_one_that_is_missing_are_told(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    filled = command("ossfuse.ossfs2.command", "mount", str(tmp_path), *GIVEN)
    assert (filled.returncode, filled.stderr) == (255, f"ERROR: MOUNTPOINT directory {tmp_path} is not empty.\n")
    none = command("ossfuse.ossfs2.command", "mount", *GIVEN)
    assert (none.returncode, none.stderr) == (255, "fuse: bad mount point `': No such file or directory\n")
