"""Small forms of large networks, so that a contract over the whole table stays cheap. A new network needs no entry."""

from typing import Any

SMALL: dict[str, dict[str, Any]] = {
    "rdn": {"blocks": 2, "layers": 2, "growth": 8, "features": 8},
    "rdsrn": {"features": 32},
    "carn": {"features": 8},
}
