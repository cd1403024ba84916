import os
import signal
from pathlib import Path

import pytest
from tests.jetson.fakes import FakeBoard

from edgesr.jetson.errors import NoPermission, NotHere, ProgramFailed, RebootNeeded, WrongRequest
from edgesr.jetson.power import read_power
from edgesr.jetson.power_control import find_mode, lock_clocks, parse_query, power_mode, set_mode
from edgesr.jetson.signals import Terminated, undisturbed

ORIN = Path(__file__).with_name("boards") / "orin-nano-jetpack-6.2"


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeBoard:
    return FakeBoard(tmp_path, monkeypatch)


@pytest.mark.parametrize("wanted", ["MAXN_SUPER", "maxn super", "MAXN-Super", "2"])
def test_mode_by_name_or_number(wanted: str) -> None:
    mode = find_mode(read_power(ORIN), wanted)
    assert (mode.number, mode.name) == (2, "MAXN_SUPER")


@pytest.mark.parametrize("wanted", ["MAXN", "15", "", "-1", "02"])
def test_mode_that_is_not_offered(wanted: str) -> None:
    with pytest.raises(WrongRequest, match="expected one of: 0 15W, 1 25W, 2 MAXN_SUPER, 3 7W"):
        find_mode(read_power(ORIN), wanted)


def test_mode_where_there_are_none(tmp_path: Path) -> None:
    with pytest.raises(WrongRequest, match=r"offers none \(there is no /etc/nvpmodel.conf\)"):
        find_mode(read_power(tmp_path), "MAXN")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("NV Power Mode: MAXN_SUPER\n2\n", 2),
        ("NVPM WARN: fan mode is not set!\nNV Power Mode: MODE_30W\n2", 2),
        # as a user who is not root, public notes on an Orin: errno 13 is harmless
        ("NVPM ERROR: Error opening /sys/kernel/nvpmodel_emc_cap/emc_iso_cap: 13\nNV Power Mode: 15W\n0\n", 0),
    ],
)
def test_query(text: str, number: int) -> None:
    assert parse_query(text) == number


@pytest.mark.parametrize("text", ["", "NV Power Mode: 15W", "NV Power Mode: 15W\nzero\n"])
def test_query_that_is_not_understood(text: str) -> None:
    with pytest.raises(ProgramFailed, match="expected 'NV Power Mode"):
        parse_query(text)


def test_mode_and_clocks_are_set_and_set_back(board: FakeBoard) -> None:
    with power_mode("MAXN_SUPER", lock_clocks=True, root=ORIN) as mode:
        assert mode is not None and mode.name == "MAXN_SUPER"
        assert (board.mode, board.clocks) == ("2", "locked")
    assert (board.mode, board.clocks) == ("0", "free")
    calls = [call for call in board.log if call != "nvpmodel -q"]
    assert calls == [
        "jetson_clocks --store",
        "nvpmodel -m 2",
        "jetson_clocks ",
        "nvpmodel -m 0",
        "jetson_clocks --restore",
    ]


def test_mode_that_is_set_already_is_not_set_again(board: FakeBoard) -> None:
    with power_mode("15W", root=ORIN):
        pass
    assert not [call for call in board.log if "-m" in call]


def test_an_exception_sets_back_and_goes_on(board: FakeBoard) -> None:
    with pytest.raises(ZeroDivisionError), power_mode("25W", lock_clocks=True, root=ORIN):
        raise ZeroDivisionError
    assert (board.mode, board.clocks) == ("0", "free")


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGTERM, Terminated), (signal.SIGINT, KeyboardInterrupt)])
def test_a_signal_sets_back(board: FakeBoard, number: signal.Signals, raised: type[BaseException]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(raised), power_mode("25W", lock_clocks=True, root=ORIN):
        os.kill(os.getpid(), number)
    assert (board.mode, board.clocks) == ("0", "free")
    assert signal.getsignal(signal.SIGTERM) is before


def test_setting_back_is_not_disturbed() -> None:
    with undisturbed():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)


def test_mode_that_needs_a_restart_is_declined_and_said(board: FakeBoard) -> None:
    with pytest.raises(RebootNeeded, match="sudo nvpmodel -m 3, and answer yes"), power_mode("7W", root=ORIN):
        pytest.fail("the block must not run")
    assert (board.mode, board.clocks) == ("0", "free")


def test_mode_that_does_not_hold_is_said(board: FakeBoard) -> None:
    board.get_stuck()
    with pytest.raises(ProgramFailed, match="did not set 25W: NVPM ERROR: request for bad power mode 1"):
        set_mode(find_mode(read_power(ORIN), "25W"))


def test_what_cannot_be_set_back_is_said_with_the_way_to_do_it(board: FakeBoard) -> None:
    with pytest.raises(ProgramFailed) as told, power_mode("25W", root=ORIN):
        board.get_stuck()
    assert "the power mode was not set back" in str(told.value)
    assert "by hand: sudo nvpmodel -m 0" in str(told.value)
    assert "the clocks were not set back" in str(told.value)


def test_without_root_nothing_is_called(board: FakeBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NoPermission, match="run the same with sudo"), power_mode("25W", root=ORIN):
        pytest.fail("the block must not run")
    with pytest.raises(NoPermission):
        set_mode(find_mode(read_power(ORIN), "25W"))
    with pytest.raises(NoPermission):
        lock_clocks()
    assert board.log == []


def test_query_that_fails_stops_before_anything_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = FakeBoard(tmp_path, monkeypatch, broken="query")
    with pytest.raises(ProgramFailed, match="nvpmodel -q"), power_mode("25W", root=ORIN):
        pytest.fail("the block must not run")
    assert board.log == ["nvpmodel -q"]


def test_a_machine_without_the_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotHere, match="nvpmodel is not on this machine's PATH"), power_mode("25W", root=ORIN):
        pytest.fail("the block must not run")
