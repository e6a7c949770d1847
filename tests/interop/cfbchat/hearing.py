"""What comes sealed for this session: opened and shown, or refused in words (PROTOCOL.md §7)."""

from __future__ import annotations

from collections.abc import Callable

from .credential import CredentialRefused, Person
from .opening import CannotOpen, PassedOver
from .peers import PeerTable
from .reader import Opened, Reader
from .sender_keys import SenderKey

CLOCKS_APART = 5 * 60 * 1000
LOUD = ("fields", "change", "signature", "count")  # what none but a wrongdoer's message fails


class Hearing:
    """Shows what the reader opens."""

    def __init__(self, peers: PeerTable, reader: Reader, show: Callable[[dict], None]) -> None:
        self.peers = peers
        self.reader = reader
        self.show = show
        self.heard = 0

    def said(self, at: int, name: str, session: bytes, change: int, envelope: bytes) -> None:
        room = self.peers.rooms.get(name)
        if room is None or session not in room.members:
            self._refuse(session, "not in the room")
        elif (person := self._sender(session)) is not None:
            self._show_text(
                "said", person, at, lambda: self.reader.said(room, person, change, at, envelope), name
            )

    def whispered(self, at: int, session: bytes, box: bytes) -> None:
        if (person := self._sender(session)) is not None:
            self._show_text("whispered", person, at, lambda: self.reader.whispered(person, box))

    def shared(self, session: bytes, box: bytes) -> None:
        if (person := self._sender(session)) is None:
            return
        try:
            self._take_key(person, self.reader.shared(person, box))
        except PassedOver as reason:
            self.show({"passed_over": person.name, "of": "shared", "why": str(reason)})
        except CannotOpen as error:
            self.show({"message_refused": person.name, "of": "shared", "why": str(error)})

    def letter_came(self, data: bytes, now: int) -> bool:
        """Whether it is done with: a letter that could not be noted is to come again (§7)."""
        try:
            letter = self.reader.letter(data, now)
            self.peers.meet(letter.name, letter.fingerprint)
            text = self.reader.open_letter(letter)
        except PassedOver as reason:
            self.show({"passed_over": None, "of": "letter", "why": str(reason)})
        except (CannotOpen, CredentialRefused) as error:
            self.show({"letter_refused": str(error)})
        except OSError as error:
            self.show({"letter_refused": f"it cannot be noted: {error}"})
            return False
        else:
            self.show(
                {"letter": {"from": letter.name, "text": text.text, "kind": text.kind,
                            "sent_at": text.sent_at}}
            )  # fmt: skip
        return True

    def _refuse(self, session: bytes, why: str) -> None:
        self.show({"message_refused": self.peers.called(session), "why": why})

    def _sender(self, session: bytes) -> Person | None:
        """Nothing is shown of a sender who is refused but that something came."""
        person = self.peers.people.get(session)
        if person is None:
            self._refuse(session, "sender refused")
        return person

    def _take_key(self, person: Person, opened: Opened) -> None:
        """A key is taken only for a room of ours that its sender is in."""
        self._show_missing("shared", person, opened.missing)
        key = SenderKey.from_text(opened.padded)
        room = self.peers.rooms.get(key.room)
        if room is None or person.session not in room.members:
            raise CannotOpen("fields", f"a key for {key.room}, which we do not share")
        self._show_missing("said", person, room.voices[person.session].take(key))

    def _show_missing(self, of: str, person: Person, count: int) -> None:
        if count:
            self.show({"missing": count, "from": person.name, "of": of})

    def _show_text(
        self, what: str, person: Person, at: int, read: Callable[[], Opened], room: str | None = None
    ) -> None:
        try:
            opened = read()
            self._show_missing(what, person, opened.missing)
            text = self.reader.text(opened)
        except PassedOver as reason:
            self.show({"passed_over": person.name, "of": what, "why": str(reason)})
            return
        except CannotOpen as error:
            how = "message_refused" if error.check in LOUD else "unreadable"
            self.show({how: person.name, "of": what, "why": str(error)})
            return
        self.heard += what == "said"
        line: dict[str, object] = {"from": person.name, "text": text.text, "kind": text.kind,
                                   "sent_at": text.sent_at, "at": at}  # fmt: skip
        if abs(text.sent_at - at) > CLOCKS_APART:
            line["clocks_apart"] = True
        self.show({what: line if room is None else {**line, "room": room}})
