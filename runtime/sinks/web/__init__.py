"""A page in the browser that shows the live stream: `http://:8080`.

The stream's thread copies a frame and goes on; a server in a thread of its own encodes what somebody watches.
"""

from importlib import import_module

from edgesr.runtime.errors import MissingDependency
from edgesr.runtime.installed import pip_install
from edgesr.runtime.sinks.base import Sink
from edgesr.runtime.sinks.web.address import Address
from edgesr.runtime.sources.base import StreamInfo

__all__ = ["open_web"]


def open_web(target: str, info: StreamInfo, force: bool) -> Sink:
    address = Address.parse(target)
    try:
        for module in ("aiohttp", "prometheus_client"):
            import_module(module)
    except ImportError as error:
        raise MissingDependency(f"a page in the browser needs aiohttp ({error}): {pip_install('web')}") from error
    from edgesr.runtime.sinks.web.sink import WebSink

    return WebSink(address, title=info.title)
