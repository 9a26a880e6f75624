"""What runs have found, each as a scenario of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from ossvol.runner import Runner, RunOptions
from ossvol.scenario import load_all

_FILES = sorted((Path(__file__).parent / "found").glob("*.yaml"))


@pytest.mark.parametrize("file", _FILES, ids=lambda file: file.stem)
def test_what_was_found_once_stays_as_it_was_decided(file: Path):
    (loaded,) = load_all([file])
    with Runner(RunOptions("direct", ossfs_version="1.91.10")) as runner:
        result = runner.run(loaded)
    assert result.status == "passed", [failure.text() for failure in result.failures] or result.error or result.reason
