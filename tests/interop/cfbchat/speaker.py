"""The sending side of PROTOCOL.md §7: own keys, and what is sealed with them."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from . import boxes, crypto, letters, sender_keys, texts
from .boxes import Way
from .credential import OwnCredential, Person
from .numbered import Say, Share
from .rooms import Room
from .sender_keys import Envelope, Place, SenderKey
from .texts import Text

MOST_BOXES = 128


@dataclass
class OwnKey:
    """This session's key for a room, at the counter of the first Say that is not answered."""

    counter: int = 0
    key: SenderKey | None = None
    sent_to: set[bytes] = field(default_factory=set)

    def renew(self, room: str) -> None:
        self.key = SenderKey.fresh(room, self.counter)
        self.sent_to.clear()

    def answered(self, accepted: bool) -> None:
        """A Say was accepted, or refused for good; after the latter a new key is due."""
        self.counter += 1
        if self.key is not None:
            self.key = self.key.after() if accepted else None


class Speaker:
    """Seals and signs for one session at one server."""

    def __init__(self, own: OwnCredential, name: str, server: bytes) -> None:
        self.own = own
        self.name = name
        self.server = server
        self.box_counts: dict[bytes, int] = {}
        self.keys: dict[str, OwnKey] = {}
        self.reachable: dict[bytes, bool] = {}

    def _key(self, room: str) -> OwnKey:
        return self.keys.setdefault(room, OwnKey())

    # --- One to one

    def reaches(self, to: Person) -> bool:
        """Whether a secret can be agreed with this session; with a key of small order none can."""
        if to.session not in self.reachable:
            try:
                crypto.x25519(X25519PrivateKey.generate(), to.x25519)
            except crypto.RefusedKey:
                self.reachable[to.session] = False
            else:
                self.reachable[to.session] = True
        return self.reachable[to.session]

    def box(self, purpose: str, to: Person, text: bytes) -> bytes:
        """The next box to a session; a count is used once, whatever becomes of the box."""
        count = self.box_counts.get(to.session, 0) + 1
        way = Way(purpose, self.server, self.own.session, to.session)
        made = boxes.make(way, count, text, self.own.ed25519, to.x25519)
        self.box_counts[to.session] = count
        return made

    def whisper(self, to: Person, text: Text) -> bytes:
        return self.box(boxes.WHISPER, to, texts.pad(text))

    def letter(self, reader_spki: bytes, text: Text) -> bytes:
        return letters.write(self.server, self.own.identity, self.name, reader_spki, text)

    # --- In a room

    def entered(self, room: str) -> None:
        """Who joins begins with a new key; the counter goes on."""
        self._key(room).key = None

    def member_left(self, room: str, session: bytes) -> None:
        """A new key before the next Say, if who left had been sent this one."""
        own = self._key(room)
        if session in own.sent_to:
            own.key = None

    def answered(self, room: str, accepted: bool) -> None:
        self._key(room).answered(accepted)

    def shares_before(
        self, room: Room, readers: list[Person], unanswered: int
    ) -> list[Share] | None:
        """What must be shared before the next Say; None if its time has not come.

        As long as a Say is unanswered the key is neither changed nor shared: it still stands at
        that Say, and who has come since must not be able to open it.
        """
        own = self._key(room.name)
        if own.key is not None:
            readers = [person for person in readers if person.session not in own.sent_to]
        readers = [person for person in readers if self.reaches(person)]
        if own.key is not None and not readers:
            return []
        if unanswered:
            return None
        if own.key is None:
            own.renew(room.name)
        assert own.key
        text = own.key.to_text()
        shared = [(person.session, self.box(boxes.KEY, person, text)) for person in readers]
        own.sent_to.update(person.session for person in readers)
        return [
            Share(room.name, shared[first : first + MOST_BOXES])
            for first in range(0, len(shared), MOST_BOXES)
        ]

    def envelope(self, say: Say, room: Room, unanswered: int) -> bytes:
        """The envelope of a Say; sealed anew only if the key has changed since it was sealed."""
        own = self._key(room.name)
        assert own.key
        if say.envelope is None or say.envelope.key_id != own.key.key_id:
            key = own.key.at(own.counter + unanswered)
            say.envelope = Envelope(key.key_id, key.counter, key.seal(texts.pad(say.text)))
        assert say.envelope.counter == own.counter + unanswered
        roster = sender_keys.roster(self.server, room.name, room.change, room.members)
        place = Place(self.server, room.name, self.own.session, roster)
        return say.envelope.signed(place, self.own.ed25519)
