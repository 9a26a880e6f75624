"""Results for people: a progress bar while it runs (on a terminal only), then a table, then every failure in full.

Imports rich, so commands import it late. Used from the main thread.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from ossvol.config import colour_wanted, in_ci
from ossvol.result import Phase, PhaseStatus, Result, Status, Summary

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

__all__ = ["ProgressBar", "print_results", "summary_line"]

_NARROW = 120  # columns
_PIPE_WIDTH = 200  # where nobody's window limits it; a line is cut nowhere that a grep could miss it


def console(file: TextIO | None = None) -> Console:
    from rich.console import Console

    out = file or sys.stdout
    return Console(
        file=out,
        no_color=not colour_wanted(),
        highlight=False,
        soft_wrap=False,
        width=None if out.isatty() else _PIPE_WIDTH,
    )


class ProgressBar:
    """One line on stderr that shows what runs and how much is left; nothing where stderr is no terminal, or in CI."""

    def __init__(self, total: int, *, wanted: bool = True) -> None:
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        if not wanted or in_ci() or not sys.stderr.isatty():
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console(sys.stderr),
            transient=True,
        )
        self._task = self._progress.add_task("starting", total=total)

    def __enter__(self) -> ProgressBar:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def running(self, name: str) -> None:
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, description=name)

    def done(self) -> None:
        if self._progress is not None and self._task is not None:
            self._progress.advance(self._task)


def _mark(status: PhaseStatus) -> str:
    match status:
        case Status.PASSED:
            return "[green]yes[/]"
        case Status.FAILED:
            return "[bold red]NO[/]"
        case Status.SKIPPED:
            return "[yellow]not run[/]"
    return "[dim]-[/]"


def print_results(results: Sequence[Result], summary: Summary, file: TextIO | None = None) -> None:
    """The table, then failures, skips with their reasons, and the summary line."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    out = console(file)
    # In a narrow window the FAQ's section stands below the cause: squeezed into a column nobody could read it.
    narrow = out.width < _NARROW
    gap = "\n" if narrow else " "
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("cause", overflow="fold")
    for name in (f"symptom{gap}seen", f"remedy{gap}works", f"control{gap}holds"):
        table.add_column(name, no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("ossfs", no_wrap=True)
    if not narrow:
        table.add_column("FAQ", overflow="fold")
    for result in results:
        row = [_mark(result.phase(phase)) for phase in Phase]
        if result.status is Status.SKIPPED:
            row = ["[yellow]skipped[/]", "", ""]
        elif result.error:
            row[0] = "[bold red]error[/]"
        row += [f"{result.seconds:.2f} s", escape(result.ossfs)]
        faq = escape(result.faq)
        if narrow:
            table.add_row(escape(result.id) + (f"\n[dim]{faq}[/]" if faq else ""), *row)
        else:
            table.add_row(escape(result.id), *row, faq or "-")
    out.print(table)
    for result in results:
        for failure in result.failures:
            out.print(f"[bold red]FAILED[/] [bold]{escape(result.id)}[/]")
            _plain(out, failure.text() + "\n")
        if result.error:
            out.print(f"[bold red]ERROR[/] [bold]{escape(result.id)}[/] (a defect of ossvol, not of the scenario)")
            _plain(out, result.error)
    for result in results:
        if result.reason:
            word = "skipped" if result.status is Status.SKIPPED else "not run"
            _plain(out, f"{word}: {result.id}: {result.reason}")
    _plain(out, summary_line(summary))


def _plain(out: Console, text: str) -> None:
    """Text as it is: no markup, no wrapping, so that paths and commands can be copied."""
    out.print(text, markup=False, soft_wrap=True)


def summary_line(summary: Summary) -> str:
    """ "14 passed, 1 skipped in 3.2 s" """
    parts = [f"{summary.passed} passed"]
    if summary.failed:
        parts.append(f"{summary.failed} failed")
    if summary.skipped:
        parts.append(f"{summary.skipped} skipped")
    return f"{', '.join(parts)} in {summary.seconds:.1f} s"
