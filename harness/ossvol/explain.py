"""`ossvol explain`: releases of ossfs in words.

Pure but for the arguments' check; any thread.
"""

from __future__ import annotations

import dataclasses
import itertools
import json as json_module
from collections.abc import Sequence

from ossvol.errors import UsageError

__all__ = ["explain"]


def explain(product: str, versions: Sequence[str], *, json: bool) -> str:
    """The text to print. Raises UsageError for a product or a release that is not known, and for more than two."""
    from ossfuse.explanation import changes, statements
    from ossfuse.profile import UnknownVersion, find

    if product != "ossfs":
        raise UsageError(f'nothing is known of "{product}"; ossvol explain ossfs V, or ossvol explain ossfs V V2')
    if not 1 <= len(versions) <= 2:
        raise UsageError("one release to explain, or two to compare")
    try:
        profiles = [find(version) for version in versions]
    except UnknownVersion as error:
        raise UsageError(str(error)) from error
    names = [profile.name for profile in profiles]
    if len(profiles) == 1:
        said = statements(profiles[0])
        if json:
            return _object(ossfs=names[0], statements=[dataclasses.asdict(one) for one in said])
        return _sections(f"ossfs {names[0]}:", [(one.topic, [one.text]) for one in said])
    found = changes(*profiles)
    if json:
        return _object(before=names[0], after=names[1], changes=[dataclasses.asdict(one) for one in found])
    if not found:
        return f"Nothing that is known changed between ossfs {names[0]} and {names[1]}.\n"
    width = max(map(len, names))
    lines = [
        (one.topic, [f"{names[0]:{width}}  {one.before}", f"{names[1]:{width}}  {one.after}", ""]) for one in found
    ]
    return _sections(f"From ossfs {names[0]} to {names[1]}:", lines)


def _object(**values: object) -> str:
    return json_module.dumps({"version": 1, **values}, ensure_ascii=False) + "\n"


def _sections(title: str, said: Sequence[tuple[str, list[str]]]) -> str:
    blocks = [title]
    for topic, entries in itertools.groupby(said, key=lambda one: one[0]):
        lines = [line for _, texts in entries for line in texts]
        while not lines[-1]:
            lines.pop()
        blocks.append("\n".join([topic, *(f"  {line}".rstrip() for line in lines)]))
    return "\n\n".join(blocks) + "\n"
