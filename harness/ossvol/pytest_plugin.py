"""The pytest plugin: scenario files as items, and fixtures for tests of applications on a volume.

Loaded in every pytest run of an environment that has ossvol, so it imports nothing of ours before it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import pytest

if TYPE_CHECKING:
    from osscluster.direct import DirectEngine
    from osscluster.kernel import KernelEngine
    from ossfuse.profile import Fixed
    from ossvol.result import Result
    from ossvol.runner import RunOptions
    from ossvol.scenario import LoadedScenario
    from ossvol.testing import Bucket, OssServer, TestVolume

_NOTICE: pytest.StashKey[str] = pytest.StashKey()
_VIA: pytest.StashKey[Literal["kernel", "direct"]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("ossvol", "OSS volumes")
    group.addoption(
        "--ossvol-via",
        choices=("kernel", "direct"),
        help="real FUSE mounts, or the model without them (default: kernel where it works, otherwise direct)",
    )
    group.addoption("--ossvol-ossfs", metavar="PATH", default="", help="a real ossfs binary instead of the simulation")
    group.addoption("--ossvol-version", metavar="V", default="", help="ossfs release to simulate")
    group.addoption("--ossvol-fixed", action="store_true", help="leave out the defects of the simulated release")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "faq(id): the test shows this cause of the vendor's FAQ on OSS volumes")
    config.addinivalue_line("markers", "kernel: the test needs a real FUSE mount")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("kernel") is not None:
        if item.config.getoption("ossvol_via") == "direct":
            pytest.skip("needs a kernel mount: run without --ossvol-via direct")
        from osscluster.engine import kernel_unavailable

        missing = kernel_unavailable()
        if missing is not None:
            pytest.skip(f"needs a kernel mount: {missing.reason}; fix: {missing.remedy}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    notice = config.stash.get(_NOTICE, "")
    if notice:
        terminalreporter.write_line(notice)


def _run_options(config: pytest.Config) -> RunOptions:
    """Raises pytest.UsageError where --ossvol-via kernel is impossible."""
    from osscluster.engine import kernel_unavailable
    from ossvol.runner import RunOptions

    ossfs = str(config.getoption("ossvol_ossfs"))
    via = config.stash.get(_VIA, None)
    if via is None:
        wanted = config.getoption("ossvol_via")
        if wanted == "direct" and ossfs:
            raise pytest.UsageError("--ossvol-ossfs runs a real binary, which needs --ossvol-via kernel")
        missing = None if wanted == "direct" else kernel_unavailable()
        if missing is not None and (wanted == "kernel" or ossfs):
            raise pytest.UsageError(f"--ossvol-via kernel: {missing.reason}; fix: {missing.remedy}")
        via = "direct" if wanted == "direct" or missing is not None else "kernel"
        if missing is not None:
            config.stash[_NOTICE] = (
                f"ossvol: no kernel mounts here: {missing.reason}; fix: {missing.remedy}. Ran direct."
            )
        config.stash[_VIA] = via
    fixed = bool(config.getoption("ossvol_fixed"))
    if fixed and ossfs:
        raise pytest.UsageError("--ossvol-fixed is about the simulated ossfs; a real binary has its own defects")
    return RunOptions(via, ossfs, "" if ossfs else str(config.getoption("ossvol_version")), fixed)


# --- scenario files as items ----------------------------------------------------------------------------------------


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ScenarioFile | None:
    if file_path.suffix not in (".yaml", ".yml"):
        return None
    if "scenarios" not in file_path.parent.parts:
        from ossvol.discovery import looks_like_scenario

        if not looks_like_scenario(file_path):
            return None
    return ScenarioFile.from_parent(parent, path=file_path)


class ScenarioFile(pytest.File):
    """One scenario file."""

    def collect(self) -> Iterator[ScenarioItem]:
        from ossvol.errors import ScenarioErrors
        from ossvol.scenario import load

        try:
            shown = self.path.relative_to(self.config.invocation_params.dir)
        except ValueError:
            shown = self.path
        try:
            loaded = load(shown if shown.exists() else self.path)
        except ScenarioErrors as errors:
            raise self.CollectError(str(errors)) from errors
        yield ScenarioItem.from_parent(self, name=loaded.id, loaded=loaded)


class ScenarioFailed(Exception):
    """The scenario did not show what its file says; the text has every failure in full."""


class ScenarioItem(pytest.Item):
    """One scenario: passes when symptom, remedies and controls are as the file says."""

    def __init__(self, *, loaded: LoadedScenario, **kwargs: object) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]  # pytest passes name, parent and what it needs itself
        self.loaded = loaded
        if cause := loaded.scenario.cause_id:
            self.add_marker(pytest.mark.faq(id=cause))  # by keyword: -m "faq(id='...')" selects it
        if loaded.scenario.via == ["kernel"]:
            self.add_marker(pytest.mark.kernel)

    def runtest(self) -> None:
        from ossvol.runner import Runner

        with Runner(_run_options(self.config)) as runner:
            _judge(runner.run(self.loaded))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
        if isinstance(excinfo.value, ScenarioFailed):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, self.name


def _judge(result: Result) -> Result:
    """Skips or fails the running test as the result says."""
    from ossvol.result import Status

    if result.status is Status.SKIPPED:
        pytest.skip(result.reason)
    if result.failures or result.error:
        texts = [failure.text() for failure in result.failures]
        raise ScenarioFailed("\n\n".join([*texts, *([result.error] if result.error else [])]))
    return result


# --- fixtures -------------------------------------------------------------------------------------------------------


class VolumeFactory(Protocol):
    """What the fixture `oss_volume` is."""

    def __call__(
        self,
        options: str = "-o allow_other",
        *,
        version: str = "",
        path: str = "/",
        uid: int | None = None,
        gid: int | None = None,
        mime_types: str | None = None,
        fixed: Fixed | None = None,
    ) -> TestVolume: ...


@pytest.fixture
def _ossvol_engine(request: pytest.FixtureRequest) -> Iterator[KernelEngine | DirectEngine]:
    from osscluster.engine import make_engine

    options = _run_options(request.config)
    engine = make_engine(options.via, ossfs=options.ossfs or None)
    try:
        yield engine
    finally:
        engine.close()


@pytest.fixture
def oss_server(_ossvol_engine: KernelEngine | DirectEngine) -> Iterator[OssServer]:
    """A fake OSS: endpoint, access_key_id, access_key_secret for any SDK; admin for the server's own view."""
    from ossvol.testing import OssServer

    engine = _ossvol_engine
    server = OssServer(engine.cloud, engine.advance, over_http=engine.name == "kernel")
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def oss_bucket(oss_server: OssServer) -> Bucket:
    """An empty bucket, seen from the server: keys(), object(key), read(key), put(), delete(), requests()."""
    from ossvol.testing import Bucket

    oss_server.admin.create_bucket("test-bucket")
    return Bucket(oss_server._cloud, "test-bucket")


