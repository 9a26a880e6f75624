"""The table of releases as Markdown: `python -m ossfuse.reference` prints what docs/ossfs.md holds of it.

For whoever edits `profile`; nothing at run time needs it.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import re
import sys

from ossfuse.profile import PROFILES, Profile

__all__ = ["differences", "main"]

COLUMNS = ("1.80.6", "1.80.7", "1.88", "1.91.1", "1.91.3", "1.91.5", "1.91.6", "1.91.10")
LEFT_OUT = frozenset({"name", "options", "user_agent", "version_text"})
LONGEST = 40  # Texts above this are messages; they are tested word for word and would only stretch the table.


def differences() -> str:
    """One row for every field in which the releases in COLUMNS differ: its name, its values, where it comes from."""
    head = f"| field | {' | '.join(COLUMNS)} | meaning and source |"
    lines = [head, "|---" * (len(COLUMNS) + 2) + "|"]
    comments = _comments()
    for field in dataclasses.fields(Profile):
        values = [_shown(getattr(PROFILES[version], field.name)) for version in COLUMNS]
        if field.name in LEFT_OUT or len(set(values)) == 1 or max(map(len, values)) > LONGEST:
            continue
        lines.append(f"| `{field.name}` | {' | '.join(values)} | {comments.get(field.name, '')} |")
    return "\n".join(lines) + "\n"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, frozenset):
        return ", ".join(sorted(value)) or "-"
    text = str(value).replace("|", "\\|")
    return "-" if text in ("", "None") else text


def _comments() -> dict[str, str]:
    """The comment of each field: at the end of its line, or on the lines above it."""
    found: dict[str, str] = {}
    above: list[str] = []
    name = section = ""
    for line in inspect.getsource(Profile).splitlines():
        text = line.strip()
        if text.startswith("# ---"):
            above = []
            section = source.group(1) if (source := re.search(r"\((source: .*?)\) ---", text)) else ""
        elif text.startswith("#"):
            above.append(text.lstrip("# "))
        elif match := re.match(r"(\w+): [^#]*(?:# (.*))?$", text):
            name = match.group(1)
            found[name] = match.group(2) or " ".join(above) or section
            above = []
        elif name and (trailing := re.search(r"# (.*)$", text)) and found[name] in ("", section):
            found[name] = trailing.group(1)
    return {name: comment.replace("|", "\\|") for name, comment in found.items()}


def main() -> int:
    sys.stdout.write(differences())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
