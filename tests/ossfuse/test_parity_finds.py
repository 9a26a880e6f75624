"""What `ossvol parity` found against the real binaries, one named test each, in process."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from osscluster.engine import make_engine
from osscluster.volume import VolumeSpec
from ossfuse.filesystem import Context

ROOT = Context(0, 0)
BOTH = ("1.80.6", "1.91.10")


@pytest.mark.parametrize("version", BOTH)
def test_every_download_asks_for_the_attributes_first_where_they_are_not_cached(ossfs, version: str) -> None:
    volume = ossfs(version, "-omax_stat_cache_size=0")
    volume.put("l", b"target", meta={"mode": "41471"})
    heads = {"1.80.6": 2, "1.91.10": 2}[version]
    assert volume.requests(lambda: volume.fs.readlink(ROOT, "/l")) == ["HEAD l"] * heads + ["GET l"]


def test_1_80_asks_for_a_hole_by_the_size_that_the_object_had_at_open(ossfs) -> None:
    volume = ossfs("1.80.6")
    volume.put("f", bytes(4096), meta={"mode": "33188"})
    fh = volume.fs.open(ROOT, "/f", os.O_WRONLY | os.O_TRUNC)
    volume.fs.write(ROOT, "/f", fh, b"x", 5000)
    assert volume.requests(lambda: volume.fs.write(ROOT, "/f", fh, b"x", 5001)) == ["GET f"]
    volume.fs.release(ROOT, "/f", fh)


def test_setxattr_flags_are_looked_at_before_a_directory_is_rewritten_in_1_80_and_after_in_1_91(ossfs) -> None:
    for version, writes in (("1.80.6", []), ("1.91.10", ["PUT d/"])):
        volume = ossfs(version, "" if version == "1.80.6" else "-ouse_xattr")
        volume.put("d/x")

        def replace(volume=volume) -> None:
            with pytest.raises(OSError, match="No data available"):
                volume.fs.setxattr(ROOT, "/d", "user.a", b"v", os.XATTR_REPLACE)

        volume.fs.getattr(ROOT, "/d")
        assert [line for line in volume.requests(replace) if line.startswith("PUT")] == writes


def test_readdir_optimize_leaves_the_type_to_content_type(ossfs) -> None:
    volume = ossfs("1.91.10", "-oreaddir_optimize")
    volume.put("d", b"x", content_type="application/x-directory")
    assert volume.kind("/d") == "dir"
    assert volume.fs.getattr(ROOT, "/d").mode & 0o777 == 0o640


def test_readdir_optimize_looks_at_empty_objects_all_the_same(ossfs) -> None:
    volume = ossfs("1.91.10", "-oreaddir_optimize")
    volume.put("d/empty", meta={"mode": str(0o100777)})
    volume.put("d/full", b"x", meta={"mode": str(0o100777)})
    sent = volume.requests(lambda: volume.fs.readdir(ROOT, "/d"))
    assert [line for line in sent if line.startswith("HEAD d/")][-1] == "HEAD d/empty"
    assert "HEAD d/full" not in sent


@pytest.mark.parametrize("option", ["nomixupload", "nocopyapi", "norenameapi"])
def test_without_mixed_uploads_what_lies_around_a_write_is_loaded_at_once(ossfs, option: str) -> None:
    volume = ossfs("1.91.10", f"-o{option}")
    volume.put("f", bytes(5000), meta={"mode": "33188"})
    fh = volume.fs.open(ROOT, "/f", os.O_RDWR)
    volume.transport.log.clear()
    volume.fs.write(ROOT, "/f", fh, b"x", 100)
    assert [request.headers["range"] for request in volume.sent()] == ["bytes=0-99", "bytes=101-4999"]
    volume.fs.release(ROOT, "/f", fh)


def test_a_time_that_utimens_keeps_is_that_of_the_directory_object_and_not_of_the_file_beside_it(ossfs) -> None:
    volume = ossfs("1.91.10")
    volume.put("p", b"other", meta={"mode": "16877", "mtime": "1000000000"})
    volume.put("p/", meta={"mtime": "1500000000"}, content_type="application/x-directory")
    volume.fs.utimens(ROOT, "/p", 1.0, None)
    assert volume.object("p/").meta["mtime"] == "1500000000"


def test_a_directory_without_object_that_is_not_cached_is_taken_for_one_in_1_91(ossfs) -> None:
    old, new = ossfs("1.80.6"), ossfs("1.91.10")
    for volume in (old, new):
        volume.put("d", b"", content_type="text/html", meta={"mode": "16877"})
        volume.put("d/y")
        volume.fs.getattr(ROOT, "/d")
    old.fs.chown(ROOT, "/d", 1000, 1001)
    with pytest.raises(FileNotFoundError):
        new.fs.chown(ROOT, "/d", 1000, 1001)


def test_open_trusts_the_cache_of_missing_names(ossfs) -> None:
    volume = ossfs("1.91.10")
    with pytest.raises(FileNotFoundError):
        volume.fs.getattr(ROOT, "/f")

    def open_it() -> None:
        with pytest.raises(FileNotFoundError):
            volume.fs.open(ROOT, "/f", os.O_RDWR)

    assert volume.requests(open_it) == []


def test_a_range_of_a_parallel_download_that_is_not_there_reads_as_zeros(ossfs) -> None:
    volume = ossfs("1.91.10", "-omultipart_size=5")
    volume.put("f", b"x" * 11_000_000, meta={"mode": "33188"})
    fh = volume.fs.open(ROOT, "/f", os.O_RDONLY)
    volume.admin.delete("bkt", "f")
    assert volume.fs.read(ROOT, "/f", fh, 10, 0) == bytes(10)
    volume.fs.release(ROOT, "/f", fh)


def test_1_80_forgets_what_was_written_once_the_hole_before_it_has_been_read(ossfs) -> None:
    for fixed, size in ((False, 0), (True, 8)):
        volume = ossfs("1.80.6", fixed=fixed)
        fh = volume.fs.create(ROOT, "/f", 0o644, os.O_RDWR)
        volume.fs.write(ROOT, "/f", fh, b"x", 7)
        assert volume.fs.read(ROOT, "/f", fh, 7, 0) == bytes(7)
        volume.fs.flush(ROOT, "/f", fh)
        volume.fs.release(ROOT, "/f", fh)
        assert volume.object("f").size == size
        volume.admin.delete("bkt", "f")


def test_with_use_cache_1_80_too_shows_the_size_of_the_local_file(ossfs, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    volume = ossfs("1.80.6", f"-ouse_cache={tmp_path}/cache")
    fh = volume.fs.create(ROOT, "/f", 0o644, os.O_RDWR)
    volume.fs.write(ROOT, "/f", fh, b"x", 7)
    assert volume.fs.getattr(ROOT, "/f").size == 8
    volume.fs.release(ROOT, "/f", fh)


def test_an_empty_local_file_has_a_digest_and_an_object_that_is_made_empty_has_none_in_1_80(ossfs) -> None:
    volume = ossfs("1.80.6", "-oenable_content_md5")
    volume.put("f", b"hello", meta={"mode": "33188"})
    volume.transport.log.clear()
    volume.fs.mkdir(ROOT, "/d", 0o755)
    volume.fs.release(ROOT, "/f", volume.fs.open(ROOT, "/f", os.O_WRONLY | os.O_TRUNC))
    made, emptied = (headers for headers in volume.headers() if "x-oss-acl" in headers)
    assert "content-md5" not in made
    assert emptied["content-md5"] == "1B2M2Y8AsgTpgAmY7PhCfg=="


@pytest.mark.parametrize(("version", "failure"), [("1.80.6", None), ("1.91.1", "ended"), ("1.91.10", "ESTALE")])
def test_close_of_a_file_unlinked_with_hard_remove_is_that_of_the_release(version: str, failure: str | None) -> None:
    engine = make_engine("direct")
    try:
        engine.cloud.admin.create_bucket("bkt")
        app = engine.mount(VolumeSpec("bkt", version=version, options="-o hard_remove")).container("app")
        fd = app.open("f", os.O_CREAT | os.O_RDWR)
        app.write(fd, b"x")
        app.unlink("f")
        with pytest.raises(OSError, match="No such file"):
            app.pread(fd, 1, 0)
        if failure is None:
            app.close(fd)
        else:
            with pytest.raises(OSError, match="Stale" if failure == "ESTALE" else "abort|not connected"):
                app.close(fd)
    finally:
        engine.close()


def test_a_change_of_time_that_failed_does_not_keep_the_time_of_the_next_upload(ossfs) -> None:
    volume = ossfs("1.91.1")
    volume.put("f", b"hello", meta={"mode": "33188"})
    fh = volume.fs.open(ROOT, "/f", os.O_WRONLY)
    volume.admin.delete("bkt", "f")
    with pytest.raises(FileNotFoundError):
        volume.fs.utimens(ROOT, "/f", 1000.0, 1000.0)
    volume.clock.advance(5)
    volume.fs.write(ROOT, "/f", fh, b"hello", 0)
    volume.fs.flush(ROOT, "/f", fh)
    volume.fs.release(ROOT, "/f", fh)
    assert volume.object("f").meta["mtime"] == str(int(volume.clock.now()))


def test_an_open_file_counts_twice_where_the_full_stat_cache_makes_room_in_1_91(ossfs) -> None:
    volume = ossfs("1.91.10", "-omax_stat_cache_size=3")
    for name in "abcde":
        volume.put(name, b"x", meta={"mode": "33188"})
    fh = volume.fs.open(ROOT, "/a", os.O_RDONLY)
    for name in "bcde":
        volume.fs.getattr(ROOT, f"/{name}")
    # Five names, one of them pinned: one goes where two would have gone.
    assert volume.requests(lambda: volume.fs.getattr(ROOT, "/c")) == []
    assert volume.requests(lambda: volume.fs.getattr(ROOT, "/b")) == ["HEAD b"]
    volume.fs.release(ROOT, "/a", fh)


def test_a_symlink_that_is_renamed_by_upload_has_no_time_in_1_80(ossfs) -> None:
    for version, dated in (("1.80.6", False), ("1.91.10", True)):
        volume = ossfs(version, "-onorenameapi")
        volume.put("l", b"target", meta={"mode": "41471"})
        volume.fs.rename(ROOT, "/l", "/m")
        assert ("mtime" in volume.object("m").meta) is dated


def test_a_full_stat_cache_of_1_80_loses_one_name_at_a_time(ossfs) -> None:
    volume = ossfs("1.80.6", "-omax_stat_cache_size=3")
    for name in "abcde":
        volume.put(name, b"x", meta={"mode": "33188"})
        volume.fs.getattr(ROOT, f"/{name}")
    assert volume.requests(lambda: volume.fs.getattr(ROOT, "/b")) == []
    assert volume.requests(lambda: volume.fs.getattr(ROOT, "/a")) == ["HEAD a"]


def test_a_directory_cached_for_its_children_has_no_type_in_1_80_once_a_listing_shows_its_folder_object(ossfs) -> None:
    for version, known in (("1.80.6", False), ("1.91.10", True)):
        volume = ossfs(version)
        volume.put("d/e")
        volume.fs.getattr(ROOT, "/d")
        volume.put("d_$folder$", meta={"mode": "16877"})
        entries = dict(volume.fs.readdir(ROOT, "/"))
        assert (entries["d"] is not None) is known


def test_1_80_opens_a_file_that_is_open_already_with_the_size_that_the_server_tells(ossfs) -> None:
    volume = ossfs("1.80.6")
    fh = volume.fs.create(ROOT, "/f", 0o644, os.O_RDWR)
    volume.fs.truncate(ROOT, "/f", 5000)
    again = volume.fs.open(ROOT, "/f", os.O_RDONLY)
    assert volume.fs.read(ROOT, "/f", again, 10_000, 0) == bytes(5000)
    volume.fs.release(ROOT, "/f", again)
    volume.fs.release(ROOT, "/f", fh)


@pytest.mark.parametrize(("size", "requests"), [(3, []), (0, ["GET f"])])
def test_with_use_cache_1_80_loads_no_more_at_truncate_than_the_new_size(
    ossfs, tmp_path: Path, size: int, requests: list[str]
) -> None:
    (tmp_path / "cache").mkdir()
    volume = ossfs("1.80.6", f"-ouse_cache={tmp_path}/cache")
    volume.put("f", bytes(9000), meta={"mode": "33188"})
    fh = volume.fs.open(ROOT, "/f", os.O_RDWR)
    volume.fs.write(ROOT, "/f", fh, b"xx", 5000)
    volume.fs.flush(ROOT, "/f", fh)
    sent = volume.requests(lambda: volume.fs.truncate(ROOT, "/f", size))
    assert [line for line in sent if line.startswith("GET")] == requests
    volume.fs.release(ROOT, "/f", fh)


def test_an_attribute_of_a_directory_needs_no_local_file_with_use_cache_in_1_80(ossfs, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    volume = ossfs("1.80.6", f"-ouse_cache={tmp_path}/cache")
    volume.put("d", content_type="application/x-directory")
    volume.fs.setxattr(ROOT, "/d", "user.a", b"v", 0)
    assert volume.fs.getxattr(ROOT, "/d", "user.a") == b"v"
    assert volume.keys() == ["d/"]


def test_without_the_copy_api_chmod_of_an_open_file_stores_no_time_that_the_object_lacks(ossfs) -> None:
    volume = ossfs("1.91.10", "-onocopyapi")
    for name, held in (("open", True), ("closed", False)):
        volume.put(name, b"hello")
        fh = volume.fs.open(ROOT, f"/{name}", os.O_RDONLY) if held else None
        volume.fs.chmod(ROOT, f"/{name}", 0o600)
        assert ("mtime" in volume.object(name).meta) is not held
        if fh is not None:
            volume.fs.release(ROOT, f"/{name}", fh)


def test_without_the_copy_api_a_change_of_metadata_that_failed_leaves_the_cache_as_it_is(ossfs) -> None:
    volume = ossfs("1.91.10", "-onocopyapi")
    volume.put("d/", b"hello", meta={"mode": "33188"})

    def change() -> None:
        with pytest.raises(OSError, match=r"Input/output|No such file"):
            volume.fs.chmod(ROOT, "/d", 0o600)

    assert "HEAD d/" in volume.requests(change)
    assert [line for line in volume.requests(change) if line.startswith("HEAD")] == []


def test_a_symlink_is_read_from_its_own_object_while_a_file_is_open_at_its_name(ossfs) -> None:
    volume = ossfs("1.91.10")
    volume.put("p", bytes(100), meta={"mode": "33188"})
    fh = volume.fs.open(ROOT, "/p", os.O_RDONLY)
    volume.put("p", b"target", meta={"mode": "41471"})
    volume.fs.flush(ROOT, "/p", fh)
    volume.transport.log.clear()
    assert volume.fs.readlink(ROOT, "/p") == "target"
    assert [request.headers.get("range") for request in volume.sent() if request.method == "GET"] == ["bytes=0-5"]
    volume.fs.release(ROOT, "/p", fh)


@pytest.mark.parametrize("meta", [{}, {"mode": "493"}])
def test_metadata_of_a_file_that_is_being_written_take_its_type_away_in_1_91(ossfs, meta: dict[str, str]) -> None:
    for fixed, kind in ((False, 0), (True, stat.S_IFREG)):
        volume = ossfs("1.91.10", fixed=fixed)
        volume.put("f", b"hello", meta=meta)
        fh = volume.fs.open(ROOT, "/f", os.O_RDWR)
        volume.fs.write(ROOT, "/f", fh, b"x", 0)
        volume.fs.chown(ROOT, "/f", 1000, 1000)
        assert stat.S_IFMT(volume.fs.getattr(ROOT, "/f").mode) == kind
        volume.fs.release(ROOT, "/f", fh)


@pytest.mark.parametrize("version", BOTH)
def test_without_the_copy_api_metadata_of_an_object_that_is_gone_are_eio(ossfs, version: str) -> None:
    volume = ossfs(version, "-onocopyapi")
    volume.put("f", b"hello", meta={"mode": "33188"})
    volume.fs.getattr(ROOT, "/f")
    volume.admin.delete("bkt", "f")
    with pytest.raises(OSError, match="Input/output"):
        volume.fs.chown(ROOT, "/f", 1000, 1000)


@pytest.mark.parametrize(("version", "group"), [("1.80.6", "4294967295"), ("1.91.10", "1001")])
def test_without_the_copy_api_1_80_stores_a_number_for_the_group_that_chown_keeps(
    ossfs, version: str, group: str
) -> None:
    volume = ossfs(version, "-onocopyapi")
    volume.put("f", b"hello", meta={"mode": "33188", "uid": "1000", "gid": "1001"})
    volume.fs.chown(ROOT, "/f", 0, -1)
    assert volume.object("f").meta["gid"] == group
