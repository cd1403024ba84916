"""Programs of the board's system (nvpmodel, jetson_clocks, systemctl ...), run so that none can wait for an answer."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from edgesr.jetson.errors import NotHere, ProgramFailed

__all__ = ["TIMEOUT_S", "Done", "find_program", "run"]

TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Done:
    """`text`: standard output and error, as they came."""

    code: int
    text: str

    @property
    def last_line(self) -> str:
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        return lines[-1] if lines else "it gave no reason"


def find_program(name: str) -> str:
    """Its path. Raises NotHere."""
    path = shutil.which(name)
    if path is None:
        raise NotHere(f"{name} is not on this machine's PATH; a Jetson's system brings it (see edgesr-jetson info)")
    return path


def run(command: Sequence[str], *, answer: str = "", timeout_s: float = TIMEOUT_S) -> Done:
    """`answer` is what the program reads; it ends there, so a question that nobody expected is answered by nothing.

    Raises NotHere, and ProgramFailed where the program takes longer; its exit code is the caller's to judge.
    """
    path = find_program(command[0])
    try:
        done = subprocess.run(
            [path, *command[1:]],
            input=answer.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ProgramFailed(f"{' '.join(command)} took more than {timeout_s:g} s and was ended") from error
    except OSError as error:
        raise ProgramFailed(f"{path} cannot be started: {error.strerror}") from error
    return Done(done.returncode, done.stdout.decode("utf-8", "replace"))
