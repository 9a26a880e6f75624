"""What a scenario's `given` describes, made real on one engine: bucket, objects, origin, key, volumes, containers.

One environment serves one replay and is closed afterwards. Used from the runner's thread only.
"""

from __future__ import annotations

import json
import mimetypes
import pathlib
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from osscluster import leftovers
from osscluster.volume import Stat, Syscalls, Volume, VolumeSpec
from ossvol.errors import StepImpossible
from ossvol.hosting import website_document
from ossvol.other_client import OtherClient
from ossvol.scenario.model import (
    ClusterGiven,
    ContainerSpec,
    Given,
    MirrorSpec,
    MountChange,
    ObjectSpec,
    OriginSpec,
    VolumeGiven,
    WebsiteSpec,
)

if TYPE_CHECKING:
    from osscloud.accounts import AccessKey, Policy
    from osscloud.service import OssService
    from osscluster.direct import DirectEngine
    from osscluster.kernel import KernelEngine
    from ossfuse.profile import Fixed
    from ossvol.cluster_side import ClusterSide
    from ossvol.origin import CloudBucket, S3Bucket

__all__ = ["Environment", "Handle", "MountedVolume", "content_of_size", "default_content_type"]

# The access key of a scenario with manifests that says no other: what its Secrets name.
_KEY_ID, _KEY_SECRET = "LTAI5tOssvolExample", "OssvolExampleSecret"
_PATTERN = b"0123456789abcdef" * 4096
_CACHE = "{cache}"
# Without the machine's own tables: a scenario must not depend on where it runs.
_MIME = mimetypes.MimeTypes(filenames=())


@dataclass(frozen=True, slots=True)
class Handle:
    """An open file of a container."""

    syscalls: Syscalls
    fd: int
    volume: str
    container: str


@dataclass(slots=True)
class MountedVolume:
    """A volume of the scenario: how it is to be mounted, and the mount when there is one."""

    name: str
    spec: VolumeSpec
    volume: Volume | None = None


