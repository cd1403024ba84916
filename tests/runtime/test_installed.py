"""What a user is told to type, by how edgesr was installed: the records are those that pip writes (PEP 610)."""

import json
import shlex
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgesr.runtime import installed
from edgesr.runtime.installed import pip_install


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Let edgesr be installed in site-packages, with this record; None: from an index."""
    monkeypatch.setattr(installed, "CHECKOUT", tmp_path / "site-packages")

    def put(record: object) -> None:
        text = None if record is None else record if isinstance(record, str) else json.dumps(record)
        monkeypatch.setattr(installed, "distribution", lambda name: SimpleNamespace(read_text=lambda file: text))

    return put


def clone(folder: Path) -> Path:
    folder.mkdir()
    (folder / "pyproject.toml").touch()
    return folder


def test_from_a_clone_it_is_installed_from_there_again(tmp_path: Path, record) -> None:
    here = clone(tmp_path / "a clone")
    record({"url": here.as_uri(), "dir_info": {"editable": True}})
    assert pip_install("web") == f"pip install -e '{here}[web]'"
    record({"url": here.as_uri(), "dir_info": {}})
    assert shlex.split(pip_install("web")) == ["pip", "install", f"{here}[web]"]


def test_from_a_wheel_that_is_still_there(tmp_path: Path, record) -> None:
    wheel = tmp_path / "edgesr-0.1.0-py3-none-any.whl"
    wheel.touch()
    record({"url": wheel.as_uri(), "archive_info": {}})
    assert pip_install("trust") == f"pip install '{wheel}[trust]'"
    wheel.unlink()
    assert pip_install("trust") == "pip install 'edgesr[trust]'"


def test_from_a_repository(record) -> None:
    record({"url": "https://example.org/edgesr", "vcs_info": {"vcs": "git", "commit_id": "1"}})
    assert pip_install("web") == "pip install 'edgesr[web] @ git+https://example.org/edgesr'"


@pytest.mark.parametrize("damaged", [None, "", "{", "[]", '{"url": 3}', '{"url": "file:///nowhere", "dir_info": 1}'])
def test_from_an_index_or_who_knows_where(record, damaged: str | None) -> None:
    record(damaged)
    assert pip_install("web") == "pip install 'edgesr[web]'"


def test_a_checkout_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(installed, "distribution", nothing)
    monkeypatch.setattr(installed, "CHECKOUT", clone(tmp_path / "clone"))
    assert pip_install("web") == f"pip install -e '{tmp_path}/clone[web]'"
