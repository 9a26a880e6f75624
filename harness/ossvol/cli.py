"""The `ossvol` command.

Only the command line: each command imports what it needs when it runs, so that `--help` and mistakes answer at once.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from ossvol.exit_codes import ExitCode

__all__ = ["app", "main"]

app = typer.Typer(
    name="ossvol",
    help="A laboratory for OSS volumes: replays the vendor's volume FAQ on a faithful ossfs over a fake OSS cloud.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class Via(StrEnum):
    """kernel: real FUSE mounts and processes; direct: in this process, needs nothing."""

    kernel = "kernel"
    direct = "direct"


Without = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Leave out this defect (docs/ossfs.md) of the simulated release; repeatable."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")]


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        print(f"ossvol {installed('ossvol')}")
        raise typer.Exit(ExitCode.OK)


@app.command()
def run(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="ID|PREFIX|FILE|DIR", help="What to run; all when left out.")
    ] = None,
    *,
    via: Annotated[Via | None, typer.Option(help="Default: kernel where it works, otherwise direct.")] = None,
    ossfs: Annotated[str, typer.Option(metavar="PATH", help="A real ossfs binary instead of the simulated one.")] = "",
    ossfs_version: Annotated[
        str, typer.Option(metavar="V", help="Simulated release; default: what each scenario asks for.")
    ] = "",
    fixed: Annotated[bool, typer.Option("--fixed", help="Leave out the defects of the simulated release.")] = False,
    without: Without = None,
    csi: Annotated[str, typer.Option(metavar="V", help="CSI driver; default: what each scenario asks for.")] = "",
    workers: Annotated[int, typer.Option("-n", min=1, metavar="N", help="Worker processes.")] = 1,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML.")] = None,
    json: Json = False,
    shard: Annotated[str, typer.Option(metavar="I/N", help="Only the I-th of N parts.")] = "",
) -> None:
    """Run scenarios.

    Exit codes: 0 all passed, 1 some failed, 2 usage or file error, 3 internal error, 4 environment missing, 5 nothing
    ran.
    """
    from ossvol import run_command

    with _errors():
        code = run_command.run(
            names or [],
            via=_via(via),
            ossfs=ossfs,
            ossfs_version=ossfs_version,
            fixed=fixed or tuple(without or ()),
            csi=csi,
            workers=workers,
            junit=junit,
            json=json,
            shard=shard,
        )
        sys.stdout.flush()
    raise typer.Exit(code)


def _via(via: Via | None) -> Literal["kernel", "direct"] | None:
    return None if via is None else "kernel" if via is Via.kernel else "direct"


@app.command()
def repro(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Kubernetes manifests.")],
    *,
    given: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What is in the bucket: a list of objects, or all of `given`.")
    ] = None,
    snapshot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What is in the buckets: a file of `ossvol snapshot save`.")
    ] = None,
    via: Annotated[Via | None, typer.Option(help="Default: kernel where it works, otherwise direct.")] = None,
    ossfs: Annotated[str, typer.Option(metavar="PATH", help="A real ossfs binary instead of the simulated one.")] = "",
    csi: Annotated[str, typer.Option(metavar="V", help="CSI driver.")] = "",
    kubernetes: Annotated[str, typer.Option(metavar="V", help="Kubernetes release.")] = "",
    json: Json = False,
) -> None:
    """Apply a user's manifests and show what he would see: Pods, events, mounts, what each container can do.

    Exit codes: 0 everything works, 1 something does not, 2 usage or file error, 3 internal error, 4 environment
    missing.
    """
    from ossvol.repro import reproduce
    from ossvol.run_command import choose_via, known_csi

    with _errors():
        report = reproduce(
            files,
            given=given,
            via=choose_via(_via(via), ossfs=ossfs),
            csi=known_csi(csi),
            kubernetes=kubernetes,
            ossfs=ossfs,
            snapshot=snapshot,
        )
        print(report.as_json() if json else report.as_text(), flush=True)
    raise typer.Exit(ExitCode.OK if report.well else ExitCode.FAILURES)


@app.command()
def parity(
    *,
    ossfs: Annotated[str, typer.Option(metavar="PATH", help="The real ossfs binary.")],
    ossfs_version: Annotated[
        str, typer.Option(metavar="V", help="Release to simulate; default: what the binary says it is.")
    ] = "",
    sequences: Annotated[int, typer.Option(min=0, metavar="N", help="How many random sequences.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, metavar="S", help="Seed of the first sequence.")] = 0,
    steps: Annotated[int, typer.Option(min=1, metavar="N", help="Steps of a sequence.")] = 20,
    only: Annotated[
        list[str] | None, typer.Option(metavar="PART", help="sequences, permissions, errno or scenarios; repeatable.")
    ] = None,
    scenario: Annotated[list[str] | None, typer.Option(metavar="ID", help="Only these scenarios; repeatable.")] = None,
    replay: Annotated[str, typer.Option(metavar="TEXT", help="One sequence, as a report prints it.")] = "",
    strict: Annotated[bool, typer.Option("--strict", help="Fail for listed differences that are gone.")] = False,
    json: Json = False,
) -> None:
    """Compare a real ossfs with the simulation of its release: results, server state and requests.

    Exit codes: 0 alike (but for docs/parity.md), 1 not, 2 usage error, 3 internal error, 4 environment missing.
    """
    from ossvol.parity import command

    with _errors():
        report = command.compare_binary(
            ossfs=ossfs,
            version=ossfs_version,
            sequences=sequences,
            seed=seed,
            steps=steps,
            only=only or (),
            replay=replay,
            scenarios=scenario or (),
        )
        print(report.as_json() if json else report.as_text())
    raise typer.Exit(report.exit_code(strict=strict))


@app.command()
def fuzz(
    *,
    via: Annotated[Via | None, typer.Option(help="Default: direct; kernel with --ossfs.")] = None,
    ossfs: Annotated[str, typer.Option(metavar="PATH", help="A real ossfs binary instead of the simulated one.")] = "",
    against: Annotated[
        str,
        typer.Option(
            metavar="direct|kernel|PATH|moto",
            help="Compare with another engine, a real ossfs, or the S3 face with moto, step by step.",
        ),
    ] = "",
    ossfs_version: Annotated[str, typer.Option(metavar="V", help="Simulated release.")] = "",
    other_version: Annotated[
        str, typer.Option(metavar="V", help="Release of the second mount; default: the same.")
    ] = "",
    profile: Annotated[str, typer.Option(metavar="NAME", help="quick, ci or nightly.")] = "quick",
    examples: Annotated[int, typer.Option(min=0, metavar="N", help="Examples; 0: the profile's.")] = 0,
    steps: Annotated[int, typer.Option(min=0, metavar="N", help="Steps of an example; 0: the profile's.")] = 0,
    seed: Annotated[int, typer.Option(min=0, metavar="S", help="The same seed, the same steps.")] = 0,
    shard: Annotated[str, typer.Option(metavar="I/N", help="Only the I-th of N parts.")] = "",
    jobs: Annotated[int, typer.Option(min=1, metavar="N", help="Processes that do it; the steps are the same.")] = 1,
    save: Annotated[Path | None, typer.Option(metavar="DIR", help="Write a failure as a scenario file.")] = None,
    database: Annotated[
        str, typer.Option(metavar="DIR|redis://...", help="Where Hypothesis keeps what it has found.")
    ] = "",
    defects: Annotated[
        bool, typer.Option("--defects", help="With the release's defects: what a listed one explains is no failure.")
    ] = False,
    json: Json = False,
) -> None:
    """Random steps on a volume, judged by a reference model or by another side; a failure is shrunk to a scenario.

    Exit codes: 0 every property holds, 1 one does not, 2 usage error, 3 internal error, 4 environment missing.
    """
    from ossvol.fuzz_command import fuzz as run_fuzz

    with _errors():
        report = run_fuzz(
            via=_via(via),
            ossfs=ossfs,
            ossfs_version=ossfs_version,
            profile=profile,
            examples=examples,
            steps=steps,
            seed=seed,
            shard=shard,
            save=save,
            database=database,
            jobs=jobs,
            other_version=other_version,
            against=against,
            defects=defects,
        )
        print(report.as_json() if json else report.as_text())
    raise typer.Exit(report.exit_code())


@app.command()
def lint(
    paths: Annotated[list[Path] | None, typer.Argument(metavar="FILE|DIR")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of scenario files.")] = False,
    json: Json = False,
) -> None:
    """Check scenario files: every mistake as file:line:col: code message."""
    import json as json_module

    from ossvol.config import own_scenarios
    from ossvol.discovery import find_files
    from ossvol.errors import ScenarioErrors, UsageError

    with _errors():
        if schema:
            from ossvol.scenario.schema import render

            sys.stdout.write(render())
            raise typer.Exit(ExitCode.OK)
        from ossvol.scenario import load_all

        files: list[Path] = []
        for path in paths or [own_scenarios()]:
            found = list(find_files(path)) if path.is_dir() else [path]
            if not found:
                raise UsageError(f"{path}: no scenario files below this directory")
            files += found
        try:
            load_all(dict.fromkeys(files))
            problems = []
        except ScenarioErrors as errors:
            problems = list(errors.problems)
        if json:
            fields = ("file", "line", "column", "code", "message", "hint")
            entries = [{name: getattr(problem, name) for name in fields} for problem in problems]
            print(json_module.dumps({"version": 1, "files": len(files), "problems": entries}, ensure_ascii=False))
        elif problems:
            print("\n".join(str(problem) for problem in problems), file=sys.stderr)
        else:
            print(f"{len(files)} scenario file{'s' if len(files) != 1 else ''}, no mistakes")
        if problems:
            raise typer.Exit(ExitCode.USAGE)


@app.command("list")
def list_(
    names: Annotated[list[str] | None, typer.Argument(metavar="ID|PREFIX|FILE|DIR")] = None, json: Json = False
) -> None:
    """List scenarios: id, title, FAQ section."""
    import json as json_module

    from ossvol.discovery import select

    with _errors():
        found = select(names or [])
        if json:
            entries = [
                {
                    "id": one.id,
                    "title": one.scenario.title.model_dump(),
                    "faq": one.scenario.faq,
                    "cause": one.scenario.cause_id or None,
                    "ossfs": one.scenario.versions.ossfs if one.scenario.versions else None,
                    "file": one.file,
                }
                for one in found
            ]
            print(json_module.dumps({"version": 1, "scenarios": entries}, ensure_ascii=False))
            return
        width = max(len(one.id) for one in found)
        for one in found:
            print(
                f"{one.id:{width}}  {one.scenario.title.en}" + (f"  ({one.scenario.faq})" if one.scenario.faq else "")
            )


@app.command()
def serve(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 0,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    allow_remote: Annotated[bool, typer.Option("--allow-remote", help="Let --host be no loopback address.")] = False,
    bucket: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Bucket to create; repeatable.")] = None,
    access_key_id: Annotated[str, typer.Option(metavar="ID", help="Default: generated.")] = "",
    access_key_secret: Annotated[str, typer.Option(metavar="SECRET", help="Default: generated.")] = "",
    access_log: Annotated[str | None, typer.Option(metavar="FILE", help="Append one JSON object a request.")] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep everything here; survives kill -9. Default: in memory.")
    ] = None,
    sync: Annotated[bool, typer.Option("--sync", help="With --data: survives power loss as well; slower.")] = False,
    snapshot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Start from what ossvol snapshot save wrote.")
    ] = None,
    real_latency: Annotated[
        bool, typer.Option("--real-latency", help="Answers take as long as their simulated cost says.")
    ] = False,
    switch: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A switch of docs/cloud.md, as max_buckets=500; repeatable."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="First line: endpoint and keys as JSON.")] = False,
) -> None:
    """Serve the fake OSS cloud alone, until Ctrl-C."""
    from ossvol.serve import serve as serve_cloud

    with _errors():
        code = serve_cloud(
            host=host,
            port=port,
            allow_remote=allow_remote,
            buckets=bucket or [],
            access_key_id=access_key_id,
            access_key_secret=access_key_secret,
            access_log=access_log,
            data=data,
            synced=sync,
            snapshot=snapshot,
            real_latency=real_latency,
            switches=switch or [],
            json=json,
        )
    raise typer.Exit(code)


@app.command()
def mount(
    target: Annotated[str, typer.Argument(metavar="BUCKET[:/PATH]")],
    mountpoint: Annotated[Path, typer.Argument(metavar="MOUNTPOINT")],
    *,
    option: Annotated[
        list[str] | None, typer.Option("-o", metavar="OPTION", help="An option of ossfs; repeatable.")
    ] = None,
    ossfs_version: Annotated[str, typer.Option(metavar="V", help="Release of ossfs 1.x.")] = "",
    fixed: Annotated[bool, typer.Option("--fixed", help="Leave out the defects of the release.")] = False,
    without: Without = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the cloud here; survives kill -9. Default: in memory.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the cloud; 0: any free port.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="First line: endpoint and keys as JSON.")] = False,
) -> None:
    """Mount a bucket of a cloud in the same process, the fastest volume, until it is unmounted or Ctrl-C."""
    from ossvol.mount_command import mount as mount_volume

    with _errors():
        code = mount_volume(
            target,
            mountpoint,
            options=option or [],
            version=ossfs_version,
            fixed=fixed or tuple(without or ()),
            data=data,
            port=port,
            json=json,
        )
    raise typer.Exit(code)


@app.command()
def cluster(
    *,
    csi: Annotated[str, typer.Option(metavar="V", help="CSI driver.")] = "",
    kubernetes: Annotated[str, typer.Option(metavar="V", help="Kubernetes release.")] = "",
    nodes: Annotated[int, typer.Option(min=1, max=50, metavar="N")] = 1,
    file: Annotated[
        list[Path] | None, typer.Option("-f", "--file", metavar="FILE", help="Manifests to apply; repeatable.")
    ] = None,
    bucket: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Bucket to create; repeatable.")] = None,
    via: Annotated[Via | None, typer.Option(help="Default: kernel where it works, otherwise direct.")] = None,
    ossfs: Annotated[str, typer.Option(metavar="PATH", help="A real ossfs binary instead of the simulated one.")] = "",
    factor: Annotated[
        float, typer.Option(min=0, metavar="X", help="Seconds of the cluster per second of yours; 0: time stands.")
    ] = 1.0,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the API server; 0: any free port.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="One line: kubeconfig, versions, access key as JSON.")] = False,
) -> None:
    """Run a cluster with OSS volumes, until Ctrl-C; ossvol kubectl talks to it."""
    from ossvol.cluster_command import serve_cluster
    from ossvol.run_command import choose_via

    with _errors():
        code = serve_cluster(
            via=choose_via(_via(via), ossfs=ossfs),
            csi=csi,
            kubernetes=kubernetes,
            nodes=nodes,
            files=file or [],
            buckets=bucket or [],
            factor=factor,
            port=port,
            ossfs=ossfs,
            json=json,
        )
    raise typer.Exit(code)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    options_metavar="",
)
def kubectl(
    arguments: Annotated[list[str] | None, typer.Argument(metavar="ARGUMENTS", help="As kubectl takes them.")] = None,
) -> None:
    """Run the real kubectl at the cluster that ossvol cluster runs."""
    from ossvol.cluster_command import exec_kubectl

    with _errors():
        exec_kubectl(arguments or [])


Endpoint = Annotated[str, typer.Option(metavar="URL", help="A running ossvol serve.")]
Token = Annotated[str, typer.Option("--control-token", metavar="T", help="What it printed as control token.")]
Data = Annotated[Path | None, typer.Option(metavar="DIR", help="A data directory that nobody serves right now.")]

snapshot_app = typer.Typer(help="Save the whole state of a cloud to one file, and load it.", no_args_is_help=True)
app.add_typer(snapshot_app, name="snapshot")


@snapshot_app.command("save")
def snapshot_save(
    file: Annotated[Path, typer.Argument(metavar="FILE")],
    *,
    endpoint: Endpoint = "",
    token: Token = "",
    data: Data = None,
    json: Json = False,
) -> None:
    """Write the whole state to FILE: objects, versions, uploads, configurations, accounts, moved time."""
    from ossvol.snapshot_command import save

    with _errors():
        save(file, endpoint=endpoint, token=token, data=data, json=json)


@snapshot_app.command("load")
def snapshot_load(
    file: Annotated[Path, typer.Argument(metavar="FILE")],
    *,
    endpoint: Endpoint = "",
    token: Token = "",
    data: Data = None,
    json: Json = False,
) -> None:
    """Put the state in FILE in the place of what is there; access keys as well."""
    from ossvol.snapshot_command import load

    with _errors():
        load(file, endpoint=endpoint, token=token, data=data, json=json)


@app.command()
def log(
    *,
    endpoint: Endpoint = "",
    token: Token = "",
    file: Annotated[Path | None, typer.Option(metavar="FILE", help="What ossvol serve --access-log wrote.")] = None,
    operation: Annotated[str, typer.Option(metavar="NAME", help="GetObject, HeadObject, GetBucket, ...")] = "",
    bucket: Annotated[str, typer.Option(metavar="NAME")] = "",
    object_: Annotated[str, typer.Option("--object", metavar="GLOB", help="Keys like this: 'data/*'.")] = "",
    status: Annotated[str, typer.Option(metavar="S", help="404, 4xx, 400-403; several with commas.")] = "",
    error_code: Annotated[str, typer.Option(metavar="CODE", help="NoSuchKey, ...")] = "",
    user_agent: Annotated[str, typer.Option(metavar="PREFIX", help="Those that start so.")] = "",
    client_ip: Annotated[str, typer.Option(metavar="IP")] = "",
    request_id: Annotated[str, typer.Option(metavar="ID")] = "",
    since: Annotated[str, typer.Option(metavar="T", help="2024-09-03T08:00:00Z, or how long ago: 10m.")] = "",
    until: Annotated[str, typer.Option(metavar="T", help="Likewise; without that moment itself.")] = "",
    group_by: Annotated[
        str, typer.Option(metavar="WHAT", help="process, file-operation, user-agent or operation.")
    ] = "",
    json: Json = False,
) -> None:
    """Ask the access log: who sent which requests, with which result."""
    from ossvol.log_command import log as print_log

    filters = {
        "operation": operation,
        "bucket": bucket,
        "object": object_,
        "status": status,
        "error_code": error_code,
        "user_agent": user_agent,
        "client_ip": client_ip,
        "request_id": request_id,
        "since": since,
        "until": until,
    }
    with _errors():
        print_log(filters, endpoint=endpoint, token=token, file=file, group_by=group_by, json=json)
        sys.stdout.flush()


@app.command()
def doctor(json: Json = False) -> None:
    """Say what works on this machine, and what to install. Exit code 4 where kernel mounts are impossible."""
    import dataclasses
    import json as json_module

    from ossvol.doctor import checks

    with _errors():
        found = checks()
        works = all(check.ok for check in found if check.needed)
        if json:
            entries = [dataclasses.asdict(check) for check in found]
            print(json_module.dumps({"version": 1, "kernel": works, "checks": entries}))
        else:
            for check in found:
                mark = "ok     " if check.ok else "MISSING" if check.needed else "none   "
                print(f"{mark} {check.name:14} {check.detail}" + (f"   fix: {check.remedy}" if check.remedy else ""))
            print(
                "ossvol run uses kernel mounts" if works else "ossvol run uses --via direct, which needs none of this"
            )
    raise typer.Exit(ExitCode.OK if works else ExitCode.ENVIRONMENT)


@app.command()
def explain(
    product: Annotated[str, typer.Argument(metavar="ossfs|csi", help="What to explain.")],
    versions: Annotated[list[str], typer.Argument(metavar="V [V2]", help="One release, or two to compare.")],
    json: Json = False,
) -> None:
    """Say in words what a release of ossfs or of the CSI driver does, or what changed between two releases."""
    from ossvol.explain import explain as explain_versions

    with _errors():
        sys.stdout.write(explain_versions(product, versions, json=json))


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="PersistentVolumes and their Secrets.")],
    *,
    endpoint: Annotated[
        str, typer.Option(metavar="URL", help="A running ossvol serve, which stands for every endpoint of OSS.")
    ] = "",
    region: Annotated[str, typer.Option(metavar="R", help="Of the cluster; default: cn-hangzhou.")] = "",
    internet: Annotated[bool, typer.Option("--internet/--no-internet", help="Whether the cluster has access.")] = True,
    json: Json = False,
) -> None:
    """Check PersistentVolumes as the console does: ossutil stat from inside the cluster, in the words of its log.

    Exit codes: 0 all passed, 1 some did not, 2 usage or file error, 3 internal error.
    """
    from ossvol.check_command import check as check_volumes

    with _errors():
        passed = check_volumes(files, endpoint=endpoint, region=region, internet=internet, json=json)
        sys.stdout.flush()
    raise typer.Exit(ExitCode.OK if passed else ExitCode.FAILURES)


@app.command()
def csi(
    *,
    endpoint: Annotated[str, typer.Option(metavar="URL", help="Where to listen: unix:///run/csi.sock.")],
    version: Annotated[str, typer.Option("--csi", metavar="V", help="Release of the driver; default: 1.30.4.")] = "",
    via: Annotated[Via | None, typer.Option(help="Default: kernel where it works, otherwise direct.")] = None,
    node: Annotated[str, typer.Option(metavar="NAME", help="What NodeGetInfo answers.")] = "node-1",
    bucket: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Bucket to create; repeatable.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Conform to the CSI specification where the real driver does not.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="First line: endpoints, keys and the node's root as JSON.")
    ] = False,
) -> None:
    """Serve the OSS CSI driver at a socket (csi.v1 over gRPC), with a node and a cloud, until Ctrl-C."""
    from ossvol.csi_command import serve_driver
    from ossvol.run_command import choose_via, known_csi

    with _errors():
        serve_driver(
            endpoint,
            version=known_csi(version),
            via=choose_via(_via(via)),
            node=node,
            buckets=bucket or [],
            strict=strict,
            json=json,
        )


@app.command()
def holders(
    mount: Annotated[Path, typer.Argument(metavar="MOUNT", help="A mount point.")],
    json: Json = False,
) -> None:
    """Say which process has which file of a mount open, as lsof does."""
    from ossvol.holders import holders as holders_of

    with _errors():
        sys.stdout.write(holders_of(mount, json=json))


@app.command()
def new(
    scenario_id: Annotated[str, typer.Argument(metavar="ID", help='For example "shop/upload-is-private".')],
    directory: Annotated[Path, typer.Option(metavar="DIR", help="Where scenarios are kept.")] = Path("scenarios"),
) -> None:
    """Write a scenario to start from: DIR/ID.yaml."""
    from ossvol.errors import ScenarioErrors, UsageError
    from ossvol.scenario import loads
    from ossvol.skeleton import skeleton

    with _errors():
        text = skeleton(scenario_id)
        try:
            loads(text)
        except ScenarioErrors as errors:
            raise UsageError(f'"{scenario_id}" is no scenario id: lower-case words, "-" and "/" only') from errors
        path = directory / f"{scenario_id}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError as error:
            raise UsageError(f"{path} exists already") from error
        print(path)


@contextmanager
def _errors() -> Iterator[None]:
    """What a user can do something about becomes a message and an exit code."""
    from osscluster.errors import EnvironmentMissing
    from ossvol.errors import ScenarioErrors, UsageError

    try:
        yield
    except BrokenPipeError as error:
        _discard_output()
        raise typer.Exit(ExitCode.OK) from error
    except ScenarioErrors as errors:
        _fail("\n".join(str(problem) for problem in errors.problems), ExitCode.USAGE)
    except UsageError as error:
        _fail(f"ossvol: {error}", ExitCode.USAGE)
    except EnvironmentMissing as missing:
        _fail(f"ossvol: {missing.reason}; fix: {missing.remedy}", ExitCode.ENVIRONMENT)


def _discard_output() -> None:
    """Whoever read our output has had enough of it: what Python still has to flush goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(text: str, code: ExitCode) -> NoReturn:
    print(text, file=sys.stderr)
    raise typer.Exit(code)


def _flush_output() -> None:
    """Writes what is buffered still; the reader may have gone since the last print."""
    if sys.stdout is None:  # closed by the caller
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()


def main() -> None:
    """Entry point of the console script. Exits; a full disk, wherever it was met, is exit code 4, an exception that
    nobody expected exit code 3 and a traceback."""
    try:
        try:
            app()
        finally:
            _flush_output()
    except Exception as error:  # noqa: BLE001 - the outermost frame: a defect must not look like a failed scenario (1)
        import traceback

        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            _discard_output()
            where = error.filename or "standard output, or what a file is written to"
            print(f"ossvol: {error.strerror} ({where}); fix: make room there", file=sys.stderr)
            sys.exit(ExitCode.ENVIRONMENT)
        traceback.print_exc()
        print("ossvol: this is a defect of ossvol; please report it with the text above", file=sys.stderr)
        sys.exit(ExitCode.INTERNAL)
