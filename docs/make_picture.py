"""Makes docs/run.svg, the README's picture, from a real run of the FAQ scenarios.

Usage: python docs/make_picture.py   (in the virtual environment, as root for kernel mounts)
"""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 128
DOCS = Path(__file__).parent


def terminal_output(command: list[str]) -> str:
    """What `command` prints on a terminal of WIDTH columns, escape sequences included."""
    master, slave = pty.openpty()
    environment = os.environ | {"COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
    process = subprocess.Popen(command, stdout=slave, stderr=subprocess.DEVNULL, env=environment, cwd=DOCS.parent)
    os.close(slave)
    pieces: list[bytes] = []
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # EIO: the last writer has closed the terminal
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(master)
    if process.wait() != 0:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return b"".join(pieces).decode()


def main() -> None:
    command = [sys.executable, "-m", "ossvol", "run", "scenarios/faq"]
    output = terminal_output(command).replace("\r\n", "\n").strip("\n")
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    console.print("[bold green]$[/] ./run faq")
    console.print(Text.from_ansi(output), soft_wrap=True)
    picture = console.export_svg(title="ossvol")
    # An SVG in an <img> may load no fonts from a server. Without theirs, forced text lengths would stretch a line that
    # has Chinese in it until its columns no longer stand below each other.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    picture = re.sub(r' textLength="[^"]*"', "", picture)
    (DOCS / "run.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
