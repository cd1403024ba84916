"""RTSP requests and answers as bytes; what a stranger sends is bounded and checked here."""

import asyncio
import re
from dataclasses import dataclass, field

__all__ = ["Malformed", "Request", "answer", "read_request"]

HEAD_LIMIT, BODY_LIMIT = 8192, 4096
INTERLEAVED = b"$"

REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    453: "Not Enough Bandwidth",
    454: "Session Not Found",
    455: "Method Not Valid in This State",
    461: "Unsupported Transport",
    503: "Service Unavailable",
    551: "Option not supported",
}


class Malformed(Exception):
    """What came is no RTSP request; the connection ends."""


@dataclass(frozen=True)
class Request:
    """headers: names in lower case."""

    method: str
    uri: str
    sequence: str
    headers: dict[str, str] = field(default_factory=dict)


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """The next request; None where the connection ended between two. What a viewer sends inside the media
    channels (its reports) is read and left. Raises Malformed, asyncio.IncompleteReadError.
    """
    while first := await reader.read(1):
        if first == INTERLEAVED:
            header = await reader.readexactly(3)
            await reader.readexactly(int.from_bytes(header[1:], "big"))
        elif first not in b"\r\n":
            return await _request(first, reader)
    return None


async def _request(first: bytes, reader: asyncio.StreamReader) -> Request:
    try:
        head = first + await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise Malformed("the request is too long") from error
    lines = head.decode("utf-8", "replace").split("\r\n")
    request_line = re.fullmatch(r"([A-Z_]{1,32}) (\S{1,2048}) RTSP/1\.[0-9]", lines[0])
    headers = dict(_header(line) for line in lines[1:] if line)
    sequence = headers.get("cseq", "")
    if not request_line or not re.fullmatch(r"[0-9]{1,10}", sequence):
        raise Malformed("no request line, or no CSeq")
    length = headers.get("content-length", "0")
    if not re.fullmatch(r"[0-9]{1,5}", length) or int(length) > BODY_LIMIT:
        raise Malformed("the body is too long")
    await reader.readexactly(int(length))
    return Request(request_line[1], request_line[2], sequence, headers)


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon:
        raise Malformed("a header without a colon")
    return name.strip().lower(), value.strip()


def answer(status: int, sequence: str, headers: dict[str, str] | None = None, body: str = "") -> bytes:
    lines = [f"RTSP/1.0 {status} {REASONS[status]}", f"CSeq: {sequence}", "Server: edgesr"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body:
        lines.append(f"Content-Length: {len(body.encode())}")
    return "\r\n".join([*lines, "", body]).encode()
