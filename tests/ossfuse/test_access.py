"""ossfs's own permission checks: OR-ed bits, who is asked what, and which errno says no."""

from __future__ import annotations

import errno
import os

import pytest

from ossfuse.access import HostGroups
from ossfuse.filesystem import Context

ROOT = Context(0, 0)
APP = Context(1000, 1001)


def code(action) -> str:
    """Name of the errno, "" for success."""
    try:
        action()
    except OSError as error:
        return errno.errorcode[error.errno]
    return ""


def volume_with(ossfs, mode: int, uid: int = 5, gid: int = 5, *, version: str = "1.91.3", options: str = "", **kwargs):
    volume = ossfs(version, f"-oallow_other {options}", **kwargs)
    volume.put("f", b"x", meta={"mode": str(0o100000 | mode), "uid": str(uid), "gid": str(gid)})
    return volume


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "readable"),
    [
        (0o700, 5, 5, False),
        (0o070, 5, 5, False),
        (0o007, 5, 5, True),
        (0o700, 1000, 5, True),
        (0o070, 1000, 5, False),
        # POSIX would refuse the owner and the group here.
        (0o007, 1000, 5, True),
        (0o007, 5, 1001, True),
        (0o070, 5, 1001, True),
        (0o640, 0, 0, False),
    ],
)
def test_a_right_of_any_class_that_counts_is_enough(ossfs, mode, uid, gid, readable) -> None:
    volume = volume_with(ossfs, mode, uid, gid)
    assert code(lambda: volume.fs.access(APP, "/f", os.R_OK)) == ("" if readable else "EACCES")


def test_the_group_database_of_the_host_decides_membership(ossfs) -> None:
    volume = volume_with(ossfs, 0o040, gid=42, groups={42: {1000}})
    assert code(lambda: volume.fs.access(APP, "/f", os.R_OK)) == ""
    assert code(lambda: volume.fs.access(Context(1002, 1002), "/f", os.R_OK)) == "EACCES"


def test_root_and_the_user_of_the_option_uid_may_do_everything(ossfs) -> None:
    volume = volume_with(ossfs, 0o000, options="-ouid=1000")
    for who in (ROOT, APP):
        assert code(lambda who=who: volume.fs.access(who, "/f", os.R_OK | os.W_OK | os.X_OK)) == ""
    assert code(lambda: volume.fs.chmod(APP, "/f", 0o644)) == ""


def test_existence_needs_no_right(ossfs) -> None:
    volume = volume_with(ossfs, 0o000)
    assert code(lambda: volume.fs.access(APP, "/f", os.F_OK)) == ""
    assert code(lambda: volume.fs.access(APP, "/nothing", os.F_OK)) == "ENOENT"


@pytest.mark.parametrize(
    ("umask", "read", "write"),
    [("022", "", "EACCES"), ("000", "", ""), ("077", "EACCES", "EACCES"), ("777", "EACCES", "EACCES")],
)
def test_the_umask_option_is_what_counts_for_every_object(ossfs, umask, read, write) -> None:
    volume = volume_with(ossfs, 0o000, options=f"-oumask={umask}")
    assert code(lambda: volume.fs.access(APP, "/f", os.R_OK)) == read
    assert code(lambda: volume.fs.access(APP, "/f", os.W_OK)) == write


@pytest.mark.parametrize(("version", "expected"), [("1.80.6", "EPERM"), ("1.91.1", "EACCES")])
def test_a_missing_x_is_eperm_in_1_80(ossfs, version, expected) -> None:
    volume = volume_with(ossfs, 0o644, version=version)
    volume.put("d/", meta={"mode": "420"})
    volume.put("d/g", b"x", meta={"mode": str(0o100644)})
    assert code(lambda: volume.fs.access(APP, "/f", os.X_OK)) == expected
    assert code(lambda: volume.fs.getattr(APP, "/d/g")) == expected


def test_without_allow_other_nothing_below_the_root_is_reachable(ossfs) -> None:
    volume = ossfs("1.91.3")
    volume.put("f", b"x", meta={"mode": str(0o100777)})
    assert code(lambda: volume.fs.getattr(APP, "/f")) == "EACCES"
    assert code(lambda: volume.fs.getattr(ROOT, "/f")) == ""


