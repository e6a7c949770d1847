"""The receiving side of PROTOCOL.md §7: boxes, envelopes and letters, checked and opened."""

from __future__ import annotations

from dataclasses import dataclass

from . import boxes, letters, sender_keys, texts
from .boxes import Way
from .credential import OwnCredential, Person
from .letters import SignedLetter
from .opening import PassedOver
from .rooms import Room
from .sender_keys import Place
from .texts import Text
from .who_is_who import LettersSeen


@dataclass(frozen=True)
class Opened:
    """A padded text, and how many of its kind before it are missing."""

    padded: bytes
    missing: int


class Reader:
    """Opens what is for one session at one server."""

    def __init__(self, own: OwnCredential, server: bytes, seen: LettersSeen) -> None:
        self.own = own
        self.server = server
        self.seen = seen
        self.longest = texts.LONGEST
        self.box_counts: dict[bytes, int] = {}

    def said(self, room: Room, sender: Person, change: int, at: int, envelope: bytes) -> Opened:
        """The checks of §7 in its order; that the sender is in the room is the caller's."""
        members = room.members_at(sender.session, change, at)
        roster = sender_keys.roster(self.server, room.name, change, members)
        place = Place(self.server, room.name, sender.session, roster)
        signed = sender_keys.check(place, envelope, sender.ed25519)
        return Opened(*room.voices[sender.session].open(signed))

    def whispered(self, sender: Person, box: bytes) -> Opened:
        return Opened(*self._open_box(boxes.WHISPER, sender, box))

    def shared(self, sender: Person, box: bytes) -> Opened:
        return Opened(*self._open_box(boxes.KEY, sender, box))

    def text(self, opened: Opened) -> Text:
        return texts.unpad(opened.padded, self.longest)

    def _open_box(self, purpose: str, sender: Person, data: bytes) -> tuple[bytes, int]:
        assert self.own.x25519
        way = Way(purpose, self.server, sender.session, self.own.session)
        signed = boxes.check(way, data, sender.ed25519)
        expected = self.box_counts.get(sender.session, 0) + 1
        if signed.count < expected:
            raise PassedOver("a box that came already, or was given up")
        text = signed.open(self.own.x25519)
        self.box_counts[sender.session] = signed.count
        return text, signed.count - expected

    def letter(self, data: bytes, now: int) -> SignedLetter:
        """A letter that may be opened, if its sender's name is found to be theirs."""
        signed = letters.check(data, self.server, self.own.identity.fingerprint, now)
        if self.seen.has(signed.fingerprint, signed.letter_id):
            raise PassedOver("a letter that was read already")
        return signed

    def open_letter(self, signed: SignedLetter) -> Text:
        """The text of a letter, written down as read before it is opened."""
        self.seen.add(signed.fingerprint, signed.letter_id)
        return signed.open(self.own.identity.key, self.longest)
