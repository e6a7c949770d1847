"""The frozen values of PROTOCOL.md §2 and §5: encoding, derivation, sealing."""

from __future__ import annotations

from cfbchat import cbor, crypto

NOW = 1_700_000_000


def fixed(name: str, count: int = 32) -> bytes:
    """Test bytes that anybody can make again."""
    return crypto.derive(crypto.sha256(name.encode()), "test bytes", b"", count)


def shown(value: cbor.Value) -> object:
    """A value of the encoding as JSON."""
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, list):
        return [shown(item) for item in value]
    return value


def encodings() -> list[object]:
    arrays_of_8: cbor.Value = []
    for _ in range(7):
        arrays_of_8 = [arrays_of_8]
    values: list[cbor.Value] = [
        0, 1, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**53, 2**64 - 1,
        b"", b"\x00", bytes(range(23)), bytes(range(24)), fixed("255", 255), fixed("256", 256),
        "", "a", "Ira", "ü", "水", "😀", "#lobby", "x" * 24, "y" * 256, "\u0000\u001b",
        [], [1], [[], [1, [2]]], [1, b"\x01", "1", [1]], list(range(24)), arrays_of_8,
    ]  # fmt: skip
    return [{"value": shown(value), "encoding": cbor.encode(value).hex()} for value in values]


INVALID_ENCODINGS = {
    "": "nothing",
    "0000": "bytes after the end",
    "8000": "bytes after the end of an array",
    "1800": "a head that is not the shortest",
    "1817": "a head that is not the shortest",
    "190017": "a head that is not the shortest",
    "1900ff": "a head that is not the shortest",
    "1a0000ffff": "a head that is not the shortest",
    "1b00000000ffffffff": "a head that is not the shortest",
    "580100": "a length that is not the shortest",
    "7803616263": "a length that is not the shortest",
    "980100": "a count that is not the shortest",
    "18": "an integer that is cut off",
    "19ff": "an integer that is cut off",
    "1bffffffffffffff": "an integer that is cut off",
    "1c": "a reserved head",
    "1d": "a reserved head",
    "1e": "a reserved head",
    "1f": "a reserved head",
    "20": "a negative integer",
    "3863": "a negative integer",
    "41": "a length greater than what is left",
    "4200": "a length greater than what is left",
    "62c3": "a length greater than what is left",
    "81": "a count greater than what is left",
    "8200": "a count greater than what is left",
    "5bffffffffffffffff": "a length greater than what is left",
    "7bffffffffffffffff": "a length greater than what is left",
    "9bffffffffffffffff": "a count greater than what is left",
    "9affffffff00": "a count greater than what is left",
    "5fff": "an indefinite length",
    "5f4100ff": "an indefinite length",
    "7f6161ff": "an indefinite length",
    "9fff": "an indefinite length",
    "ff": "a break",
    "61ff": "text that is not UTF-8",
    "62c080": "text that is not UTF-8 (overlong)",
    "63eda080": "text that is not UTF-8 (surrogate)",
    "64f4908080": "text that is not UTF-8 (over U+10FFFF)",
    "61c3": "text that is not UTF-8 (cut off)",
    "a0": "a map",
    "a10000": "a map",
    "bfff": "a map",
    "c000": "a tag",
    "c24101": "a tag",
    "f4": "a truth value",
    "f5": "a truth value",
    "f6": "null",
    "f7": "undefined",
    "e0": "a simple value",
    "f820": "a simple value",
    "f93c00": "a floating-point number",
    "fa3f800000": "a floating-point number",
    "fb3ff0000000000000": "a floating-point number",
    "818181818181818180": "9 arrays in one another",
    "81818181818181818100": "9 arrays in one another",
    "8181a0": "a map inside arrays",
}


def invalid_encodings() -> list[object]:
    for encoding in INVALID_ENCODINGS:
        try:
            cbor.decode(bytes.fromhex(encoding))
        except cbor.EncodingError:
            continue
        raise AssertionError(f"{encoding} was taken")
    return [{"encoding": bad, "reason": reason} for bad, reason in INVALID_ENCODINGS.items()]


def derivations() -> list[object]:
    cases = [
        (bytes(32), "step", b"", 112),
        (fixed("secret"), "step", b"", 112),
        (fixed("secret"), "master", fixed("context"), 32),
        (fixed("secret"), "client handshake", fixed("context"), 32),
        (fixed("secret"), "server", b"\x00", 1),
        (fixed("secret"), "", fixed("long context", 300), 255),
    ]
    return [
        {
            "secret": secret.hex(),
            "label": label,
            "context": context.hex(),
            "n": count,
            "output": crypto.derive(secret, label, context, count).hex(),
        }
        for secret, label, context, count in cases
    ]


def sealed_case(chain: bytes, text: bytes) -> dict[str, object]:
    keys = crypto.step(chain)
    return {
        "chain": chain.hex(),
        "enc": keys.enc.hex(),
        "mac": keys.mac.hex(),
        "iv": keys.iv.hex(),
        "next": keys.next_chain.hex(),
        "text": text.hex(),
        "sealed": crypto.seal(keys, text).hex(),
    }


def sealings() -> dict[str, object]:
    lengths = (0, 1, 15, 16, 17, 64, 1000)
    chain = fixed("chain of three records")
    successive = []
    for text in (b"first", b"", b"the third record"):
        successive.append(sealed_case(chain, text))
        chain = crypto.step(chain).next_chain
    return {
        "single": [
            sealed_case(fixed(f"chain {count}"), fixed(f"text {count}", count) if count else b"")
            for count in lengths
        ],
        "three successive records of one chain": successive,
    }
