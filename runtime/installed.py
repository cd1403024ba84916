"""How to add what is missing, in the words that fit how this edgesr was installed."""

import json
import shlex
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["pip_install"]

CHECKOUT = Path(__file__).resolve().parent.parent


def pip_install(extra: str) -> str:
    """The command that installs an extra: from the checkout or the wheel that edgesr came from, if that is still there; by its
    name where it came from an index."""
    editable, source = _source()
    what = f"edgesr[{extra}] @ {source}" if "+" in source.partition(":")[0] else f"{source}[{extra}]"
    return f"pip install {'-e ' if editable else ''}{shlex.quote(what)}"


def _source() -> tuple[bool, str]:
    """Whether the source itself is what runs, and what pip takes it by; from the record that pip left (PEP 610)."""
    try:
        record = json.loads(distribution("edgesr").read_text("direct_url.json") or "{}")
        url, repository = str(record.get("url", "")), record.get("vcs_info", {}).get("vcs")
        editable = bool(record.get("dir_info", {}).get("editable"))
    except (PackageNotFoundError, OSError, ValueError, AttributeError):  # not installed, or the record is damaged
        url, repository, editable = "", None, False
    if repository:
        return False, f"{repository}+{url}"
    if url.startswith("file:"):
        path = Path(unquote(urlsplit(url).path))
        if path.is_file() or (path / "pyproject.toml").is_file():
            return editable, str(path)
    return (True, str(CHECKOUT)) if (CHECKOUT / "pyproject.toml").is_file() else (False, "edgesr")
