"""default_permissions: the kernel checks modes and owners itself, and the direct engine's model of it does so too."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

import pytest

from osscluster.permission import EXECUTE, READ, WRITE, allows, may_give, sticks
from osscluster.volume import Syscalls, errno_name
from ossfuse.attributes import Attributes
from ossfuse.mounted import Context

OPTIONS = "--file_mode=0640 --dir_mode=0750 --uid=1000 --gid=1001"


@pytest.fixture
def m(mount: Any) -> Any:
    mounted = mount(OPTIONS, version="2.0.7")
    mounted.admin.put(mounted.bucket, "f", b"x")
    mounted.admin.put(mounted.bucket, "d/g", b"x")
    return mounted


def _open(flags: int) -> Callable[[Syscalls, str], Any]:
    return lambda task, path: task.close(task.open(path, flags))


CALLS: dict[str, tuple[Callable[[Syscalls, str], Any], str, str, str]] = {
    # what, then what the owner, the group's member and everybody else get
    "read": (_open(os.O_RDONLY), "", "", "EACCES"),
    "append": (_open(os.O_WRONLY), "", "EACCES", "EACCES"),
    "truncate": (lambda task, path: task.truncate(path, 0), "", "EACCES", "EACCES"),
    "list": (lambda task, path: task.listdir("d"), "", "", "EACCES"),
    "create": (lambda task, path: _open(os.O_WRONLY | os.O_CREAT)(task, "new"), "", "EACCES", "EACCES"),
    "mkdir": (lambda task, path: task.mkdir("e"), "", "EACCES", "EACCES"),
    "unlink": (lambda task, path: task.unlink(path), "", "EACCES", "EACCES"),
    "rename": (lambda task, path: task.rename(path, "h"), "", "EACCES", "EACCES"),
    "chmod": (lambda task, path: task.chmod(path, 0o600), "", "EPERM", "EACCES"),
    "chgrp": (lambda task, path: task.chown(path, -1, 1001), "", "EPERM", "EACCES"),
    "give away": (lambda task, path: task.chown(path, 5, -1), "EPERM", "EPERM", "EACCES"),
    "utime": (lambda task, path: task.utime(path, 1.0, 2.0), "", "EPERM", "EACCES"),
}


@pytest.mark.parametrize("call", CALLS)
def test_the_owner_the_group_and_the_others_get_what_the_mode_says(m: Any, call: str) -> None:
    does, *wanted = CALLS[call]
    tasks = (
        m.volume.container("owner", uid=1000, gid=9),
        m.volume.container("member", uid=1002, gid=9, groups=(1001,)),
        m.volume.container("other", uid=2000, gid=2001),
    )
    got = []
    for task in reversed(tasks):
        try:
            does(task, "f")
            got.append("")
        except OSError as error:
            got.append(errno_name(error.errno or 0))
    assert got[::-1] == wanted


def test_who_is_refused_causes_no_request(m: Any) -> None:
    m.root.stat("d/g")
    other = m.volume.container("other", uid=2000, gid=2001)

    def refused() -> None:
        with pytest.raises(PermissionError):
            other.open("d/g")

    assert m.requests(refused) == []


def test_access_asks_nobody_but_the_kernel(m: Any) -> None:
    member = m.volume.container("member", uid=1002, gid=1001)
    assert [member.access("f", wanted) for wanted in (os.R_OK, os.W_OK, os.X_OK)] == [True, False, False]


def test_ossfs_1_may_be_told_to_leave_the_checks_to_the_kernel(mount: Any) -> None:
    m = mount("-o allow_other -o default_permissions -o umask=027", version="1.91.10")
    m.admin.put(m.bucket, "f", b"x")
    with pytest.raises(OSError, match="Permission denied") as caught:
        m.app.open("f")
    assert caught.value.errno == errno.EACCES


def attributes(mode: int, *, uid: int = 1, gid: int = 2) -> Attributes:
    return Attributes(mode=mode, uid=uid, gid=gid)


def test_the_first_class_that_fits_decides() -> None:
    owner, member, other = Context(1, 9), Context(5, 9), Context(5, 5)
    file = attributes(0o100047)
    assert not allows(file, owner, frozenset(), READ)
    assert allows(file, member, frozenset({2}), READ)
    assert not allows(file, member, frozenset({2}), WRITE)
    assert allows(file, other, frozenset(), READ | WRITE | EXECUTE)


def test_root_may_all_but_execute_what_nobody_may() -> None:
    root = Context(0, 0)
    assert allows(attributes(0o100000), root, frozenset(), READ | WRITE)
    assert not allows(attributes(0o100666), root, frozenset(), EXECUTE)
    assert allows(attributes(0o040000), root, frozenset(), EXECUTE)


def test_a_sticky_directory_protects_what_others_own() -> None:
    directory = attributes(0o041777, uid=7)
    assert sticks(attributes(0o100644), directory, Context(5, 5))
    assert not any(sticks(attributes(0o100644), directory, Context(uid, 5)) for uid in (0, 1, 7))


def test_an_owner_gives_a_file_to_its_own_groups_only() -> None:
    file = attributes(0o100644)
    assert may_give(file, Context(1, 9), frozenset({4}), -1, 4)
    assert not may_give(file, Context(1, 9), frozenset({4}), -1, 5)
    assert not may_give(file, Context(1, 9), frozenset({4}), 3, 4)
    assert not may_give(file, Context(5, 9), frozenset(), -1, 9)
