"""Pages that are made from the code say what the code says."""

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the table of networks is counted with PyTorch")

ROOT = Path(__file__).parent.parent


def test_the_table_of_networks_has_not_drifted() -> None:
    spec = importlib.util.spec_from_file_location("networks_page", ROOT / "scripts" / "networks_page.py")
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    text = made.PAGE.read_text()
    drifted = text.replace("| `carn` x4", "| `carn` x5")
    assert drifted != text and made.page(drifted) == text, "make networks writes it anew"
