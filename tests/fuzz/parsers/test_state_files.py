"""Snapshots and data directories that are damaged: refused as a whole, and the cloud stays as it was."""

from __future__ import annotations

import contextlib
import random
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from functools import cache
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz.parsers.budget import budget, within
from tests.fuzz.parsers.mutation import damaged, damaged_bytes, mostly, texts
from tests.osscloud.conftest import state_of

from osscloud.clock import AdjustableClock, VirtualClock
from osscloud.persistence import codec
from osscloud.persistence.directory import DataDirectory
from osscloud.persistence.errors import StateError
from osscloud.persistence.snapshot import load, save
from osscloud.persistence.state import KINDS
from osscloud.service import OssService


def make_service(*, filled: bool) -> OssService:
    service = OssService(clock=AdjustableClock(VirtualClock()), rng=random.Random(3))
    if filled:
        fill(service)
    return service


def fill(service: OssService) -> None:
    key = service.accounts.create_key(id="a", secret="b")
    service.admin.create_bucket("demo", owner=key.account)
    service.admin.put("demo", "k", b"content" * 9)
    service.admin.put("demo", "文/a", b"")
    service.admin.set_versioning("demo", "Enabled")
    service.admin.put("demo", "k", b"newer")
    service.admin.create_bucket("other")


@cache
def snapshot() -> bytes:
    file = BytesIO()
    save(make_service(filled=True), file)
    return file.getvalue()


def members(data: bytes) -> dict[str, bytes]:
    with ZipFile(BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(content: dict[str, bytes]) -> bytes:
    file = BytesIO()
    with ZipFile(file, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return file.getvalue()


def check_snapshot(data: bytes) -> None:
    service = make_service(filled=False)
    service.admin.create_bucket("mine")
    service.admin.put("mine", "x", b"1")
    before = state_of(service)
    with within(5):
        try:
            load(service, BytesIO(data), "F")
        except StateError as error:
            assert str(error).startswith("F ")
            assert state_of(service) == before
            return
    # What was taken is a whole state, which can be kept again.
    again = make_service(filled=False)
    file = BytesIO()
    save(service, file)
    load(again, file)
    assert state_of(again) == state_of(service)


@budget(40)
@given(data=st.data())
def test_a_snapshot_damaged_at_any_byte_changes_nothing(data: st.DataObject) -> None:
    check_snapshot(data.draw(damaged_bytes(st.just(snapshot()))))


@budget(50)
@given(data=st.data())
def test_a_snapshot_that_says_something_else_changes_nothing_or_is_a_whole_state(data: st.DataObject) -> None:
    """The checksums are right here: a stranger made it."""
    content = members(snapshot())
    name = data.draw(st.sampled_from(sorted(content)))
    content[name] = data.draw(damaged(st.just(content[name].decode("latin-1")), edits=2)).encode("latin-1", "replace")
    check_snapshot(packed(content))


def test_a_snapshot_with_any_byte_flipped_is_refused_or_is_the_same() -> None:
    """Every byte once, a few bits of it."""
    good = snapshot()
    content = members(good)
    for place in range(0, len(good), 3):
        data = bytearray(good)
        data[place] ^= 1 << place % 8
        try:
            same = members(bytes(data)) == content
        except (BadZipFile, zlib.error, OSError, ValueError, NotImplementedError, EOFError, RuntimeError):
            same = False
        service = make_service(filled=False)
        before = state_of(service)
        try:
            load(service, BytesIO(data))
        except StateError:
            assert state_of(service) == before
        else:
            assert same


# A data directory

FILES = ("state.sqlite", "state.sqlite-wal")


@cache
def template() -> Path:
    """A data directory whose process was killed: with a write-ahead log, and a blob beside."""
    root = Path(tempfile.mkdtemp()) / "cloud"
    service = OssService(clock=VirtualClock(), rng=random.Random(3))
    with DataDirectory(root) as directory:
        directory.attach(service)
        fill(service)
        service.admin.put("demo", "big", b"x" * 300_000)
        copy = root.with_name("killed")
        shutil.copytree(root, copy, ignore=shutil.ignore_patterns("*lock*"))
    shutil.rmtree(root)
    return copy


@contextlib.contextmanager
def copied() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as parent:
        root = Path(parent) / "cloud"
        shutil.copytree(template(), root)
        yield root


def opened(root: Path) -> OssService:
    """Raises StateError."""
    service = OssService(clock=VirtualClock(), rng=random.Random(3))
    with DataDirectory(root) as directory:
        directory.attach(service)
    return service


@budget(20)
@given(data=st.data())
def test_a_data_directory_damaged_at_any_byte_is_refused_or_holds_what_it_held(data: st.DataObject) -> None:
    with copied() as root:
        held = state_of(opened(root))
    with copied() as root:
        path = data.draw(st.sampled_from(sorted(path for path in root.rglob("*") if path.is_file())))
        raw = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 3))):
            if raw:
                raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        if data.draw(st.integers(0, 3)) == 0:
            del raw[data.draw(st.integers(0, len(raw))) :]
        path.write_bytes(raw)
        service = OssService(clock=VirtualClock(), rng=random.Random(3))
        empty = state_of(service)
        try:
            with within(5), DataDirectory(root) as directory:
                directory.attach(service)
        except StateError as error:
            assert str(root) in str(error)
            assert state_of(service) == empty
            return
        # A log whose end is torn is what a power failure leaves: the state is one that was. The content of large
        # objects, in files of their own, has no checksum that is looked at here; "bodies" is the last member.
        if not path.name.endswith("-wal"):
            whole = state_of(service)
            assert whole == held or (path.parent != root and whole[:-1] == held[:-1])


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
    | st.binary(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(mostly(texts, st.sampled_from(["$", "$tuple", "$dict", "$bytes"])), inner, max_size=3)
    ),
    max_leaves=6,
)


@budget(80)
@given(value=plain)
def test_any_plain_value_is_read_as_it_was_written(value: object) -> None:
    assert codec.loads(codec.dumps(value), KINDS) == value


@budget(80)
@given(text=damaged(plain.map(codec.dumps)))
def test_any_text_is_a_value_or_no_code_of_ours(text: str) -> None:
    try:
        with within():
            codec.loads(text, KINDS)
    except codec.CodecError as error:
        assert str(error)
