"""`ossvol explain`: releases of ossfs and of the CSI driver in words.

Pure but for the arguments' check; any thread.
"""

from __future__ import annotations

import dataclasses
import itertools
import json as json_module
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ossvol.errors import UsageError

if TYPE_CHECKING:
    from ossfuse.explanation import Change, Statement

__all__ = ["explain"]


def explain(product: str, versions: Sequence[str], *, json: bool) -> str:
    """The text to print. Raises UsageError for a product or a release that is not known, and for more than two."""
    from osscluster.csi.profile import UnknownCsiVersion
    from ossfuse.profile import UnknownVersion

    if product not in ("ossfs", "csi"):
        raise UsageError(f'nothing is known of "{product}"; ossvol explain ossfs V [V2], or ossvol explain csi V [V2]')
    if not 1 <= len(versions) <= 2:
        raise UsageError("one release to explain, or two to compare")
    asked = [version.removeprefix("v") for version in versions]
    try:
        said, found, names = _explained(asked) if product == "ossfs" else _explained_csi(asked)
    except (UnknownVersion, UnknownCsiVersion) as error:
        raise UsageError(str(error)) from error
    if len(names) == 1:
        if json:
            return _object(**{product: names[0], "statements": [dataclasses.asdict(one) for one in said]})
        return _sections(f"{product} {names[0]}:", [(one.topic, [one.text]) for one in said])
    if json:
        return _object(before=names[0], after=names[1], changes=[dataclasses.asdict(one) for one in found])
    if not found:
        return f"Nothing that is known changed between {product} {names[0]} and {names[1]}.\n"
    width = max(map(len, names))
    lines = [
        (one.topic, [f"{names[0]:{width}}  {one.before}", f"{names[1]:{width}}  {one.after}", ""]) for one in found
    ]
    return _sections(f"From {product} {names[0]} to {names[1]}:", lines)


def _explained_csi(versions: Sequence[str]) -> tuple[list[Statement], list[Change], list[str]]:
    """Likewise of the CSI driver. Raises UnknownCsiVersion."""
    from osscluster.csi.explanation import changes, statements
    from osscluster.csi.profile import find

    rows = [find(version) for version in versions]
    names = [row.name for row in rows]
    return (statements(rows[0]), [], names) if len(rows) == 1 else ([], changes(*rows), names)


def _explained(versions: Sequence[str]) -> tuple[list[Statement], list[Change], list[str]]:
    """What one release does, or the differences between two, of either product. Raises UnknownVersion."""
    from ossfuse import explanation, profile
    from ossfuse.explanation import Change
    from ossfuse.ossfs2 import explanation as explanation2
    from ossfuse.ossfs2 import profile as profile2
    from ossfuse.products import product_of

    for version in versions:
        product_of(version)  # names every release that there is
    first, last = versions[0], versions[-1]
    old = [version for version in versions if version in profile.PROFILES]
    if len(versions) == 1:
        said = explanation.statements(profile.find(first)) if old else explanation2.statements(profile2.find(first))
        return said, [], list(versions)
    if len(old) == 2:
        found = explanation.changes(profile.find(first), profile.find(last))
    elif not old:
        found = explanation2.changes(profile2.find(first), profile2.find(last))
    elif old == [first]:
        found = explanation2.against(profile.find(first), profile2.find(last))
    else:
        back = explanation2.against(profile.find(last), profile2.find(first))
        found = [Change(one.topic, one.field, one.after, one.before) for one in back]
    return [], found, list(versions)


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