@pytest.fixture
def oss_volume(
    request: pytest.FixtureRequest, _ossvol_engine: KernelEngine | DirectEngine, oss_bucket: Bucket
) -> VolumeFactory:
    """Mounts `oss_bucket`: oss_volume(options="-o allow_other", version=..., path="/dir", uid=..., gid=...) gives an
    object with path, bucket, container(uid=, gid=), remount(), unmount(), kill(). fixed=True leaves out the defects of
    the release, fixed=("zero-fill",) some of them. Unmounted when the test ends."""
    options_wanted = _run_options(request.config)

    def make(
        options: str = "-o allow_other",
        *,
        version: str = "",
        path: str = "/",
        uid: int | None = None,
        gid: int | None = None,
        mime_types: str | None = None,
        fixed: Fixed | None = None,
    ) -> TestVolume:
        from osscluster.volume import VolumeSpec
        from ossvol.testing import TestVolume

        words = [options]
        words += [f"-o uid={uid}"] if uid is not None else []
        words += [f"-o gid={gid}"] if gid is not None else []
        spec = VolumeSpec(
            bucket=oss_bucket.name,
            path=path,
            options=" ".join(words),
            version=version or options_wanted.ossfs_version,
            mime_types=mime_types,
            fixed=options_wanted.fixed if fixed is None else fixed,
        )
        return TestVolume(_ossvol_engine, spec, oss_bucket)

    return make


@pytest.fixture
def scenario(request: pytest.FixtureRequest) -> Callable[[str], Result]:
    """Runs a scenario by id, prefix or file: scenario("permission/mount-root"); fails the test unless it passes."""

    def run(name: str) -> Result:
        from ossvol.discovery import select
        from ossvol.errors import ScenarioErrors, UsageError
        from ossvol.runner import Runner

        try:
            found = select([name])
        except (ScenarioErrors, UsageError) as error:
            raise pytest.UsageError(str(error)) from error
        if len(found) != 1:
            raise pytest.UsageError(f'"{name}" means {len(found)} scenarios: {", ".join(one.id for one in found)}')
        with Runner(_run_options(request.config)) as runner:
            return _judge(runner.run(found[0]))

    return run
