"""The stat cache: expiry, size, pinned entries, and the quirks of the negative cache."""

from __future__ import annotations

import contextlib
import os

import pytest

from ossfuse.filesystem import Context

ROOT = Context(0, 0, 1)


def stat_requests(volume, path: str) -> list[str]:
    def look() -> None:
        with contextlib.suppress(FileNotFoundError):
            volume.fs.getattr(ROOT, path)

    return volume.requests(look)


def test_a_known_name_costs_no_request(ossfs) -> None:
    volume = ossfs("1.91.10")
    volume.put("f", b"x")
    assert stat_requests(volume, "/f") == ["HEAD f"]
    assert stat_requests(volume, "/f") == []


@pytest.mark.parametrize(("version", "lifetime"), [("1.80.6", None), ("1.91.10", 900)])
def test_entries_expire_after_900_seconds_or_never(ossfs, version, lifetime) -> None:
    volume = ossfs(version)
    volume.put("f", b"x")
    stat_requests(volume, "/f")
    volume.clock.advance(900)
    assert stat_requests(volume, "/f") == []
    volume.clock.advance(1)
    assert stat_requests(volume, "/f") == (["HEAD f"] if lifetime else [])


def test_a_foreign_change_is_invisible_until_the_entry_expires(ossfs) -> None:
    volume = ossfs("1.91.3", "-ostat_cache_expire=60")
    volume.put("f", b"x")
    volume.fs.getattr(ROOT, "/f")
    volume.put("f", b"much longer")
    assert volume.fs.getattr(ROOT, "/f").size == 1
    volume.clock.advance(61)
    assert volume.fs.getattr(ROOT, "/f").size == 11


def test_interval_expiry_counts_from_the_last_hit(ossfs) -> None:
    volume = ossfs("1.91.3", "-ostat_cache_interval_expire=60")
    volume.put("f", b"x")
    stat_requests(volume, "/f")
    for _ in range(3):
        volume.clock.advance(50)
        assert stat_requests(volume, "/f") == []
    volume.clock.advance(61)
    assert stat_requests(volume, "/f") == ["HEAD f"]


def test_minus_one_never_expires(ossfs) -> None:
    volume = ossfs("1.91.3", "-ostat_cache_expire=-1")
    volume.put("f", b"x")
    stat_requests(volume, "/f")
    volume.clock.advance(10**8)
    assert stat_requests(volume, "/f") == []


def test_size_zero_remembers_nothing(ossfs) -> None:
    volume = ossfs("1.91.10", "-omax_stat_cache_size=0")
    volume.put("f", b"x")
    for _ in range(2):
        assert stat_requests(volume, "/f") == ["HEAD f"]


@pytest.mark.parametrize("version", ["1.80.6", "1.91.10"])
def test_the_oldest_entry_makes_room(ossfs, version) -> None:
    volume = ossfs(version, "-omax_stat_cache_size=3")
    for number in range(8):
        volume.put(f"f{number}", b"x")
        volume.clock.advance(1)
        volume.fs.getattr(ROOT, f"/f{number}")
    assert volume.fs.statistics()["entries"] <= 4
    assert stat_requests(volume, "/f7") == []
    assert stat_requests(volume, "/f0") == ["HEAD f0"]


def test_without_expiry_1_80_keeps_what_is_used(ossfs) -> None:
    volume = ossfs("1.80.6", "-omax_stat_cache_size=3")
    for number in range(6):
        volume.put(f"f{number}", b"x")
        volume.fs.getattr(ROOT, f"/f{number}")
        volume.fs.getattr(ROOT, "/f0")
        volume.clock.advance(1)
    assert stat_requests(volume, "/f0") == []


def test_a_created_file_outlives_expiry_and_a_full_cache(ossfs) -> None:
    volume = ossfs("1.91.10", "-omax_stat_cache_size=2 -ostat_cache_expire=5")
    fh = volume.fs.create(ROOT, "/new", 0o100644, os.O_WRONLY)
    for number in range(9):
        volume.put(f"f{number}", b"x")
        volume.fs.getattr(ROOT, f"/f{number}")
    volume.clock.advance(100)
    assert volume.keys() == [f"f{number}" for number in range(9)]
    assert stat_requests(volume, "/new") == []
    volume.fs.release(ROOT, "/new", fh)
    with pytest.raises(FileNotFoundError):
        volume.fs.getattr(ROOT, "/new")


