"""Feeds one target to atheris, which keeps what reaches new code: python -m tests.fuzz.parsers.with_atheris TARGET

TARGET: FILE::TEST as pytest has it ("test_signatures.py::test_what_is_signed_is_who_signed_it"); without one the
targets are listed. Whatever follows goes to libFuzzer: a directory for the corpus, -max_total_time=600, -runs=10000,
and the file of a crash to run it again. Needs `pip install atheris`.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

__all__ = ["main", "targets"]

HERE = Path(__file__).parent
INSTRUMENTED = ("osscloud", "osscluster", "ossfuse", "ossvol")


def targets() -> Iterator[tuple[str, Callable[..., Any]]]:
    """FILE::TEST and the test of every target."""
    for file in sorted(HERE.glob("test_*.py")):
        module = importlib.import_module(f"tests.fuzz.parsers.{file.stem}")
        for name, test in vars(module).items():
            if name.startswith("test_") and hasattr(test, "hypothesis") and test.__module__ == module.__name__:
                yield f"{file.name}::{name}", test


def main(argv: list[str]) -> int:
    """The exit code: 2 for an unknown target. libFuzzer ends the process by itself."""
    try:
        import atheris
    except ImportError:
        print("atheris is not installed: pip install atheris", file=sys.stderr)
        return 2
    with atheris.instrument_imports(include=list(INSTRUMENTED)):
        known = dict(targets())
    if len(argv) < 2:
        print("\n".join(known))
        return 0
    test = known.get(argv[1])
    if test is None:
        print(f"no target {argv[1]}; without arguments they are listed", file=sys.stderr)
        return 2
    fuzz: Callable[[bytes], object] = test.hypothesis.fuzz_one_input  # type: ignore[attr-defined]
    atheris.Setup([argv[0], *argv[2:]], fuzz)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
