"""A server's chat with clients around it, without sockets: for tests that say what comes when."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cfbchat import cbor, credential, shapes
from cfbchat.chat_state import ChatState
from cfbchat.conversation import Conversation
from cfbchat.credential import OwnCredential
from cfbchat.guests import Guest
from cfbchat.previous_session import PreviousSession
from people import identity

SERVER = bytes(range(32))
ROOM = "#lobby"


@dataclass
class Seat:
    """A client, and its guest at the server."""

    own: OwnCredential
    talk: Conversation
    guest: Guest
    shown: list[dict]
    held: list[list] = field(default_factory=list)  # from the client, not given to the server yet
    came: list[list] = field(default_factory=list)  # all that the client was given

    def lines(self, key: str) -> list:
        """What was shown under this key, in order."""
        return [line[key] for line in self.shown if key in line]

    def heard(self) -> list[tuple[str, str]]:
        return [(line["from"], line["text"]) for line in self.lines("said")]

    def whispers(self) -> list[tuple[str, str]]:
        return [(line["from"], line["text"]) for line in self.lines("whispered")]

    def letters(self) -> list[tuple[str, str]]:
        return [(line["from"], line["text"]) for line in self.lines("letter")]

    def hold(self) -> list[list]:
        """Takes what the client sends now, and does not give it to the server yet."""
        self.held += [cbor.decode(message) for message in self.talk.outgoing]
        self.talk.outgoing.clear()
        return self.held


class Table:
    """Passes messages between a chat and its clients until none is left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reports: list[dict] = []
        self.now = 0.0
        self.chat = ChatState(self.reports.append, clock=lambda: self.now)
        self.seats: list[Seat] = []

    def sit(
        self,
        name: str,
        room: str = ROOM,
        verified_only: bool = False,
        previous_session: PreviousSession | None = None,
    ) -> Seat:
        """Somebody joins; the keys, and the files beside them, are those of last time."""
        own = credential.make(identity(name), "user", name)
        guest = Guest(credential.check("user", own.identity.spki, own.credential, own.signature))
        shown: list[dict] = []
        talk = Conversation(
            own, name, room, SERVER, self.folder / name, shown.append, verified_only=verified_only,
            previous_session=previous_session, clock=lambda: self.now,
        )  # fmt: skip
        seat = Seat(own, talk, guest, shown)
        self.seats.append(seat)
        talk.join()
        self.run()
        return seat

    def send(self, seat: Seat) -> None:
        """Gives the server what a client has sent, the held first."""
        messages = seat.hold()
        seat.held = []
        for message in messages:
            self.chat.handle(seat.guest, message)

    def fetch(self, seat: Seat, but: int | None = None) -> None:
        """Gives a client what waits for it; events of the kind `but` are dropped."""
        if seat.guest.outbox.has_some():
            for encoded in seat.guest.outbox.take() or []:
                message = cbor.decode(encoded)
                if message[0] != shapes.EVENT or message[3][0] != but:
                    seat.came.append(message)
                    seat.talk.handle(message)

    def run(self, but: Seat | None = None) -> None:
        """Until nothing is under way; what `but` sends is held."""
        while True:
            for seat in self.seats:
                self.fetch(seat)
                if seat is but:
                    seat.hold()
                else:
                    self.send(seat)
            if not any(seat.guest.outbox.has_some() for seat in self.seats):
                return

    def go(self, seat: Seat) -> None:
        """Somebody's connection is lost, and its client with it, until the session has ended."""
        self.vanish(seat)
        self.run()

    def vanish(self, seat: Seat) -> None:
        """The same, and nobody has noticed yet."""
        self.seats.remove(seat)
        self.chat.lost(seat.guest)
        self.chat.expire(seat.guest.member)

    def cut(self, seat: Seat) -> None:
        """A connection is lost, with all that is under way on it; its client has noticed."""
        self.chat.lost(seat.guest)
        seat.guest.outbox.clear()
        seat.held.clear()
        seat.talk.lost()

    def back(self, seat: Seat) -> None:
        """Another connection of the same session."""
        seat.guest = Guest(seat.guest.person)
        seat.talk.join()

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.chat.tick()
        for seat in self.seats:
            seat.talk.pump()

    def stale(self) -> None:
        """From now on a Say is taken only with a room's present change."""
        for room in self.chat.rooms.values():
            room.replaced.clear()


def events(seat: Seat, kind: int) -> list[list]:
    """The Event messages of this kind that a client was given."""
    return [m for m in seat.came if m[0] == shapes.EVENT and m[3][0] == kind]
