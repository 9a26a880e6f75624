"""Headers to stat: the measured table of the real releases, and the rules behind it."""

from __future__ import annotations

import stat

import pytest

from ossfuse.attributes import AttributeRules, format_time
from ossfuse.options import MountOptions
from ossfuse.profile import find

ROWS = ("1.80.6", "1.91.1", "1.91.10")


@pytest.mark.parametrize(
    ("key", "options", "expected"),
    [
        ("f", {}, ("-rwxrwxrwx", "-rw-r-----", "-rw-r-----")),
        ("f", {"meta": {"mode": "33188", "uid": "1000"}}, ("-rw-r--r--",) * 3),
        ("f", {"meta": {"mode": "0"}}, ("----------", "----------", "-r--------")),
        ("d/", {}, ("drwxrwxrwx", "drwxr-x---", "drwxr-x---")),
        ("d/", {"body": b"12345"}, ("drwxrwxrwx", "drwxr-x---", "drwxr-x---")),
        ("d/", {"content_type": "text/html"}, ("drwxrwxrwx", "-rwxr-x---", "drwxr-x---")),
        ("d/", {"content_type": "image/jpeg"}, ("drwxrwxrwx", "-rwxr-x---", "drwxr-x---")),
        ("d/", {"content_type": "text/plain"}, ("drwxrwxrwx", "-rwxr-x---", "drwxr-x---")),
        ("d/", {"meta": {"mode": "33188"}}, ("-rw-r--r--",) * 3),
        ("d/", {"content_type": "text/html", "meta": {"mode": "493"}}, ("drwxr-xr-x", "-rwxr-xr-x", "drwxr-xr-x")),
        ("d/x", {}, ("drwxrwxrwx", "drwxr-x---", "drwxr-x---")),
        ("d_$folder$", {}, ("drwxrwxrwx", "drwxr-x---", "drwxr-x---")),
        ("f", {"meta": {"mode": "41471"}, "body": b"t"}, ("lrwxrwxrwx",) * 3),
        ("f", {"content_type": "application/x-directory"}, ("drwxrwxrwx", "drw-r-----", "drw-r-----")),
        ("f", {"content_type": "httpd/unix-directory; x=y"}, ("-rwxrwxrwx", "drw-r-----", "drw-r-----")),
    ],
)
def test_an_object_is_shown_as_the_real_releases_show_it(ossfs, key, options, expected) -> None:
    shown = []
    for version in ROWS:
        volume = ossfs(version)
        volume.put(key, **{"body": b"", **options})
        name = "/" + key.rstrip("/").partition("/")[0].removesuffix("_$folder$")
        shown.append(stat.filemode(volume.fs.getattr(ossfs_root, name).mode))
    assert tuple(shown) == expected


class ossfs_root:  # a caller that is root
    uid = gid = pid = umask = 0
    command = ""


@pytest.mark.parametrize(("version", "mode"), [("1.80.6", 0o777), ("1.91.1", 0o750), ("1.91.10", 0o750)])
def test_a_slash_object_without_content_type_is_a_file(version, mode) -> None:
    row = find(version)
    rules = AttributeRules(row, MountOptions(complement_stat=row.complement_stat_default), 0, 0)
    assert rules.mode("d/", {"content-length": "0"}) == stat.S_IFREG | mode


@pytest.mark.parametrize(
    ("content_type", "body", "mode", "plain", "complement"),
    [
        ("application/octet-stream", b"", None, "file", "dir"),
        ("application/octet-stream", b"", "493", "dir", "dir"),
        ("application/octet-stream", b"x", "493", "file", "file"),
        ("text/html", b"", "493", "file", "file"),
        ("application/x-directory", b"", "493", "dir", "dir"),
    ],
)
def test_release_1_88_shows_directories_as_the_faq_says(  # noqa: PLR0917
    ossfs, content_type, body, mode, plain, complement
) -> None:
    shown = []
    for options in ("", "-ocomplement_stat"):
        volume = ossfs("1.88", options)
        volume.put("d/", body, content_type=content_type, meta={"mode": mode} if mode else {})
        shown.append(volume.kind("/d"))
    assert shown == [plain, complement]


def test_complement_stat_of_1_91_1_takes_an_empty_text_object_for_a_directory(ossfs) -> None:
    volume = ossfs("1.91.1", "-ocomplement_stat")
    volume.put("t/", b"", content_type="text/plain")
    volume.put("h/", b"", content_type="text/html")
    assert (volume.kind("/t"), volume.kind("/h")) == ("dir", "file")


