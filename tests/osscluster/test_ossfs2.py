"""ossfs 2.x on both engines: against what the 2.0.7 binary answered and sent (data/ossfs2-2.0.7.json, measured over
this cloud on Linux 6.18), and what time and failures do to it.

A real binary (`--ossvol-ossfs PATH`) is asked the same when it is a 2.x. Its endpoint is http://localhost:PORT, so the
bucket's name below "localhost" has to resolve.
"""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from osscloud.faults import Fault
from osscluster.engine import KernelEngine
from osscluster.volume import DirEntry, MountFailed, Stat, errno_name

MEASURED: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "ossfs2-2.0.7.json").read_text("utf-8"))
VERSION = "2.0.7"


def shown(answer: object) -> object:
    if isinstance(answer, Stat):
        return {
            "mode": f"{answer.mode:o}",
            "uid": answer.uid,
            "gid": answer.gid,
            "size": answer.size,
            "nlink": answer.nlink,
        }
    if isinstance(answer, list):
        return sorted(f"{one.name} {one.kind}" if isinstance(one, DirEntry) else one for one in answer)
    if isinstance(answer, bytes):
        return answer.decode("latin-1")
    if isinstance(answer, os.statvfs_result):
        return [answer.f_bsize, answer.f_blocks, answer.f_files, answer.f_namemax]
    return answer


