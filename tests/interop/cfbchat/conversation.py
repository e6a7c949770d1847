"""What a client knows and checks after the handshake (PROTOCOL.md §6), without input or output."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from . import cbor, credential, shapes
from .credential import OwnCredential, Person
from .crypto import fingerprint_text, sha256

MAX_TEXT_BYTES = 4096
FIRST_DELAY, LONGEST_DELAY = 0.2, 5.0


class Violation(Exception):
    """The server broke a rule of §6 for which a client ends the connection."""


@dataclass
class Room:
    """A room's roster, and the change it stands at."""

    members: list[bytes]
    change: int


@dataclass
class Stall:
    """Since the last "again" or "wait": until when nothing is said (§6, Numbers)."""

    active: bool = False
    delay: float = 0.0
    not_before: float = 0.0
    again_at: tuple[int, int] | None = None  # the n, and the room's change then


@dataclass
class Conversation:
    """One connection of one session: messages in, shown lines and messages out."""

    own: OwnCredential
    name: str
    room: str
    show: Callable[[dict], None]
    clock: Callable[[], float] = time.monotonic
    outgoing: list[bytes] = field(default_factory=list)
    people: dict[bytes, Person | None] = field(default_factory=dict)
    rooms: dict[str, Room] = field(default_factory=dict)
    cursor: int = 0
    texts: deque[str] = field(default_factory=deque)  # not accepted yet; the first has next_n
    in_flight: deque[int] = field(default_factory=deque)
    next_n: int = 1
    stall: Stall = field(default_factory=Stall)
    due: deque[int] = field(default_factory=deque)  # Join or Leave, in order
    pongs_due: int = 0
    heard: int = 0
    longest: int = MAX_TEXT_BYTES
    leaving: bool = False
    not_let_in: bool = False
    bye: str | None = None

    # --- What the user does

    def join(self) -> None:
        self.due.append(shapes.JOIN)
        self._send([shapes.JOIN, self.room, "", 0])

    def say(self, text: str) -> None:
        if not 1 <= len(text.encode()) <= self.longest:
            self.show({"error": "a text must have 1 to %d bytes" % self.longest})
            return
        self.texts.append(text)
        self.pump()

    def leave(self) -> None:
        """Leaves the room once everything said is answered."""
        self.leaving = True
        self.pump()

    def ping(self) -> None:
        self.pongs_due += 1
        self._send([shapes.PING])

    def pump(self) -> None:
        """Sends what may be sent now."""
        room = self.rooms.get(self.room)
        if room is None or self.stall.active or self.clock() < self.stall.not_before:
            return
        for index in range(len(self.in_flight), len(self.texts)):
            n = self.next_n + index
            self.in_flight.append(n)
            self._send([shapes.SAY, n, self.room, room.change, self.texts[index].encode()])
        if self.leaving and not self.texts and shapes.LEAVE not in self.due:
            self.due.append(shapes.LEAVE)
            self._send([shapes.LEAVE, self.room])

    def _send(self, message: cbor.Value) -> None:
        self.outgoing.append(cbor.encode(message))

    # --- What the server says

    def handle(self, message: list) -> None:
        """Takes one message in; raises `Violation` where §6 has the client end the connection."""
        kind = message[0]
        if kind not in shapes.SERVER_MESSAGES:
            return
        name, fields = shapes.SERVER_MESSAGES[kind]
        if not cbor.has_fields(message, shapes.shape(fields), exactly=False):
            raise Violation(f"{name} has wrong fields")
        handler = getattr(self, "_on_" + name.lower())
        handler(*message[1 : 1 + len(fields)])
        self.pump()

    def _on_person(self, spki: bytes, made: bytes, signature: bytes) -> None:
        session = sha256(made)
        try:
            person = credential.check("user", spki, made, signature)
        except credential.CredentialRefused as error:
            self.people[session] = None
            self.show({"person_refused": session.hex(), "why": str(error), "code": error.code})
            return
        self.people[session] = person
        shown = fingerprint_text(person.fingerprint)
        self.show({"person": person.name, "fingerprint": shown, "session": session.hex()})

    def _on_welcome(
        self,
        room: str,
        sessions: list[bytes],
        change: int,
        resumed: int,
        cursor: int,
        at: int,
        notice: str,
        longest: int,
    ) -> None:
        self._take_due(shapes.JOIN, "Welcome")
        if room != self.room or resumed != 0:
            raise Violation("Welcome is for another room, or resumes what was not to be resumed")
        self._grow(cursor)
        if self.own.session not in sessions or len(set(sessions)) != len(sessions):
            raise Violation("Welcome does not list every member once, the joiner included")
        for session in sessions:
            self._known(session)
        if change < len(sessions):
            raise Violation("Welcome has a change no such roster can have")
        self.rooms[room] = Room(list(sessions), change)
        self.longest = min(longest, MAX_TEXT_BYTES)
        members = [self._called(session) for session in sessions]
        self.show(
            {"welcome": {"room": room, "members": members, "change": change, "cursor": cursor,
                         "at": at, "notice": notice, "longest": longest}}
        )  # fmt: skip

    def _on_accepted(self, n: int) -> None:
        if not self.in_flight or n != self.in_flight[0] or n != self.next_n:
            raise Violation(f"Accepted {n} was not due")
        self._used_up()
        self.show({"accepted": n})

    def _on_error(self, code: str, text: str, n: int) -> None:
        if n == 0:
            if not self.due:
                raise Violation(f'Error "{code}" was not due')
            self.not_let_in = self.due.popleft() == shapes.JOIN
            self.show({"error": code, "text": text, "n": 0})
            return
        if not self.in_flight:
            raise Violation(f'Error "{code}" for {n} was not due')
        if code in ("again", "wait"):
            self._not_now(code, n)
            return
        if n != self.in_flight[0] or n != self.next_n:
            raise Violation(f'Error "{code}" for {n} was not due')
        self._used_up()
        self.show({"error": code, "text": text, "n": n})

    def _used_up(self) -> None:
        self.in_flight.popleft()
        self.texts.popleft()
        self.next_n += 1
        self.stall.delay = 0.0
        self.stall.again_at = None
        self._resume_if_answered()

    def _not_now(self, code: str, n: int) -> None:
        """Told "again" or "wait": no more until all is answered, then on from that n."""
        if n != self.next_n:
            raise Violation(f'Error "{code}" carries {n}, not {self.next_n}')
        of = self.in_flight.popleft()
        stall = self.stall
        stall.active = True
        at = (n, self.rooms[self.room].change if self.room in self.rooms else 0)
        if code == "wait" or (of == n and stall.again_at == at):
            stall.delay = min(stall.delay * 2 or FIRST_DELAY, LONGEST_DELAY)
            stall.not_before = self.clock() + stall.delay
        if code == "again" and of == n:
            stall.again_at = at
        self.show({"told": code, "n": n})
        self._resume_if_answered()

    def _resume_if_answered(self) -> None:
        if not self.in_flight:
            self.stall.active = False

    def _on_found(self, name: str, spki: bytes) -> None:
        raise Violation("Found was not due")

    def _on_pong(self) -> None:
        if self.pongs_due == 0:
            raise Violation("Pong was not due")
        self.pongs_due -= 1

    def _on_bye(self, reason: str) -> None:
        self.bye = reason
        self.show({"bye": reason})

    # --- Events

    def _on_event(self, cursor: int, at: int, event: list) -> None:
        self._grow(cursor)
        if not cbor.is_message(event):
            raise Violation("an event has no type")
        if event[0] not in shapes.EVENTS:
            return
        name, fields = shapes.EVENTS[event[0]]
        if not cbor.has_fields(event, shapes.shape(fields), exactly=False):
            raise Violation(f"the event {name} has wrong fields")
        given = event[1 : 1 + len(fields)]
        for (field_name, _), value in zip(fields, given):
            if field_name == "session":
                self._known(value)
        if event[0] == shapes.SAID:
            self._said(at, *given)
        elif event[0] == shapes.JOINED:
            self._joined(*given)
        elif event[0] == shapes.LEFT:
            self._left(*given)
        elif event[0] == shapes.NOTICE:
            self.show({"notice": given[0]})
        elif event[0] == shapes.ABSENCE:
            self.show({"absent" if given[1] else "back": self._called(given[0])})

    def _said(self, at: int, room: str, session: bytes, change: int, envelope: bytes) -> None:
        """A message; refused, loudly, if its sender is not in the room."""
        if room not in self.rooms or session not in self.rooms[room].members:
            self.show({"message_refused": self._called(session), "why": "not in the room"})
            return
        person = self.people.get(session)
        if person is None:
            self.show({"message_refused": self._called(session), "why": "sender refused"})
            return
        self.heard += 1
        try:
            text = envelope.decode() if 1 <= len(envelope) <= MAX_TEXT_BYTES else None
        except UnicodeDecodeError:
            text = None
        if text is None:
            self.show({"unreadable": person.name, "at": at})
        else:
            self.show({"said": {"from": person.name, "text": text, "at": at}})

    def _change(self, room: str, change: int) -> Room:
        """Each joined or left event is the last change + 1 (§6, Joining)."""
        if room not in self.rooms:
            raise Violation(f"a change of {room}, which this client is not in")
        if change != self.rooms[room].change + 1:
            raise Violation(f"change {change} after {self.rooms[room].change}: a member was hidden")
        self.rooms[room].change = change
        return self.rooms[room]

    def _joined(self, room: str, session: bytes, change: int) -> None:
        members = self._change(room, change).members
        if session in members:
            raise Violation("somebody joined who was there already")
        members.append(session)
        self.show({"joined": self._called(session)})

    def _left(self, room: str, session: bytes, change: int, reason: str) -> None:
        members = self._change(room, change).members
        if session not in members:
            raise Violation("somebody left who was not there")
        members.remove(session)
        if session == self.own.session:
            if reason == "left":
                self._take_due(shapes.LEAVE, "the own left event")
            del self.rooms[room]
        self.show({"left": self._called(session), "reason": reason})

    # --- Checks

    def _grow(self, cursor: int) -> None:
        if cursor <= self.cursor:
            raise Violation(f"cursor {cursor} after {self.cursor}")
        self.cursor = cursor

    def _known(self, session: bytes) -> None:
        if session != self.own.session and session not in self.people:
            raise Violation("a session was named before its Person")

    def _take_due(self, kind: int, what: str) -> None:
        if not self.due or self.due[0] != kind:
            raise Violation(f"{what} was not due")
        self.due.popleft()

    def _called(self, session: bytes) -> str:
        if session == self.own.session:
            return self.name
        person = self.people.get(session)
        return person.name if person else f"refused {session.hex()[:16]}"
