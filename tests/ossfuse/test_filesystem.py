"""Names and metadata: directories, links, rename, listings, extended attributes."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from osscloud.faults import Fault
from ossfuse.filesystem import Context

ROOT = Context(0, 0, 9, 0o022, "sh")


def errno_of(action) -> str:
    with pytest.raises(OSError) as raised:  # noqa: PT011 - the errno is what the test looks at
        action()
    return errno.errorcode[raised.value.errno]


def denied(volume, operation: str, status: int = 403, key: str = "*") -> None:
    volume.service.faults.add(Fault(operation=operation, key=key, count=1000, status=status, code="AccessDenied"))


BOTH = pytest.mark.parametrize("version", ["1.80.6", "1.91.10"])


# --- directories ------------------------------------------------------------------------------------------------------


@BOTH
def test_mkdir_writes_a_directory_object_without_type_bits(ossfs, version) -> None:
    volume = ossfs(version)
    volume.fs.mkdir(ROOT, "/d", 0o40755)
    made = volume.object("d/")
    assert (made.content_type, made.meta["mode"], made.size) == ("application/x-directory", "493", 0)
    assert volume.kind("/d") == "dir"
    assert errno_of(lambda: volume.fs.mkdir(ROOT, "/d", 0o755)) == "EEXIST"


@BOTH
def test_rmdir_refuses_what_is_not_empty_or_cannot_be_listed(ossfs, version) -> None:
    volume = ossfs(version)
    volume.put("d/")
    volume.put("d/x")
    assert errno_of(lambda: volume.fs.rmdir(ROOT, "/d")) == "ENOTEMPTY"
    volume.fs.unlink(ROOT, "/d/x")
    denied(volume, "GetBucket")
    assert errno_of(lambda: volume.fs.rmdir(ROOT, "/d")) == "ENOTEMPTY"
    volume.service.faults.clear()
    volume.fs.rmdir(ROOT, "/d")
    assert volume.keys() == []


@BOTH
def test_a_directory_without_object_vanishes_with_its_last_child(ossfs, version) -> None:
    volume = ossfs(version, "" if version == "1.80.6" else "-odisable_noobj_cache")
    volume.put("p/x")
    assert volume.kind("/p") == "dir"
    assert volume.fs.getattr(ROOT, "/p").mtime == 0
    volume.write("/p/y", b"1")
    assert volume.keys() == ["p/x", "p/y"], "no directory object is ever made on the way"
    volume.fs.unlink(ROOT, "/p/x")
    volume.fs.unlink(ROOT, "/p/y")
    fresh = ossfs(version, service=volume.service)
    assert errno_of(lambda: fresh.fs.getattr(ROOT, "/p")) == "ENOENT"


def test_a_refused_delete_is_told(ossfs) -> None:
    volume = ossfs()
    volume.put("d/")
    denied(volume, "DeleteObject")
    assert errno_of(lambda: volume.fs.rmdir(ROOT, "/d")) == "EPERM"
    volume.put("f")
    assert errno_of(lambda: volume.fs.unlink(ROOT, "/f")) == "EPERM"


def test_notsup_compat_dir_looks_no_further_than_two_names(ossfs) -> None:
    volume = ossfs("1.91.3", "-onotsup_compat_dir")
    volume.put("p/x")
    assert volume.requests(lambda: errno_of(lambda: volume.fs.getattr(ROOT, "/p"))) == ["HEAD p", "HEAD p/"]
    assert volume.names("/") == ["p"]


@pytest.mark.parametrize(("version", "crashes"), [("1.80.6", False), ("1.91.10", True)])
@pytest.mark.parametrize("key", ["h_$folder$", "h"])
def test_chmod_of_an_old_directory_object_ends_1_91(ossfs, version, crashes, key) -> None:
    for fixed in (False, True):
        volume = ossfs(version, fixed=fixed)
        volume.put(key, content_type="application/x-directory")
        ended: list[bool] = []
        volume.client._on_fatal = lambda ended=ended: ended.append(True)
        if crashes and not fixed:
            assert errno_of(lambda volume=volume: volume.fs.chmod(ROOT, "/h", 0o700)) == "ECONNABORTED"
            assert ended == [True]
        else:
            volume.fs.chmod(ROOT, "/h", 0o700)
            assert volume.keys() == ["h/"]
            assert ended == []


# --- listings ---------------------------------------------------------------------------------------------------------


@BOTH
def test_a_listing_costs_one_head_an_entry_when_cold(ossfs, version) -> None:
    volume = ossfs(version)
    volume.put("d/")
    for name in ("a", "b", "s/", "t/x"):
        volume.put("d/" + name)
    sent = volume.requests(lambda: volume.fs.readdir(ROOT, "/d"))
    assert sorted(sent[-5:]) == [
        "GET ?delimiter=/&max-keys=1000&prefix=d/",
        "HEAD d/a",
        "HEAD d/b",
        "HEAD d/s/",
        "HEAD d/t/",
    ]
    # What exists only through its children is asked for each time.
    assert volume.requests(lambda: volume.fs.readdir(ROOT, "/d"))[1:] == ["HEAD d/t/"]
    entries = dict(volume.fs.readdir(ROOT, "/d"))
    assert stat.S_ISREG(entries["a"].mode)
    assert stat.S_ISDIR(entries["s"].mode)
    assert entries["t"] is None


@pytest.mark.parametrize("options", ["", "-olistobjectsv2"])
def test_pages_follow_each_other_before_the_first_head(ossfs, options) -> None:
    volume = ossfs("1.91.10", options)
    for number in range(2100):
        volume.put(f"d/{number:04}")
    sent = volume.requests(lambda: volume.names("/d"))
    pages = [line for line in sent if "max-keys=1000" in line]
    assert len(pages) == 3
    assert sent.index(pages[-1]) < sent.index("HEAD d/0000")
    word = "continuation-token=" if options else "marker=d/0999&"
    assert word in pages[1]
    assert len(volume.names("/d")) == 2100


def test_readdir_optimize_asks_for_directories_only(ossfs) -> None:
    volume = ossfs("1.91.10", "-oreaddir_optimize")
    volume.put("d/")
    volume.put("d/f", b"hello", meta={"mode": str(0o100777), "mtime": "5"})
    volume.put("d/l", b"t", meta={"mode": "41471"})
    volume.put("d/s/x")
    assert volume.requests(lambda: volume.fs.readdir(ROOT, "/d"))[-1] == "HEAD d/s/"
    found = volume.fs.getattr(ROOT, "/d/f")
    assert (oct(found.mode), found.size, found.mtime) == ("0o100640", 5, volume.clock.now())
    assert volume.kind("/d/l") == "file"
    assert volume.kind("/d/s") == "dir"
    assert volume.requests(lambda: volume.fs.chmod(ROOT, "/d/f", 0o600)) == []
    assert volume.requests(lambda: volume.fs.chown(ROOT, "/d/f", 1, 1)) == []


def test_readdir_check_size_finds_symlinks_again(ossfs) -> None:
    volume = ossfs("1.91.10", "-oreaddir_optimize -oreaddir_check_size=10")
    volume.put("d/l", b"t", meta={"mode": "41471"})
    volume.put("d/big", bytes(100))
    assert "HEAD d/l" in volume.requests(lambda: volume.fs.readdir(ROOT, "/d"))
    assert volume.kind("/d/l") == "link"
    assert volume.kind("/d/big") == "file"


@BOTH
def test_a_refused_listing_is_eperm_and_a_missing_bucket_enoent(ossfs, version) -> None:
    volume = ossfs(version)
    denied(volume, "GetBucket")
    assert errno_of(lambda: volume.fs.readdir(ROOT, "/")) == "EPERM"
    volume.service.faults.clear()
    volume.admin.delete_bucket("bkt", force=True)
    assert errno_of(lambda: volume.fs.readdir(ROOT, "/")) == "ENOENT"
    assert volume.kind("/") == "dir", "the root is there whatever happens"


@pytest.mark.parametrize(("version", "tries"), [("1.80.6", 4), ("1.91.10", 6)])
def test_an_entry_whose_head_is_refused_is_listed_all_the_same(ossfs, version, tries) -> None:
    volume = ossfs(version)
    volume.put("a", b"x")
    volume.put("b", b"x")
    denied(volume, "HeadObject", key="a")
    assert volume.requests(lambda: volume.fs.readdir(ROOT, "/")).count("HEAD a") == tries
    entries = dict(volume.fs.readdir(ROOT, "/"))
    assert entries["a"] is None
    assert entries["b"].size == 1


def test_odd_keys_are_listed_as_ossfs_cuts_them(ossfs) -> None:
    volume = ossfs()
    for key in ("x//y", "h_$folder$", "n", "n/", "plain"):
        volume.put(key)
    assert volume.names("/") == ["h", "n", "plain", "x"]
    assert volume.names("/x") == ["x"]
    assert volume.kind("/n") == "dir"


# --- rename -----------------------------------------------------------------------------------------------------------


@BOTH
def test_rename_copies_and_deletes_and_types_by_the_new_name(ossfs, version) -> None:
    volume = ossfs(version)
    volume.put("f.txt", b"hello", content_type="text/plain", meta={"mode": str(0o100600), "color": "red"})
    volume.fs.rename(ROOT, "/f.txt", "/g.jpg")
    assert volume.keys() == ["g.jpg"]
    moved = volume.object("g.jpg")
    assert (moved.read(), moved.content_type) == (b"hello", "image/jpeg")
    assert (moved.meta["mode"], moved.meta["color"]) == (str(0o100600), "red")
    assert ("ctime" in moved.meta) is (version == "1.91.10")


@pytest.mark.parametrize(("version", "merges"), [("1.80.6", True), ("1.91.10", False)])
def test_a_directory_renamed_onto_a_full_one_merges_in_1_80(ossfs, version, merges) -> None:
    volume = ossfs(version)
    for key in ("d/", "d/a", "e/", "e/z"):
        volume.put(key)
    if merges:
        volume.fs.rename(ROOT, "/d", "/e")
        assert volume.keys() == ["e/", "e/a", "e/z"]
    else:
        assert errno_of(lambda: volume.fs.rename(ROOT, "/d", "/e")) == "ENOTEMPTY"
        assert volume.keys() == ["d/", "d/a", "e/", "e/z"]


@BOTH
def test_a_tree_moves_with_everything_in_it(ossfs, version) -> None:
    volume = ossfs(version)
    for key in ("d/", "d/a", "d/s/", "d/s/b", "d/p/q/c"):
        volume.put(key, b"" if key.endswith("/") else key.encode(), meta={"uid": "7"})
    volume.fs.rename(ROOT, "/d", "/e")
    # Directories that were only prefixes have objects afterwards.
    assert volume.keys() == ["e/", "e/a", "e/p/", "e/p/q/", "e/p/q/c", "e/s/", "e/s/b"]
    assert volume.body("e/p/q/c") == b"d/p/q/c"
    assert volume.object("e/").meta["uid"] == "7"


@pytest.mark.parametrize(("version", "name"), [("1.80.6", "EIO"), ("1.91.10", "EPERM")])
def test_a_rename_of_a_tree_stops_where_a_copy_fails(ossfs, version, name) -> None:
    volume = ossfs(version)
    for key in ("d/", "d/a", "d/b", "d/c"):
        volume.put(key, b"" if key.endswith("/") else b"x")
    denied(volume, "CopyObject", key="e/b")
    assert errno_of(lambda: volume.fs.rename(ROOT, "/d", "/e")) == name
    # No roll-back: what was moved stays moved.
    assert volume.keys() == ["d/", "d/b", "d/c", "e/", "e/a"]


@pytest.mark.parametrize("options", ["-onocopyapi", "-onorenameapi"])
@BOTH
def test_without_the_copy_api_files_are_uploaded_anew(ossfs, version, options) -> None:
    volume = ossfs(version, options)
    volume.put("f", b"hello", meta={"mode": str(0o100600)})
    sent = volume.requests(lambda: volume.fs.rename(ROOT, "/f", "/g"))
    assert "GET f" in sent
    assert not any("x-oss-copy-source" in headers for headers in volume.headers())
    assert volume.body("g") == b"hello"
    assert volume.object("g").meta["mode"] == str(0o100600)


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ("-osinglepart_copy_limit=5", 0),
        ("-osinglepart_copy_limit=5 -onoshallowcopyapi", 2),
    ],
)
def test_large_files_are_copied_in_parts_where_a_plain_copy_is_not_tried(ossfs, options, parts) -> None:
    volume = ossfs("1.91.10", options + " -omultipart_copy_size=8")
    volume.put("f", bytes(12 << 20))
    sent = volume.requests(lambda: volume.fs.rename(ROOT, "/f", "/g"))
    assert len([line for line in sent if "partNumber" in line]) == parts
    assert volume.keys() == ["g"]
    assert len(volume.body("g")) == 12 << 20


def test_a_plain_copy_that_fails_is_repeated_in_parts(ossfs) -> None:
    volume = ossfs("1.91.10", "-osinglepart_copy_limit=5 -omultipart_copy_size=8")
    volume.put("f", bytes(12 << 20))
    denied(volume, "CopyObject", 409)
    sent = volume.requests(lambda: volume.fs.rename(ROOT, "/f", "/g"))
    assert len([line for line in sent if "partNumber" in line]) == 2
    assert volume.keys() == ["g"]


def test_an_open_file_goes_on_under_its_new_name(ossfs) -> None:
    volume = ossfs("1.91.10")
    fh = volume.fs.create(ROOT, "/f", 0o100644, os.O_RDWR)
    volume.fs.write(ROOT, "/f", fh, b"one", 0)
    volume.fs.rename(ROOT, "/f", "/g")
    assert volume.body("g") == b"one"
    volume.fs.write(ROOT, "/g", fh, b"two", 3)
    volume.fs.flush(ROOT, "/g", fh)
    volume.fs.release(ROOT, "/g", fh)
    assert volume.keys() == ["g"]
    assert volume.body("g") == b"onetwo"


# --- links and special files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "name"), [("1.80.6", "EPERM"), ("1.80.7", "EPERM"), ("1.88", "ENOTSUP"), ("1.91.10", "ENOTSUP")]
)
def test_hard_links_are_refused(ossfs, version, name) -> None:
    volume = ossfs(version)
    volume.put("f")
    assert errno_of(lambda: volume.fs.link(ROOT, "/f", "/g")) == name


@BOTH
def test_a_symlink_is_an_object_with_the_target_in_it(ossfs, version) -> None:
    volume = ossfs(version)
    volume.fs.symlink(ROOT, "/absolute/ü", "/l")
    assert volume.body("l") == "/absolute/ü".encode()
    assert volume.object("l").meta["mode"] == "41471"
    fresh = ossfs(version, service=volume.service)
    assert fresh.fs.readlink(ROOT, "/l") == "/absolute/ü"
    assert fresh.fs.getattr(ROOT, "/l").size == 12
    assert errno_of(lambda: volume.fs.symlink(ROOT, "x", "/l")) == "EEXIST"


def test_symlink_in_meta_keeps_the_target_in_a_header(ossfs) -> None:
    volume = ossfs("1.91.10", "-osymlink_in_meta")
    volume.fs.symlink(ROOT, "a b", "/l")
    assert volume.body("l") == b""
    assert volume.object("l").meta["symlink-target"] == "header:3:a%20b"
    fresh = ossfs("1.91.10", service=volume.service)
    assert fresh.fs.readlink(ROOT, "/l") == "a b"
    assert fresh.fs.getattr(ROOT, "/l").size == 3


@BOTH
def test_special_files_are_empty_objects_with_a_type(ossfs, version) -> None:
    volume = ossfs(version)
    volume.fs.mknod(ROOT, "/p", stat.S_IFIFO | 0o600, 0)
    assert stat.S_ISFIFO(volume.fs.getattr(ROOT, "/p").mode)
    assert volume.fs.getattr(ROOT, "/p").rdev == 0


@pytest.mark.parametrize(("version", "keys"), [("1.80.6", ["r"]), ("1.91.10", [])])
def test_mknod_of_a_regular_file_makes_nothing_in_1_91(ossfs, version, keys) -> None:
    volume = ossfs(version)
    volume.fs.mknod(ROOT, "/r", 0o644, 0)
    assert volume.keys() == keys


# --- metadata ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "kind"), [("1.80.6", "text/html"), ("1.91.10", "application/octet-stream")])
def test_chmod_copies_the_object_onto_itself(ossfs, version, kind) -> None:
    volume = ossfs(version)
    volume.put("f", b"hello", content_type="text/html", meta={"color": "red"})
    volume.fs.chmod(ROOT, "/f", 0o600)
    changed = volume.object("f")
    assert (changed.read(), changed.meta["mode"], changed.meta["color"]) == (b"hello", str(0o100600), "red")
    assert changed.content_type == kind
    assert oct(volume.fs.getattr(ROOT, "/f").mode) == "0o100600"


@BOTH
def test_metadata_of_a_directory_without_object_makes_one(ossfs, version) -> None:
    volume = ossfs(version)
    volume.put("p/x")
    volume.fs.chown(ROOT, "/p", 5, -1)
    assert volume.keys() == ["p/", "p/x"]
    assert (volume.object("p/").meta["uid"], volume.object("p/").meta["mtime"]) == ("5", "0")


@BOTH
def test_the_mount_point_cannot_be_changed(ossfs, version) -> None:
    volume = ossfs(version)
    for change in (
        lambda: volume.fs.chmod(ROOT, "/", 0o700),
        lambda: volume.fs.chown(ROOT, "/", 1, 1),
        lambda: volume.fs.utimens(ROOT, "/", 1.0, 1.0),
    ):
        assert errno_of(change) == "EIO"
    assert volume.requests() == []


@pytest.mark.parametrize(("version", "name"), [("1.80.6", "EIO"), ("1.91.10", "EPERM")])
def test_a_refused_change_of_metadata(ossfs, version, name) -> None:
    volume = ossfs(version)
    volume.put("f", b"x")
    denied(volume, "CopyObject")
    assert errno_of(lambda: volume.fs.chmod(ROOT, "/f", 0o600)) == name


def test_utimens_keeps_what_it_is_not_given(ossfs) -> None:
    volume = ossfs()
    volume.put("f", b"x", meta={"mtime": "100", "ctime": "50", "mode": str(0o100644)})
    volume.fs.utimens(ROOT, "/f", None, 7.25)
    assert volume.object("f").meta["mtime"] == "7.250000000"
    assert volume.object("f").meta["atime"] == "50"
    volume.fs.utimens(ROOT, "/f", 9.0, None)
    assert volume.object("f").meta["mtime"] == "7.250000000"


@BOTH
def test_without_the_copy_api_metadata_is_uploaded_with_the_content(ossfs, version) -> None:
    volume = ossfs(version, "-onocopyapi")
    volume.put("f", b"hello")
    volume.put("d/")
    volume.fs.chmod(ROOT, "/f", 0o600)
    volume.fs.chmod(ROOT, "/d", 0o700)
    assert volume.body("f") == b"hello"
    assert volume.object("f").meta["mode"] == str(0o100600)
    assert int(volume.object("d/").meta["mode"]) & 0o777 == 0o700
    assert not any("x-oss-copy-source" in headers for headers in volume.headers())


def test_a_walk_of_fsgroup_costs_a_put_and_lookups_for_every_entry(ossfs) -> None:
    volume = ossfs("1.91.10")
    volume.put("d/")
    for name in "abc":
        volume.put(f"d/{name}", b"x")

    def walk() -> None:
        for path in ("/d", "/d/a", "/d/b", "/d/c"):
            mode = volume.fs.getattr(ROOT, path).mode
            volume.fs.chown(ROOT, path, -1, 2000)
            volume.fs.getattr(ROOT, path)
            volume.fs.chmod(ROOT, path, mode | 0o060)

    sent = volume.requests(walk)
    assert len([line for line in sent if line.startswith("PUT")]) == 8


def test_statfs_is_a_constant(ossfs) -> None:
    for version, blocks, files in (
        ("1.80.6", 16_777_216, 0),
        ("1.91.8", 1_099_511_627_775, 0),
        ("1.91.9", 1_099_511_627_775, 18_014_398_509_481_983),
    ):
        found = ossfs(version).fs.statfs(ROOT)
        assert (found.blocks, found.bfree, found.files, found.bsize) == (blocks, blocks, files, 16 << 20)


# --- extended attributes ----------------------------------------------------------------------------------------------


def test_attributes_travel_in_one_header(ossfs) -> None:
    volume = ossfs("1.91.10", "-ouse_xattr")
    volume.put("f", b"x")
    assert errno_of(lambda: volume.fs.getxattr(ROOT, "/f", "user.a")) == "ENODATA"
    volume.fs.setxattr(ROOT, "/f", "user.a", b"\0\xff")
    volume.fs.setxattr(ROOT, "/f", "user.b", b"two")
    assert volume.object("f").meta["xattr"] == "%7B%22user.a%22%3A%22AP8%3D%22%2C%22user.b%22%3A%22dHdv%22%7D"
    assert volume.fs.getxattr(ROOT, "/f", "user.a") == b"\0\xff"
    assert volume.fs.listxattr(ROOT, "/f") == ["user.a", "user.b"]
    volume.fs.removexattr(ROOT, "/f", "user.a")
    assert errno_of(lambda: volume.fs.removexattr(ROOT, "/f", "user.a")) == "ENODATA"
    volume.fs.removexattr(ROOT, "/f", "user.b")
    assert volume.fs.listxattr(ROOT, "/f") == ["user.b"], "the last one cannot be removed in 1.91, measured"


def test_create_and_replace_look_at_the_header_not_at_the_name(ossfs) -> None:
    volume = ossfs("1.91.10", "-ouse_xattr")
    volume.put("f", b"x")
    assert errno_of(lambda: volume.fs.setxattr(ROOT, "/f", "user.a", b"1", os.XATTR_REPLACE)) == "ENODATA"
    volume.fs.setxattr(ROOT, "/f", "user.a", b"1", os.XATTR_CREATE)
    assert errno_of(lambda: volume.fs.setxattr(ROOT, "/f", "user.b", b"1", os.XATTR_CREATE)) == "EEXIST"
    volume.fs.setxattr(ROOT, "/f", "user.b", b"1", os.XATTR_REPLACE)


@BOTH
def test_attributes_of_directories(ossfs, version) -> None:
    volume = ossfs(version, "" if version == "1.80.6" else "-ouse_xattr")
    volume.put("p/x")
    volume.put("d/")
    for path in ("/p", "/d"):
        volume.fs.setxattr(ROOT, path, "user.a", b"1")
        assert volume.fs.getxattr(ROOT, path, "user.a") == b"1"
    assert volume.keys() == ["d/", "p/", "p/x"]


def test_attributes_of_a_dirty_file_wait_for_its_upload(ossfs) -> None:
    volume = ossfs("1.91.10", "-ouse_xattr")
    fh = volume.fs.create(ROOT, "/f", 0o100644, os.O_RDWR)
    assert volume.requests(lambda: volume.fs.setxattr(ROOT, "/f", "user.a", b"1"))[-1:] == []
    volume.fs.flush(ROOT, "/f", fh)
    assert "xattr" in volume.object("f").meta


def test_without_the_option_attributes_are_not_supported_or_pretended(ossfs) -> None:
    volume = ossfs("1.91.10")
    volume.put("f", b"x")
    for action in (
        lambda: volume.fs.setxattr(ROOT, "/f", "user.a", b"1"),
        lambda: volume.fs.getxattr(ROOT, "/f", "user.a"),
        lambda: volume.fs.listxattr(ROOT, "/f"),
        lambda: volume.fs.removexattr(ROOT, "/f", "user.a"),
    ):
        assert errno_of(action) == "ENOTSUP"
    old = ossfs("1.80.6", "-onoxattr")
    old.put("f", b"x")
    old.fs.setxattr(ROOT, "/f", "user.a", b"1")
    assert errno_of(lambda: old.fs.getxattr(ROOT, "/f", "user.a")) == "ENODATA"


def test_a_rubbish_header_holds_no_attributes(ossfs) -> None:
    volume = ossfs("1.91.10", "-ouse_xattr")
    volume.put("f", b"x", meta={"xattr": "rubbish"})
    assert volume.fs.listxattr(ROOT, "/f") == []


# --- lookups under trouble --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "fixed", "outcome"),
    [("1.80.6", False, "EPERM"), ("1.91.1", False, 0o100000), ("1.91.4", False, 0o100000), ("1.91.5", False, "EPERM")],
)
def test_a_refused_head_is_an_existing_file_in_1_91_1_to_4(ossfs, version, fixed, outcome) -> None:
    volume = ossfs(version, fixed=fixed)
    denied(volume, "HeadObject")
    if isinstance(outcome, int):
        found = volume.fs.getattr(ROOT, "/nothing")
        assert (found.mode, found.size) == (outcome, 0)
        assert errno_of(lambda: volume.fs.mkdir(ROOT, "/nothing", 0o755)) == "EEXIST"
    else:
        assert errno_of(lambda: volume.fs.getattr(ROOT, "/nothing")) == "EPERM"
        assert volume.fs.getattr(ROOT, "/").nlink == 1


def test_a_refused_head_of_1_91_10_is_the_only_request(ossfs) -> None:
    volume = ossfs("1.91.10")
    denied(volume, "HeadObject")
    for _ in range(2):  # and is not remembered
        assert volume.requests(lambda: errno_of(lambda: volume.fs.getattr(ROOT, "/f"))) == ["HEAD f"]


@pytest.mark.parametrize("version", ["1.80.6", "1.91.1", "1.91.10"])
def test_an_empty_object_without_metadata_is_looked_below(ossfs, version) -> None:
    volume = ossfs(version)
    volume.put("e")
    volume.put("e/x")
    volume.put("lone")
    assert volume.kind("/e") == "dir"
    assert volume.kind("/lone") == "file"
    assert volume.requests()[-2:] == ["HEAD lone", "GET ?delimiter=/&max-keys=2&prefix=lone/"]


def test_a_rotated_key_fails_until_the_remount(ossfs) -> None:
    volume = ossfs("1.91.3")
    volume.put("f", b"x")
    volume.service.accounts.disable("AK")
    assert errno_of(lambda: volume.fs.readdir(ROOT, "/")) == "EPERM"
    volume.service.accounts.enable("AK")
    assert volume.names("/") == ["f"]


def test_the_prefix_is_in_front_of_every_key(ossfs) -> None:
    volume = ossfs("1.91.10", prefix="/a/b")
    volume.put("a/b/f", b"x")
    volume.put("other", b"x")
    assert volume.names("/") == ["f"]
    volume.write("/g", b"1")
    volume.fs.rename(ROOT, "/g", "/h")
    volume.fs.mkdir(ROOT, "/d", 0o755)
    assert volume.keys() == ["a/b/d/", "a/b/f", "a/b/h", "other"]


@pytest.mark.parametrize(("fixed", "body"), [(False, None), (True, b"data")])
def test_a_new_file_below_a_directory_that_is_renamed_is_lost_unless_fixed(ossfs, fixed, body) -> None:
    volume = ossfs("1.91.10", fixed=fixed)
    volume.fs.mkdir(ROOT, "/d", 0o755)
    fh = volume.fs.create(ROOT, "/d/f", 0o644, os.O_WRONLY)
    volume.fs.write(ROOT, "/d/f", fh, b"data", 0)
    volume.fs.rename(ROOT, "/d", "/e")
    if not fixed:
        assert errno_of(lambda: volume.fs.write(ROOT, "/e/f", fh, b"more", 4)) == "EIO"
    volume.fs.flush(ROOT, "/e/f", fh)
    volume.fs.release(ROOT, "/e/f", fh)
    found = volume.object("e/f")
    assert (found.read() if found else None) == body


def test_until_1_91_5_a_new_file_below_a_directory_that_is_renamed_is_uploaded_under_the_old_name(ossfs) -> None:
    volume = ossfs("1.91.5")
    volume.fs.mkdir(ROOT, "/d", 0o755)
    fh = volume.fs.create(ROOT, "/d/f", 0o644, os.O_WRONLY)
    volume.fs.write(ROOT, "/d/f", fh, b"data", 0)
    volume.fs.rename(ROOT, "/d", "/e")
    volume.fs.write(ROOT, "/e/f", fh, b"more", 4)
    volume.fs.flush(ROOT, "/e/f", fh)
    volume.fs.release(ROOT, "/e/f", fh)
    assert volume.keys() == ["d/f", "e/"]
    assert volume.body("d/f") == b"datamore"
