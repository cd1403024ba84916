"""Who may talk to the server, and what its answers forbid the browser."""

import hmac
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from edgesr.runtime.sinks.loopback import LOOPBACK_NAMES
from edgesr.runtime.sinks.web.address import Address

__all__ = ["Guard"]

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}


class Guard:
    """Three questions to each request.

    Was it meant for us? Without a token only names of this machine are answered, so that no other site can point its
    own name here (DNS rebinding).
    Does it come from our own page? Other sites may link to the page, and nothing else.
    Does it know the token? Given once as `?token=` or as `Authorization: Bearer`, then remembered by a cookie that
    scripts cannot read and other sites cannot send; made from the token, it outlives a restart, but does not tell it.
    """

    def __init__(self, address: Address) -> None:
        self._token = address.token.encode()
        self._cookie = hmac.new(self._token, b"edgesr viewer", "sha256").hexdigest()
        self._names = {*LOOPBACK_NAMES, address.host}
        self._cookie_name = "edgesr_viewer"

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        refusal = self._refusal(request)
        if refusal is not None:
            status, reason = refusal
            return web.Response(status=status, text=f"{reason}\n")
        response = await handler(request)
        if self._token and self._knows_token(request) and not response.prepared:
            response.set_cookie(self._cookie_name, self._cookie, httponly=True, samesite="Strict")
        return response

    async def add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(HEADERS)
        response.headers.pop("Server", None)  # it names versions

    def _refusal(self, request: web.Request) -> tuple[int, str] | None:
        host = request.headers.get("Host", "")
        if not self._token and _name(host) not in self._names:
            return 403, f"this server answers to {', '.join(sorted(self._names))}, not to the name you used"
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return 403, "another site may not talk to this server"
        if request.path != "/" and request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return 403, "another site may not use this server"
        if self._token and not (self._knows_token(request) or self._has_cookie(request)):
            return 401, "this page needs the token that the stream was started with: add ?token=... to the address"
        return None

    def _knows_token(self, request: web.Request) -> bool:
        kind, _, bearer = request.headers.get("Authorization", "").partition(" ")
        given = bearer.strip() if kind.lower() == "bearer" else request.query.get("token", "")
        return hmac.compare_digest(given.encode(errors="replace"), self._token)

    def _has_cookie(self, request: web.Request) -> bool:
        given = request.cookies.get(self._cookie_name, "")
        return hmac.compare_digest(given.encode(errors="replace"), self._cookie.encode())


def _name(host: str) -> str:
    """`localhost:9000` -> `localhost`: the port differs where a tunnel leads here."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""
