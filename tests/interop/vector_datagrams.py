"""The frozen values of PROTOCOL.md §10: keys, tags and cookies of datagrams."""

from __future__ import annotations

import hmac
from typing import Any

from cfbchat import cbor, crypto
from vector_basics import fixed

SHORT = 16


def tag(key: bytes, datagram: bytes) -> bytes:
    return hmac.digest(key, datagram, "sha256")[:SHORT]


def cookie(secret: bytes, address: bytes, port: int, conversation: bytes) -> bytes:
    encoded = cbor.encode(["cfb-chat/1 cookie", address, port, conversation])
    return hmac.digest(secret, encoded, "sha256")[:SHORT]


def keys_of(handshake: dict[str, Any]) -> dict[str, bytes]:
    """Both directions' keys of the frozen handshake."""
    master, th5 = bytes.fromhex(handshake["master"]), bytes.fromhex(handshake["th"]["5"])
    return {
        side: crypto.derive(master, f"{side} datagrams", th5, 32) for side in ("client", "server")
    }


def tag_case(key: bytes, number: int, segments: bytes) -> dict[str, str]:
    datagram = b"\x04" + b"talk" + number.to_bytes(8, "big") + segments
    return {"key": key.hex(), "datagram": datagram.hex(), "tag": tag(key, datagram).hex()}


def cookie_case(address: bytes, port: int) -> dict[str, object]:
    secret, conversation = fixed("cookie secret"), fixed("conversation", 4)
    return {
        "secret": secret.hex(),
        "address": address.hex(),
        "port": port,
        "conversation": conversation.hex(),
        "cookie": cookie(secret, address, port, conversation).hex(),
    }


def datagrams_section(handshake: dict[str, Any]) -> dict[str, object]:
    keys = keys_of(handshake)
    return {
        "keys": {side: key.hex() for side, key in keys.items()},
        "tags": [
            tag_case(keys["client"], 1, b""),
            tag_case(keys["server"], 2**40, fixed("segments", 300)),
        ],
        "cookies": [
            cookie_case(bytes([192, 0, 2, 1]), 9443),
            cookie_case(bytes.fromhex("20010db8000000000000000000000001"), 80),
        ],
    }
