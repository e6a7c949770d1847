"""What is asked and answered in order: Join, Lookup, Leave, Command and Password (PROTOCOL.md 6.4-1).

A Leave waits until no Join is under way (PROTOCOL.md 6.12-3): the room that is left could be the
last the server knows of.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, MutableMapping
from dataclasses import dataclass
from typing import Any

from . import cbor, shapes
from .violation import Violation


@dataclass(frozen=True)
class Request:
    """Something that is to be answered."""

    kind: int
    about: str = ""  # a room, a name or a command
    opens: bool = False  # a Join with which a connection begins


class Requests:
    """What is under way, and the rooms that this session is still to join and to leave."""

    def __init__(self, send: Callable[[cbor.Value], None], to_join: Collection[str] = ()) -> None:
        self._send = send
        self.due: deque[Request] = deque()
        self.to_join: deque[str] = deque(to_join)
        self.to_part: set[str] = set()
        self.left_before: set[str] = set()  # their Leave was not answered when the connection was lost
        self.unsure: set[str] = set()  # the same of a Join: to be left, and joined anew (§8)
        self.catching_up = False

    def ask(self, kind: int, about: str = "", *fields: cbor.Value, opens: bool = False) -> None:
        self.due.append(Request(kind, about, opens))
        self._send([kind, *fields])

    def join(self, room: str, secret: str, cursor: int, opens: bool = False) -> None:
        self.ask(shapes.JOIN, room, room, secret, cursor, opens=opens)

    def is_due(self, kind: int, about: str | None = None) -> bool:
        return any(due.kind == kind and about in (None, due.about) for due in self.due)

    def is_idle(self) -> bool:
        """Whether nothing is asked or to be asked, but to leave."""
        return not (self.to_join or self.unsure or any(due.kind != shapes.LEAVE for due in self.due))

    def expects(self, room: str) -> bool:
        """Whether this session is about to be in a room."""
        return room in self.to_join or room in self.unsure or self.is_due(shapes.JOIN, room)

    # --- The connection

    def lost(self) -> list[Request]:
        """What was asked and not answered; returns what nobody knows whether it was done."""
        doubtful = [due for due in self.due if due.kind in (shapes.COMMAND, shapes.PASSWORD)]
        for due in self.due:
            if due.kind == shapes.JOIN and not due.opens:
                self.unsure.add(due.about)
            elif due.kind == shapes.LEAVE and due.about not in self.unsure:
                self.left_before.add(due.about)
        self.due.clear()
        self.catching_up = bool(self.unsure or self.left_before)
        return doubtful

    def move(self, rooms: Collection[str], speaks_in: Callable[[str], bool], leaving: bool) -> None:
        """Joins and leaves what it can; a room is left when nothing is to be said in it any more."""
        if self.catching_up:
            return
        for room in sorted(self.unsure):
            if not self.is_due(shapes.LEAVE, room):
                self.ask(shapes.LEAVE, room, room)
        while self.to_join:
            self.join(self.to_join.popleft(), "", 0)
        if self.is_due(shapes.JOIN) or self.unsure:
            return
        self.to_part = {room for room in self.to_part if room in rooms or self.expects(room)}
        for room in sorted(rooms if leaving else self.to_part & set(rooms)):
            if not speaks_in(room) and not self.is_due(shapes.LEAVE, room):
                self.ask(shapes.LEAVE, room, room)

    # --- Answers

    def answered(self, what: str, *kinds: int) -> Request:
        """The first of what is due has its answer."""
        if not self.due or self.due[0].kind not in kinds:
            raise Violation(f"{what} was not due")
        return self.due.popleft()

    def refused(self, code: str, rooms: MutableMapping[str, Any]) -> Request | None:
        """An Error to the first of what is due; None if it says nothing new: to have left is no fault."""
        if not self.due:
            raise Violation(f'Error "{code}" was not due')
        request = self.due.popleft()
        if request.kind != shapes.LEAVE:
            return request
        if request.about in self.unsure:
            self._join_anew(request.about)
        elif request.about in self.left_before:
            rooms.pop(request.about, None)
        elif request.about in rooms:
            raise Violation(f'Error "{code}" to a Leave of a room that this client is in')
        self.left_before.discard(request.about)
        return None

    def left(self, room: str) -> None:
        """The own left event came, with the reason left."""
        if self.due and self.due[0] == Request(shapes.LEAVE, room):
            self.due.popleft()
            if room in self.unsure:
                self._join_anew(room)
        elif room not in self.left_before:
            raise Violation("the own left event was not due")
        self.left_before.discard(room)

    def _join_anew(self, room: str) -> None:
        self.unsure.discard(room)
        self.to_join.append(room)
