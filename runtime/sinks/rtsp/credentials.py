"""Name and password of a viewer, by Digest (RFC 2617, as RTSP 1.0 has it): the password never travels."""

import hashlib
import hmac
import re
from dataclasses import dataclass, field

__all__ = ["Credentials"]

REALM = "edgesr"


@dataclass(frozen=True)
class Credentials:
    """A name and a password; neither is ever printed."""

    user: str = field(repr=False)
    password: str = field(repr=False)

    def challenge(self, nonce: str) -> str:
        return f'Digest realm="{REALM}", nonce="{nonce}"'

    def fit(self, given: str, method: str, nonce: str) -> bool:
        """Is this Authorization header right for the method and the nonce it was asked with?"""
        kind, _space, rest = given.partition(" ")
        values = {name.lower(): quoted or bare for name, quoted, bare in FIELD.findall(rest)}
        if kind.lower() != "digest" or values.get("nonce") != nonce:
            return False
        secret = _md5(f"{self.user}:{REALM}:{self.password}")
        asked = _md5(f"{method}:{values.get('uri', '')}")
        expected = _md5(f"{secret}:{nonce}:{asked}")
        named = hmac.compare_digest(values.get("username", "").encode(), self.user.encode())
        return hmac.compare_digest(values.get("response", "").encode(), expected.encode()) and named


FIELD = re.compile(r'([A-Za-z]+)=(?:"([^"]*)"|([^\s,]*))')


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
