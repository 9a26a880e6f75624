"""What processes see of a mounted volume: the same on the kernel engine and on the direct engine."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable
from typing import Any

import pytest

from osscluster.volume import MountFailed, Syscalls

Mount = Callable[..., Any]


def fails(code: int, call: Callable[..., object], *arguments: object) -> None:
    """The call fails with this errno, by name so that a mistake can be read."""
    with pytest.raises(OSError) as failure:  # noqa: PT011 - the number is what is tested
        call(*arguments)
    assert errno.errorcode[failure.value.errno or 0] == errno.errorcode[code]


def put(process: Syscalls, path: str, data: bytes = b"", mode: int = 0o666) -> None:
    fd = process.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode)
    process.write(fd, data)
    process.close(fd)


def get(process: Syscalls, path: str) -> bytes:
    fd = process.open(path)
    try:
        return process.read(fd, 1 << 20)
    finally:
        process.close(fd)


def names(process: Syscalls, path: str = "") -> list[str]:
    return sorted(entry.name for entry in process.listdir(path))


# --- files ---


def test_what_one_process_writes_another_reads_and_the_bucket_holds(mount: Mount) -> None:
    m = mount()
    put(m.root, "a.txt", b"hello")
    assert get(m.root, "a.txt") == b"hello"
    assert m.admin.object(m.bucket, "a.txt").read() == b"hello"
    assert m.root.stat("a.txt").size == 5


def test_a_file_belongs_to_the_process_that_made_it_with_its_umask(mount: Mount) -> None:
    m = mount()
    private = m.volume.container("private", uid=1000, gid=1001, umask=0o077)
    put(m.app, "shared")
    put(private, "closed")
    seen = m.root.stat("shared"), m.root.stat("closed")
    assert [(stat.S_IMODE(s.mode), s.uid, s.gid) for s in seen] == [(0o644, 1000, 1001), (0o600, 1000, 1001)]


def test_a_missing_file_is_enoent_and_a_file_as_a_directory_enotdir(mount: Mount) -> None:
    m = mount()
    put(m.root, "file")
    fails(errno.ENOENT, m.root.stat, "absent")
    fails(errno.ENOENT, m.root.open, "absent/x", os.O_CREAT)
    fails(errno.ENOTDIR, m.root.stat, "file/x")
    fails(errno.ENOTDIR, m.root.stat, "file/")
    fails(errno.ENOTDIR, m.root.listdir, "file")
    fails(errno.ENOTDIR, m.root.open, "file", os.O_DIRECTORY)


def test_exclusive_creation_of_an_existing_name_is_eexist(mount: Mount) -> None:
    m = mount()
    put(m.root, "file", b"kept")
    fails(errno.EEXIST, m.root.open, "file", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    assert get(m.root, "file") == b"kept"


def test_truncation_at_open_empties_the_file(mount: Mount) -> None:
    m = mount()
    put(m.root, "file", b"long content")
    put(m.root, "file", b"short")
    assert get(m.root, "file") == b"short"
    assert m.root.stat("file").size == 5


def test_appending_goes_to_the_end_whatever_the_offset(mount: Mount) -> None:
    m = mount()
    put(m.root, "log", b"one\n")
    fd = m.root.open("log", os.O_WRONLY | os.O_APPEND)
    m.root.lseek(fd, 0, os.SEEK_SET)
    m.root.write(fd, b"two\n")
    m.root.write(fd, b"three\n")
    m.root.close(fd)
    assert get(m.root, "log") == b"one\ntwo\nthree\n"


def test_a_descriptor_has_one_offset_for_reading_and_writing(mount: Mount) -> None:
    m = mount()
    fd = m.root.open("f", os.O_CREAT | os.O_RDWR)
    m.root.write(fd, b"0123456789")
    assert m.root.lseek(fd, -4, os.SEEK_END) == 6
    assert m.root.read(fd, 2) == b"67"
    assert m.root.lseek(fd, 0, os.SEEK_CUR) == 8
    m.root.write(fd, b"XY")
    assert m.root.pread(fd, 100, 0) == b"01234567XY"
    m.root.pwrite(fd, b"ab", 0)
    assert m.root.pread(fd, 3, 0) == b"ab2"
    fails(errno.EINVAL, m.root.lseek, fd, -1, os.SEEK_SET)
    m.root.close(fd)


def test_a_gap_reads_as_zeros(mount: Mount) -> None:
    m = mount(version="1.91.10")
    fd = m.root.open("sparse", os.O_CREAT | os.O_RDWR)
    m.root.pwrite(fd, b"end", 10_000)
    assert m.root.pread(fd, 20_000, 0) == b"\0" * 10_000 + b"end"
    m.root.close(fd)
    assert m.admin.object(m.bucket, "sparse").read() == b"\0" * 10_000 + b"end"


def test_large_unaligned_writes_arrive_whole(mount: Mount) -> None:
    m = mount()
    data = bytes(range(256)) * 3000
    fd = m.root.open("big", os.O_CREAT | os.O_RDWR)
    assert m.root.pwrite(fd, data[:777], 0) == 777
    assert m.root.pwrite(fd, data[777:], 777) == len(data) - 777
    assert m.root.fstat(fd).size == len(data)
    m.root.close(fd)
    assert m.admin.object(m.bucket, "big").read() == data


def test_descriptors_refuse_what_they_were_not_opened_for(mount: Mount) -> None:
    m = mount()
    put(m.root, "f", b"x")
    reader = m.root.open("f", os.O_RDONLY)
    writer = m.root.open("f", os.O_WRONLY)
    fails(errno.EBADF, m.root.write, reader, b"y")
    fails(errno.EBADF, m.root.read, writer, 1)
    fails(errno.EINVAL, m.root.ftruncate, reader, 0)
    m.root.close(reader)
    m.root.close(writer)
    fails(errno.EBADF, m.root.close, reader)
    fails(errno.EBADF, m.root.read, 99, 1)


def test_the_lowest_free_descriptor_is_handed_out_again(mount: Mount) -> None:
    m = mount()
    put(m.root, "f")
    first, second = m.root.open("f"), m.root.open("f")
    m.root.close(first)
    assert m.root.open("f") == first
    m.root.close(first)
    m.root.close(second)


def test_ftruncate_shortens_and_lengthens(mount: Mount) -> None:
    m = mount()
    put(m.root, "f", b"0123456789")
    fd = m.root.open("f", os.O_RDWR)
    m.root.ftruncate(fd, 4)
    assert m.root.fstat(fd).size == 4
    m.root.ftruncate(fd, 6)
    assert m.root.pread(fd, 10, 0) == b"0123\0\0"
    m.root.close(fd)
    assert m.admin.object(m.bucket, "f").read() == b"0123\0\0"


def test_fsync_uploads_before_close(mount: Mount) -> None:
    m = mount()
    fd = m.root.open("f", os.O_CREAT | os.O_WRONLY)
    m.root.write(fd, b"data")
    m.root.fsync(fd)
    assert m.admin.object(m.bucket, "f").read() == b"data"
    m.root.close(fd)


def test_an_open_file_shows_its_unsaved_size_to_other_processes(mount: Mount) -> None:
    m = mount()
    fd = m.root.open("f", os.O_CREAT | os.O_WRONLY)
    m.root.write(fd, b"unsaved")
    assert m.other.stat("f").size == 7
    m.root.close(fd)


def test_a_refused_upload_reaches_close(mount: Mount) -> None:
    m = mount(version="1.91.10")
    fd = m.root.open("f", os.O_CREAT | os.O_WRONLY)
    m.root.write(fd, b"data")
    m.engine.cloud.disable(m.engine.cloud.key.id)
    try:
        fails(errno.EPERM, m.root.close, fd)
    finally:
        m.engine.cloud.service.accounts.enable(m.engine.cloud.key.id)
    assert m.admin.object(m.bucket, "f") is None


def test_an_unlinked_open_file_is_kept_under_a_hidden_name_until_it_is_closed(mount: Mount) -> None:
    m = mount()
    put(m.root, "dir-less", b"content")
    fd = m.root.open("dir-less", os.O_RDWR)
    m.root.unlink("dir-less")
    fails(errno.ENOENT, m.root.stat, "dir-less")
    (hidden,) = m.admin.keys(m.bucket)
    assert hidden.startswith(".fuse_hidden")
    assert len(hidden) == len(".fuse_hidden") + 16
    assert m.root.pread(fd, 7, 0) == b"content"
    m.root.close(fd)
    m.root.listdir("")
    assert settled(m, lambda: m.admin.keys(m.bucket)) == []


def settled(m: Any, look: Callable[[], list[str]]) -> list[str]:
    """Closing does not wait for RELEASE: looks again, for at most a second's worth of calls."""
    for _ in range(2000):
        if not look():
            break
        m.root.statvfs("")
    return look()