class Environment:
    """engine: fresh, or clean from the last environment. version: the ossfs release of volumes that name none. fixed:
    simulated releases without their defects, where a volume does not say otherwise. csi: release of the driver, "" for
    the scenario's own; directory: of the scenario's file; snapshot: a cloud's state to start from. Raises UsageError
    for a snapshot that cannot be used."""

    def __init__(
        self,
        engine: KernelEngine | DirectEngine,
        given: Given,
        version: str,
        *,
        fixed: Fixed = False,
        csi: str = "",
        directory: pathlib.Path = pathlib.Path(),
        snapshot: pathlib.Path | None = None,
    ) -> None:
        self.engine = engine
        self.cloud = cloud = engine.cloud
        self.given = given
        self.bucket = given.bucket.name
        self.handles: dict[str, Handle] = {}
        self._fixed = fixed
        self._containers = {"root": ContainerSpec(), **given.containers}
        self._pids: dict[int, str] = {}
        self._secret_wrong = given.credentials.secret == "wrong"
        if snapshot is not None:
            cloud.install(_load_snapshot, snapshot.absolute())
        accounts = cloud.service.accounts
        self._other_key = accounts.create_key()
        if given.ram is not None:
            self.set_up_ram(given.ram)
        self.key = self._new_key()
        if self.bucket not in cloud.admin.buckets():
            cloud.admin.create_bucket(self.bucket, versioning=given.bucket.versioning or "")
        for entry in given.objects:
            self._put_given(entry)
        self._origin = self._open_origin(given.origin)
        self._website = given.bucket.website
        self._mirror = given.bucket.mirror
        if self._website is not None or self._mirror is not None:
            self._host(self._website, self._mirror)
        if given.bucket.policy is not None:
            self.other_client.configure(self.bucket, "policy", json.dumps(given.bucket.policy).encode())
        self._cluster = self._start_cluster(csi, directory)
        self.volumes = {
            name: MountedVolume(name, self._spec(volume, version)) for name, volume in self._given_volumes().items()
        }

    # --- access keys ---

    def _new_key(self) -> AccessKey:
        accounts = self.cloud.service.accounts
        wanted = self.given.credentials
        named = self.given.manifests is not None or self.given.cluster is not None
        called = wanted.id or (_KEY_ID if named else "")
        secret = wanted.access_key_secret or (_KEY_SECRET if named else "")
        # A snapshot may bring the key that the manifests name.
        key = (accounts.find(called) if called else None) or accounts.create_key(id=called, secret=secret)
        if wanted.policy is not None:
            accounts.set_policy(key.id, self._named_policy(wanted.policy))
        elif wanted.allow is not None or wanted.deny:
            accounts.set_policy(key.id, self._policy(wanted.allow, wanted.deny))
        key = accounts.find(key.id) or key
        if wanted.status == "Disabled":
            accounts.disable(key.id)
        elif wanted.status == "Unknown":
            accounts.delete(key.id)
        return key

    @staticmethod
    def _named_policy(policy: str | dict[str, object]) -> Policy:
        from osscloud.accounts import Policy
        from osscloud.ram.policy import parse_text
        from osscloud.ram.system import SYSTEM_POLICIES

        return parse_text(SYSTEM_POLICIES[policy]) if isinstance(policy, str) else Policy.parse(policy)

    def _policy(self, allow: list[str] | None, deny: list[str]) -> Policy:
        from osscloud.accounts import Policy, Statement

        resources = (f"acs:oss:*:*:{self.bucket}", f"acs:oss:*:*:{self.bucket}/*")
        statements = [Statement("Allow", tuple(["*"] if allow is None else allow), resources)]
        if deny:
            statements.append(Statement("Deny", tuple(deny), resources))
        return Policy(tuple(statements))

    def _passwd(self) -> str:
        secret = self.key.secret[::-1] if self._secret_wrong else self.key.secret
        return f"{self.bucket}:{self.key.id}:{secret}\n"

    def rotate_key(self) -> None:
        """A new key of the same user replaces the one in use, which is disabled; the password file has the new one from
        now on."""
        accounts = self.cloud.service.accounts
        old = self.key
        self.key = accounts.create_key(account=old.account, user=old.user)
        self._secret_wrong = False
        if accounts.find(old.id) is not None:
            accounts.disable(old.id)
        for mounted in self.volumes.values():
            mounted.spec = replace(mounted.spec, passwd=self._passwd())
            if mounted.volume is not None:
                mounted.volume.update_passwd(mounted.spec.passwd)

    def create_key(self, id: str, secret: str) -> None:
        """One more key of the same user; the one in use stays what it is."""
        self.cloud.service.accounts.create_key(id=id, secret=secret, account=self.key.account, user=self.key.user)

    def set_up_ram(self, document: dict[str, Any]) -> None:
        """Users, roles, policies, OIDC providers. Raises StepImpossible with what is wrong with the document."""
        try:
            self.cloud.install(_establish, document)
        except ValueError as error:
            raise StepImpossible(f"ram: {error}") from error

    def disable_key(self) -> None:
        self.cloud.service.accounts.disable(self.key.id)

    # --- the bucket ---

    @property
    def other_client(self) -> OtherClient:
        return OtherClient(self.cloud.service, self._other_key, self.cloud.clock)

    def _put_given(self, entry: ObjectSpec) -> None:
        from osscloud.admin import NewObject

        meta = dict(entry.meta)
        if entry.via == "ossfs":
            meta = {**self._ossfs_meta(entry), **meta}
        body = content_of_size(entry.size) if entry.size is not None else (entry.body or "").encode()
        keys = [entry.key.replace("{n}", str(number)) for number in range(entry.count)] if entry.count else [entry.key]
        objects = [
            NewObject(
                key,
                body,
                content_type=entry.content_type or default_content_type(key, entry.via),
                meta=meta,
                storage_class=entry.storage_class,
            )
            for key in keys
        ]
        self.cloud.admin.put_many(self.bucket, objects)
        if entry.deleted:
            self.cloud.admin.delete_many(self.bucket, keys)

    def _ossfs_meta(self, entry: ObjectSpec) -> dict[str, str]:
        """What ossfs stores: decimal mode, with type bits for files only (measured, ossfs 1.91.10 mkdir and create)."""
        directory = entry.key.endswith("/")
        mode = entry.mode if entry.mode is not None else (0o755 if directory else 0o644)
        now = f"{self.cloud.clock.now():.0f}"
        return {
            "mode": str(mode if directory else stat.S_IFREG | mode),
            "uid": str(entry.uid or 0),
            "gid": str(entry.gid or 0),
            "mtime": now,
        }

    def set_website(self, website: WebsiteSpec | None) -> None:
        """Static website hosting as given, or none. Raises OSError when the cloud refuses it."""
        self._host(website, self._mirror)

    def set_mirror(self, mirror: MirrorSpec | None) -> None:
        """The mirror rule as given, or none. Raises OSError when the cloud refuses it."""
        self._host(self._website, mirror)

    def _host(self, website: WebsiteSpec | None, mirror: MirrorSpec | None) -> None:
        document = website_document(website, mirror, self._origin_url())
        self.other_client.configure(self.bucket, "website", document)
        self._website, self._mirror = website, mirror

    # --- the origin ---

    def _open_origin(self, given: OriginSpec | None) -> S3Bucket | CloudBucket | None:
        if given is None or given.s3 is None:
            return None
        from ossvol.origin import CloudBucket, open_bucket

        origin: S3Bucket | CloudBucket
        if given.s3.server == "cloud":
            origin = CloudBucket(self.cloud, given.s3.bucket, self.other_client)
        else:
            origin = open_bucket(given.s3.server, given.s3.bucket)
        for entry in given.s3.objects:
            body = content_of_size(entry.size) if entry.size is not None else (entry.body or "").encode()
            kind = entry.content_type or default_content_type(entry.key, "sdk")
            origin.put(entry.key, body, content_type=kind, acl=entry.acl)
        return origin

    def _origin_url(self) -> str:
        if self._origin is not None:
            return self._origin.url
        return (self.given.origin.url if self.given.origin is not None else None) or ""

    @property
    def origin(self) -> S3Bucket | CloudBucket:
        """The S3 origin under given; the linter has seen that there is one."""
        if self._origin is None:
            raise StepImpossible('there is no origin: add one with "s3" to "given"')
        return self._origin

    def close(self) -> None:
        """Removes what the environment has outside of its engine; safe to call twice."""
        if self._cluster is not None:
            self._cluster.close()
        if self._origin is not None:
            self._origin.close()

    # --- the cluster ---

    def _start_cluster(self, csi: str, directory: pathlib.Path) -> ClusterSide | None:
        given = self.given
        if given.cluster is None and given.manifests is None:
            return None
        from ossvol.cluster_side import ClusterSide

        return ClusterSide(
            self.engine, given.cluster or ClusterGiven(), directory=directory, csi=csi, fixed=self._fixed
        )

    @property
    def cluster(self) -> ClusterSide | None:
        """Where the scenario gives one."""
        return self._cluster

    @property
    def in_cluster(self) -> ClusterSide:
        """The linter has seen that there is one."""
        if self._cluster is None:
            raise StepImpossible('there is no cluster: add "manifests" or "cluster" to "given"')
        return self._cluster

    def advance(self, seconds: float) -> None:
        """Moves the time of the cloud, of every mount and of the cluster."""
        if self._cluster is not None:
            self._cluster.cluster.advance(seconds)
        else:
            self.engine.advance(seconds)

    # --- volumes and containers ---

    def _given_volumes(self) -> Mapping[str, VolumeGiven]:
        if self.given.volumes is not None:
            return self.given.volumes
        return {"": self.given.volume} if self.given.volume is not None else {}

    def _spec(self, volume: VolumeGiven, version: str) -> VolumeSpec:
        return VolumeSpec(
            bucket=self.bucket,
            path=volume.path,
            options=self._options(volume.options),
            version=volume.version or version,
            passwd=self._passwd(),
            mime_types=volume.mime_types,
            fixed=self._fixed if volume.fixed is None else volume.fixed,
        )

    def _options(self, text: str) -> str:
        return text.replace(_CACHE, self._cache) if _CACHE in text else text

    @cached_property
    def _cache(self) -> str:
        """For use_cache: empty at first, shared by all mounts of the environment, removed with the run."""
        return str(leftovers.Run.current().new_directory("cache"))

    def pick(self, name: str | None) -> MountedVolume:
        """The volume that a step means; without a name the only one."""
        if name is None and len(self.volumes) == 1:
            return next(iter(self.volumes.values()))
        return self.volumes[name or ""]

    def mounted(self, name: str | None) -> Volume:
        """Raises StepImpossible when it is not mounted."""
        volume = self.pick(name).volume
        if volume is None:
            raise StepImpossible("the volume is not mounted")
        return volume

    def mount(self, name: str | None, change: MountChange | None) -> None:
        """Mounts with what `change` says; that stays for later mounts. Raises MountFailed, StepImpossible."""
        mounted = self.pick(name)
        if mounted.volume is not None:
            raise StepImpossible("the volume is mounted already: remount, or unmount first")
        if change is not None:
            changed = change.model_dump(exclude_none=True)
            if change.options is not None:
                changed["options"] = self._options(change.options)
            mounted.spec = replace(mounted.spec, **changed)
        mounted.volume = self.engine.mount(mounted.spec)

    def unmount(self, name: str | None) -> None:
        """Raises OSError EBUSY while files are open."""
        mounted = self.pick(name)
        self.mounted(name).unmount()
        mounted.volume = None
        for handle in [key for key, value in self.handles.items() if value.volume == mounted.name]:
            del self.handles[handle]

    def syscalls(self, volume: str | None, container: str, *, command: str = "") -> Syscalls:
        """The process of a container on a volume; `command`: a process of another name with the same identity."""
        if self._cluster is not None and volume not in self.volumes:
            return self._cluster.syscalls(container, volume)
        spec = self._containers[container]
        process = self.mounted(volume).container(
            command or container, uid=spec.uid, gid=spec.gid, groups=tuple(spec.groups), umask=spec.umask
        )
        self._pids[process.pid] = container
        return process

    def container_of(self, pid: int) -> str:
        """Name of the container that a pid belongs to, the pid itself when it is none."""
        return self._pids.get(pid, str(pid))

    def mount_all(self) -> None:
        """Mounts what is not mounted yet, applies the manifests. Raises MountFailed, ApiError."""
        if self._cluster is not None and self.given.manifests is not None:
            self._cluster.cluster.apply(self._cluster.objects(self.given.manifests))
        for name, mounted in self.volumes.items():
            if mounted.volume is None:
                self.mount(name, None)


def _load_snapshot(service: OssService, path: pathlib.Path) -> None:
    from ossvol.keeping import load_file

    load_file(service, path)


def _establish(service: OssService, document: dict[str, Any]) -> object:
    from osscloud.ram.document import establish

    return establish(document, service.accounts)


def content_of_size(size: int) -> bytes:
    """`size` bytes of a fixed pattern."""
    return (_PATTERN * (size // len(_PATTERN) + 1))[:size]


def default_content_type(key: str, via: str) -> str:
    """What a client sends that nobody told a type: ossfs by its own rule for directories, the others by the name."""
    if key.endswith("/"):
        return "application/x-directory" if via == "ossfs" else "application/octet-stream"
    if via == "ossfs":
        return "application/octet-stream"
    return _MIME.guess_type(key)[0] or "application/octet-stream"


def walk(syscalls: Syscalls, path: str) -> Iterator[tuple[str, Stat]]:
    """Every name below `path` with its lstat, a directory before what is in it. Raises OSError."""
    for entry in syscalls.listdir(path):
        child = f"{path}/{entry.name}" if path else entry.name
        found = syscalls.lstat(child)
        yield child, found
        if stat.S_ISDIR(found.mode):
            yield from walk(syscalls, child)
