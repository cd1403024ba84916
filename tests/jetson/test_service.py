import os
from collections.abc import Callable
from pathlib import Path

import pytest

import edgesr.jetson.__main__ as command
from edgesr.jetson import service_command
from edgesr.jetson.errors import NoPermission, NotHere, ProgramFailed, WrongRequest
from edgesr.jetson.service import (
    closed_to_others,
    existing_groups,
    gpu_nodes,
    install,
    installed_text,
    uninstall,
    whole_paths,
)
from edgesr.jetson.unit import ServiceSettings, unit_text

Write = Callable[[str, str | bytes], Path]

SETTINGS = ServiceSettings("/opt/edgesr/bin/edgesr-run", ["camera:0", "http://:8080"])
CHANGED = ServiceSettings("/opt/edgesr/bin/edgesr-run", ["camera:1", "http://:8080"])


class Machine:
    """A root with /etc/systemd/system, and a systemctl that writes down what it is told."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self._log = folder / "root", folder / "log"
        self.unit = self.root / "etc/systemd/system/edgesr.service"
        self.unit.parent.mkdir(parents=True)
        self.systemctl = folder / "programs" / "systemctl"
        self.systemctl.parent.mkdir()
        self.answer("exit 0")
        monkeypatch.setenv("PATH", str(self.systemctl.parent), prepend=os.pathsep)
        monkeypatch.setattr(os, "geteuid", lambda: 0)

    def answer(self, script: str) -> None:
        self.systemctl.write_text(f'#!/bin/sh\necho "$*" >> "{self._log}"\n{script}\n')
        self.systemctl.chmod(0o755)

    def told(self) -> list[str]:
        """Since the last time this was asked."""
        told = self._log.read_text().split("\n")[:-1] if self._log.exists() else []
        self._log.unlink(missing_ok=True)
        return told


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_install_twice_change_and_uninstall_twice(machine: Machine) -> None:
    assert install(SETTINGS, machine.root)[0].endswith("edgesr.service written")
    assert machine.unit.read_text() == unit_text(SETTINGS)
    assert machine.unit.stat().st_mode & 0o777 == 0o644
    assert machine.told() == ["daemon-reload", "enable edgesr.service", "--no-block restart edgesr.service"]

    assert len(install(SETTINGS, machine.root)) == 1
    assert machine.told() == ["enable edgesr.service", "--no-block start edgesr.service"]

    assert install(CHANGED, machine.root)[0].endswith("edgesr.service changed")
    assert installed_text("edgesr", machine.root) == unit_text(CHANGED)
    assert "--no-block restart edgesr.service" in machine.told()

    assert "removed" in uninstall("edgesr", machine.root)[0]
    assert machine.told() == ["disable --now edgesr.service", "daemon-reload"]
    assert list(machine.unit.parent.iterdir()) == []

    assert "nothing to remove" in uninstall("edgesr", machine.root)[0]
    assert machine.told() == []


def test_a_password_is_kept_from_other_users(machine: Machine) -> None:
    install(ServiceSettings("/opt/edgesr-run", ["rtsp://me:secret@camera/", "null:"]), machine.root)
    assert machine.unit.stat().st_mode & 0o777 == 0o600


def test_a_unit_of_somebody_else_is_left_alone(machine: Machine) -> None:
    machine.unit.write_text("[Service]\nExecStart=/bin/true\n")
    for act in (lambda: install(SETTINGS, machine.root), lambda: uninstall("edgesr", machine.root)):
        with pytest.raises(WrongRequest, match="was not written by edgesr-jetson"):
            act()
    assert machine.unit.read_text() == "[Service]\nExecStart=/bin/true\n"
    assert machine.told() == []


def test_without_root_nothing_happens(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NoPermission, match="run the same with sudo"):
        install(SETTINGS, machine.root)
    with pytest.raises(NoPermission):
        uninstall("edgesr", machine.root)
    assert not machine.unit.exists()


def test_systemctl_that_fails_is_quoted(machine: Machine) -> None:
    machine.answer("echo 'Failed to enable unit: it is masked'; exit 1")
    with pytest.raises(ProgramFailed, match="daemon-reload failed: Failed to enable unit: it is masked"):
        install(SETTINGS, machine.root)


def test_folder_that_is_missing_is_said(machine: Machine) -> None:
    machine.unit.parent.rmdir()
    with pytest.raises(ProgramFailed, match=r"edgesr\.service cannot be written: No such file"):
        install(SETTINGS, machine.root)


def test_a_machine_without_systemd(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotHere, match="not run by systemd"):
        install(SETTINGS, machine.root)


def test_a_service_that_is_not_installed(machine: Machine) -> None:
    with pytest.raises(NotHere, match="sudo edgesr-jetson service install --name edgesr"):
        installed_text("edgesr", machine.root)
    with pytest.raises(WrongRequest, match="--name"):
        installed_text("../../etc/passwd", machine.root)
    with pytest.raises(WrongRequest, match="--name"):
        uninstall("../x", machine.root)


def test_files_that_exist_get_their_whole_path(tmp_path: Path) -> None:
    (tmp_path / "model.engine").touch()
    (tmp_path / "2").touch()
    arguments = ("camera:0", "new.mp4", "--model", "model.engine", "--every", "2", "")
    assert whole_paths(arguments, tmp_path) == (*arguments[:3], f"{tmp_path}/model.engine", *arguments[4:])


def test_a_closed_folder_on_the_way_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    folder = tmp_path / "me" / "env"
    folder.mkdir(parents=True)
    file = folder / "edgesr-run"
    file.touch(0o755)
    for part in tmp_path.parents:
        if part.stat().st_mode & 0o1 == 0:
            assert closed_to_others(file) == part  # pytest's own folder is closed
            return
    assert closed_to_others(file) is None


@pytest.mark.parametrize(
    ("file_mode", "folder_mode", "closed"), [(0o644, 0o755, None), (0o640, 0o755, "file"), (0o644, 0o750, "folder")]
)
def test_what_other_users_may_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_mode: int, folder_mode: int, closed: str | None
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").touch()
    (folder / "file").chmod(file_mode)
    folder.chmod(folder_mode)
    monkeypatch.setattr(Path, "parents", property(lambda path: [folder]))  # what lies above is the test machine's
    found = closed_to_others(folder / "file")
    assert (found.name if found else None) == closed


def test_groups_that_exist(tmp_path: Path, write: Write) -> None:
    assert existing_groups(tmp_path) == ()
    write("/etc/group", "root:x:0:\nvideo:x:44:me\nvideology:x:50:\n")
    assert existing_groups(tmp_path) == ("video",)


def test_nodes_are_devices_only(tmp_path: Path, write: Write) -> None:
    write("/dev/nvmap", "no device")
    (tmp_path / "dev/nvgpu/igpu0").mkdir(parents=True)
    (tmp_path / "dev/nvgpu/igpu0/ctrl").symlink_to("/dev/null")  # a link is followed within the tree only
    assert gpu_nodes(tmp_path) == ()


@pytest.fixture
def open_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_command, "program", lambda: "/usr/bin/env")


@pytest.mark.usefixtures("open_program")
def test_print_needs_no_root(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    arguments = [
        "service",
        "install",
        "--print",
        "--name",
        "front-door",
        "camera:0",
        "http://:8080",
        "--",
        "--every",
        "2",
    ]
    assert command.main(arguments) == 0
    out = capsys.readouterr().out
    assert "\nExecStart=/usr/bin/env --quiet camera:0 http://:8080 --every 2\n" in out
    assert "\nUser=front-door\n" in out


@pytest.mark.usefixtures("open_program", "machine")
def test_refusals_are_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for arguments, code in (
        (["install", "camera:0", "null:"], 1),
        (["install", "camera:0"], 2),
        (["show", "--name", "no-such-service-here"], 1),
        (["uninstall"], 1),
    ):
        assert command.main(["service", *arguments]) == code
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("edgesr-jetson: ") and err.count("\n") == 1


def test_a_program_that_the_service_could_not_read_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "edgesr-run"
    program.touch()
    program.chmod(0o700)
    monkeypatch.setattr(service_command, "program", lambda: str(program))
    assert command.main(["service", "install", "--print", "camera:0", "null:"]) == 2
    assert "is closed to other users" in capsys.readouterr().err