def test_a_file_renamed_over_an_open_one_leaves_its_reader_the_old_content(mount: Mount) -> None:
    m = mount()
    put(m.root, "old", b"old")
    put(m.root, "new", b"new")
    fd = m.root.open("old")
    m.root.rename("new", "old")
    assert m.root.pread(fd, 10, 0) == b"old"
    assert get(m.root, "old") == b"new"
    m.root.close(fd)


# --- names ---


def test_directories_are_made_listed_and_removed(mount: Mount) -> None:
    m = mount()
    m.root.mkdir("d", 0o750)
    put(m.root, "d/f", b"x")
    m.root.mkdir("d/e")
    assert stat.S_IFMT(m.root.stat("d").mode) == stat.S_IFDIR
    assert stat.S_IMODE(m.root.stat("d").mode) == 0o750
    assert names(m.root) == ["d"]
    assert names(m.root, "d") == ["e", "f"]
    fails(errno.ENOTEMPTY, m.root.rmdir, "d")
    m.root.unlink("d/f")
    m.root.rmdir("d/e")
    m.root.rmdir("d")
    assert names(m.root) == []
    assert m.admin.keys(m.bucket) == []


def test_the_wrong_kind_of_removal_is_refused(mount: Mount) -> None:
    m = mount()
    m.root.mkdir("d")
    put(m.root, "f")
    fails(errno.EISDIR, m.root.unlink, "d")
    fails(errno.ENOTDIR, m.root.rmdir, "f")
    fails(errno.ENOENT, m.root.unlink, "absent")
    fails(errno.ENOENT, m.root.rmdir, "absent")
    fails(errno.EEXIST, m.root.mkdir, "d")
    fails(errno.EEXIST, m.root.mkdir, "f")
    fails(errno.EISDIR, m.root.open, "d", os.O_WRONLY)
    fails(errno.EISDIR, m.root.open, "d", os.O_CREAT | os.O_RDONLY)
    fails(errno.EISDIR, m.root.open, "d/", os.O_CREAT | os.O_WRONLY)


