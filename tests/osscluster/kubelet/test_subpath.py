"""subPath and subPathExpr: directories made, found, refused; binds that stay inside their volume."""

from __future__ import annotations

import stat
from collections.abc import Callable

import pytest
from tests.osscluster.clusterlab import ClusterLab, claim, pod, volume

Lab = Callable[..., ClusterLab]
NOT_MADE = 'Error: failed to create subPath directory for volumeMount "oss" of container "main"'
NOT_PREPARED = 'Error: failed to prepare subPath for volumeMount "oss" of container "main"'


def mode(one: ClusterLab, path: str) -> str:
    return f"{stat.S_IMODE(one.host().root.stat(path).mode):04o}"


@pytest.mark.parametrize("via", ["direct", "kernel"])
def test_a_missing_directory_is_made_with_the_mode_of_the_volume_s_root(lab: Lab, via: str) -> None:
    one = lab(via=via)
    one.run(volume(), claim(), pod(mount={"subPath": "x/y/z"}))
    fd = one.app().open("/data/new", 0o101)
    one.app().close(fd)
    assert one.admin.object("demo", "x/y/z/new") is not None
    root = mode(one, one.target())
    # Those on the way are cut by kubelet's umask, the last one is given the mode.
    assert mode(one, f"{one.target()}/x/y/z") == root == "0777"
    assert mode(one, f"{one.target()}/x/y") == "0755"


@pytest.mark.parametrize("via", ["direct", "kernel"])
def test_what_is_there_is_bound_a_directory_as_well_as_a_file(lab: Lab, via: str) -> None:
    one = lab(via=via)
    mounts = [
        {"name": "oss", "mountPath": "/dir", "subPath": "d"},
        {"name": "oss", "mountPath": "/etc/app.txt", "subPath": "a.txt"},
    ]
    one.run(volume(), claim(), pod(container={"volumeMounts": mounts}))
    assert stat.S_ISDIR(one.app().stat("/dir").mode)
    fd = one.app().open("/etc/app.txt")
    assert one.app().read(fd, 10) == b"hello"
    places = f"/var/lib/kubelet/pods/{one.uid()}/volume-subpaths/pv-oss/main"
    targets = [line.target for line in one.host().mounts()]
    assert f"{places}/0" in targets
    assert f"{places}/1" in targets


def test_a_directory_that_may_not_be_made_is_told_again_and_again(lab: Lab) -> None:
    one = lab()
    one.deny_writing()
    one.apply(volume(), claim(), pod(mount={"subPath": "x/y"}))
    assert one.wait(lambda: one.waiting() == "CreateContainerConfigError", 60)
    one.advance(97)
    (told,) = one.told(reason="Failed")
    assert told[1] == NOT_MADE
    assert 7 <= told[2] <= 9
    # The errno is kubelet's alone.
    assert one.log()[-1].endswith("/x/y: operation not permitted"), one.log()


@pytest.mark.parametrize("csi", ["1.28.3", "1.30.4"])
def test_a_read_only_volume_takes_no_new_directory(lab: Lab, csi: str) -> None:
    one = lab(csi)
    modes = ["ReadOnlyMany"]
    one.apply(volume(accessModes=modes), claim(accessModes=modes), pod(mount={"subPath": "new"}))
    assert one.wait(lambda: one.waiting() == "CreateContainerConfigError", 60)
    assert one.told(reason="Failed")[0][1] == NOT_MADE
    assert any("read-only file system" in line for line in one.log())


def test_a_variable_that_the_container_lacks_is_named(lab: Lab) -> None:
    one = lab()
    one.apply(volume(), claim(), pod(mount={"subPathExpr": "$(POD_NAME)/logs"}))
    assert one.wait(lambda: one.waiting() == "CreateContainerConfigError", 60)
    assert one.told(reason="Failed")[0][1] == 'Error: missing value for "POD_NAME"'


def test_an_expression_is_expanded_from_the_container_s_environment(lab: Lab) -> None:
    one = lab()
    env = [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    one.run(volume(), claim(), pod(container={"env": env}, mount={"subPathExpr": "$(POD_NAME)/$$(x)"}))
    one.app().mkdir("/data/made")
    assert one.admin.object("demo", "app/$(x)/made/") is not None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("/etc", "Error: error SubPath `/etc` must not be an absolute path"),
        ("../x", "Error: unable to provision SubPath `../x`: must not contain '..'"),
    ],
)
def test_an_expression_may_not_lead_out_of_the_volume(lab: Lab, value: str, text: str) -> None:
    one = lab()
    env = [{"name": "WHERE", "value": value}]
    one.apply(volume(), claim(), pod(container={"env": env}, mount={"subPathExpr": "$(WHERE)"}))
    assert one.wait(lambda: one.waiting() == "CreateContainerConfigError", 60)
    assert one.told(reason="Failed")[0][1] == text


@pytest.mark.parametrize("via", ["direct", "kernel"])
def test_a_symbolic_link_may_lead_elsewhere_in_the_volume_but_not_out_of_it(lab: Lab, via: str) -> None:
    one = lab(via=via)
    one.run(volume(), claim(), pod("writer"), name="writer")
    one.app("writer").symlink("d", "/data/inside")
    one.app("writer").symlink("/etc", "/data/outside")
    one.run(pod("inner", mount={"subPath": "inside"}), name="inner")
    one.app("inner").mkdir("/data/made")
    assert one.admin.object("demo", "d/made/") is not None
    for name, path, text in (("outer", "outside", NOT_PREPARED), ("maker", "outside/new", NOT_MADE)):
        one.apply(pod(name, mount={"subPath": path}))
        assert one.wait(lambda name=name: one.waiting(name) == "CreateContainerConfigError", 60)  # type: ignore[misc]
        assert one.told(name, "Failed")[0][1] == text
    with pytest.raises(FileNotFoundError):
        one.host().root.stat("/etc/new")


def test_a_dead_mount_is_no_reason_to_make_a_directory(lab: Lab) -> None:
    one = lab()
    one.run(volume(), claim(), pod(mount={"subPath": "d"}))
    one.kill_ossfs()
    one.cluster.restart_container("app", "main")
    assert one.wait(lambda: one.waiting() == "CreateContainerConfigError", 60)
    assert one.told(reason="Failed")[0][1] == NOT_PREPARED
    assert any("transport endpoint is not connected" in line for line in one.log())


def test_a_container_that_starts_again_finds_its_bind_as_it_was(lab: Lab) -> None:
    one = lab()
    one.run(volume(), claim(), pod(mount={"subPath": "d"}))
    before = one.host().mounts()
    one.cluster.restart_container("app", "main")
    assert one.wait(lambda: one.cluster.pod("app")["status"]["containerStatuses"][0]["restartCount"] == 1, 30)  # type: ignore[index]
    assert one.host().mounts() == before
    one.app().mkdir("/data/made")
