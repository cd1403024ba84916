"""Every error that edgesr.jetson raises on purpose. This part imports none of the others, so the tree starts here.

    JetsonError
    ├── MissingRoot       --root names no folder with a file tree                        exit code 2
    ├── WrongRequest      an option that cannot be: a mode that is not offered, ...      exit code 2
    ├── NotHere           this machine has no such program or service
    ├── NoPermission      root is needed
    ├── RebootNeeded      the board takes this power mode only while it starts
    ├── ProgramFailed     a program of the system failed, hung or said no
    └── BoardUnfit        the doctor on a board says that something will not work there

A damaged or unreadable file on the machine is no error: it is reported beside the value that it should have given.
"""

__all__ = [
    "BoardUnfit",
    "JetsonError",
    "MissingRoot",
    "NoPermission",
    "NotHere",
    "ProgramFailed",
    "RebootNeeded",
    "WrongRequest",
]


class JetsonError(Exception):
    """Base of all. `exit_code` is what a command line ends with."""

    exit_code = 1


class MissingRoot(JetsonError):
    exit_code = 2


class WrongRequest(JetsonError):
    exit_code = 2


class NotHere(JetsonError):
    pass


class NoPermission(JetsonError):
    pass


class RebootNeeded(JetsonError):
    pass


class ProgramFailed(JetsonError):
    pass


class BoardUnfit(JetsonError):
    pass
