"""Sessions, their connections, rooms and limits of a server (PROTOCOL.md §6, §8 and §9)."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from . import cbor, shapes
from .credential import Person
from .journal import Entry

KEPT_REFUSALS = 1024
KEPT_CHANGES = 32
CHANGE_SECONDS = 60.0
WAITING_BYTES = 4 * 1024 * 1024
TAKEN_BYTES = 60_000


class Bucket:
    """A limit of §9: so many at once, then so many a second."""

    def __init__(self, size: float, per_second: float) -> None:
        self.size = self.left = size
        self.per_second = per_second
        self.at = time.monotonic()

    def has_some(self) -> bool:
        now = time.monotonic()
        self.left = min(self.size, self.left + (now - self.at) * self.per_second)
        self.at = now
        return self.left >= 1

    def take(self) -> bool:
        if not self.has_some():
            return False
        self.left -= 1
        return True


class Outbox:
    """What waits for one connection's writer: encoded messages, and events of the journal."""

    def __init__(self) -> None:
        self._ready = threading.Condition()
        self._waiting: deque[bytes | Entry] = deque()
        self._size = 0  # of the messages; what the journal has is bounded there
        self._closed = False
        self.taken = 0  # the cursor of the last event that was taken, or that its reader had before

    def put(self, item: bytes | Entry, last: bool = False) -> None:
        with self._ready:
            if not self._closed:
                self._waiting.append(item)
                self._size += len(item) if isinstance(item, bytes) else 0
                self._closed = last
                self._ready.notify()

    def close(self) -> None:
        with self._ready:
            self._closed = True
            self._ready.notify()

    def clear(self) -> None:
        """What waits is not to be sent any more."""
        with self._ready:
            self._waiting.clear()
            self._size = 0

    def is_over(self) -> bool:
        with self._ready:
            return self._size > WAITING_BYTES

    def has_some(self) -> bool:
        with self._ready:
            return bool(self._waiting)

    def take(self) -> list[bytes] | None:
        """What waits, about a record of it, once something does; None when nothing will any more."""
        with self._ready:
            self._ready.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return None
            taken: list[bytes] = []
            size = 0
            while self._waiting and size < TAKEN_BYTES:
                item = self._waiting.popleft()
                if isinstance(item, bytes):
                    self._size -= len(item)
                    taken.append(item)
                else:
                    self.taken = item.cursor
                    taken += item.messages
                size += len(taken[-1])
            return taken


@dataclass(eq=False)
class Member:
    """A session, whether it has a connection or has lost it."""

    person: Person
    guest: Guest | None = None
    number: int = 0  # what names it on the wire; it has none before its Join
    rooms: set[str] = field(default_factory=set)
    joined: bool = False
    ended: bool = False
    last_n: int = 0
    not_taken: OrderedDict[int, str] = field(default_factory=OrderedDict)
    messages: Bucket = field(default_factory=lambda: Bucket(20, 5))
    kept: deque[Entry] = field(default_factory=deque)  # what the journal has for it, not Seen yet
    seen: int = 0
    forgotten: int = 0  # the last that was for it, was not Seen, and is not in the journal any more
    away_since: float | None = None
    told_away: bool = False
    notice: str = ""  # of its first Welcome
    left_at: dict[str, tuple[int, int]] = field(default_factory=dict)  # rooms it was in, from and to which cursor
    joined_at: dict[str, int] = field(default_factory=dict)  # rooms it is in, from which cursor

    @property
    def session(self) -> bytes:
        return self.person.session

    @property
    def name(self) -> str:
        """What its name is told apart by."""
        return self.person.name.lower()

    def entered_room(self, name: str, cursor: int) -> None:
        self.rooms.add(name)
        self.joined_at[name] = cursor

    def left_room(self, name: str, cursor: int) -> None:
        self.rooms.discard(name)
        self.left_at = {room: stay for room, stay in self.left_at.items() if stay[1] > self.seen}
        self.left_at[name] = (self.joined_at.pop(name), cursor)

    def was_in(self, name: str, cursor: int) -> bool:
        """Whether it is in this room, or was at this cursor (PROTOCOL.md 8.4-1)."""
        since, until = self.left_at.get(name, (0, 0))
        return name in self.rooms or since <= cursor < until


class Guest:
    """One connection whose handshake is done, and the session that speaks on it."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.member = Member(person)  # another, if this connection resumes
        self.outbox = Outbox()
        self.records = Bucket(100, 100)
        self.spoken_at_all = False
        self.asked_to_join = False
        self.told_password = 0  # how often a Join was answered so
        self.gone = False
        self.hang_up: Callable[[], None] = lambda: None  # cuts the connection at once

    def send(self, message: cbor.Value) -> None:
        self.outbox.put(cbor.encode(message))

    def error(self, code: str, n: int = 0, text: str = "") -> None:
        self.send([shapes.ERROR, code, text or code, n])

    def end(self, bye: str | None = None) -> None:
        """Nothing is heard any more, and nothing sent after what waits and the Bye."""
        self.gone = True
        if bye is None:
            self.outbox.close()
        else:
            self.outbox.put(cbor.encode([shapes.BYE, bye]), last=True)

    def supersede(self) -> None:
        """Another connection has taken over: this one is closed, without a word."""
        self.outbox.clear()
        self.end()
        self.hang_up()


@dataclass
class Room:
    """A room's members in the order they came, its changes with when each was replaced, and who keeps it."""

    members: list[Member] = field(default_factory=list)
    keeper: str | None = None
    topic: str = ""
    locked: bool = False
    registered: bool = False
    guests: set[str] = field(default_factory=set)
    change: int = 0
    replaced: OrderedDict[int, tuple[float, float]] = field(default_factory=OrderedDict)

    def others(self, member: Member) -> list[Member]:
        return [other for other in self.members if other is not member]

    def admits(self, member: Member) -> bool:
        """Whether who is no operator may come in."""
        return not self.locked or member.name == self.keeper or member.name in self.guests

    def has_gone(self, member: Member) -> None:
        """Whoever has been there longest keeps it, if its keeper goes, unless it is registered."""
        self.members.remove(member)
        if self.keeper == member.name and self.members and not self.registered:
            self.keeper = self.members[0].name

    def begin_anew(self) -> None:
        """It has emptied, and stays: its changes count from 1 again."""
        self.change = 0
        self.replaced.clear()

    def next_change(self) -> int:
        if self.change:
            self.replaced[self.change] = time.monotonic(), time.time()
        while len(self.replaced) > KEPT_CHANGES:
            self.replaced.popitem(last=False)
        self.change += 1
        return self.change

    def is_fresh(self, change: int) -> bool:
        """The present change, or one of the 32 before, replaced no more than 60 s ago by either clock (§7)."""
        if change == self.change:
            return True
        if change not in self.replaced:
            return False
        steady, told = self.replaced[change]
        return max(time.monotonic() - steady, time.time() - told) <= CHANGE_SECONDS