def test_the_mount_root_can_not_be_removed_renamed_or_made(mount: Mount) -> None:
    m = mount()
    fails(errno.EBUSY, m.root.rmdir, "")
    fails(errno.EISDIR, m.root.unlink, "")
    fails(errno.EEXIST, m.root.mkdir, "")
    m.root.mkdir("d")
    fails(errno.EINVAL, m.root.rmdir, "d/.")
    fails(errno.ENOTEMPTY, m.root.rmdir, "d/..")
    fails(errno.EIO, m.root.chmod, "", 0o755)


def test_renames_obey_the_rules_of_the_kernel(mount: Mount) -> None:
    m = mount()
    put(m.root, "f", b"f")
    m.root.mkdir("d")
    m.root.mkdir("d/sub")
    fails(errno.ENOENT, m.root.rename, "absent", "x")
    fails(errno.EISDIR, m.root.rename, "f", "d")
    fails(errno.ENOTDIR, m.root.rename, "d", "f")
    fails(errno.EINVAL, m.root.rename, "d", "d/sub/x")
    fails(errno.ENOTEMPTY, m.root.rename, "d/sub", "d")
    fails(errno.ENOTDIR, m.root.rename, "f", "g/")
    m.root.rename("f", "f")
    m.root.rename("f", "d/f")
    assert get(m.root, "d/f") == b"f"
    fails(errno.ENOENT, m.root.stat, "f")


