"""The frozen names and rooms of PROTOCOL.md 6.7-1: those that are some, and those that are none."""

from __future__ import annotations

from cfbchat.credential import is_name, is_room

NAMES = ["sahnawaz", "Ira", "x", "_", "_ira", "7of9", "jean-luc.2", "a#b", "Zo\u00eb", "\u0418\u0440\u0438\u043d\u0430",
         "\u674e\u96f7", "\u0969", "1.2.3.4.5", "192.0.2.256", "4294967296", "ab:cd", "n" * 32]  # fmt: skip

REFUSED = {
    "": "empty",
    "n" * 33: "33 characters",
    "I ra": "a space",
    "Ira\x1b": "a control character",
    "Ira\u202e": "a direction character",
    "Zoe\u0308": "not in its normal form",
    "\uff29\uff32\uff21": "not in its normal form",
    "#lobby": "it begins with a sign: a room's name is none",
    "/w": "it begins with a sign",
    "[+]": "it begins with a sign",
    "-x": "it begins with a sign",
    ".ira": "it begins with a sign",
    "@Ira": "it begins with a sign",
    "*": "it begins with a sign",
    "::1": "it begins with a sign",
    "192.0.2.1": "an IPv4 address",
    "0.0.0.0": "an IPv4 address",
    "2001:db8::1": "an IPv6 address",
    "fe80::1": "an IPv6 address",
    "1::": "an IPv6 address",
    "::ffff:192.0.2.1": "an IPv6 address",
    "2001:DB8::192.0.2.1": "an IPv6 address",
    "fe80::1%eth0": "an IPv6 address with a zone",
    "2001:00db8::00001": "an IPv6 address with more zeros than it needs",
    "192.0.2": "an IPv4 address of three numbers",
    "0x7f.1": "an IPv4 address of two numbers",
    "2130706433": "an IPv4 address of one number",
    "0": "an IPv4 address of one number",
    "017700000001": "an IPv4 address of one octal number",
    "0x7f000001": "an IPv4 address of one hexadecimal number",
    "127.0.0.01": "an IPv4 address with a zero that it does not need",
    "127.0.0.1.": "an IPv4 address with a dot behind it",
}


def names_section() -> dict[str, object]:
    """A room is `#` and a name, so the same list serves for both."""
    for name in NAMES:
        assert is_name(name) and is_room("#" + name), name
    for name in REFUSED:
        assert not is_name(name) and not is_room("#" + name), name
    return {
        "names": NAMES,
        "refused": [{"name": name, "why": why} for name, why in REFUSED.items()],
    }
