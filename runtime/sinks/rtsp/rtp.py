"""H.264 in RTP packets (RFC 6184, packetization mode 1), and the sender reports that go with them (RFC 3550)."""

import secrets
import struct
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = [
    "HEADER",
    "PAYLOAD",
    "PAYLOAD_TYPE",
    "AccessUnit",
    "Packetiser",
    "nal_units",
    "parameter_sets",
    "sender_report",
]

PAYLOAD_TYPE = 96
HEADER, PAYLOAD = 12, 1388  # bytes: together 1400, which fits an Ethernet frame, tunnels included
SPS, PPS, FRAGMENT = 7, 8, 28
FRAGMENT_BEGINS, FRAGMENT_ENDS = 0x80, 0x40
UNIX_EPOCH_S = 2_208_988_800  # in seconds of NTP, which begin in 1900


@dataclass(frozen=True)
class AccessUnit:
    """One encoded frame. captured_ns: its `Frame.captured_ns`; rtp_time: what its packets say."""

    packets: list[bytes]
    keyframe: bool
    captured_ns: int
    rtp_time: int


def nal_units(stream: bytes) -> Iterator[bytes]:
    """Annex B -> the NAL units between its start codes."""
    begin = stream.find(b"\x00\x00\x01")
    while begin >= 0:
        begin += 3
        end = stream.find(b"\x00\x00\x01", begin)
        unit = stream[begin : end if end >= 0 else len(stream)].rstrip(b"\x00")  # no unit ends in a zero byte
        if unit:
            yield unit
        begin = end


def parameter_sets(stream: bytes) -> tuple[bytes, bytes] | None:
    """SPS and PPS of an encoded keyframe; None where it carries none."""
    found = {unit[0] & 0x1F: unit for unit in nal_units(stream)}
    return (found[SPS], found[PPS]) if SPS in found and PPS in found else None


class Packetiser:
    """Numbers the packets of one stream; all viewers get the same ones."""

    def __init__(self) -> None:
        self.source = secrets.randbits(32)
        self._sequence = secrets.randbits(16)
        self._begin = secrets.randbits(32)

    def packets(self, stream: bytes, ticks: int, *, keyframe: bool, captured_ns: int) -> AccessUnit:
        rtp_time = (self._begin + ticks) & 0xFFFFFFFF
        payloads = [payload for unit in nal_units(stream) for payload in _payloads(unit)]
        packets = []
        for place, payload in enumerate(payloads, 1):
            marker = 0x80 if place == len(payloads) else 0
            header = struct.pack("!BBHII", 0x80, marker | PAYLOAD_TYPE, self._sequence, rtp_time, self.source)
            packets.append(header + payload)
            self._sequence = (self._sequence + 1) & 0xFFFF
        return AccessUnit(packets, keyframe, captured_ns, rtp_time)


def _payloads(unit: bytes) -> Iterator[bytes]:
    """A NAL unit as it is where one packet carries it, else in fragments (FU-A)."""
    if len(unit) <= PAYLOAD:
        yield unit
        return
    step = PAYLOAD - 2
    for begin in range(1, len(unit), step):
        place = FRAGMENT_BEGINS if begin == 1 else FRAGMENT_ENDS if begin + step >= len(unit) else 0
        yield bytes((unit[0] & 0xE0 | FRAGMENT, unit[0] & 0x1F | place)) + unit[begin : begin + step]


def sender_report(source: int, rtp_time: int, unix_ns: int, packets: int, octets: int) -> bytes:
    """What wall clock time a frame's `rtp_time` is, and how much was sent so far."""
    seconds, rest_ns = divmod(unix_ns, 10**9)
    ntp = (((seconds + UNIX_EPOCH_S) & 0xFFFFFFFF) << 32) + (rest_ns << 32) // 10**9
    return struct.pack("!BBHIQIII", 0x80, 200, 6, source, ntp, rtp_time, packets & 0xFFFFFFFF, octets & 0xFFFFFFFF)
