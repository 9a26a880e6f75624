"""What one machine has found is what the next one begins with: Hypothesis's databases, in a directory and in Redis."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis.database import ExampleDatabase
from hypothesis.stateful import rule

from ossvol.errors import UsageError
from ossvol.fuzz import VolumeMachine, run
from ossvol.fuzz_command import open_database, parse_shard


class _Linker(VolumeMachine):
    @rule()
    def rotate(self) -> None:
        self.require(False, "rotation works")


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """A Redis of its own on a socket in the loopback network."""
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("redis-server is not installed: apt-get install -y redis-server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "Ready to accept connections" in line:
                break
        yield f"redis://127.0.0.1:{port}/0"
        process.terminate()
        process.stdout.read()


def _found_again(database: ExampleDatabase) -> tuple[int, int]:
    """Examples that the first run needed for its failure, and those of another one with another seed."""
    first = run(seed=1, max_steps=400, machine=_Linker, database=database)
    again = run(seed=2, max_steps=400, machine=_Linker, database=database, shrink=False)
    assert first.failures
    assert again.failures
    return len(first.failures[0].steps), len(again.failures[0].steps)


def test_a_directory_hands_a_failure_on_as_it_was_shrunk(tmp_path: Path):
    shrunk, again = _found_again(open_database(str(tmp_path)))
    assert again == shrunk


def test_redis_hands_a_failure_on_as_it_was_shrunk(redis_url: str):
    shrunk, again = _found_again(open_database(redis_url))
    assert again == shrunk


def test_a_redis_that_does_not_answer_is_told_before_anything_runs():
    with pytest.raises(UsageError, match=r"redis://127\.0\.0\.1:1/0"):
        open_database("redis://127.0.0.1:1/0")


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b"])
def test_a_shard_is_one_of_its_parts(text: str):
    with pytest.raises(UsageError):
        parse_shard(text)
    assert parse_shard("2/3") == (1, 3)


def test_without_hypothesis_there_is_one_line_and_exit_code_4(monkeypatch: pytest.MonkeyPatch):
    import importlib.util

    from osscluster.errors import EnvironmentMissing
    from ossvol import fuzz_command

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "hypothesis" else find(name))
    with pytest.raises(EnvironmentMissing, match="hypothesis"):
        fuzz_command.fuzz(
            via=None,
            ossfs="",
            ossfs_version="",
            profile="quick",
            examples=1,
            steps=1,
            seed=0,
            shard="",
            save=None,
            database="",
        )
