import os
from pathlib import Path

import pytest

from edgesr.jetson.errors import NotHere, ProgramFailed
from edgesr.jetson.programs import run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return tmp_path


def put(folder: Path, text: str, mode: int = 0o755) -> None:
    program = folder / "program"
    program.write_text(text)
    program.chmod(mode)


def test_both_outputs_and_the_code(folder: Path) -> None:
    put(folder, "#!/bin/sh\necho one $1\necho two >&2\nexit 3\n")
    done = run(["program", "x"])
    assert (done.code, done.text, done.last_line) == (3, "one x\ntwo\n", "two")


def test_a_question_is_answered_once_and_then_by_nothing(folder: Path) -> None:
    put(folder, "#!/bin/sh\nread first; read second || second=none\necho $first $second\n")
    assert run(["program"], answer="no\n").last_line == "no none"


def test_a_program_that_hangs_is_ended(folder: Path) -> None:
    put(folder, "#!/bin/sh\nexec sleep 60\n")
    with pytest.raises(ProgramFailed, match=r"program took more than 0.2 s and was ended"):
        run(["program"], timeout_s=0.2)


def test_a_program_that_is_none(folder: Path) -> None:
    put(folder, "\x7fELF nonsense")
    with pytest.raises(ProgramFailed, match="cannot be started"):
        run(["program"])


def test_a_missing_program(folder: Path) -> None:
    with pytest.raises(NotHere, match="no-such-program is not on this machine's PATH"):
        run(["no-such-program"])


def test_a_silent_program(folder: Path) -> None:
    put(folder, "#!/bin/sh\n")
    assert run(["program"]).last_line == "it gave no reason"
