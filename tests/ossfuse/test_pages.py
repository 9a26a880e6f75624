"""Ranges of an open file, against a byte-by-byte model; and how a file is cut into parts."""

from __future__ import annotations

import itertools
import random

import pytest

from ossfuse.pages import MIN_PART, PageMap, PageState, copy_chunks, plain_parts

MIB = 1 << 20
REMOTE, LOADED, HOLE, WRITTEN = PageState


def bytes_of(pages: PageMap) -> list[PageState]:
    return [state for start, end, state in pages for _ in range(start, end)]


@pytest.mark.parametrize("seed", range(5))
def test_ranges_agree_with_a_state_for_every_byte(seed) -> None:
    rng = random.Random(seed)
    pages, model = PageMap(40), [REMOTE] * 40
    for _ in range(400):
        match rng.randrange(4):
            case 0 | 1:
                start = rng.randrange(60)
                end = start + rng.randrange(1, 20)
                state = rng.choice(list(PageState))
                pages.mark(start, end, state)
                model += [HOLE] * (start - len(model))
                model[start:end] = [state] * (end - start)
            case 2:
                size = rng.randrange(70)
                modified = rng.random() < 0.5
                pages.resize(size, modified=modified)
                model = model[:size] + [HOLE if modified else REMOTE] * (size - len(model))
            case 3:
                pages.uploaded()
                model = [{WRITTEN: LOADED, HOLE: REMOTE}.get(state, state) for state in model]
                assert not pages.modified
        assert bytes_of(pages) == model
        assert pages.size == len(model)
        spans = list(pages)
        assert all(one[2] is not other[2] for one, other in itertools.pairwise(spans)), "not merged"
        low, high = sorted((rng.randrange(70), rng.randrange(70)))
        missing = {byte for start, end in pages.missing(low, high) for byte in range(start, end)}
        assert missing == {byte for byte in range(low, min(high, len(model))) if model[byte] is REMOTE}
        assert pages.modified_bytes() == sum(state.modified for state in model)


def test_cutting_a_file_is_a_change_until_it_is_uploaded() -> None:
    pages = PageMap(10)
    pages.resize(5, modified=True)
    assert pages.modified
    pages.uploaded()
    assert not pages.modified


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (10, [10]),
        (12, [12]),
        (20, [20]),
        (21, [10, 11]),
        (25, [10, 15]),
        (30, [10, 20]),
        (31, [10, 10, 11]),
    ],
)
def test_a_new_file_is_cut_with_the_rest_in_the_last_part(size, expected) -> None:
    pages = PageMap()
    pages.mark(0, size * MIB, WRITTEN)
    downloads, parts = pages.mixed_parts(10 * MIB)
    assert downloads == []
    assert [(end - start) // MIB for start, end, _ in parts] == expected
    assert not any(copied for _, _, copied in parts)


def test_a_small_change_at_the_start_is_filled_up_to_a_part() -> None:
    pages = PageMap(26 * MIB)
    pages.mark(0, 1, WRITTEN)
    downloads, parts = pages.mixed_parts(10 * MIB)
    assert downloads == [(1, MIN_PART)]
    assert parts == [(0, MIN_PART, False), (MIN_PART, 26 * MIB, True)]


def test_an_append_copies_everything_that_was_there() -> None:
    pages = PageMap(26 * MIB)
    pages.mark(26 * MIB, 26 * MIB + 4, WRITTEN)
    assert pages.mixed_parts(10 * MIB) == ([], [(0, 26 * MIB, True), (26 * MIB, 26 * MIB + 4, False)])


def test_a_small_unchanged_start_is_downloaded() -> None:
    pages = PageMap(26 * MIB)
    pages.mark(MIB, 8 * MIB, WRITTEN)
    downloads, parts = pages.mixed_parts(10 * MIB)
    assert downloads == [(0, MIB)]
    assert parts == [(0, 8 * MIB, False), (8 * MIB, 26 * MIB, True)]


def test_what_follows_a_small_change_is_downloaded_when_too_little_would_be_left() -> None:
    pages = PageMap(12 * MIB)
    pages.mark(0, 6 * MIB, WRITTEN)
    pages.mark(8 * MIB, 9 * MIB, WRITTEN)
    downloads, parts = pages.mixed_parts(10 * MIB)
    assert downloads == [(6 * MIB, 8 * MIB), (9 * MIB, 12 * MIB)]
    assert parts == [(0, 12 * MIB, False)]


@pytest.mark.parametrize("seed", range(8))
def test_parts_cover_the_file_once_and_only_the_last_may_be_small(seed) -> None:
    rng = random.Random(seed)
    size = rng.randrange(12 * MIB, 90 * MIB)
    pages = PageMap(size)
    for _ in range(rng.randrange(1, 12)):
        start = rng.randrange(size)
        pages.mark(start, min(size, start + rng.randrange(1, 9 * MIB)), WRITTEN)
    downloads, parts = pages.mixed_parts(10 * MIB)
    for start, end in downloads:
        pages.mark(start, end, WRITTEN)
    position = 0
    for start, end, copied in parts:
        assert start == position
        assert end - start >= MIN_PART or end == size
        assert copied or not pages.missing(start, end), "an uploaded part has bytes that are not here"
        if copied:
            assert not PageMap.modified_bytes(_only(pages, start, end)), "a copied part was changed here"
        position = end
    assert position == size


def _only(pages: PageMap, low: int, high: int) -> PageMap:
    part = PageMap()
    for start, end, state in pages:
        if start < high and end > low:
            part.mark(max(start, low) - low, min(end, high) - low, state)
    return part


def test_plain_parts_leave_the_rest_to_a_part_of_its_own() -> None:
    assert [end - start for start, end, _ in plain_parts(25, 10)] == [10, 10, 5]
    assert plain_parts(0, 10) == []


def test_part_copies_leave_no_rest_below_the_minimum() -> None:
    chunk = 512 * MIB
    assert [end - start for start, end in copy_chunks(0, 2 * chunk + MIB, chunk)] == [chunk, chunk + MIB]
    huge = 5 * 1024 * MIB
    sizes = [end - start for start, end in copy_chunks(0, huge + MIB, huge)]
    assert sum(sizes) == huge + MIB
    assert max(sizes) <= huge
