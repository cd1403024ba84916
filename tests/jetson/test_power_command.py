"""`edgesr-jetson power`, from arguments to exit code."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.jetson.fakes import FakeBoard

import edgesr.jetson.__main__ as command
from edgesr.jetson import power_command
from edgesr.jetson.power import Power, read_power

ORIN = Path(__file__).with_name("boards") / "orin-nano-jetpack-6.2"


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeBoard:
    """This machine is that board."""

    def of_the_orin(_root: Path) -> Power:
        return read_power(ORIN)

    monkeypatch.setattr(power_command, "read_power", of_the_orin)
    monkeypatch.setattr("edgesr.jetson.power_control.read_power", of_the_orin)
    return FakeBoard(tmp_path, monkeypatch)


def test_modes_are_listed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert command.main(["power", "--root", str(ORIN)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1:3] == [["mode", "1", "25W", "at", "first", "start"], ["mode", "2", "MAXN_SUPER", "now"]]


def test_modes_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["power", "--json", "--root", str(ORIN)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["number"], told["modes"][3]) == (2, {"number": 3, "name": "7W"})


def test_a_pc_shows_what_it_has(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["power"]) == 0
    assert capsys.readouterr().out.startswith("power mode")


def test_set(board: FakeBoard, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["power", "set", "maxn_super", "--lock-clocks"]) == 0
    assert (board.mode, board.clocks) == ("2", "locked")
    assert capsys.readouterr().out == "MAXN_SUPER, clocks locked\n"


@pytest.mark.parametrize(("mode", "code", "said"), [("MAXN", 2, "is not offered"), ("7W", 1, "needs a restart")])
def test_set_that_cannot_be(
    board: FakeBoard, capsys: pytest.CaptureFixture[str], mode: str, code: int, said: str
) -> None:
    assert command.main(["power", "set", mode]) == code
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert board.mode == "0"


def test_nothing_is_set_for_a_recorded_board(board: FakeBoard, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["power", "--root", str(ORIN), "set", "25W"]) == 2
    assert "go with edgesr-jetson power alone" in capsys.readouterr().err
    assert board.log == []


def test_set_without_permission_is_one_line(
    board: FakeBoard, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert command.main(["power", "set", "25W"]) == 1
    assert capsys.readouterr().err == "edgesr-jetson: power mode and clocks are root's to set: run the same with sudo\n"


def test_run_in_a_mode(board: FakeBoard, capsys: pytest.CaptureFixture[str]) -> None:
    look = f"cat {board.state}/mode {board.state}/clocks > {board.state}/seen; exit 7"
    assert command.main(["power", "run", "--mode", "25W", "--lock-clocks", "--", "sh", "-c", look]) == 7
    assert (board.state / "seen").read_text().split() == ["1", "locked"]
    assert (board.mode, board.clocks) == ("0", "free")
    assert "25W, clocks locked, set back afterwards" in capsys.readouterr().err


def test_a_command_that_a_signal_ends(board: FakeBoard) -> None:
    assert command.main(["power", "run", "--lock-clocks", "--", "sh", "-c", "kill -KILL $$"]) == 137


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--mode", "25W", "--", "no-such-program"], "give its whole path"),
        (["--", "true"], "nothing to set"),
        (["--mode", "25W"], "expected one after --"),
    ],
)
def test_run_that_cannot_be(
    board: FakeBoard, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert command.main(["power", "run", *options]) == 2
    assert said in capsys.readouterr().err
    assert board.log == []


def test_under_sudo_the_command_runs_as_its_caller() -> None:
    """The account `nobody` of every Linux."""
    nobody = power_command._caller("65534")
    assert (nobody["user"], nobody["env"]["USER"]) == (65534, "nobody")
    assert power_command._caller("") == power_command._caller("0") == {}


def test_sigterm_ends_the_command_and_sets_back(board: FakeBoard, tmp_path: Path) -> None:
    """In a process of its own, as a service manager would stop it."""
    program = (
        "import os, sys; os.geteuid = lambda: 0;"
        "from pathlib import Path; import edgesr.jetson.__main__ as m, edgesr.jetson.power_control as c;"
        f"orin = c.read_power(Path({str(ORIN)!r})); c.read_power = lambda root: orin;"
        "sys.exit(m.main(['power', 'run', '--mode', '25W', '--lock-clocks', '--', 'sleep', '60']))"
    )
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", program], env=path, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        assert "set back afterwards" in child.stderr.readline()
        time.sleep(0.1)
        child.send_signal(signal.SIGTERM)
        assert child.wait(20) == 143
    assert (board.mode, board.clocks) == ("0", "free")
