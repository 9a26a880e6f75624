"""Scenarios about RRSA where the library for tokens is not installed."""

from __future__ import annotations

import subprocess
import sys

_WITHOUT = """
import sys
sys.modules["jwt"] = None
sys.argv = ["ossvol", "run", "--via", "direct", "rrsa/role-name"]
from ossvol.cli import main
main()
"""


def test_without_pyjwt_they_are_skipped_and_say_what_to_install() -> None:
    done = subprocess.run([sys.executable, "-c", _WITHOUT], capture_output=True, text=True, check=False)
    assert done.returncode == 5, done.stderr
    assert "pip install 'ossvol[rrsa]'" in done.stdout
