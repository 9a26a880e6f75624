"""Which engine a machine can run, and how it says what it lacks."""

from __future__ import annotations

import ctypes
import os
import random
import sys
from pathlib import Path

import pytest

from osscloud.clock import VirtualClock
from osscloud.message import Request
from osscluster import engine
from osscluster.cloud import Cloud
from osscluster.config import state_base
from osscluster.direct import DirectEngine
from osscluster.errors import EnvironmentMissing
from osscluster.kernel import KernelEngine


def test_an_engine_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="kernel and direct"):
        engine.make_engine("docker")  # type: ignore[arg-type]


def test_a_real_binary_needs_the_kernel_engine() -> None:
    with pytest.raises(ValueError, match="needs the kernel engine"):
        engine.make_engine("direct", ossfs="/usr/bin/ossfs")


def test_a_binary_that_is_not_there_is_missing_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "kernel_unavailable", lambda: None)
    with pytest.raises(EnvironmentMissing, match="/nowhere/ossfs is not an executable file"):
        engine.make_engine("kernel", ossfs="/nowhere/ossfs")


def test_a_state_directory_can_be_chosen(tmp_path: Path) -> None:
    made = engine.make_engine("direct", state_dir=str(tmp_path / "state"))
    try:
        assert isinstance(made, DirectEngine)
        assert made.run.directory.parent == tmp_path / "state"
    finally:
        made.close()
        made.run.close()


@pytest.mark.parametrize("library", ["", "libfuse3.so.3"])
def test_without_libfuse_its_package_is_named(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    def load(name: str) -> object:
        if name != library:
            raise OSError(f"{name}: cannot open shared object file")
        return object()

    monkeypatch.setattr(ctypes, "CDLL", load)
    missing = engine._library_missing()
    if library:
        assert missing is None
    else:
        assert missing is not None
        assert missing.remedy == "sudo apt-get install -y libfuse2 fuse"


def test_other_systems_are_told_to_use_the_direct_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    missing = engine.kernel_unavailable()
    assert missing is not None
    assert missing.remedy == "use --via direct"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (FileNotFoundError(2, "No such file or directory"), "/dev/fuse does not exist"),
        (PermissionError(13, "Permission denied"), "/dev/fuse can't be opened: Permission denied"),
    ],
)
def test_a_device_that_can_not_be_used_is_named(monkeypatch: pytest.MonkeyPatch, error: OSError, reason: str) -> None:
    def refuse(path: str, flags: int) -> int:
        raise error

    monkeypatch.setattr(engine, "_library_missing", lambda: None)
    monkeypatch.setattr(os, "open", refuse)
    missing = engine.kernel_unavailable()
    assert missing is not None
    assert missing.reason == reason


def test_a_missing_environment_reads_as_reason_and_remedy() -> None:
    missing = EnvironmentMissing("no fuse", "install it")
    assert (missing.reason, missing.remedy, str(missing)) == ("no fuse", "install it", "no fuse (remedy: install it)")


def test_without_fuse_the_kernel_engine_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "kernel_unavailable", lambda: EnvironmentMissing("no fuse", "install it"))
    with pytest.raises(EnvironmentMissing, match="no fuse"):
        engine.make_engine("kernel")


def test_root_keeps_its_state_where_containers_can_pass(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert state_base() == Path("/tmp/ossvol-0")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert state_base() == tmp_path / "ossvol"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert state_base() == Path("/tmp/ossvol-1000")


def test_a_rotated_key_is_refused_and_the_new_one_is_the_default() -> None:
    cloud = Cloud.here(clock=VirtualClock(), rng=random.Random(1))
    old = cloud.key
    new = cloud.rotate()
    assert new is cloud.key
    assert new.id != old.id
    found = cloud.service.accounts.find(old.id)
    assert found is not None
    assert found.status == "Disabled"
    assert cloud.passwd_line("b") == f"b:{new.id}:{new.secret}"
    cloud.close()


def test_an_in_process_cloud_has_no_socket() -> None:
    made = DirectEngine()
    try:
        with pytest.raises(ConnectionRefusedError):
            made.transport.send(Request("GET", "/", {"host": "127.0.0.1:1"}))
        assert made.transport.send(Request("GET", "/", {"host": "127.0.0.1"})).status == 403
    finally:
        made.close()


def test_both_engines_say_what_they_are() -> None:
    assert (DirectEngine.name, KernelEngine.name) == ("direct", "kernel")