def test_a_directory_is_renamed_with_all_that_is_in_it(mount: Mount) -> None:
    m = mount()
    m.root.mkdir("a")
    m.root.mkdir("a/b")
    put(m.root, "a/b/f", b"deep")
    m.root.rename("a", "z")
    assert get(m.root, "z/b/f") == b"deep"
    assert names(m.root) == ["z"]
    assert m.admin.keys(m.bucket) == ["z/", "z/b/", "z/b/f"]


def test_links_are_followed_inside_the_volume(mount: Mount) -> None:
    m = mount()
    m.root.mkdir("d")
    put(m.root, "d/f", b"content")
    m.root.symlink("d", "to-d")
    m.root.symlink("../d/f", "d/to-f")
    m.root.symlink(f"{m.volume.mountpoint}/d/f", "absolute")
    assert m.root.readlink("to-d") == "d"
    assert stat.S_ISLNK(m.root.lstat("to-d").mode)
    assert stat.S_ISDIR(m.root.stat("to-d").mode)
    assert get(m.root, "to-d/to-f") == b"content"
    assert get(m.root, "absolute") == b"content"
    fails(errno.EINVAL, m.root.readlink, "d/f")
    fails(errno.EEXIST, m.root.symlink, "x", "to-d")
    fails(errno.ELOOP, m.root.open, "absolute", os.O_NOFOLLOW)
    m.root.unlink("to-d")
    assert stat.S_ISDIR(m.root.stat("d").mode)