def play(m: Any, steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same steps with what they show here."""
    opened: dict[str, int] = {}
    log = m.engine.cloud.service.access_log
    seen = []
    for step in steps:
        new = {key: step[key] for key in step if key not in ("answer", "errno", "requests")}
        seen.append(new)
        if "put" in step:
            m.admin.put(m.bucket, step["put"], step["body"].encode())
        elif "delete" in step:
            m.admin.delete(m.bucket, step["delete"])
        elif "fault" in step:
            m.engine.cloud.service.faults.clear()
            if step["fault"] is not None:
                m.engine.cloud.service.faults.add(Fault(**step["fault"]))
        else:
            task = m.root if "as" in step else m.app
            mark = log.mark()
            try:
                arguments = [opened.get(one, one) if isinstance(one, str) else one for one in step["args"]]
                if step["call"] in ("write", "pwrite", "setxattr"):
                    arguments = [one.encode("latin-1") if _is_data(step, i) else one for i, one in enumerate(arguments)]
                answer = getattr(task, step["call"])(*arguments)
                if "save" in step:
                    opened[step["save"]], answer = answer, "fd"
                new["answer"] = shown(answer)
            except OSError as error:
                new["errno"] = errno_name(error.errno or 0)
            new["requests"] = sorted(f"{record.operation} {record.object}".strip() for record in log.since(mark))
    return seen


def _is_data(step: dict[str, Any], index: int) -> bool:
    return index == {"write": 1, "pwrite": 1, "setxattr": 2}[str(step["call"])]


@pytest.mark.parametrize("run", MEASURED["runs"], ids=lambda run: run["name"].replace(" ", "-"))
def test_it_answers_and_sends_what_the_original_did(mount: Any, run: dict[str, Any]) -> None:
    bucket = mount.new_bucket()
    for key, body in MEASURED["objects"].items():
        mount.engine.cloud.admin.put(bucket, key, body.encode())
    m = mount(run["options"], version=VERSION, bucket=bucket)
    seen = play(m, run["steps"])
    assert [pair for pair in zip(run["steps"], seen, strict=True) if pair[0] != pair[1]] == []


def written(m: Any, name: str, data: bytes) -> None:
    fd = m.root.open(name, os.O_WRONLY | os.O_CREAT)
    try:
        m.root.write(fd, data)
    finally:
        m.root.close(fd)


def content(m: Any, name: str) -> bytes:
    fd = m.root.open(name)
    try:
        return m.root.read(fd, 1 << 20)
    finally:
        m.root.close(fd)


def failure(code: int) -> Any:
    return pytest.raises(OSError, match=rf"\[Errno {code}\]")


def test_a_link_is_what_the_kernel_makes_of_an_operation_that_is_not_there(mount: Any) -> None:
    m = mount("", version=VERSION)
    written(m, "a", b"1")
    with pytest.raises(OSError, match=r"not (permitted|implemented)") as caught:
        m.root.link("a", "b")
    assert caught.value.errno in (errno.EPERM, errno.ENOSYS)


def test_attributes_age_with_the_mounts_time(mount: Any) -> None:
    m = mount("", version=VERSION)
    m.admin.put(m.bucket, "a", b"1")
    assert m.root.stat("a").size == 1
    m.admin.put(m.bucket, "a", b"22")
    m.engine.advance(59)
    assert m.root.stat("a").size == 1
    m.engine.advance(2)
    assert m.root.stat("a").size == 2


def test_missing_names_are_remembered_where_the_mount_says_so(mount: Any) -> None:
    m = mount("--oss_negative_cache_timeout=30", version=VERSION)
    for seconds, requests in ((0, ["GetObjectMeta a", "GetBucket"]), (29, []), (2, ["GetObjectMeta a"])):
        m.engine.advance(seconds)
        if not requests:
            m.admin.put(m.bucket, "a", b"1")

        def look() -> None:
            try:
                m.root.stat("a")
            except FileNotFoundError:
                return

        assert m.requests(look) == requests


def test_a_large_file_goes_out_in_parts_while_it_is_written(mount: Any) -> None:
    m = mount("--upload_buffer_size=1MB", version=VERSION)
    fd = m.root.open("big", os.O_WRONLY | os.O_CREAT)
    sent = m.requests(lambda: m.root.write(fd, b"z" * (2 << 20)))
    assert sent == ["InitiateMultipartUpload big", "UploadPart big", "UploadPart big"]
    m.root.write(fd, b"end")
    assert m.admin.object(m.bucket, "big") is None
    assert m.requests(lambda: m.root.close(fd)) == ["UploadPart big", "CompleteUpload big"]
    view = m.admin.object(m.bucket, "big")
    assert view is not None
    assert view.size == (2 << 20) + 3
    assert content(m, "big")[-4:] == b"zzzz"
    # An append copies what is there on the server.
    fd = m.root.open("big", os.O_WRONLY | os.O_APPEND)
    assert "UploadPartCopy big" in m.requests(lambda: m.root.write(fd, b"!"))
    m.root.close(fd)
    view = m.admin.object(m.bucket, "big")
    assert view is not None
    assert view.read()[-4:] == b"end!"


def test_a_part_that_fails_leaves_no_object_and_no_upload(mount: Any) -> None:
    m = mount("--upload_buffer_size=1MB", version=VERSION)
    fd = m.root.open("big", os.O_WRONLY | os.O_CREAT)
    m.engine.cloud.service.faults.add(Fault(operation="UploadPart", count=1, status=403, code="AccessDenied"))
    m.root.write(fd, b"z" * (1 << 20))
    with failure(errno.EIO):
        m.root.write(fd, b"more")
    with failure(errno.EIO):
        m.root.close(fd)
    assert m.admin.object(m.bucket, "big") is None
    assert m.admin.uploads(m.bucket) == []


def test_a_directory_with_too_much_in_it_is_not_renamed_and_nothing_is_copied(mount: Any) -> None:
    m = mount("--rename_dir_limit=2", version=VERSION)
    for name in "abc":
        m.admin.put(m.bucket, f"d/{name}", b"1")
    with failure(errno.EMFILE):
        m.root.rename("d", "e")
    assert m.admin.keys(m.bucket) == ["d/a", "d/b", "d/c"]
    m.root.unlink("d/a")
    m.root.rename("d", "e")
    assert m.admin.keys(m.bucket) == ["e/b", "e/c"]


def test_what_is_under_way_when_a_copy_fails_is_finished_and_nothing_is_deleted(mount: Any) -> None:
    m = mount("--rename_dir_concurrency=2", version=VERSION)
    for name in "abcd":
        m.admin.put(m.bucket, f"d/{name}", b"1")
    m.engine.cloud.service.faults.add(Fault(operation="CopyObject", count=1, status=403, code="AccessDenied"))
    with failure(errno.EACCES):
        m.root.rename("d", "e")
    if not mount.real:
        assert m.admin.keys(m.bucket) == ["d/a", "d/b", "d/c", "d/d", "e/b"]
    assert m.root.stat("d/a").size == 1


def test_an_open_file_is_readable_after_it_was_removed(mount: Any) -> None:
    m = mount("", version=VERSION)
    m.admin.put(m.bucket, "a", b"hello")
    fd = m.root.open("a")
    assert m.root.pread(fd, 5, 0) == b"hello"
    m.root.unlink("a")
    assert m.root.pread(fd, 5, 0) == b"hello"
    assert m.requests(lambda: m.root.close(fd)) == []
    with failure(errno.ENOENT):
        m.root.stat("a")


def test_the_holder_of_an_unsaved_file_is_seen_and_keeps_the_mount_busy(mount: Any) -> None:
    m = mount("", version=VERSION)
    fd = m.app.open("a", os.O_WRONLY | os.O_CREAT)
    assert [(one.path, one.command, one.uid) for one in m.volume.holders()] == [("a", "app", 1000)]
    with failure(errno.EBUSY):
        m.volume.unmount()
    m.app.close(fd)
    m.volume.unmount()


def test_a_killed_process_loses_what_was_not_closed(mount: Any) -> None:
    m = mount("", version=VERSION)
    written(m, "saved", b"1")
    fd = m.root.open("lost", os.O_WRONLY | os.O_CREAT)
    m.root.write(fd, b"2")
    m.volume.kill()
    with failure(errno.ENOTCONN):
        m.root.stat("saved")
    assert m.admin.keys(m.bucket) == ["saved"]


def test_the_prefix_is_the_root_and_need_not_exist(mount: Any) -> None:
    m = mount("", version=VERSION, path="/team/data")
    assert m.root.listdir("") == []
    written(m, "a.csv", b"1")
    assert m.admin.keys(m.bucket) == ["team/data/a.csv"]


def test_a_bucket_that_refuses_fails_the_mount_with_the_errno_as_exit_code(mount: Any) -> None:
    bucket = mount.new_bucket()
    with pytest.raises(MountFailed, match="ERROR: failed to mount ossfs2, see more details in logs") as caught:
        mount("", version=VERSION, bucket=bucket, passwd=f"{bucket}:nobody:secret")
    assert caught.value.returncode == 256 - errno.EACCES


def test_what_is_not_modelled_fails_the_mount_in_those_words(mount: Any) -> None:
    if mount.real:
        pytest.skip("about the simulation; run it without --ossvol-ossfs")
    with pytest.raises(MountFailed, match="--memory_data_cache_size=1048576: not modelled"):
        mount("--memory_data_cache_size=1MB", version=VERSION)


def test_options_of_mount_are_taken_as_the_fstab_form_takes_them(mount: Any) -> None:
    m = mount("-o ro,file_mode=0444", version=VERSION)
    m.admin.put(m.bucket, "a", b"1")
    assert m.root.stat("a").mode & 0o777 == 0o444
    with failure(errno.EROFS):
        m.root.unlink("a")
    with pytest.raises(MountFailed, match="unknown command line flag 'umask'"):
        mount("-o umask=022", version=VERSION)


def test_a_rotated_key_is_used_by_the_next_mount(mount: Any) -> None:
    m = mount("", version=VERSION)
    m.admin.put(m.bucket, "a", b"1")
    m.engine.cloud.rotate()
    with failure(errno.EACCES):
        m.root.stat("a")
    if isinstance(m.engine, KernelEngine):
        m.volume.update_passwd(m.engine.cloud.passwd_line(m.bucket))
    again = mount("", version=VERSION, bucket=m.bucket)
    assert again.root.stat("a").size == 1
