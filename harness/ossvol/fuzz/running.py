"""Runs a machine: `run`, from a seed to a `FuzzResult`. Called from the main thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity
from hypothesis.database import ExampleDatabase
from hypothesis.errors import Flaky
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from ossvol.fuzz.attribution import Attribution
from ossvol.fuzz.drawing import BACKEND
from ossvol.fuzz.laboratory import Laboratory
from ossvol.fuzz.machine import VolumeMachine
from ossvol.fuzz.plan import Plan, Tally
from ossvol.fuzz.programs import ProgramMachine
from ossvol.fuzz.properties import PROPERTIES
from ossvol.fuzz.shrinking import Example, shrunk
from ossvol.fuzz.violation import Violation
from ossvol.fuzz.world import World

__all__ = ["Failure", "FuzzResult", "broken_by", "laboratory_for", "run", "settings_for"]

_GENERATE = (Phase.reuse, Phase.generate)


@dataclass(frozen=True, slots=True)
class Failure:
    """A property that did not hold. steps: the smallest sequence found, in the scenario language, the last one with the
    expectation that it breaks; given: what they start from; text: what was seen instead; replays: whether
    the last step can show it."""

    property: str
    text: str
    seed: int
    given: dict[str, Any]
    steps: tuple[dict[str, Any], ...]
    version: str = ""
    fixed: bool = True
    replays: bool = True

    def title(self) -> str:
        """One line."""
        return f"{PROPERTIES[self.property]} It does not hold"

    def whole_given(self) -> dict[str, Any]:
        """With the release, which a run is told on its command line."""
        volumes = {
            name: {"version": self.version, **({"fixed": True} if self.fixed else {}), **volume}
            for name, volume in self.given["volumes"].items()
        }
        return {**self.given, "volumes": volumes}


@dataclass(slots=True)
class FuzzResult:
    """failures: at most one of a run; seconds: wall time; tally: of everything that was run, shrinking included."""

    plan: Plan
    seed: int
    failures: list[Failure] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    seconds: float = 0.0

    @property
    def steps(self) -> int:
        """Calls made."""
        return self.tally.steps

    @property
    def shrunk_steps(self) -> int:
        """Of the failure, 0 without one."""
        return len(self.failures[0].steps) if self.failures else 0


def run(
    via: Plan | str = "direct",
    seed: int = 0,
    max_steps: int = 2000,
    *,
    steps: int = 40,
    examples: int = 0,
    machine: type[VolumeMachine] | None = None,
    database: ExampleDatabase | None = None,
    laboratory: Laboratory | None = None,
    shrink: bool = True,
    progress: Callable[[int, int, float], None] | None = None,
) -> FuzzResult:
    """Runs a machine until a property breaks or about `max_steps` steps are done; a failure is shrunk, by
    Hypothesis where an application's own invariant is broken and by `shrinking` otherwise.

    via: an engine's name, or a whole plan. steps: of one example; examples: how many, instead of `max_steps`. machine:
    by default the plan's own. The same seed gives the same steps on every machine. laboratory: one to use again; it
    stays open. progress: told of examples, steps and seconds so far after each example. Raises EnvironmentMissing.
    """
    plan = via if isinstance(via, Plan) else Plan(via="kernel" if via == "kernel" else "direct")
    result = FuzzResult(plan, seed)
    started = time.perf_counter()
    if progress is not None:
        result.tally.told = lambda tally: progress(tally.examples, tally.steps, time.perf_counter() - started)
    mine = laboratory or laboratory_for(plan)
    wanted = machine or _machine(plan)
    inherited = {"laboratory": mine, "plan": plan, "tally": result.tally}
    made: type[VolumeMachine] = type(wanted.__name__, (wanted,), inherited)
    hypothesis.seed(seed)(made)
    many = examples or max(1, -(-max_steps // steps))
    settings = settings_for(steps=steps, examples=many, database=database)
    try:
        broken = broken_by(made, settings)
        if broken is not None and shrink and not broken.once:
            # Where only the machine can judge, or the same calls do not show it, Hypothesis has to do it.
            broken = _smaller(broken, mine, result.tally, explain=plan.explain) or broken_by(
                made, hypothesis.settings(settings, phases=(*_GENERATE, Phase.shrink))
            )
        if broken is not None:
            given, shown = dict(broken.given), tuple(dict(step) for step in broken.steps)
            fixed = plan.fixed and not plan.ossfs
            replays = broken.step is not None
            result.failures.append(
                Failure(broken.property, broken.text, seed, given, shown, plan.version, fixed, replays)
            )
    finally:
        result.seconds = time.perf_counter() - started
        if laboratory is None:
            mine.close()
    return result


def settings_for(*, steps: int, examples: int, database: ExampleDatabase | None) -> hypothesis.settings:
    """Of a run that does not shrink. steps: of one example."""
    return hypothesis.settings(
        max_examples=examples,
        stateful_step_count=steps,
        database=database,
        deadline=None,
        phases=_GENERATE,
        report_multiple_bugs=False,
        backend=BACKEND,
        print_blob=False,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )


def laboratory_for(plan: Plan) -> Laboratory:
    """Raises EnvironmentMissing."""
    if not plan.against:
        return Laboratory(plan.via, ossfs=plan.ossfs)
    from ossvol.fuzz.sides import Sides

    return Sides(plan.against, plan.via)


def _machine(plan: Plan) -> type[VolumeMachine]:
    if not plan.against:
        return ProgramMachine if plan.explain else VolumeMachine
    from ossvol.fuzz.differential import machine_for

    return machine_for(plan.version, remembering=plan.against in ("direct", "kernel"))


def broken_by(machine: type[RuleBasedStateMachine], settings: hypothesis.settings) -> Violation | None:
    """The first violation of a run."""
    try:
        run_state_machine_as_test(machine, settings=settings)
    except Violation as broken:
        return broken
    except Flaky as shaky:
        # With real mounts what was found may not show again; it was found all the same.
        once = _found(shaky)
        once.text += " (once; the same steps did not show it again)"
        once.once = True
        return once
    return None


def _found(shaky: Flaky) -> Violation:
    """The violation that Hypothesis could not repeat. Raises `shaky` where it is about something else."""
    for inside in (*getattr(shaky, "exceptions", ()), shaky.__cause__, shaky.__context__):
        if isinstance(inside, Violation):
            return inside
    raise shaky


def _smaller(broken: Violation, laboratory: Laboratory, tally: Tally, *, explain: bool) -> Violation | None:
    """None for what only the machine can judge, and for what does not happen again. explain: what a listed defect
    explains is not what is looked for."""
    if broken.world is None or broken.property == "application-invariant":
        return None

    def spent(steps: int) -> None:
        tally.steps += steps

    def unlisted(example: Example) -> bool:
        return not (explain and Attribution(laboratory, example, broken).defects(thorough=False))

    example = Example.of(broken.world)
    example = replace(example, made_by=World) if explain else example
    small = shrunk(laboratory, example, broken, spent=spent, accepts=unlisted)
    if small is not None and explain:
        small.text += broken.text[broken.text.rfind(" [") :]
    return small
