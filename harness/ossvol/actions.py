"""The verbs of the scenario language, carried out in an environment.

One function a verb, found by the type of the step; what it returns or raises becomes the observation. Called from the
runner's thread only.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from functools import singledispatch

from osscluster.api.kinds import KINDS
from osscluster.api.objects import ApiError
from osscluster.volume import MountFailed, Syscalls, errno_name
from ossvol.cluster_observation import compare_cluster
from ossvol.environment import Environment, Handle, content_of_size, default_content_type, walk
from ossvol.errors import StepImpossible
from ossvol.observation import ObjectSeen, Observation
from ossvol.scenario import model

__all__ = ["observe"]

_CHUNK = 1024 * 1024
_FLAGS = {
    "r": os.O_RDONLY,
    "r+": os.O_RDWR,
    "w": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    "w+": os.O_RDWR | os.O_CREAT | os.O_TRUNC,
    "a": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
    "a+": os.O_RDWR | os.O_CREAT | os.O_APPEND,
    "x": os.O_WRONLY | os.O_CREAT | os.O_EXCL,
    "x+": os.O_RDWR | os.O_CREAT | os.O_EXCL,
}


def observe(env: Environment, step: model.StepModel) -> Observation:
    """Carries the step out and says what it showed. Raises StepImpossible; what the step itself meets (an errno, a
    mount that fails) is in the observation."""
    log = env.cloud.access_log
    mark = log.mark()
    started = env.cloud.clock.now() if env.cluster is None else env.cluster.cluster.timeline.now()
    seen = Observation(
        object=lambda key: _object(env, key),
        holders=lambda: env.mounted(step.volume).holders(),
        container=env.container_of,
        cluster=env.cluster,
    )
    try:
        if env.cluster is not None:
            env.cluster.cluster.timeline.synchronise()
        perform(step, env, seen)
        if env.cluster is not None:
            env.cluster.cluster.timeline.settle()
    except ApiError as refusal:
        seen.refused = str(refusal)
    except MountFailed as failure:
        seen.message, seen.returncode = failure.message, failure.returncode
    except OSError as error:
        if error.errno is None:
            raise
        seen.errno = errno_name(error.errno)
    seen.seconds = (env.cloud.clock.now() if env.cluster is None else env.cluster.cluster.timeline.now()) - started
    seen.records = log.since(mark)
    return seen


def _object(env: Environment, key: str) -> ObjectSeen:
    admin = env.cloud.admin
    versions = sum(view.key == key for view in admin.versions(env.bucket, key))
    view = admin.object(env.bucket, key)
    if view is None:
        return ObjectSeen(absent=True, versions=versions)
    return ObjectSeen(
        absent=False,
        size=view.size,
        content_type=view.content_type,
        meta=view.meta,
        storage_class=view.storage_class,
        versions=versions,
        read=view.read,
    )


@singledispatch
def perform(step: model.StepModel, env: Environment, seen: Observation) -> None:
    """Carries out one step; fills `seen`. Raises OSError, MountFailed, StepImpossible."""
    raise NotImplementedError(step.verb)


# --- files ----------------------------------------------------------------------------------------------------------


def _process(env: Environment, step: model.FileStep) -> Syscalls:
    return env.syscalls(step.volume, step.container)


def _handle(env: Environment, value: str) -> Handle:
    handle = env.handles.get(value[1:])
    if handle is None:
        raise StepImpossible(f'the file "{value}" is not open any more')
    return handle


def _with_file(
    env: Environment, step: model.FileStep, value: str, flags: int, use: Callable[[Syscalls, int], None]
) -> None:
    """`use` on an open handle, or on a path that is opened before and closed afterwards."""
    if value.startswith("@"):
        handle = _handle(env, value)
        use(handle.syscalls, handle.fd)
        return
    process = _process(env, step)
    fd = process.open(value, flags, getattr(step, "mode", None) or 0o666)
    try:
        use(process, fd)
    except OSError:
        # The first error is the one to report; closing a file that could not be written fails again.
        with contextlib.suppress(OSError):
            process.close(fd)
        raise
    process.close(fd)


def _write_all(process: Syscalls, fd: int, data: bytes, offset: int | None) -> None:
    done = 0
    while done < len(data):
        piece = data[done : done + _CHUNK]
        done += process.write(fd, piece) if offset is None else process.pwrite(fd, piece, offset + done)


@perform.register
def _(step: model.StatStep, env: Environment, seen: Observation) -> None:
    if step.stat.startswith("@"):
        handle = _handle(env, step.stat)
        seen.stat = handle.syscalls.fstat(handle.fd)
    else:
        seen.stat = _process(env, step).stat(step.stat)


@perform.register
def _(step: model.LstatStep, env: Environment, seen: Observation) -> None:
    seen.stat = _process(env, step).lstat(step.lstat)


@perform.register
def _(step: model.StatfsStep, env: Environment, seen: Observation) -> None:
    found = _process(env, step).statvfs(step.statfs)
    seen.size = found.f_blocks * found.f_frsize


@perform.register
def _(step: model.LsStep, env: Environment, seen: Observation) -> None:
    process = _process(env, step)
    entries = process.listdir(step.ls)
    if not step.long:
        seen.entries = {entry.name: entry.kind for entry in entries}
        return
    prefix = f"{step.ls.rstrip('/')}/" if step.ls else ""
    seen.entries = {entry.name: process.lstat(prefix + entry.name) for entry in entries}


@perform.register
def _(step: model.ScanStep, env: Environment, seen: Observation) -> None:
    process = env.syscalls(step.volume, step.container, command=step.command)
    seen.entries = dict(walk(process, step.scan))


@perform.register
def _(step: model.ReadStep, env: Environment, seen: Observation) -> None:
    def read(process: Syscalls, fd: int) -> None:
        pieces: list[bytes] = []
        left = step.size
        at = step.offset
        while left is None or left > 0:
            want = _CHUNK if left is None else min(_CHUNK, left)
            piece = process.read(fd, want) if at is None else process.pread(fd, want, at)
            if not piece:
                break
            pieces.append(piece)
            left = None if left is None else left - len(piece)
            at = None if at is None else at + len(piece)
        seen.body = b"".join(pieces)
        seen.size = len(seen.body)

    _with_file(env, step, step.read, os.O_RDONLY, read)


@perform.register
def _(step: model.WriteStep, env: Environment, seen: Observation) -> None:
    data = content_of_size(step.size) if step.size is not None else (step.body or "").encode()
    flags = os.O_WRONLY | (os.O_CREAT | os.O_TRUNC if step.offset is None else 0)
    _with_file(env, step, step.write, flags, lambda process, fd: _write_all(process, fd, data, step.offset))


@perform.register
def _(step: model.AppendStep, env: Environment, seen: Observation) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    data = step.body.encode()
    _with_file(env, step, step.append, flags, lambda process, fd: _write_all(process, fd, data, None))


@perform.register
def _(step: model.OpenStep, env: Environment, seen: Observation) -> None:
    if step.handle in env.handles:
        raise StepImpossible(f'the handle "{step.handle}" is open already')
    process = _process(env, step)
    fd = process.open(step.open, _FLAGS[step.flags], step.mode if step.mode is not None else 0o666)
    volume = env.pick(step.volume).name if env.cluster is None else step.volume or ""
    env.handles[step.handle] = Handle(process, fd, volume, step.container)


@perform.register
def _(step: model.TruncateStep, env: Environment, seen: Observation) -> None:
    if step.truncate.startswith("@"):
        handle = _handle(env, step.truncate)
        handle.syscalls.ftruncate(handle.fd, step.size)
    else:
        _process(env, step).truncate(step.truncate, step.size)


@perform.register
def _(step: model.FsyncStep, env: Environment, seen: Observation) -> None:
    _with_file(env, step, step.fsync, os.O_WRONLY, lambda process, fd: process.fsync(fd))


@perform.register
def _(step: model.CloseStep, env: Environment, seen: Observation) -> None:
    handle = _handle(env, step.close)
    # After close(2) the descriptor is gone whatever it answered.
    del env.handles[step.close[1:]]
    handle.syscalls.close(handle.fd)


@perform.register
def _(step: model.LinkStep, env: Environment, seen: Observation) -> None:
    _process(env, step).link(step.link, step.to)


@perform.register
def _(step: model.SymlinkStep, env: Environment, seen: Observation) -> None:
    _process(env, step).symlink(step.target, step.symlink)


@perform.register
def _(step: model.ReadlinkStep, env: Environment, seen: Observation) -> None:
    seen.target = _process(env, step).readlink(step.readlink)


@perform.register
def _(step: model.RenameStep, env: Environment, seen: Observation) -> None:
    _process(env, step).rename(step.rename, step.to)


@perform.register
def _(step: model.UnlinkStep, env: Environment, seen: Observation) -> None:
    _process(env, step).unlink(step.unlink)


@perform.register
def _(step: model.MkdirStep, env: Environment, seen: Observation) -> None:
    _process(env, step).mkdir(step.mkdir, step.mode if step.mode is not None else 0o777)


@perform.register
def _(step: model.RmdirStep, env: Environment, seen: Observation) -> None:
    _process(env, step).rmdir(step.rmdir)


@perform.register
def _(step: model.ChmodStep, env: Environment, seen: Observation) -> None:
    _process(env, step).chmod(step.chmod, step.mode)


@perform.register
def _(step: model.ChownStep, env: Environment, seen: Observation) -> None:
    _process(env, step).chown(step.chown, step.uid, step.gid)


@perform.register
def _(step: model.UtimeStep, env: Environment, seen: Observation) -> None:
    _process(env, step).utime(step.utime, step.mtime if step.atime is None else step.atime, step.mtime)


@perform.register
def _(step: model.SetxattrStep, env: Environment, seen: Observation) -> None:
    _process(env, step).setxattr(step.setxattr, step.name, step.value.encode())


@perform.register
def _(step: model.GetxattrStep, env: Environment, seen: Observation) -> None:
    seen.body = _process(env, step).getxattr(step.getxattr, step.name)


@perform.register
def _(step: model.RemovexattrStep, env: Environment, seen: Observation) -> None:
    _process(env, step).removexattr(step.removexattr, step.name)


# --- mounts ---------------------------------------------------------------------------------------------------------


@perform.register
def _(step: model.MountStep, env: Environment, seen: Observation) -> None:
    env.mount(step.volume, step.mount)


@perform.register
def _(step: model.RemountStep, env: Environment, seen: Observation) -> None:
    if env.pick(step.volume).volume is not None:
        env.unmount(step.volume)
    env.mount(step.volume, step.remount)


@perform.register
def _(step: model.UnmountStep, env: Environment, seen: Observation) -> None:
    env.unmount(step.volume)


@perform.register
def _(step: model.KillStep, env: Environment, seen: Observation) -> None:
    if env.cluster is not None and step.volume not in env.volumes:
        env.in_cluster.kill_ossfs(step.volume or "")
    else:
        env.mounted(step.volume).kill()


# --- the server, and everybody else ---------------------------------------------------------------------------------


@perform.register
def _(step: model.PutStep, env: Environment, seen: Observation) -> None:
    env.cloud.admin.put(
        env.bucket,
        step.put,
        content_of_size(step.size) if step.size is not None else (step.body or "").encode(),
        content_type=step.content_type or default_content_type(step.put, step.via),
        meta=step.meta,
        storage_class=step.storage_class,
    )


@perform.register
def _(step: model.HeadStep, env: Environment, seen: Observation) -> None:
    env.other_client.head(env.bucket, step.head)


@perform.register
def _(step: model.GetStep, env: Environment, seen: Observation) -> None:
    seen.body = env.other_client.get(env.bucket, step.get).read()
    seen.size = len(seen.body)


@perform.register
def _(step: model.ListStep, env: Environment, seen: Observation) -> None:
    seen.entries = dict.fromkeys(env.other_client.list_keys(env.bucket, step.list), "")


@perform.register
def _(step: model.DeleteStep, env: Environment, seen: Observation) -> None:
    env.cloud.admin.delete(env.bucket, step.delete)


@perform.register
def _(step: model.RestoreStep, env: Environment, seen: Observation) -> None:
    env.other_client.restore(env.bucket, step.restore)


@perform.register
def _(step: model.LogStep, env: Environment, seen: Observation) -> None:
    from osscloud.logquery import LogFilter

    query = step.log
    wanted = LogFilter(
        operation=query.operation or "",
        object=query.object or "",
        status=((query.http_status, query.http_status),) if query.http_status is not None else (),
        error_code=query.error_code or "",
        user_agent=query.user_agent or "",
        client_ip=query.client_ip or "",
    )
    seen.found = [record for record in env.cloud.access_log.since(0) if wanted.fits(record)]


@perform.register
def _(step: model.RotateKeyStep, env: Environment, seen: Observation) -> None:
    env.rotate_key()


@perform.register
def _(step: model.DisableKeyStep, env: Environment, seen: Observation) -> None:
    env.disable_key()


@perform.register
def _(step: model.VersioningStep, env: Environment, seen: Observation) -> None:
    env.cloud.admin.set_versioning(env.bucket, step.versioning)


@perform.register
def _(step: model.WebsiteStep, env: Environment, seen: Observation) -> None:
    env.set_website(step.website)


@perform.register
def _(step: model.MirrorStep, env: Environment, seen: Observation) -> None:
    env.set_mirror(step.mirror)


@perform.register
def _(step: model.OriginPutStep, env: Environment, seen: Observation) -> None:
    env.origin.put(
        step.origin_put,
        content_of_size(step.size) if step.size is not None else (step.body or "").encode(),
        content_type=step.content_type or default_content_type(step.origin_put, "sdk"),
        acl=step.acl,
    )


@perform.register
def _(step: model.OriginDeleteStep, env: Environment, seen: Observation) -> None:
    env.origin.delete(step.origin_delete)


@perform.register
def _(step: model.AdvanceStep, env: Environment, seen: Observation) -> None:
    env.advance(step.advance)


@perform.register
def _(step: model.FaultStep, env: Environment, seen: Observation) -> None:
    from osscloud.faults import Fault

    fault = step.fault
    operation = "*" if fault.operation == "total" else fault.operation
    env.cloud.service.faults.add(
        Fault(
            operation=operation,
            key=fault.key,
            count=fault.count,
            status=fault.status,
            code=fault.code,
            action=fault.action,
            seconds=fault.seconds,
        )
    )


# --- the cluster ----------------------------------------------------------------------------------------------------


@perform.register
def _(step: model.ApplyStep, env: Environment, seen: Observation) -> None:
    env.in_cluster.cluster.apply(env.in_cluster.objects(step.apply))


@perform.register
def _(step: model.DeleteResourceStep, env: Environment, seen: Observation) -> None:
    cluster = env.in_cluster.cluster
    word, _, name = step.delete_resource.partition("/")
    kind = env.in_cluster.kind(word)
    if step.labels is None:
        cluster.delete(kind, name, step.namespace, force=step.force)
        return
    namespace = step.namespace if KINDS[kind].namespaced else ""
    for found in cluster.api.list(kind, namespace, labels=step.labels):
        cluster.delete(kind, found["metadata"]["name"], namespace, force=step.force)


@perform.register
def _(step: model.ScaleStep, env: Environment, seen: Observation) -> None:
    word, _, name = step.scale.partition("/")
    kind = env.in_cluster.kind(word)
    api = env.in_cluster.cluster.api
    workload = api.get(kind, name, step.namespace)
    workload["spec"]["replicas"] = step.replicas
    api.update(workload)


@perform.register
def _(step: model.WaitStep, env: Environment, seen: Observation) -> None:
    side = env.in_cluster
    side.cluster.wait(lambda: not compare_cluster(step.expect, side), step.wait)


@perform.register
def _(step: model.RestartStep, env: Environment, seen: Observation) -> None:
    pod, _, container = step.restart.partition("/")
    env.in_cluster.cluster.restart_container(pod, container, step.namespace)


@perform.register
def _(step: model.RunStep, env: Environment, seen: Observation) -> None:
    seen.returncode, seen.stdout = env.in_cluster.run(step.run, step.node, step.pod)


@perform.register
def _(step: model.CsiStep, env: Environment, seen: Observation) -> None:
    env.in_cluster.cluster.upgrade_csi(step.csi)


@perform.register
def _(step: model.CreateKeyStep, env: Environment, seen: Observation) -> None:
    env.create_key(step.create_key, step.secret)


@perform.register
def _(step: model.RamStep, env: Environment, seen: Observation) -> None:
    env.set_up_ram(step.ram)


@perform.register
def _(step: model.InstallStep, env: Environment, seen: Observation) -> None:
    env.in_cluster.install(step.install, step.node)


@perform.register
def _(step: model.CheckStep, env: Environment, seen: Observation) -> None:
    seen.returncode, seen.stdout = env.in_cluster.check(step.check, step.node)


@perform.register
def _(step: model.UpdatedbStep, env: Environment, seen: Observation) -> None:
    seen.stdout = env.in_cluster.updatedb(step.updatedb)
