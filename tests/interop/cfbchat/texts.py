"""The padded text inside room messages, whispers and letters (PROTOCOL.md §7)."""

from __future__ import annotations

from dataclasses import dataclass

from . import cbor
from .opening import CannotOpen, fields_of

BLOCK = 64
MARK = b"\x80"
TEXT, ACTION = 0, 1
LONGEST = 4096


@dataclass(frozen=True)
class Text:
    """What somebody said, and when by their own clock, in milliseconds since 1970."""

    sent_at: int
    kind: int
    text: str


def pad(text: Text) -> bytes:
    """The text as it is sealed: padded, so that only its length in blocks shows."""
    marked = cbor.encode([text.sent_at, text.kind, text.text]) + MARK
    return marked + bytes(-len(marked) % BLOCK)


def unpad(padded: bytes, longest: int = LONGEST) -> Text:
    """The text in `padded`, which has one form for each text."""
    marked = padded.rstrip(b"\x00")
    if len(padded) % BLOCK or len(padded) - len(marked) >= BLOCK or not marked.endswith(MARK):
        raise CannotOpen("text", "wrong padding")
    try:
        sent_at, kind, text = fields_of(marked[:-1], [int, int, str], "the text")
    except CannotOpen as error:
        raise CannotOpen("text", str(error)) from error
    if not 1 <= len(text.encode()) <= longest:
        raise CannotOpen("text", f"a text of {len(text.encode())} bytes")
    return Text(sent_at, kind, text)
