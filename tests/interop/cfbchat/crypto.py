"""The primitives of PROTOCOL.md §2 and the sealing of §5."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from . import cbor

PROTOCOL = "cfb-chat/1"
TAG_BYTES = 32
MAX_SPKI_BYTES = 640
RSA_BITS = (2048, 3072, 4096)
RSA_EXPONENT = 65537


class RefusedKey(ValueError):
    """A public key this protocol does not allow."""


class BadTag(ValueError):
    """A sealed text whose tag does not hold."""


class BadSignature(ValueError):
    """A signature that does not hold."""


# --- Key derivation (§2) and sealing (§5)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def derive(secret: bytes, label: str, context: bytes, count: int) -> bytes:
    """`derive(secret, label, context, n)` of §2."""
    info = cbor.encode([PROTOCOL, label, context])
    return HKDFExpand(hashes.SHA256(), length=count, info=info).derive(secret)


def extract(salt: bytes, key_material: bytes) -> bytes:
    """HKDF-Extract with SHA-256."""
    return HKDF.extract(hashes.SHA256(), salt, key_material)


@dataclass(frozen=True)
class Step:
    """What one step of a chain gives (§5)."""

    enc: bytes
    mac: bytes
    iv: bytes
    next_chain: bytes


def step(chain: bytes) -> Step:
    """`step(chain)` of §5."""
    output = derive(chain, "step", b"", 112)
    return Step(output[:32], output[32:64], output[64:80], output[80:])


def seal(keys: Step, text: bytes) -> bytes:
    """`seal(step, text)` of §5: AES-256-CFB-128, then HMAC-SHA-256 over the ciphertext."""
    encryptor = Cipher(AES(keys.enc), CFB(keys.iv)).encryptor()
    ciphertext = encryptor.update(text) + encryptor.finalize()
    return ciphertext + hmac.digest(keys.mac, ciphertext, "sha256")


def open_sealed(keys: Step, sealed: bytes) -> bytes:
    """The text in `sealed`; the tag is compared, in constant time, before anything is decrypted."""
    if len(sealed) < TAG_BYTES:
        raise BadTag("shorter than a tag")
    ciphertext, tag = sealed[:-TAG_BYTES], sealed[-TAG_BYTES:]
    if not hmac.compare_digest(hmac.digest(keys.mac, ciphertext, "sha256"), tag):
        raise BadTag("the tag does not hold")
    decryptor = Cipher(AES(keys.enc), CFB(keys.iv)).decryptor()
    return decryptor.update(ciphertext) + decryptor.finalize()


class Chain:
    """One direction's chain: every record steps it, a key seals one text (§5)."""

    def __init__(self, key: bytes) -> None:
        self.key = key

    def _advance(self) -> Step:
        keys = step(self.key)
        self.key = keys.next_chain
        return keys

    def seal(self, text: bytes) -> bytes:
        return seal(self._advance(), text)

    def open(self, record: bytes) -> bytes:
        return open_sealed(self._advance(), record)


# --- RSA identities (§2)


def spki_of(key: rsa.RSAPublicKey) -> bytes:
    """DER SubjectPublicKeyInfo with NULL parameters (§2)."""
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def load_spki(spki: bytes) -> rsa.RSAPublicKey:
    """The RSA key in `spki`, refused unless §2 allows it."""
    if len(spki) > MAX_SPKI_BYTES:
        raise RefusedKey("SPKI over 640 bytes")
    try:
        key = serialization.load_der_public_key(spki)
    except Exception as error:  # the parser has many ways to refuse
        raise RefusedKey("not an SPKI") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise RefusedKey("not an RSA key")
    numbers = key.public_numbers()
    if numbers.n.bit_length() not in RSA_BITS or numbers.e != RSA_EXPONENT:
        raise RefusedKey("not an RSA key of an allowed size and exponent")
    if spki_of(key) != spki:
        raise RefusedKey("not the one encoding of this key")
    return key


def fingerprint_text(fingerprint: bytes) -> str:
    """How a fingerprint is shown (§2)."""
    return "SHA256:" + base64.b64encode(fingerprint).decode().rstrip("=")


def fingerprint_from_text(text: str) -> bytes:
    """A fingerprint from how it is shown; `ValueError` for anything else."""
    fingerprint = base64.b64decode(text.removeprefix("SHA256:") + "=", validate=True)
    if fingerprint_text(fingerprint) != text or len(fingerprint) != 32:
        raise ValueError("not a fingerprint")
    return fingerprint


_PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)


def pss_sign(key: rsa.RSAPrivateKey, message: bytes) -> bytes:
    return key.sign(message, _PSS, hashes.SHA256())


def pss_verify(key: rsa.RSAPublicKey, signature: bytes, message: bytes) -> None:
    try:
        key.verify(signature, message, _PSS, hashes.SHA256())
    except InvalidSignature:
        raise BadSignature("PSS") from None


def _oaep(label: str) -> padding.OAEP:
    return padding.OAEP(
        mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=label.encode()
    )


def oaep_encrypt(key: rsa.RSAPublicKey, label: str, secret: bytes) -> bytes:
    return key.encrypt(secret, _oaep(label))


def oaep_decrypt(key: rsa.RSAPrivateKey, label: str, ciphertext: bytes) -> bytes:
    """The 32 bytes in `ciphertext`; 32 random ones where it fails or gives another number (§2)."""
    instead = os.urandom(32)
    try:
        secret = key.decrypt(ciphertext, _oaep(label))
    except ValueError:
        return instead
    return secret if len(secret) == 32 else instead


# --- Curve25519 (§2)

_FIELD = 2**255 - 19
_ORDER_8_Y = (
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
)
_SMALL_ORDER_Y = {0, 1, _FIELD - 1} | {
    int.from_bytes(bytes.fromhex(y), "little") for y in _ORDER_8_Y
}


def _check_point(encoded: bytes) -> None:
    """Refuses small order and encodings that are not canonical (§2, `verify_strict`)."""
    y = int.from_bytes(encoded, "little") & (2**255 - 1)
    if y >= _FIELD:
        raise BadSignature("a point that is not encoded canonically")
    if y in _SMALL_ORDER_Y:
        raise BadSignature("a point of small order")


def ed25519_verify(public: bytes, signature: bytes, message: bytes) -> None:
    """Ed25519 as §2 has it; a scalar that is not reduced is refused by the library."""
    if len(public) != 32 or len(signature) != 64:
        raise BadSignature("wrong length")
    _check_point(public)
    _check_point(signature[:32])
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise BadSignature("Ed25519") from None


def x25519(private: X25519PrivateKey, public: bytes) -> bytes:
    """The shared secret; an all-zero one is refused (§2)."""
    try:
        secret = private.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:
        raise RefusedKey("X25519") from error
    if not any(secret):
        raise RefusedKey("X25519 gave zeros")
    return secret
