"""Who vouches for an engine: the Ed25519 signature on its card, which names the plan's SHA-256 and so covers the plan."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from edgesr.runtime.errors import InputError, MissingDependency, MissingFile, UntrustedEngine
from edgesr.runtime.installed import pip_install

if TYPE_CHECKING:  # the first is an extra; the second asks this module whether it is signed
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from edgesr.runtime.card import EngineCard

__all__ = ["fingerprint", "key_fingerprint", "missing_cryptography", "read_key", "signed_message", "verify_card"]

PREFIX = b"edgesr engine card v1\0"
"""No signature made for another purpose can be passed off as one of a card."""
MOST_BYTES = 1 << 16


def verify_card(card: "EngineCard", public_key: Path) -> None:
    """Raise UntrustedEngine where the card was not signed, as it stands, with the private half of `public_key`.

    Raises InputError where the file holds no Ed25519 public key, MissingFile, MissingDependency.
    """
    key = _public_key(public_key)
    from cryptography.exceptions import InvalidSignature

    engine, wanted = f"this {card.spec.title} engine", fingerprint(key)
    expected = f"expected one by {public_key} ({wanted}): sign it with that key when it is built, or do not run it"
    if not card.signature:
        raise UntrustedEngine(f"{engine} has no signature; {expected}")
    try:
        key.verify(bytes.fromhex(card.signature), signed_message(card))
    except (InvalidSignature, ValueError) as error:
        if card.signer != wanted:
            raise UntrustedEngine(
                f"{engine} has a signature by another key ({card.signer or 'unnamed'}); {expected}"
            ) from error
        raise UntrustedEngine(
            f"{engine} has a damaged signature, or its card was changed after it was signed; {expected}"
        ) from error


def signed_message(card: "EngineCard") -> bytes:
    return PREFIX + card.signed_bytes()


def key_fingerprint(public_key: Path) -> str:
    """Of a public key's file. Raises as `verify_card` does for the key."""
    return fingerprint(_public_key(public_key))


def fingerprint(key: "Ed25519PublicKey") -> str:
    """Half of the SHA-256 over the key's 32 bytes: for people to compare; nothing is decided by it."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:32]


def _public_key(path: Path) -> "Ed25519PublicKey":
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError as error:
        raise missing_cryptography(error) from error
    data = read_key(path)
    if b"PRIVATE KEY-----" in data:
        raise InputError(f"{path} is a private key; expected its public half (NAME.pub): keep this one to yourself")
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(
            f"{path} holds no public key in PEM form; expected an Ed25519 one, such as edgesr-export keygen makes (NAME.pub)"
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(f"{path} holds a key of another kind ({type(key).__name__}); expected Ed25519")
    return key


def read_key(path: Path) -> bytes:
    """What a key's file holds. Raises MissingFile, InputError."""
    if not path.is_file():
        raise MissingFile(f"{path} does not exist; expected a key, such as edgesr-export keygen makes")
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; let this user read it") from error
    if len(data) > MOST_BYTES:
        raise InputError(f"{path} is too large for a key; expected one such as edgesr-export keygen makes")
    return data


def missing_cryptography(error: ImportError) -> MissingDependency:
    return MissingDependency(f"signatures need a missing package ({error}): {pip_install('trust')}")
