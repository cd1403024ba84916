"""What tests share: the folder of reference data, where there is one, and small models."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"


@pytest.fixture
def shared() -> Path:
    """Benchmark images and published weights, which lie beside a developer's checkout and in no user's clone."""
    if not SHARED.is_dir():
        pytest.skip("no ../shared beside the checkout: published weights and benchmark images are not tested here")
    return SHARED
