"""What a terminal of any width shows."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from ossvol.report import terminal
from ossvol.result import Result, Status, Summary

RESULT = Result(
    id="mount-fail/directory-missing",
    title="",
    faq="檔案目錄掛載後,顯示為檔案對象 / 原因1",
    cause="",
    file="f.yaml",
    status=Status.FAILED,
    via="kernel",
    ossfs="1.91.10",
    seconds=1.234,
    symptom=Status.PASSED,
    remedy=Status.SKIPPED,
    control=None,
    error="Traceback: it broke [red]\n",
)


def shown(width: int, monkeypatch: pytest.MonkeyPatch) -> str:
    out = io.StringIO()
    monkeypatch.setattr(terminal, "console", lambda file=None: Console(file=out, width=width))
    terminal.print_results([RESULT], Summary(0, 1, 0, 2.0), out)
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 119, 120, 200])
def test_no_column_is_squeezed_away(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(width, monkeypatch)
    for word in ("mount-fail/directory-missing", "1.23 s", "1.91.10", "not run", "error", "原因1", "control", "holds"):
        assert word in text
    assert "it broke [red]" in text, "what others wrote is not markup"
    assert text.endswith("0 passed, 1 failed in 2.0 s\n")
