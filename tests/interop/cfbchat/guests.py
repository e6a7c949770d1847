"""Guests, rooms and limits of a server (PROTOCOL.md §6 and §9)."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from . import cbor, shapes
from .credential import Person

KEPT_REFUSALS = 1024
KEPT_CHANGES = 32
CHANGE_SECONDS = 60.0
WAITING_BYTES = 4 * 1024 * 1024


class Bucket:
    """A limit of §9: so many at once, then so many a second."""

    def __init__(self, size: float, per_second: float) -> None:
        self.size = self.left = size
        self.per_second = per_second
        self.at = time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self.left = min(self.size, self.left + (now - self.at) * self.per_second)
        self.at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


class Outbox:
    """Encoded messages that wait for one connection's writer."""

    def __init__(self) -> None:
        self._ready = threading.Condition()
        self._waiting: list[bytes] = []
        self._size = 0
        self._closed = False

    def put(self, message: bytes, last: bool = False) -> None:
        with self._ready:
            if not self._closed:
                self._waiting.append(message)
                self._size += len(message)
                self._closed = last
                self._ready.notify()

    def close(self) -> None:
        with self._ready:
            self._closed = True
            self._ready.notify()

    def is_over(self) -> bool:
        with self._ready:
            return self._size > WAITING_BYTES and not self._closed

    def has_some(self) -> bool:
        with self._ready:
            return bool(self._waiting)

    def take(self) -> list[bytes] | None:
        """All that waits, once something does; None when nothing will come any more."""
        with self._ready:
            self._ready.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return None
            taken, self._waiting, self._size = self._waiting, [], 0
            return taken


@dataclass(eq=False)
class Guest:
    """One connection whose handshake is done, and its session."""

    person: Person
    outbox: Outbox = field(default_factory=Outbox)
    rooms: set[str] = field(default_factory=set)
    announced: set[bytes] = field(default_factory=set)
    last_n: int = 0
    not_taken: OrderedDict[int, str] = field(default_factory=OrderedDict)
    spoken_at_all: bool = False
    joined: bool = False
    told_password: bool = False
    gone: bool = False
    messages: Bucket = field(default_factory=lambda: Bucket(20, 5))
    records: Bucket = field(default_factory=lambda: Bucket(100, 100))

    @property
    def session(self) -> bytes:
        return self.person.session

    def send(self, message: cbor.Value) -> None:
        self.outbox.put(cbor.encode(message))

    def error(self, code: str, n: int = 0, text: str = "") -> None:
        self.send([shapes.ERROR, code, text or code, n])

    def say_bye(self, reason: str) -> None:
        self.outbox.put(cbor.encode([shapes.BYE, reason]), last=True)


@dataclass
class Room:
    """A room's members in the order they came, and its changes with when each was replaced."""

    members: list[Guest] = field(default_factory=list)
    change: int = 0
    replaced: OrderedDict[int, float] = field(default_factory=OrderedDict)

    def next_change(self) -> int:
        if self.change:
            self.replaced[self.change] = time.monotonic()
        while len(self.replaced) > KEPT_CHANGES:
            self.replaced.popitem(last=False)
        self.change += 1
        return self.change

    def is_fresh(self, change: int) -> bool:
        """The present change, or one of the 32 before, replaced no more than 60 s ago (§7)."""
        if change == self.change:
            return True
        replaced = self.replaced.get(change)
        return replaced is not None and time.monotonic() - replaced <= CHANGE_SECONDS
