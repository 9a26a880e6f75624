"""The targets under other fuzzers than Hypothesis's own, unchanged."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fuzz.parsers.with_atheris import targets

ROOT = Path(__file__).parents[3]
TARGET = "test_kubernetes_input.py::test_any_text_is_a_quantity_or_refused"


def test_every_target_takes_bytes_of_another_fuzzer() -> None:
    found = dict(targets())
    assert len(found) >= 40
    for test in found.values():
        # None: too few bytes to make an example of; else those that it took.
        assert isinstance(test.hypothesis.fuzz_one_input(bytes(64)), bytes | None)  # type: ignore[attr-defined]


def test_atheris_runs_a_target() -> None:
    pytest.importorskip("atheris", reason="pip install atheris")
    command = [sys.executable, "-m", "tests.fuzz.parsers.with_atheris", TARGET, "-runs=200", "-seed=1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "Done 200 runs" in done.stderr


@pytest.mark.parametrize("target", [f"tests/fuzz/parsers/{TARGET}", "tests/fuzz/test_machine_case.py"])
def test_hypofuzz_runs_a_target_and_the_machine(target: str) -> None:
    pytest.importorskip("hypofuzz", reason="pip install hypofuzz")
    command = [
        sys.executable,
        "-c",
        "from hypothesis.extra.cli import main; main()",
        "fuzz",
        "--no-dashboard",
        "-n",
        "1",
        "--",
    ]
    command.append(target)
    environment = {**os.environ, "OSSVOL_FUZZ_EXAMPLES": "100"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            output, _ = process.communicate(timeout=15)
        except subprocess.TimeoutExpired:
            # It has no end of its own.
            os.killpg(process.pid, signal.SIGTERM)
            output, _ = process.communicate(timeout=20)
    assert re.search(r"using up to 1 process|fuzz", output), output
    assert "Traceback" not in output, output
    assert "skipped" not in output.lower(), output
