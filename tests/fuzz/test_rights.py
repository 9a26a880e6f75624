"""The model's table of rights against everything that was measured on the real binaries."""

from __future__ import annotations

import errno

from ossvol.fuzz.model import Object, Shape, View
from ossvol.fuzz.rights import USERS, refusals
from ossvol.parity.matrix import ORIGINS, Cell, blocks

_CALLS = {"create-beside": "create"}
_USERS = {user.name: user for user in USERS}


def _meta(text: str) -> dict[str, str]:
    return {} if text == "-" else dict(pair.split("=") for pair in text.split(","))


def _predicted(cell: Cell, version: str) -> tuple[set[str], bool]:
    """The errnos with which the model lets the cell's call fail, and whether it may succeed."""
    view, origin = View.of(cell.options, version, fixed=False), ORIGINS[cell.origin]
    directory = view.over(view.shape("c/", Object(meta=_meta(origin.parent))))
    key = "c/object/" if origin.directory else "c/object"
    shape: Shape = view.over(view.shape(key, Object(b"content", meta=_meta(origin.meta))))
    above = [view.root(), directory] + ([shape] if cell.operation == "create" else [])
    must, may = refusals(view, _USERS[cell.actor], _CALLS.get(cell.operation, cell.operation), above, shape)
    return {errno.errorcode[code] for code in must | may}, not must


def test_every_measured_cell_is_what_the_table_says():
    wrong, asked = [], 0
    for versions, cells in blocks():
        for version in versions:
            for cell, answer in cells.items():
                if cell.operation.startswith("access"):
                    continue
                asked += 1
                names, succeeds = _predicted(cell, version)
                if not (succeeds if answer == "ok" else answer in names):
                    wrong.append((version, cell, answer, names))
    assert asked > 10_000
    assert not wrong, wrong[:5]
