"""Who may do what: every cell of the matrix, on a kernel mount and in process, for both lines of releases."""

from __future__ import annotations

import pytest

from osscluster.engine import make_engine
from ossvol.parity.matrix import OPTIONS, ORIGINS, cells, check_matrix, expected
from ossvol.parity.replay import Bench


def test_the_matrix_has_every_cell_for_every_release_it_names() -> None:
    wanted = set(cells())
    assert len(wanted) > 3000
    assert len(OPTIONS) * len(ORIGINS) == 80
    for version in ("1.80.6", "1.91.1", "1.91.3", "1.91.10"):
        assert expected(version).keys() == wanted


@pytest.mark.parametrize("version", ["1.80.6", "1.91.1", "1.91.3", "1.91.10"])
def test_every_cell_answers_in_process_as_the_real_binary_did(version: str) -> None:
    bench = Bench(make_engine("direct"), version)
    try:
        count, differences = check_matrix(bench, version)
    finally:
        bench.close()
    assert count > 3000
    assert differences == []


@pytest.mark.kernel
@pytest.mark.parametrize("version", ["1.80.6", "1.91.3"])
def test_every_cell_answers_on_a_kernel_mount_as_the_real_binary_did(version: str) -> None:
    bench = Bench(make_engine("kernel"), version)
    try:
        _, differences = check_matrix(bench, version)
    finally:
        bench.close()
    assert differences == []