@pytest.mark.parametrize(("version", "mtime"), [("1.80.6", 0.0), ("1.91.10", 1_500_000_000.000000123)])
def test_a_fractional_mtime_is_1970_in_1_80(ossfs, version, mtime) -> None:
    volume = ossfs(version)
    volume.put("f", b"", meta={"mtime": "1500000000.123", "mode": "33188"})
    assert volume.fs.getattr(ossfs_root, "/f").mtime == mtime


def test_times_that_are_missing_are_last_modified(ossfs) -> None:
    volume = ossfs("1.91.10")
    volume.put("f", b"x")
    found = volume.fs.getattr(ossfs_root, "/f")
    assert found.mtime == found.ctime == found.atime == volume.clock.now()
    old = ossfs("1.80.6")
    old.put("f", b"x")
    found = old.fs.getattr(ossfs_root, "/f")
    assert (found.mtime, found.ctime, found.atime) == (old.clock.now(), 0, 0)


def test_metadata_of_other_tools_is_read(ossfs) -> None:
    volume = ossfs("1.91.10")
    volume.put("sync", b"x", meta={"permissions": "0100600", "owner": "7", "group": "8"})
    volume.put("gcs", b"x", meta={"goog-reserved-posix-mode": "600", "goog-reserved-posix-uid": "9"})
    sync, gcs = (volume.fs.getattr(ossfs_root, path) for path in ("/sync", "/gcs"))
    assert (oct(sync.mode), sync.uid, sync.gid) == ("0o100600", 7, 8)
    assert (oct(gcs.mode), gcs.uid) == ("0o100600", 9)


@pytest.mark.parametrize(
    ("version", "text", "mode"),
    [("1.91.10", "0100644", 0o100644), ("1.80.6", "0100644", 100644), ("1.91.10", "rubbish", 0o100000 | 0o400)],
)
def test_a_mode_is_read_as_the_release_reads_numbers(ossfs, version, text, mode) -> None:
    volume = ossfs(version)
    volume.put("f", b"x", meta={"mode": text})
    assert oct(volume.fs.getattr(ossfs_root, "/f").mode) == oct(mode)


@pytest.mark.parametrize(("version", "size", "blocks"), [("1.80.6", 0, 1), ("1.91.5", 0, 1), ("1.91.6", 4096, 9)])
def test_directories_show_4096_bytes_from_1_91_6(ossfs, version, size, blocks) -> None:
    volume = ossfs(version)
    volume.put("d/")
    for path in ("/", "/d"):
        found = volume.fs.getattr(ossfs_root, path)
        assert (found.size, found.blocks, found.nlink) == (size, blocks, 1)


@pytest.mark.parametrize(
    ("options", "mode"),
    [
        ("", 0o700),
        ("-oallow_other", 0o777),
        ("-oallow_other -omp_umask=007", 0o770),
        ("-oallow_other -omp_umask=077", 0o700),
        ("-omp_umask=007", 0o700),
        ("-oallow_other -omp_umask=007 -oumask=022", 0o755),
    ],
)
def test_the_mount_point_is_made_up_locally(ossfs, options, mode) -> None:
    volume = ossfs("1.91.3", options)
    sent = volume.requests(lambda: volume.fs.getattr(ossfs_root, "/"))
    assert sent == []
    root = volume.fs.getattr(ossfs_root, "/")
    assert (oct(root.mode), root.mtime) == (oct(stat.S_IFDIR | mode), 0)


def test_umask_and_owner_options_override_what_is_shown_but_are_not_stored(ossfs) -> None:
    volume = ossfs("1.91.3", "-oumask=133 -ouid=7 -ogid=8")
    volume.write("/f", b"x")
    shown = volume.fs.getattr(ossfs_root, "/f")
    assert (oct(shown.mode), shown.uid, shown.gid) == ("0o100644", 7, 8)
    assert volume.object("f").meta["mode"] == str(0o100644)
    assert volume.object("f").meta["uid"] == "0"


def test_1_80_shows_an_octal_umask_and_checks_a_decimal_one(ossfs) -> None:
    volume = ossfs("1.80.6", "-oumask=133 -oallow_other")
    volume.put("f", b"x")
    assert oct(volume.fs.getattr(ossfs_root, "/f").mode) == "0o100644"
    assert volume.options.umask == 133


def test_default_permission_is_the_mode_of_what_has_none_in_1_80(ossfs) -> None:
    volume = ossfs("1.80.6", "-odefault_permission=640")
    volume.put("f", b"x")
    assert oct(volume.fs.getattr(ossfs_root, "/f").mode) == "0o100640"


def test_times_are_written_with_nine_decimals_or_none() -> None:
    assert format_time(1_795_412_045) == format_time(1_795_412_045.0) == "1795412045"
    assert format_time(100.25) == "100.250000000"
    assert format_time(-1.5) == "-2.500000000"
