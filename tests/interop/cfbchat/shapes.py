"""The fields of the messages and events of PROTOCOL.md §6, by name and type."""

from __future__ import annotations

from .cbor import Bytes, Checked
from .credential import is_name, is_room

Fields = list[tuple[str, object]]

NUMBER = Checked(int, lambda value: value > 0)  # a session's
NAME = Checked(str, is_name)
ROOM = Checked(str, is_room)
FLAG = Checked(int, lambda value: value in (0, 1))

CLIENT_MESSAGES: dict[int, tuple[str, Fields]] = {
    16: ("Join", [("room", ROOM), ("password", str), ("cursor", int)]),
    17: ("Say", [("n", int), ("room", ROOM), ("change", int), ("envelope", bytes)]),
    18: ("Whisper", [("n", int), ("to number", NUMBER), ("box", bytes)]),
    19: ("Share", [("n", int), ("boxes", [(NUMBER, bytes)])]),
    20: ("Letter", [("n", int), ("to fingerprint", Bytes(32)), ("letter", bytes)]),
    21: ("Lookup", [("name", NAME)]),
    22: ("Seen", [("cursor", int)]),
    23: ("Leave", [("room", ROOM)]),
    24: ("Ping", []),
    25: ("Command", [("text", str)]),
    26: ("Password", [("password", str)]),
}

SERVER_MESSAGES: dict[int, tuple[str, Fields]] = {
    32: (
        "Welcome",
        [
            ("room", ROOM),
            ("numbers", [NUMBER]),
            ("change", int),
            ("resumed", FLAG),
            ("cursor", int),
            ("at", int),
            ("notice", str),
            ("longest text", int),
            ("own number", NUMBER),
        ],
    ),
    33: ("Accepted", [("n", int)]),
    34: ("Event", [("cursor", int), ("at", int), ("event", list)]),
    35: (
        "Person",
        [("number", NUMBER), ("SPKI", bytes), ("credential", bytes), ("signature", bytes)],
    ),
    36: ("Error", [("code", str), ("text", str), ("n", int)]),
    37: ("Found", [("name", str), ("SPKI", bytes)]),
    38: ("Pong", []),
    39: ("Bye", [("reason", str)]),
    40: ("Answer", [("text", str)]),
}

EVENTS: dict[int, tuple[str, Fields]] = {
    1: ("said", [("room", ROOM), ("number", NUMBER), ("change", int), ("envelope", bytes)]),
    2: ("whispered", [("number", NUMBER), ("box", bytes)]),
    3: ("shared", [("number", NUMBER), ("box", bytes)]),
    4: ("joined", [("room", ROOM), ("number", NUMBER), ("change", int)]),
    5: ("left", [("room", ROOM), ("number", NUMBER), ("change", int), ("reason", str)]),
    6: ("notice", [("text", str)]),
    7: ("letter", [("letter", bytes)]),
    8: ("absence", [("number", NUMBER), ("lost", FLAG)]),
}

REFUSALS = ("version", "malformed", "credential", "clock", "name", "refused", "busy")

JOIN, SAY, WHISPER, SHARE, LETTER, LOOKUP, SEEN, LEAVE, PING, COMMAND, PASSWORD = range(16, 27)
WELCOME, ACCEPTED, EVENT, PERSON, ERROR, FOUND, PONG, BYE, ANSWER = range(32, 41)
SAID, WHISPERED, SHARED, JOINED, LEFT, NOTICE, LETTER_CAME, ABSENCE = range(1, 9)


def shape(fields: Fields) -> list[object]:
    """The types of a message or an event, its own type first."""
    return [int] + [kind for _, kind in fields]