def test_a_slash_entry_wins_over_the_plain_one(ossfs) -> None:
    volume = ossfs("1.91.10")
    volume.put("n", b"data")
    volume.put("n/")
    assert volume.kind("/n") == "file"
    assert volume.names("/") == ["n"]
    assert volume.kind("/n") == "dir"


def test_readdir_drops_an_entry_whose_etag_changed(ossfs) -> None:
    volume = ossfs("1.91.10")
    volume.put("f", b"x")
    volume.fs.getattr(ROOT, "/f")
    volume.put("f", b"other")
    assert volume.requests(lambda: volume.fs.readdir(ROOT, "/"))[1:] == ["HEAD f"]
    assert volume.fs.getattr(ROOT, "/f").size == 5


# --- the negative cache -----------------------------------------------------------------------------------------------

MISSES = ["HEAD n", "HEAD n/", "HEAD n_$folder$", "GET ?delimiter=/&max-keys=2&prefix=n/"]


@pytest.mark.parametrize(
    ("version", "options", "again"),
    [
        ("1.80.6", "", MISSES),
        ("1.80.6", "-oenable_noobj_cache", []),
        ("1.91.5", "", MISSES),
        ("1.91.5", "-oenable_noobj_cache", []),
        ("1.91.6", "", []),
        ("1.91.6", "-odisable_noobj_cache", MISSES),
    ],
)
def test_missing_names_are_remembered_by_option_or_default(ossfs, version, options, again) -> None:
    volume = ossfs(version, options)
    assert stat_requests(volume, "/n") == MISSES
    assert stat_requests(volume, "/n") == again


def test_polling_keeps_a_missing_name_missing(ossfs) -> None:
    volume = ossfs("1.91.10", "-ostat_cache_expire=3")
    stat_requests(volume, "/n")
    volume.put("n", b"x")
    for _ in range(9):
        volume.clock.advance(1)
        assert stat_requests(volume, "/n") == []
    volume.clock.advance(4)
    assert stat_requests(volume, "/n") == ["HEAD n"]


def test_a_listing_of_the_directory_reveals_the_name(ossfs) -> None:
    volume = ossfs("1.91.10")
    stat_requests(volume, "/n")
    volume.put("n", b"x")
    assert volume.names("/") == ["n"]
    assert volume.fs.getattr(ROOT, "/n").size == 1


@pytest.mark.parametrize(("fixed", "second"), [(False, FileNotFoundError), (True, None)])
def test_a_failed_lookup_is_remembered_as_missing_unless_fixed(ossfs, fixed, second) -> None:
    volume = ossfs("1.91.10", fixed=fixed)
    volume.put("n", b"x")
    # A prefix-only name, so that no later probe finds anything.
    volume.transport.answer = lambda request: volume_answer(409)
    with pytest.raises(OSError, match="Input/output error"):
        volume.fs.getattr(ROOT, "/n")
    volume.transport.answer = lambda request: None
    if second is None:
        assert volume.fs.getattr(ROOT, "/n").size == 1
    else:
        with pytest.raises(second):
            volume.fs.getattr(ROOT, "/n")


def volume_answer(status: int):
    from osscloud.message import Response

    return Response(status, {"Content-Length": "0"})


def test_symlink_targets_are_remembered_in_1_91(ossfs) -> None:
    for version, again in (("1.91.10", []), ("1.80.6", ["GET l"])):
        volume = ossfs(version)
        volume.put("l", b"target", meta={"mode": "41471"})
        assert volume.fs.readlink(ROOT, "/l") == "target"
        assert volume.requests()[-1] == "GET l"
        assert volume.requests(lambda volume=volume: volume.fs.readlink(ROOT, "/l")) == again
