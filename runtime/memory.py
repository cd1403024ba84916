"""Will it fit? Asked before it is tried."""

from pathlib import Path

from edgesr.runtime.errors import FrameTooLarge

__all__ = ["available_bytes", "check_fits"]

SHARE = 0.9
"""Of the memory that is free now; the rest stays with the system."""


def available_bytes(root: Path = Path("/")) -> int | None:
    """What the kernel would give without swapping, cgroup limit included; None where it does not say (not Linux)."""
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None
    try:
        limit = int((root / "sys/fs/cgroup/memory.max").read_text())
        used = int((root / "sys/fs/cgroup/memory.current").read_text())
    except (OSError, ValueError):  # no limit is written as "max"
        return free
    return min(free, max(0, limit - used))


def check_fits(needed_bytes: float, what: str) -> None:
    """Raise FrameTooLarge where `needed_bytes` are not there; `what` names what is to be held."""
    free = available_bytes()
    if free is not None and needed_bytes > free * SHARE:
        raise FrameTooLarge(
            f"{what} needs about {needed_bytes / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free: "
            "make it smaller, or free memory"
        )
