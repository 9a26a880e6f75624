"""The ledger: which scenarios prove which cause of the FAQ, on what evidence, and when they last did.

    python -m ossvol.ledger                        writes docs/ledger.md
    python -m ossvol.ledger RESULTS.json ...       first records what `ossvol run --json` printed, of passed scenarios
    ... --real RESULTS.json ...                    ... and what it printed with --ossfs, of a real binary

`proven.yaml` holds what was recorded: a digest of the file and dates by engine. A file that has changed since is stale.
Pure functions but for `main`; any thread.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ossvol.causes import causes
from ossvol.config import own_scenarios

if TYPE_CHECKING:
    from ossvol.scenario import LoadedScenario

__all__ = ["Proof", "complaints", "main", "page", "proofs"]

_PAGE = """\
# The ledger

Every cause of the vendor's FAQ, the scenarios that prove it, and when they last did: each date is that of a run in
which symptom, remedies and controls were as the file says. `ossvol run CAUSE` runs them. This page is made from the
scenarios and from `ossvol/proven.yaml` by `python -m ossvol.ledger`; the suite fails when it is out of date, when a
cause has no scenario, a scenario no control though one is known, or a file has changed since it was proven.
"""


@dataclass(frozen=True, slots=True)
class Proof:
    """digest: of the scenario's file; dates: engine ("direct", "kernel", "ossfs 1.91.10") to ISO date."""

    digest: str
    dates: Mapping[str, str] = field(default_factory=dict)


def proofs() -> dict[str, Proof]:
    """What is recorded, by scenario id."""
    text = resources.files("ossvol").joinpath("proven.yaml").read_text(encoding="utf-8")
    return {name: Proof(**entry) for name, entry in (yaml.load(text, Loader=yaml.CSafeLoader) or {}).items()}


def digest(file: Path) -> str:
    """Of a scenario as it is now; white space at the ends of lines does not count."""
    lines = (line.rstrip() for line in file.read_text(encoding="utf-8").splitlines())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def complaints(scenarios: Sequence[LoadedScenario], known: Mapping[str, Proof]) -> Iterator[str]:
    """Everything that is red."""
    by_cause = _by_cause(scenarios)
    for cause in causes().values():
        files = by_cause.get(cause.id, [])
        if not files:
            yield f"{cause.id}: no scenario"
        elif cause.control and not any(one.scenario.control for one in files):
            yield f"{cause.id}: no scenario has a control"
    for one in (one for files in by_cause.values() for one in files):
        proof = known.get(one.id)
        if not one.scenario.evidence:
            yield f"{one.id}: no evidence"
        if proof is None:
            yield f"{one.id}: never proven"
        elif proof.digest != digest(Path(one.file)):
            yield f"{one.id}: {one.file} has changed since it was proven"
        else:
            for via in one.scenario.via or ("direct", "kernel"):
                if via not in proof.dates:
                    yield f"{one.id}: never proven via {via}"
    for name in known.keys() - {one.id for one in scenarios}:
        yield f"{name}: recorded as proven, and no scenario has this id"


def page(scenarios: Sequence[LoadedScenario], known: Mapping[str, Proof]) -> str:
    """docs/ledger.md."""
    by_cause = _by_cause(scenarios)
    lines = [_PAGE]
    section = ""
    for cause in causes().values():
        family = cause.id.split("/")[0]
        if family != section:
            section = family
            lines += ["", f"## {family}", ""]
            lines += ["| cause | scenario | versions | control | proven | evidence |", "|---|---|---|---|---|---|"]
        for one in by_cause.get(cause.id, []):
            lines.append(_row(cause.id, cause.section, one, known.get(one.id)))
    return "\n".join(lines) + "\n"


def _row(cause: str, section: str, one: LoadedScenario, proof: Proof | None) -> str:
    scenario = one.scenario
    told = [f"FAQ {section}"]
    for entry in scenario.evidence:
        told.append(f"measured: {entry.measured}" if entry.measured else str(entry.source))
    dates = ", ".join(f"{via} {date}" for via, date in (proof.dates if proof else {}).items()) or "never"
    control = "yes" if scenario.control else "none known"
    link = f"[{one.id}](../scenarios/{_below(one.file)})"
    cells = (cause, link, _versions(one), control, dates, "; ".join(told))
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ").strip() for cell in cells) + " |"


def _versions(one: LoadedScenario) -> str:
    versions, given = one.scenario.versions, one.scenario.given
    parts = []
    if versions is not None and versions.ossfs:
        parts.append(f"ossfs {versions.ossfs}")
    if versions is not None and versions.csi:
        parts.append(f"CSI {', '.join(versions.csi)}")
    elif given.cluster is not None or given.manifests is not None:
        parts.append(f"CSI {given.cluster.csi if given.cluster is not None else '1.30.4'}")
    return ", ".join(parts) or "all"


def _below(file: str) -> str:
    parts = Path(file).parts
    return "/".join(parts[len(parts) - parts[::-1].index("scenarios") :])


def _by_cause(scenarios: Sequence[LoadedScenario]) -> dict[str, list[LoadedScenario]]:
    found: dict[str, list[LoadedScenario]] = {}
    for one in scenarios:
        if one.scenario.cause_id:
            found.setdefault(one.scenario.cause_id, []).append(one)
    return found


def record(
    known: Mapping[str, Proof], results: Sequence[Mapping[str, Any]], today: str, *, real: bool = False
) -> dict[str, Proof]:
    """What is known after a run. results: those of `ossvol run --json`; real: it had --ossfs."""
    after = dict(known)
    for result in results:
        if result["status"] != "passed":
            continue
        now = digest(Path(result["file"]))
        old = after.get(result["id"])
        dates = dict(old.dates) if old is not None and old.digest == now else {}
        engine = f"ossfs {result['ossfs']}" if real else result["via"]
        after[result["id"]] = Proof(now, dict(sorted({**dates, engine: today}.items())))
    return dict(sorted(after.items()))


def main(arguments: Sequence[str]) -> None:
    """Records the results in the files named, then writes the page."""
    from ossvol.discovery import find_files
    from ossvol.scenario import load_all

    scenarios = load_all(find_files(own_scenarios()))
    known = proofs()
    today = datetime.now(UTC).date().isoformat()
    real = False
    for name in arguments:
        if name == "--real":
            real = True
            continue
        known = record(known, json.loads(Path(name).read_text(encoding="utf-8"))["results"], today, real=real)
    faq = {one.id for one in scenarios if one.scenario.cause_id}
    known = {name: proof for name, proof in known.items() if name in faq}
    if arguments:
        data = {name: {"digest": proof.digest, "dates": dict(proof.dates)} for name, proof in known.items()}
        text = yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=120)
        Path(__file__).with_name("proven.yaml").write_text(text, encoding="utf-8")
    root = Path(__file__).parents[2]
    (root / "docs" / "ledger.md").write_text(page(scenarios, known), encoding="utf-8")
    for complaint in complaints(scenarios, known):
        print(complaint, file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
