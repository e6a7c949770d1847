"""What is random inside an OAEP ciphertext and a PSS signature, recovered (RFC 8017)."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import rsa

from cfbchat import crypto

HASH_BYTES = 32
SALT_BYTES = 32


def _mgf1(seed: bytes, count: int) -> bytes:
    blocks = range(-(-count // HASH_BYTES))
    return b"".join(crypto.sha256(seed + block.to_bytes(4, "big")) for block in blocks)[:count]


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def pss_salt(key: rsa.RSAPublicKey, signature: bytes) -> bytes:
    """The salt in a signature (EMSA-PSS, §9.1.2 there)."""
    numbers = key.public_numbers()
    opened = pow(int.from_bytes(signature, "big"), numbers.e, numbers.n)
    encoded = opened.to_bytes(key.key_size // 8, "big")
    masked, digest = encoded[: -HASH_BYTES - 1], encoded[-HASH_BYTES - 1 : -1]
    return _xor(masked, _mgf1(digest, len(masked)))[-SALT_BYTES:]


def oaep_seed(key: rsa.RSAPrivateKey, ciphertext: bytes) -> bytes:
    """The seed in a ciphertext (EME-OAEP, §7.1.2 there)."""
    numbers = key.private_numbers()
    opened = pow(int.from_bytes(ciphertext, "big"), numbers.d, numbers.public_numbers.n)
    encoded = opened.to_bytes(key.key_size // 8, "big")
    masked_seed, masked = encoded[1 : HASH_BYTES + 1], encoded[HASH_BYTES + 1 :]
    return _xor(masked_seed, _mgf1(masked, HASH_BYTES))