def test_links_in_a_circle_are_eloop_and_dangling_ones_enoent(mount: Mount) -> None:
    m = mount()
    m.root.symlink("b", "a")
    m.root.symlink("a", "b")
    m.root.symlink("nowhere", "dangling")
    fails(errno.ELOOP, m.root.stat, "a")
    fails(errno.ENOENT, m.root.stat, "dangling")
    fails(errno.EEXIST, m.root.open, "dangling", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    put(m.root, "dangling", b"made")
    assert get(m.root, "nowhere") == b"made"


def test_a_hard_link_is_refused_after_the_checks_of_the_kernel(mount: Mount) -> None:
    m = mount(version="1.91.10")
    put(m.root, "f")
    put(m.root, "g")
    m.root.mkdir("d")
    fails(errno.EOPNOTSUPP, m.root.link, "f", "h")
    fails(errno.EEXIST, m.root.link, "f", "g")
    fails(errno.ENOENT, m.root.link, "absent", "h")
    fails(errno.EPERM, m.root.link, "d", "h")


def test_a_hard_link_is_eperm_in_1_80(mount: Mount) -> None:
    m = mount(version="1.80.6")
    put(m.root, "f")
    fails(errno.EPERM, m.root.link, "f", "g")


def test_names_up_to_1024_bytes_exist_longer_ones_are_refused(mount: Mount) -> None:
    m = mount()
    fails(errno.ENAMETOOLONG, m.root.stat, "n" * 1025)
    fails(errno.ENAMETOOLONG, m.root.mkdir, "n" * 1025)
    fails(errno.ENOENT, m.root.stat, "n" * 300)
    put(m.root, "n" * 300)
    assert names(m.root) == ["n" * 300]


def test_names_keep_every_byte(mount: Mount) -> None:
    m = mount()
    for name in ("空間 a+b%20.txt", "quote'\"<&>", "-o", "trailing "):
        put(m.root, name, name.encode())
        assert get(m.root, name) == name.encode()
    assert names(m.root) == sorted(["空間 a+b%20.txt", "quote'\"<&>", "-o", "trailing "])
    assert m.admin.object(m.bucket, "空間 a+b%20.txt") is not None


def test_a_fifo_is_an_object_that_shows_as_one(mount: Mount) -> None:
    m = mount()
    m.root.mknod("pipe", stat.S_IFIFO | 0o644)
    assert stat.S_ISFIFO(m.root.stat("pipe").mode)
    fails(errno.EEXIST, m.root.mknod, "pipe", stat.S_IFIFO | 0o644)
    fails(errno.EPERM, m.app.mknod, "device", stat.S_IFCHR | 0o644, os.makedev(1, 3))


def test_kinds_are_listed_where_the_listing_knows_them(mount: Mount) -> None:
    m = mount()
    put(m.root, "f")
    m.root.mkdir("d")
    m.root.stat("f")
    m.root.stat("d")
    assert {entry.name: entry.kind for entry in m.root.listdir("")} in (
        {"f": "file", "d": "directory"},
        {"f": "", "d": "directory"},
        {"f": "", "d": ""},
    )


# --- attributes ---


def test_modes_owners_and_times_are_kept_by_the_object(mount: Mount) -> None:
    m = mount()
    put(m.root, "f", b"x")
    m.root.chmod("f", 0o604)
    m.root.chown("f", 1234, 2345)
    m.root.utime("f", 1_600_000_000, 1_500_000_000)
    seen = m.root.stat("f")
    assert (stat.S_IMODE(seen.mode), seen.uid, seen.gid, seen.mtime) == (0o604, 1234, 2345, 1_500_000_000)
    meta = m.admin.object(m.bucket, "f").meta
    assert (meta["mode"], meta["uid"], meta["gid"]) == (str(0o100604), "1234", "2345")


def test_an_id_of_minus_one_is_left_alone(mount: Mount) -> None:
    m = mount()
    put(m.root, "f")
    m.root.chown("f", 11, 22)
    m.root.chown("f", -1, 33)
    assert (m.root.stat("f").uid, m.root.stat("f").gid) == (11, 33)
    m.root.chown("f", -1, -1)
    assert (m.root.stat("f").uid, m.root.stat("f").gid) == (11, 33)


def test_a_change_of_owner_takes_setuid_from_a_file(mount: Mount) -> None:
    m = mount()
    put(m.root, "f")
    m.root.chmod("f", 0o4755)
    assert stat.S_IMODE(m.root.stat("f").mode) == 0o4755
    m.root.chown("f", 1000, -1)
    assert stat.S_IMODE(m.root.stat("f").mode) == 0o755


def test_only_the_owner_and_root_change_a_mode(mount: Mount) -> None:
    m = mount()
    put(m.app, "f")
    m.app.chmod("f", 0o600)
    fails(errno.EPERM, m.other.chmod, "f", 0o666)
    assert stat.S_IMODE(m.root.stat("f").mode) == 0o600


def test_options_for_umask_and_owner_cover_what_objects_say(mount: Mount) -> None:
    m = mount("-o allow_other -o umask=027 -o uid=1000 -o gid=1001")
    m.admin.put(m.bucket, "f", b"x", meta={"mode": "33279", "uid": "7", "gid": "8"})
    seen = m.root.stat("f")
    assert (stat.S_IMODE(seen.mode), seen.uid, seen.gid) == (0o750, 1000, 1001)
    assert stat.S_IMODE(m.root.stat("").mode) == 0o750


def test_the_mount_root_is_open_to_all_with_allow_other_only(mount: Mount) -> None:
    closed, shared, masked = mount(""), mount("-o allow_other"), mount("-o allow_other -o mp_umask=007")
    modes = [stat.S_IMODE(m.root.stat("").mode) for m in (closed, shared, masked)]
    assert modes == [0o700, 0o777, 0o770]


# --- permissions ---


def test_without_allow_other_nobody_but_the_mounter_gets_in(mount: Mount) -> None:
    m = mount("")
    put(m.root, "f", b"x")
    fails(errno.EACCES, m.app.stat, "")
    fails(errno.EACCES, m.app.stat, "f")
    fails(errno.EACCES, m.app.listdir, "")
    fails(errno.EACCES, m.app.open, "new", os.O_CREAT | os.O_WRONLY)
    assert m.app.access("f", os.F_OK) is False
    other_group = m.volume.container("other-group", uid=0, gid=1001)
    fails(errno.EACCES, other_group.stat, "f")
    assert m.app.statvfs("").f_blocks == 0
    assert m.root.stat("f").size == 1


def test_an_object_uploaded_elsewhere_is_closed_to_others(mount: Mount) -> None:
    m = mount(version="1.91.10")
    m.admin.put(m.bucket, "f", b"x")
    assert stat.S_IMODE(m.root.stat("f").mode) == 0o640
    fails(errno.EACCES, m.app.open, "f")
    assert m.app.access("f", os.R_OK) is False
    assert m.app.access("f", os.F_OK) is True
    assert get(m.root, "f") == b"x"


def test_the_group_of_the_process_opens_what_the_group_may_read(mount: Mount) -> None:
    m = mount()
    m.admin.put(m.bucket, "f", b"x", meta={"mode": "33184", "uid": "7", "gid": "1001"})
    assert get(m.app, "f") == b"x"
    fails(errno.EACCES, m.app.open, "f", os.O_WRONLY)
    fails(errno.EACCES, m.other.open, "f")


def test_a_closed_directory_can_neither_be_entered_nor_changed(mount: Mount) -> None:
    m = mount(version="1.91.10")
    m.root.mkdir("d", 0o700)
    put(m.root, "d/f")
    m.engine.advance(2)  # ossfs checks at a lookup, and for a second the kernel does none
    fails(errno.EACCES, m.app.stat, "d/f")
    fails(errno.EACCES, m.app.listdir, "d")
    fails(errno.EACCES, m.app.open, "d/new", os.O_CREAT | os.O_WRONLY)
    fails(errno.EACCES, m.app.mkdir, "d/new")
    fails(errno.EACCES, m.app.unlink, "d/f")
    fails(errno.EACCES, m.app.rename, "d/f", "f")
    m.root.chmod("d", 0o755)
    assert m.app.stat("d/f").size == 0
    fails(errno.EACCES, m.app.unlink, "d/f")


def test_a_read_only_mount_is_erofs_for_every_change(mount: Mount) -> None:
    m = mount("-o allow_other -o ro")
    m.admin.put(m.bucket, "f", b"x")
    m.admin.put(m.bucket, "d/", b"", content_type="application/x-directory")
    assert get(m.root, "f") == b"x"
    fails(errno.EROFS, m.root.open, "f", os.O_WRONLY)
    fails(errno.EROFS, m.root.open, "new", os.O_CREAT | os.O_WRONLY)
    fails(errno.EROFS, m.root.mkdir, "new")
    fails(errno.EEXIST, m.root.mkdir, "d")
    fails(errno.EROFS, m.root.unlink, "f")
    fails(errno.EROFS, m.root.unlink, "absent")
    fails(errno.EROFS, m.root.rmdir, "d")
    fails(errno.EROFS, m.root.rename, "f", "g")
    fails(errno.EROFS, m.root.symlink, "f", "g")
    fails(errno.EROFS, m.root.chmod, "f", 0o600)
    fails(errno.EROFS, m.root.chown, "f", 1, 1)
    fails(errno.EROFS, m.root.truncate, "f", 0)
    fails(errno.EROFS, m.root.utime, "f", 1, 1)
    assert m.root.access("f", os.W_OK) is False
    assert m.root.statvfs("").f_flag & os.ST_RDONLY


# --- extended attributes, capacity ---


def test_extended_attributes_are_not_supported_without_the_option(mount: Mount) -> None:
    m = mount(version="1.91.10")
    put(m.root, "f")
    fails(errno.EOPNOTSUPP, m.root.setxattr, "f", "user.a", b"1")
    fails(errno.EOPNOTSUPP, m.root.getxattr, "f", "user.a")
    fails(errno.EOPNOTSUPP, m.root.listxattr, "f")
    fails(errno.EOPNOTSUPP, m.root.removexattr, "f", "user.a")


def test_extended_attributes_are_kept_with_the_option(mount: Mount) -> None:
    m = mount("-o allow_other -o use_xattr", version="1.91.10")
    put(m.root, "f")
    m.root.setxattr("f", "user.a", b"\x001")
    assert m.root.getxattr("f", "user.a") == b"\x001"
    assert m.root.listxattr("f") == ["user.a"]
    fails(errno.EEXIST, m.root.setxattr, "f", "user.a", b"2", os.XATTR_CREATE)
    fails(errno.ENODATA, m.root.getxattr, "f", "user.b")
    m.root.setxattr("f", "user.b", b"2")
    m.root.removexattr("f", "user.a")
    assert m.root.listxattr("f") == ["user.b"]
    m.root.removexattr("f", "user.b")
    assert m.root.listxattr("f") == ["user.b"]  # the last one stays: a defect of this release
    fails(errno.EPERM, m.app.setxattr, "f", "user.a", b"3")


def test_capacity_is_what_the_release_invents(mount: Mount) -> None:
    m = mount(version="1.91.10")
    seen = m.root.statvfs("")
    assert (seen.f_bsize, seen.f_frsize, seen.f_blocks, seen.f_bavail) == (
        1 << 24,
        1 << 24,
        (1 << 40) - 1,
        (1 << 40) - 1,
    )
    assert seen.f_namemax == 255


# --- the mount as a whole ---


def test_a_volume_shows_the_directory_that_was_asked_for(mount: Mount) -> None:
    bucket = mount.new_bucket()  # type: ignore[attr-defined]
    mount.engine.cloud.admin.put(bucket, "data/", b"", content_type="application/x-directory")  # type: ignore[attr-defined]
    mount.engine.cloud.admin.put(bucket, "data/f", b"x")  # type: ignore[attr-defined]
    mount.engine.cloud.admin.put(bucket, "elsewhere", b"x")  # type: ignore[attr-defined]
    m = mount(bucket=bucket, path="/data")
    assert names(m.root) == ["f"]
    put(m.root, "g")
    assert m.admin.keys(bucket) == ["data/", "data/f", "data/g", "elsewhere"]


def test_holders_are_named_with_path_pid_command_and_uid(mount: Mount) -> None:
    m = mount()
    put(m.root, "a")
    m.root.mkdir("d")
    put(m.app, "b")
    assert m.volume.holders() == []
    first, second, third = m.app.open("b"), m.root.open("a"), m.root.open("d")
    assert [(h.path, h.pid, h.command, h.uid) for h in m.volume.holders()] == [
        ("a", m.root.pid, "root-app", 0),
        ("b", m.app.pid, "app", 1000),
        ("d", m.root.pid, "root-app", 0),
    ]
    m.root.rename("a", "d/a2")
    m.app.unlink("b")
    assert [h.path for h in m.volume.holders()] == ["b", "d", "d/a2"]
    m.app.close(first)
    m.root.close(second)
    m.root.close(third)
    assert m.volume.holders() == []


def test_a_busy_volume_is_not_unmounted_until_its_last_file_is_closed(mount: Mount) -> None:
    m = mount()
    fd = m.app.open("f", os.O_CREAT | os.O_WRONLY)
    m.app.write(fd, b"data")
    with pytest.raises(OSError, match=r"target is busy, held by app \(pid \d+\): f") as busy:
        m.volume.unmount()
    assert busy.value.errno == errno.EBUSY
    assert m.volume.alive()
    m.app.close(fd)
    m.volume.unmount()
    assert not m.volume.alive()
    assert m.admin.object(m.bucket, "f").read() == b"data"


def test_after_a_kill_every_call_is_enotconn_also_on_open_files(mount: Mount) -> None:
    m = mount()
    put(m.root, "f", b"x" * 10)
    fd = m.root.open("f", os.O_RDWR)
    m.root.stat("f")
    m.volume.kill()
    assert not m.volume.alive()
    fails(errno.ENOTCONN, m.root.stat, "")
    fails(errno.ENOTCONN, m.root.stat, "f")
    fails(errno.ENOTCONN, m.app.listdir, "")
    fails(errno.ENOTCONN, m.root.open, "new", os.O_CREAT | os.O_WRONLY)
    fails(errno.ENOTCONN, m.root.statvfs, "")
    fails(errno.ENOTCONN, m.root.write, fd, b"y")
    fails(errno.ENOTCONN, m.root.pread, fd, 1, 0)
    fails(errno.ENOTCONN, m.root.fstat, fd)
    with pytest.raises(OSError, match="busy"):
        m.volume.unmount()
    fails(errno.ENOTCONN, m.root.close, fd)
    m.volume.unmount()


def test_a_killed_mount_loses_what_was_not_uploaded(mount: Mount) -> None:
    m = mount(version="1.91.10")
    fd = m.root.open("f", os.O_CREAT | os.O_WRONLY)
    m.root.write(fd, b"lost")
    m.volume.kill()
    assert m.admin.object(m.bucket, "f") is None


def test_a_bucket_that_does_not_exist_fails_the_mount_with_the_words_of_the_release(mount: Mount) -> None:
    with pytest.raises(MountFailed, match=r"(?i)not found|does not exist"):
        mount(bucket="missing")


def test_an_unknown_option_fails_the_mount(mount: Mount) -> None:
    with pytest.raises(MountFailed, match="fuse: unknown option `no_such_option'") as failed:
        mount("-o no_such_option")
    assert failed.value.returncode == 1


def test_wrong_credentials_fail_the_mount(mount: Mount) -> None:
    bucket = mount.new_bucket()  # type: ignore[attr-defined]
    with pytest.raises(MountFailed, match=r"(?i)invalid credentials|bad request"):
        mount(bucket=bucket, passwd=f"{bucket}:nobody:secret")


def test_a_server_that_does_not_listen_fails_the_mount(mount: Mount) -> None:
    with pytest.raises(MountFailed, match=r"(?i)unable to connect"):
        mount("-ourl=http://127.0.0.1:1 -o retries=1")


def test_a_process_keeps_its_identity_under_its_name(mount: Mount) -> None:
    m = mount()
    assert m.volume.container("app", uid=1000, gid=1001) is m.app
    with pytest.raises(ValueError, match="runs as 1000:1001"):
        m.volume.container("app", uid=7)


def test_two_volumes_of_one_bucket_see_each_others_uploads(mount: Mount) -> None:
    first = mount()
    second = mount(bucket=first.bucket)
    put(first.root, "f", b"one")
    assert get(second.root, "f") == b"one"


def test_time_that_is_moved_ahead_lets_cached_attributes_expire(mount: Mount) -> None:
    if mount.real:  # type: ignore[attr-defined]
        pytest.skip("a real process keeps the machine's time")
    m = mount("-o allow_other -o stat_cache_expire=60", version="1.91.10")
    m.admin.put(m.bucket, "f", b"1")
    assert m.root.stat("f").size == 1
    m.admin.put(m.bucket, "f", b"22")
    m.engine.advance(30)
    assert m.root.stat("f").size == 1
    m.engine.advance(31)
    assert m.root.stat("f").size == 2


def test_a_second_stat_within_the_kernels_second_costs_no_request(mount: Mount) -> None:
    m = mount("-o allow_other -o max_stat_cache_size=0", version="1.91.10")
    m.admin.put(m.bucket, "f", b"1")
    for _ in range(5):
        m.engine.advance(2)
        began = time.monotonic()
        seen = m.requests(lambda: m.root.stat("f")), m.requests(lambda: m.root.stat("f"))
        if time.monotonic() - began < 0.9:
            break
    assert seen == (["HeadObject f"], [])
    m.engine.advance(2)
    assert m.requests(lambda: m.root.stat("f")) == ["HeadObject f"]
