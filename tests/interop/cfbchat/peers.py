"""Who is there, and what a client knows of them (PROTOCOL.md 6.6-4, 6.6-5, 7.4-3)."""

from __future__ import annotations

from collections.abc import Callable

from . import credential
from .credential import CredentialRefused, OwnCredential, Person
from .crypto import fingerprint_text, sha256
from .rooms import Room
from .session_numbers import SessionNumbers
from .who_is_who import KnownUsers, Standing


class PeerTable:
    """The Persons of one connection, and the rooms this session is in."""

    def __init__(
        self, own: OwnCredential, name: str, known: KnownUsers, show: Callable[[dict], None]
    ) -> None:
        self.own = own
        self.name = name
        self.known = known
        self.show = show
        self.people: dict[bytes, Person | None] = {}  # None: refused, and shown as that
        self.rooms: dict[str, Room] = {}
        self.session_numbers = SessionNumbers()

    def person_came(self, number: int, spki: bytes, made: bytes, signature: bytes) -> None:
        session = sha256(made)
        self.session_numbers.give(number, session, session == self.own.session or self.is_here(session))
        if session == self.own.session:
            return
        try:
            person = credential.check("user", spki, made, signature)
            self.meet(person.name, person.fingerprint)
        except CredentialRefused as error:
            self.people[session] = None
            self.show({"person_refused": session.hex(), "why": str(error), "code": error.code})
            return
        self.people[session] = person
        shown = fingerprint_text(person.fingerprint)
        self.show({"person": person.name, "fingerprint": shown, "session": session.hex()})

    def meet(self, name: str, fingerprint: bytes) -> None:
        """Refuses a name that was somebody else's; one never seen is announced."""
        standing = self.known.meet(name, fingerprint)
        shown = fingerprint_text(fingerprint)
        if standing is Standing.CHANGED:
            raise CredentialRefused(
                "changed", f"{name} had another fingerprint than {shown} before"
            )
        if standing is Standing.NEW:
            self.show({"new": name, "fingerprint": shown})

    def is_here(self, session: bytes) -> bool:
        """Whether somebody is in a room of ours."""
        return any(session in room.members for room in self.rooms.values())

    def is_oneself(self, number: int) -> None:
        """The number that one has oneself, as a Welcome tells it."""
        self.session_numbers.give(number, self.own.session, is_here=True)

    def called(self, session: bytes) -> str:
        if session == self.own.session:
            return self.name
        person = self.people.get(session)
        return person.name if person else f"refused {session.hex()[:16]}"

    def present(self, name: str) -> Person | None:
        """Somebody of this name in a room of ours."""
        for room in self.rooms.values():
            for person in self.readers_in(room):
                if person.name == name:
                    return person
        return None

    def readers_in(self, room: Room) -> list[Person]:
        """The other members of a room, but those that are refused."""
        return [person for session in room.members if (person := self.people.get(session))]
