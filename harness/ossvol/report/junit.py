"""Results as JUnit XML, the form that CI systems read.

Source of the form: the JUnit schema of the Apache Ant JUnitReport task. Writes one file; any thread.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from ossvol.result import Result, Status, Summary

__all__ = ["render", "write"]

# Characters that XML 1.0 cannot carry, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(results: Sequence[Result], summary: Summary) -> bytes:
    """One suite, one case a scenario; UTF-8 with declaration."""
    suites = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(
        suites,
        "testsuite",
        name="ossvol",
        tests=str(len(results)),
        failures=str(sum(bool(result.failures) for result in results)),
        errors=str(sum(bool(result.error) and not result.failures for result in results)),
        skipped=str(summary.skipped),
        time=f"{summary.seconds:.3f}",
    )
    for result in results:
        family, _, name = result.id.rpartition("/")
        case = ElementTree.SubElement(
            suite, "testcase", classname=f"{result.via}.{family or 'scenario'}", name=name, time=f"{result.seconds:.3f}"
        )
        if result.status is Status.SKIPPED:
            ElementTree.SubElement(case, "skipped", message=_clean(result.reason))
        elif result.failures:
            first = result.failures[0]
            message = _clean(f"expected {first.expected}, seen {first.seen}")
            failure = ElementTree.SubElement(case, "failure", message=message)
            failure.text = _clean("\n\n".join(each.text() for each in result.failures))
        elif result.error:
            error = ElementTree.SubElement(case, "error", message=_clean(result.error.strip().rpartition("\n")[2]))
            error.text = _clean(result.error)
    ElementTree.indent(suites)
    document: bytes = ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def write(path: Path, results: Sequence[Result], summary: Summary) -> None:
    """Writes the whole file or leaves what was there. Raises OSError."""
    data = render(results, summary)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
