"""A run in parts: processes and machines share it, and what is done stays the same."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.waiting import eventually

from osscluster.engine import kernel_unavailable
from osscluster.mounttable import mounts
from ossvol.fuzz import Plan
from ossvol.fuzz.parts import EXAMPLES, Work, parts_of, run_parts

COMMAND = [sys.executable, "-m", "ossvol", "fuzz", "--seed", "5", "--steps", "15", "--json"]


def _report(*words: str) -> dict[str, object]:
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, check=True)
    report: dict[str, object] = json.loads(done.stdout)
    return report


def test_two_processes_do_what_one_does_and_shards_are_its_parts():
    examples = ("--examples", str(2 * EXAMPLES))
    whole, shared = _report(*examples), _report(*examples, "--jobs", "2")
    for name in ("steps", "examples", "verbs", "cells", "judged_share", "live_share"):
        assert whole[name] == shared[name], name
    first, second = _report(*examples, "--shard", "1/2"), _report(*examples, "--shard", "2/2")
    assert int(str(first["steps"])) + int(str(second["steps"])) == whole["steps"]


def test_the_first_failure_is_the_same_with_two_processes():
    # With its defects the release breaks what is expected without them.
    work = Work(Plan(fixed=False), 40)
    parts = parts_of(0, 3 * EXAMPLES)
    (alone,) = run_parts(work, parts).failures
    (together,) = run_parts(work, parts, jobs=2).failures
    assert (alone.seed, alone.steps) == (together.seed, together.steps)


def test_a_shard_without_parts_is_told():
    done = subprocess.run([*COMMAND, "--examples", "5", "--shard", "2/2"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "nothing for this one" in done.stderr


def test_an_interrupt_ends_every_process_and_leaves_no_mount():
    if missing := kernel_unavailable():
        pytest.skip(f"{missing.reason}; to fix it: {missing.remedy}")
    command = [*COMMAND, "--via", "kernel", "--examples", "1000", "--jobs", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as running:
        try:
            children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
            assert eventually(lambda: len(_mounts_of(children.read_text().split())) >= 3, 60)
            processes = children.read_text().split()
            running.send_signal(signal.SIGINT)  # to the one process, as a CI's cancellation does
            _, told = running.communicate(timeout=60)
        finally:
            running.kill()
    assert running.returncode == 130, told
    assert b"Traceback" not in told
    assert not _mounts_of(processes)


def _mounts_of(processes: list[str]) -> list[str]:
    """Their directories are called run-...-PID-START."""
    return [mount.mountpoint for mount in mounts() if any(f"-{process}-" in mount.mountpoint for process in processes)]
