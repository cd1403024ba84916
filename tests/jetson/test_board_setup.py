"""The steps rehearsed: in a copy of a recorded board's tree, with stand-ins for the programs that would change a machine."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import edgesr.jetson.__main__ as command
from edgesr.jetson import setup_command
from edgesr.jetson.board_setup import PACKAGES, Command, SetupSettings, perform, steps_for, undo
from edgesr.jetson.errors import NoPermission, NotHere, ProgramFailed, WrongRequest

Write = Callable[[str, str | bytes], Path]

BOARDS = Path(__file__).with_name("boards")
FSTAB = "# <file system> <mount point> <type> <options>\n/dev/root / ext4 defaults 0 1\n"
SWAPS = "Filename Type Size Used Priority\n/dev/zram0 partition 650236 0 5\n"
SETTINGS = SetupSettings(package="edgesr==0.1.0")

PIP = """#!/bin/sh
site=$(dirname "$0")/../lib/python3.10/site-packages
echo "pip $* PATH=$PATH" >> "{log}"
[ -e "{root}/broken-pip" ] && exit 1
case "$*" in
*" install "*pycuda*) mkdir "$site/pycuda-2026.1.dist-info" ;;
*" install "*onnx*) mkdir "$site/edgesr-0.1.0.dist-info" ;;
*" uninstall "*pycuda) rmdir "$site/pycuda-2026.1.dist-info" ;;
*" uninstall "*edgesr) rmdir "$site/edgesr-0.1.0.dist-info" ;;
esac
"""
PYTHON = """#!/bin/sh
echo "python $*" >> "{log}"
mkdir -p "$4/bin" "$4/lib/python3.10/site-packages"
echo "include-system-site-packages = true" > "$4/pyvenv.cfg"
cp "{root}/pip" "$4/bin/python"
"""
PROGRAMS = {
    "apt-get": "for name in {packages}; do printf '\\nPackage: %s\\nStatus: install ok installed\\nVersion: 1\\n' $name >> {root}/var/lib/dpkg/status; done",
    "fallocate": 'echo swap > "$3"',
    "mkswap": '[ "$(stat -c %a "$1")" = 600 ] || exit 1\necho signature >> "$1"',
    "swapon": 'grep -q signature "$1" && echo "$1 file 4194300 0 -2" >> {root}/proc/swaps',
    "swapoff": 'grep -v "^$1 " {root}/proc/swaps > {root}/swaps; mv {root}/swaps {root}/proc/swaps',
}


@pytest.fixture
def root(tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(BOARDS / "orin-nano-jetpack-6.2", tmp_path, symlinks=True, dirs_exist_ok=True)
    names = {"root": tmp_path, "log": tmp_path / "log", "packages": " ".join(PACKAGES)}
    for name, script in PROGRAMS.items():
        write(f"/programs/{name}", f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/log\n' + script.format(**names)).chmod(
            0o755
        )
    write("/usr/bin/python3", PYTHON.format(**names)).chmod(0o755)
    write("/pip", PIP.format(**names)).chmod(0o755)
    write("/etc/fstab", FSTAB)
    write("/proc/swaps", SWAPS)
    (tmp_path / "opt").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "programs"), prepend=os.pathsep)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return tmp_path


def applied(root: Path, settings: SetupSettings = SETTINGS) -> list[str]:
    told: list[str] = []
    perform(steps_for(settings, root), told.append)
    return told


def undone(root: Path) -> list[str]:
    told: list[str] = []
    undo(steps_for(SETTINGS, root), told.append)
    return told


def test_apply_twice_and_undo_twice(root: Path) -> None:
    applied(root)
    assert [step.name for step in steps_for(SETTINGS, root) if not step.done()] == []
    assert (root / "etc/fstab").read_text() == FSTAB + "/edgesr.swap none swap sw 0 0\n"
    assert f"{root}/edgesr.swap file" in (root / "proc/swaps").read_text()
    assert (root / "edgesr.swap").stat().st_mode & 0o777 == 0o600
    log = (root / "log").read_text()
    assert "install edgesr==0.1.0 onnx>=1.16 numpy<2" in log
    assert f"install pycuda>=2024.1 numpy<2 PATH={root}/usr/local/cuda/bin:" in log

    (root / "log").unlink()
    assert all(line.endswith(": done already") for line in applied(root))
    assert not (root / "log").exists()

    undone(root)
    assert (root / "etc/fstab").read_text() == FSTAB
    assert (root / "proc/swaps").read_text() == SWAPS
    assert not (root / "edgesr.swap").exists()
    assert list((root / "opt").iterdir()) == []
    assert set(undone(root)) == {
        "packages: not ours, stays",
        *(f"{step.name}: is not there" for step in steps_for(SETTINGS, root) if step.name != "packages"),
    }


@pytest.mark.parametrize("program", ["apt-get", "fallocate", "mkswap", "swapon", "pip"])
def test_a_step_that_fails_stops_and_the_next_run_goes_on(root: Path, program: str) -> None:
    file = root / "programs" / program if program != "pip" else root / "broken-pip"
    healthy = file.read_text() if file.exists() else ""
    file.write_text("#!/bin/sh\nexit 5\n")
    with pytest.raises(ProgramFailed, match="exit code"):
        applied(root)
    file.write_text(healthy) if healthy else file.unlink()
    applied(root)
    assert all(step.done() for step in steps_for(SETTINGS, root))
    undone(root)
    assert not (root / "edgesr.swap.part").exists()
    assert list((root / "opt").iterdir()) == []


def test_half_a_swap_file_is_undone(root: Path) -> None:
    (root / "edgesr.swap.part").touch()
    undone(root)
    assert not (root / "edgesr.swap.part").exists()


def test_commands_that_do_nothing_are_noticed(root: Path) -> None:
    (root / "programs/apt-get").write_text("#!/bin/sh\n")
    with pytest.raises(ProgramFailed, match="packages: its commands ran, and it is not there"):
        applied(root)


def test_an_environment_that_was_there_is_used_and_stays(root: Path, write: Write) -> None:
    write("/opt/edgesr/pyvenv.cfg", "include-system-site-packages = true\n")
    write("/opt/edgesr/lib/python3.10/site-packages/pycuda-2022.1.dist-info/METADATA", "")
    write("/opt/edgesr/bin/python", (root / "pip").read_text()).chmod(0o755)
    told = applied(root)
    assert {"environment: done already", "PyCUDA: done already"} <= set(told)
    assert {"environment: not ours, stays", "PyCUDA: not ours, stays", "edgesr and its wheels: not ours, stays"} <= set(
        undone(root)
    )
    assert (root / "opt/edgesr/pyvenv.cfg").exists()


def test_a_folder_of_somebody_else_is_not_written_into(root: Path, write: Write) -> None:
    write("/opt/edgesr/photograph.jpg", "")
    with pytest.raises(ProgramFailed, match=r"exit code 1 of: mkdir"):
        applied(root)
    assert [file.name for file in (root / "opt/edgesr").iterdir()] == ["photograph.jpg"]


def test_an_environment_that_was_interrupted_is_finished(root: Path, write: Write) -> None:
    write("/opt/edgesr/made-by-edgesr-jetson", "")
    applied(root)
    assert all(step.done() for step in steps_for(SETTINGS, root))


@pytest.mark.parametrize(
    ("board", "swap", "has_swap"),
    [
        ("orin-nano-jetpack-6.2", None, True),
        ("orin-nano-jetpack-6.2", 0, False),
        ("agx-orin-jetpack-6.0", None, False),
        ("agx-orin-jetpack-6.0", 8, True),
        ("thor-jetpack-7.0", None, False),
    ],
)
def test_swap_where_memory_is_small(board: str, swap: int | None, has_swap: bool) -> None:
    names = [step.name for step in steps_for(SetupSettings("edgesr", swap_gib=swap), BOARDS / board)]
    assert ("swap file" in names) == has_swap


def test_without_internet() -> None:
    steps = steps_for(SetupSettings("w/edgesr.whl", wheels="/media/wheels"), BOARDS / "thor-jetpack-7.0")
    pips = [str(command) for step in steps for command in step.do if " pip " in str(command)]
    assert len(pips) == 2
    assert all("--no-index --find-links /media/wheels" in line for line in pips)


@pytest.mark.parametrize("board", ["pc-with-geforce", "xavier-nx-jetpack-5.1.2"])
def test_other_machines_are_refused(board: str) -> None:
    with pytest.raises(NotHere, match="written for JetPack 6 and 7"):
        steps_for(SETTINGS, BOARDS / board)


@pytest.mark.parametrize(
    "settings", [{"environment": "opt"}, {"environment": "/opt/../etc"}, {"environment": "/"}, {"swap_gib": -1}]
)
def test_settings_that_cannot_be(settings: dict[str, object]) -> None:
    with pytest.raises(WrongRequest, match="expected"):
        SetupSettings(**{"package": "edgesr", **settings})


def test_without_root_nothing_happens(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for act in (applied, undone):
        with pytest.raises(NoPermission, match="run the same with sudo"):
            act(root)
    assert not (root / "log").exists()


def test_a_command_as_a_shell_takes_it() -> None:
    assert str(Command(("pip", "install", "numpy<2"), {"PATH": "/a b"})) == "PATH='/a b' pip install 'numpy<2'"


def test_commands_are_shown_and_nothing_is_done(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup_command, "steps_for", lambda settings: steps_for(settings, root))
    before = sorted(root.rglob("*"))
    assert command.main(["setup", "--package", "edgesr.whl"]) == 0
    out = capsys.readouterr().out
    assert f"sudo fallocate --length 4GiB {root}/edgesr.swap.part\n" in out
    assert "sudo env PATH=" in out
    assert "install edgesr.whl 'onnx>=1.16' 'numpy<2'" in out
    assert sorted(root.rglob("*")) == before


def test_apply_and_undo_by_the_command(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup_command, "steps_for", lambda settings: steps_for(settings, root))
    assert command.main(["setup", "--apply"]) == 0
    assert capsys.readouterr().out.endswith("edgesr-jetson: ready: /opt/edgesr/bin/edgesr-jetson doctor\n")
    assert command.main(["setup", "--undo"]) == 0
    assert command.main(["setup"]) == 0
    assert capsys.readouterr().out.count("done already") == 1  # the packages stay


@pytest.mark.parametrize("offline", [False, True])
def test_this_very_edgesr_is_installed_with_its_page(
    tmp_path: Path, offline: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = "" if offline else "[web]"
    wheel, clone, recorded = tmp_path / "edgesr-0.1.0-py3-none-any.whl", tmp_path / "a clone", {"url": ""}
    clone.mkdir()
    for file in (wheel, clone / "pyproject.toml", clone / "setup.py"):
        file.touch()
    record = SimpleNamespace(read_text=lambda name: json.dumps(recorded))
    monkeypatch.setattr("importlib.metadata.distribution", lambda name: record)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.1.0")
    assert setup_command._this_package(offline) == f"{setup_command.CHECKOUT}{extra}"
    monkeypatch.setattr(setup_command, "CHECKOUT", tmp_path)
    for source in (wheel, clone):
        recorded["url"] = source.as_uri()
        assert setup_command._this_package(offline) == f"{source}{extra}"
    for nothing in ("", "https://example.org/edgesr", (tmp_path / "gone").as_uri()):
        recorded["url"] = nothing
        assert setup_command._this_package(offline) == f"edgesr{extra}==0.1.0"


def test_a_pc_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["setup"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_apply_and_undo_exclude_each_other() -> None:
    with pytest.raises(SystemExit) as end:
        command.main(["setup", "--apply", "--undo"])
    assert end.value.code == 2
