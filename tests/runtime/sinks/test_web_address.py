"""Where the page is served, and what is said where it cannot be."""

import re
import socket
import sys
import threading
from contextlib import closing

import pytest

from edgesr.runtime.errors import InputError, MissingDependency
from edgesr.runtime.sinks.web import open_web
from edgesr.runtime.sinks.web.address import Address

aiohttp = pytest.importorskip("aiohttp", reason="the page needs pip install 'edgesr[web]'")
pytest.importorskip("prometheus_client", reason="the page needs pip install 'edgesr[web]'")
cv2 = pytest.importorskip("cv2", reason="the page needs OpenCV")

from tests.runtime.sinks.web import INFO, TOKEN


def test_only_this_machine_is_served_unless_told_otherwise() -> None:
    assert Address.parse("//:8080") == Address("127.0.0.1", 8080)
    assert Address.parse(f"//0.0.0.0:80?token={TOKEN}&quality=75") == Address("0.0.0.0", 80, TOKEN, 75)
    assert str(Address.parse("//[::1]:9000/")) == "http://[::1]:9000"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("//0.0.0.0:8080", "needs a token"),
        ("//[::]:8080", "needs a token"),
        ("//board.local:8080", "needs a token"),
        ("//0.0.0.0:8080?token=", "is empty"),
        ("//0.0.0.0:8080?token=secret", "16 or more"),
        ("//0.0.0.0:8080?token=sëcret-sëcret-sëcret", "16 or more"),
        ("//:8080?tokn=secret", "'tokn'"),
        ("//:8080?quality=101", "1 to 100"),
        ("//:8080?quality=high", "1 to 100"),
        ("//:99999", "no address for a page"),
        ("//[::1", "no address for a page"),
        ("//", "no address for a page"),
        ("", "no address for a page"),
        ("8080", "no address for a page"),
        ("//user:secret@:8080", "no address for a page"),
        ("//:8080/video", "no address for a page"),
    ],
)
def test_an_odd_address_is_refused_in_one_line_that_tells_no_secret(target: str, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)) as refused:
        open_web(target, INFO, False)
    assert "secret" not in str(refused.value) and "\n" not in str(refused.value)


def test_a_port_in_use_is_told_in_one_line() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"http://127.0.0.1:{port} is in use by another program; choose another"):
            open_web(f"//:{port}", INFO, False)


@pytest.mark.parametrize(
    ("host", "said"), [("192.0.2.1", "no address of this machine"), ("nowhere.invalid", "the host is unknown")]
)
def test_a_foreign_host_is_told(host: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        open_web(f"//{host}:0?token={TOKEN}", INFO, False)


@pytest.mark.parametrize("module", ["aiohttp", "prometheus_client", "cv2"])
def test_what_is_missing_is_told_with_the_way_to_get_it(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = threading.active_count()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependency, match=r"pip install .*\[(web|opencv)\]'"):
        open_web("//:0", INFO, False)
    assert threading.active_count() == threads