@pytest.fixture
def tree(ossfs):
    volume = ossfs("1.91.3", "-oallow_other")
    own = {"uid": "1000", "gid": "1001"}
    volume.put("own/", meta={"mode": "493", **own})
    volume.put("own/f", b"hello", meta={"mode": str(0o100644), **own})
    volume.put("shut/", meta={"mode": "493"})
    volume.put("shut/f", b"hello", meta={"mode": str(0o100644)})
    volume.put("shut/open", b"hello", meta={"mode": str(0o100666)})
    volume.put("open/", meta={"mode": "511"})
    volume.put("open/f", b"hello", meta={"mode": str(0o100600)})
    return volume


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (lambda fs: fs.open(APP, "/own/f", os.O_RDWR), ""),
        (lambda fs: fs.open(APP, "/shut/f", os.O_RDONLY), ""),
        (lambda fs: fs.open(APP, "/shut/f", os.O_WRONLY), "EACCES"),
        (lambda fs: fs.create(APP, "/own/new", 0o100644, os.O_WRONLY), ""),
        (lambda fs: fs.create(APP, "/shut/new", 0o100644, os.O_WRONLY), "EACCES"),
        (lambda fs: fs.mkdir(APP, "/shut/new", 0o755), "EACCES"),
        (lambda fs: fs.mkdir(APP, "/open/new", 0o755), ""),
        (lambda fs: fs.symlink(APP, "x", "/shut/new"), "EACCES"),
        (lambda fs: fs.unlink(APP, "/shut/f"), "EACCES"),
        # Neither the file's owner nor a sticky bit is asked.
        (lambda fs: fs.unlink(APP, "/open/f"), ""),
        # The parent, not the directory, decides; this one is not empty.
        (lambda fs: fs.rmdir(APP, "/shut"), "ENOTEMPTY"),
        (lambda fs: fs.rename(APP, "/own/f", "/shut/g"), "EACCES"),
        (lambda fs: fs.rename(APP, "/shut/f", "/own/g"), "EACCES"),
        (lambda fs: fs.rename(APP, "/open/f", "/own/g"), ""),
        (lambda fs: fs.chmod(APP, "/own/f", 0o600), ""),
        (lambda fs: fs.chmod(APP, "/shut/open", 0o600), "EPERM"),
        (lambda fs: fs.chown(APP, "/own/f", 7, 7), ""),
        (lambda fs: fs.chown(APP, "/shut/f", 7, 7), "EPERM"),
        (lambda fs: fs.utimens(APP, "/shut/open", 1.0, 2.0), ""),
        (lambda fs: fs.utimens(APP, "/shut/f", 1.0, 2.0), "EACCES"),
        (lambda fs: fs.utimens(APP, "/own/f", 1.0, 2.0), ""),
        (lambda fs: fs.truncate(APP, "/shut/f", 0), "EACCES"),
        (lambda fs: fs.opendir(APP, "/shut"), ""),
        (lambda fs: fs.readdir(APP, "/shut"), ""),
    ],
)
def test_each_operation_asks_for_its_rights(tree, operation, expected) -> None:
    assert code(lambda: operation(tree.fs)) == expected


def test_closing_checks_the_process_that_closes(tree) -> None:
    tree.put("shut/secret", b"hello", meta={"mode": str(0o100600), "uid": "0", "gid": "0"})
    fh = tree.fs.open(ROOT, "/shut/secret", os.O_WRONLY)
    tree.fs.write(ROOT, "/shut/secret", fh, b"J", 0)
    assert code(lambda: tree.fs.flush(APP, "/shut/secret", fh)) == "EACCES"
    tree.fs.release(ROOT, "/shut/secret", fh)
    assert tree.body("shut/secret") == b"hello"


def test_closing_what_was_written_asks_for_the_right_to_read(tree) -> None:
    fh = tree.fs.create(APP, "/own/new", 0o400, os.O_RDWR)
    tree.fs.write(APP, "/own/new", fh, b"J", 0)
    tree.fs.flush(APP, "/own/new", fh)
    assert tree.body("own/new") == b"J"
    tree.fs.release(APP, "/own/new", fh)


@pytest.mark.parametrize(("version", "expected"), [("1.80.6", "EACCES"), ("1.91.1", "")])
def test_opendir_of_1_80_needs_to_read_the_parent_too(ossfs, version, expected) -> None:
    volume = ossfs(version, "-oallow_other")
    volume.put("x/", meta={"mode": "497"})  # 0761: others may enter, not read
    volume.put("x/d/", meta={"mode": "511"})
    assert code(lambda: volume.fs.opendir(APP, "/x/d")) == expected


def test_the_databases_of_this_machine_answer_for_unknown_ids_too() -> None:
    assert HostGroups().includes(4_000_000, 4_000_001) is False
    assert HostGroups().includes(0, 0) in (True, False)
