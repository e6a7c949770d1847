"""What a server keeps of its events until all they are for have Seen them (PROTOCOL.md 8.1-1).

In memory alone: a server that stops has forgotten all sessions.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import cbor, shapes

if TYPE_CHECKING:
    from .guests import Member

MOST_BYTES = 64 * 1024 * 1024
ENTRY_BYTES = 200  # what an entry takes beside its messages, about


def milliseconds() -> int:
    return time.time_ns() // 1_000_000


def person_message(member: Member) -> bytes:
    person = member.person
    return cbor.encode(
        [shapes.PERSON, member.number, person.spki, person.credential, person.signature]
    )


@dataclass(eq=False)
class Entry:
    """An event as it goes out, whenever it does, and who has not Seen it yet."""

    cursor: int
    at: int
    messages: list[bytes]  # a Person before a joined event, and the event
    readers: set[Member]

    @property
    def size(self) -> int:
        return ENTRY_BYTES + sum(len(message) for message in self.messages)


class Journal:
    """The events that somebody may still ask for, the oldest first."""

    def __init__(self) -> None:
        self.cursor = 0  # of the last event
        self.entries: dict[int, Entry] = {}
        self.size = 0

    def add(self, event: list, readers: list[Member], newcomer: Member | None) -> Entry:
        """Gives an event the next cursor; one that is for nobody is not kept."""
        self.cursor += 1
        at = milliseconds()
        messages = [] if newcomer is None else [person_message(newcomer)]
        messages.append(cbor.encode([shapes.EVENT, self.cursor, at, event]))
        entry = Entry(self.cursor, at, messages, set(readers))
        if readers:
            self.entries[entry.cursor] = entry
            self.size += entry.size
        for member in readers:
            member.kept.append(entry)
        return entry

    def seen(self, member: Member, cursor: int) -> None:
        """What is for `member` up to this cursor does not come again."""
        while member.kept and member.kept[0].cursor <= cursor:
            entry = member.kept.popleft()
            entry.readers.discard(member)
            if not entry.readers:
                self._drop(entry)

    def let_go(self, member: Member) -> None:
        """A session that can no longer resume."""
        self.seen(member, self.cursor)

    def overflow(self) -> Iterator[tuple[Member, int]]:
        """Forgets the oldest above the bound: for whom each was, and its cursor."""
        while self.size > MOST_BYTES:
            entry = next(iter(self.entries.values()))
            self._drop(entry)
            for member in entry.readers:
                member.kept.popleft()
                member.forgotten = entry.cursor
                yield member, entry.cursor

    def _drop(self, entry: Entry) -> None:
        del self.entries[entry.cursor]
        self.size -= entry.size
