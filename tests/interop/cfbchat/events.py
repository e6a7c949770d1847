"""The half of a client's conversation that takes events in (PROTOCOL.md §6 and §8)."""

from __future__ import annotations

from collections.abc import Callable

from . import cbor, shapes
from .credential import OwnCredential
from .hearing import Hearing
from .peers import PeerTable
from .requests import Requests
from .rooms import Room
from .speaker import Speaker
from .violation import Violation

SEEN_SECONDS = 0.5  # at the latest 20 s after an event


class Events:
    """Applies and shows what happens, in the order in which it comes."""

    own: OwnCredential
    room: str
    peers: PeerTable
    hearing: Hearing
    speaker: Speaker
    requests: Requests
    floors: dict[str, dict[bytes, int]]
    cursor: int
    last_at: int
    sees_no_more: bool
    show: Callable[[dict], None]
    now: Callable[[], int]

    def _see_within(self, seconds: float) -> None:
        raise NotImplementedError

    def _on_event(self, cursor: int, at: int, event: list) -> None:
        self._grow(cursor)
        if not cbor.is_message(event):
            raise Violation("an event has no type")
        self._see_within(SEEN_SECONDS)
        at = self.last_at = max(self.last_at, at)
        if event[0] not in shapes.EVENTS:
            return
        name, fields = shapes.EVENTS[event[0]]
        if not cbor.has_fields(event, shapes.shape(fields), exactly=False):
            raise Violation(f"the event {name} has wrong fields")
        given = event[1 : 1 + len(fields)]
        if self._passes_over(event[0], given):
            return
        # From here on people are who they are, and not what the server calls them.
        given = [
            self.peers.session_numbers.session(value) if field_name == "number" else value
            for (field_name, _), value in zip(fields, given)
        ]
        if event[0] == shapes.SAID:
            self.hearing.said(at, *given)
        elif event[0] == shapes.WHISPERED:
            self.hearing.whispered(at, *given)
        elif event[0] == shapes.SHARED:
            self.hearing.shared(*given)
        elif event[0] == shapes.JOINED:
            self._joined(at, *given)
        elif event[0] == shapes.LEFT:
            self._left(at, *given)
        elif event[0] == shapes.NOTICE:
            self.show({"notice": given[0]})
        elif event[0] == shapes.LETTER_CAME:
            if self.hearing.letter_came(given[0], self.now()):
                self._see_within(0)
            else:
                self.sees_no_more = True
        elif event[0] == shapes.ABSENCE:
            self.show({"absent" if given[1] else "back": self.peers.called(given[0])})

    def _passes_over(self, kind: int, given: list) -> bool:
        """What comes of a room whose Welcome was lost, and from whom only that would have told of (§8)."""
        if not self.requests.unsure:
            return False
        if kind in (shapes.SAID, shapes.JOINED, shapes.LEFT) and given[0] in self.requests.unsure:
            own = self.peers.session_numbers.numbers.get(self.own.session)
            own_leave = kind == shapes.LEFT and given[1] == own and given[3] == "left"
            if own_leave:
                self.requests.left(given[0])
            return True
        if kind in (shapes.WHISPERED, shapes.SHARED, shapes.ABSENCE):
            return given[0] not in self.peers.session_numbers.sessions
        return False

    def _room_of(self, name: str) -> Room:
        if name not in self.peers.rooms:
            raise Violation(f"a change of {name}, which this client is not in")
        return self.peers.rooms[name]

    def _joined(self, at: int, room: str, session: bytes, change: int) -> None:
        self._room_of(room).joined(session, change, at)
        self.show({"joined": self.peers.called(session), "room": room})

    def _left(self, at: int, room: str, session: bytes, change: int, reason: str) -> None:
        self._room_of(room).left(session, change, at)
        self.speaker.member_left(room, session)
        if session == self.own.session:
            if reason == "left":
                self.requests.left(room)
            self.floors[room] = self.peers.rooms.pop(room).counters()
            if room == self.room:
                self.room = next(iter(self.peers.rooms), room)
        self.show({"left": self.peers.called(session), "reason": reason, "room": room})

    def _grow(self, cursor: int) -> None:
        if cursor <= self.cursor:
            raise Violation(f"cursor {cursor} after {self.cursor}")
        self.cursor = cursor
        self.peers.session_numbers.settle()
