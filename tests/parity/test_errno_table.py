"""From the answer of OSS to the errno of a call: the cells of the table, in process and on kernel mounts."""

from __future__ import annotations

import pytest

from osscluster.engine import make_engine
from ossfuse.profile import PROFILES
from ossvol.parity import outcomes
from ossvol.parity.outcomes import CALLS, MEASURED, OUTCOMES, cells, check_outcomes, expected, measure, render
from ossvol.parity.replay import Bench

# Files of several parts cost seconds; of releases that were not measured they are left out.
SMALL = [name for name, call in CALLS.items() if "multipart" not in call.options]


def test_the_table_has_every_cell_for_every_release() -> None:
    wanted = set(cells())
    assert len(wanted) > 1600
    for version in PROFILES:
        assert expected(version).keys() == wanted
    assert set(MEASURED) <= PROFILES.keys()


@pytest.mark.parametrize("version", list(PROFILES))
def test_every_outcome_ends_every_call_in_process_as_the_table_says(version: str) -> None:
    wanted = expected(version)
    bench = Bench(make_engine("direct"), version)
    try:
        answers = measure(bench, list(OUTCOMES), list(CALLS) if version in MEASURED else SMALL)
    finally:
        bench.close()
    assert {cell: (answer, wanted[cell]) for cell, answer in answers.items() if answer != wanted[cell]} == {}


@pytest.mark.kernel
@pytest.mark.parametrize("version", MEASURED)
def test_outcomes_end_calls_on_a_kernel_mount_as_the_table_says(version: str) -> None:
    count, differences = check_outcomes(None, version, [name for name, one in OUTCOMES.items() if not one.waits])
    assert count > 1000
    assert differences == []


def test_the_file_is_what_render_writes() -> None:
    answers = [(version, expected(version)) for version in PROFILES]
    assert render(answers) == outcomes.FILE.read_text("utf-8")
