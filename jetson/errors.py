"""Every error that edgesr.jetson raises on purpose. This part imports none of the others, so the tree starts here.

    JetsonError
    └── MissingRoot     --root names no folder with a file tree      exit code 2

A damaged or unreadable file on the machine is no error: it is reported beside the value that it should have given.
"""

__all__ = ["JetsonError", "MissingRoot"]


class JetsonError(Exception):
    """Base of all. `exit_code` is what a command line ends with."""

    exit_code = 1


class MissingRoot(JetsonError):
    exit_code = 2
