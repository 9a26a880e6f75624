"""A failure as a scenario file: what `ossvol run FILE` replays to the same failure.

Written with ruamel.yaml, so that a comment stands where a reader needs it. Called from the main thread.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from ossvol.fuzz.running import Failure

__all__ = ["as_yaml", "save"]


def _plain(value: Any) -> Any:
    """Values as scenario files write them: on one line, texts that YAML would take for something else quoted."""
    if isinstance(value, dict):
        made = CommentedMap({str(key): _plain(one) for key, one in value.items()})
        made.fa.set_flow_style()
        return made
    if isinstance(value, list | tuple):
        listed = CommentedSeq([_plain(one) for one in value])
        listed.fa.set_flow_style()
        return listed
    if isinstance(value, str) and (value == "" or not re.fullmatch(r"[A-Za-z@/._-][\w@/ .=,-]*", value)):
        return DoubleQuotedScalarString(value)
    return value


def as_yaml(failure: Failure, name: str) -> str:
    """name: the scenario's id. Calls of S3, which are no scenario, are a list of steps."""
    yaml = YAML()
    yaml.width = 118
    yaml.indent(mapping=2, sequence=4, offset=2)
    document = CommentedMap()
    if failure.given:
        document["scenario"] = name
        document["title"] = _plain({"en": failure.title()})
        document["given"] = CommentedMap((key, _plain(value)) for key, value in failure.whole_given().items())
    steps = CommentedSeq([_plain(step) for step in failure.steps])
    document["when"] = steps
    document.yaml_set_start_comment(f"Found by ossvol fuzz, seed {failure.seed}: {failure.property}.\n{failure.text}")
    if failure.steps:
        steps.yaml_set_comment_before_after_key(
            len(failure.steps) - 1, before=f"This is what does not hold: {failure.text}", indent=2
        )
    stream = io.StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()


def save(failure: Failure, directory: Path) -> Path:
    """Writes the file, whose name says the property and the seed; one of that name is replaced. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{failure.property}-{failure.seed}.yaml"
    path.write_text(as_yaml(failure, f"fuzz/{failure.property}-{failure.seed}"), encoding="utf-8")
    return path
