"""Letters that wait at a server until their readers have seen them (PROTOCOL.md §6, "To one")."""

from __future__ import annotations

from dataclasses import dataclass, field

from .guests import Member
from .journal import milliseconds

KEPT = 30 * 24 * 60 * 60 * 1000
FROM_ONE_TO_ONE = 10
FOR_ONE = 100
ALL_BYTES = 64 * 1024 * 1024


@dataclass(eq=False)
class Waiting:
    """A letter, and under which cursors it was handed out to whom."""

    sender: bytes
    reader: bytes
    content: bytes
    at: int
    cursors: dict[Member, int] = field(default_factory=dict)


class Mailbox:
    """All letters that wait, the oldest first."""

    def __init__(self) -> None:
        self.letters: list[Waiting] = []

    def take(self, sender: bytes, reader: bytes, content: bytes) -> Waiting | None:
        """Keeps a letter; None where too many wait already."""
        self._forget_old()
        for_reader = [letter for letter in self.letters if letter.reader == reader]
        from_sender = [letter for letter in for_reader if letter.sender == sender]
        size = sum(len(letter.content) for letter in self.letters) + len(content)
        if len(for_reader) >= FOR_ONE or len(from_sender) >= FROM_ONE_TO_ONE or size > ALL_BYTES:
            return None
        letter = Waiting(sender, reader, content, milliseconds())
        self.letters.append(letter)
        return letter

    def waiting_for(self, reader: bytes) -> list[Waiting]:
        self._forget_old()
        return [letter for letter in self.letters if letter.reader == reader]

    def handed_out(self, letter: Waiting, member: Member, cursor: int) -> None:
        letter.cursors[member] = cursor

    def seen(self, member: Member, cursor: int) -> None:
        """The reader has seen all it was handed out up to this cursor."""
        self.letters = [
            letter for letter in self.letters if not 0 < letter.cursors.get(member, 0) <= cursor
        ]

    def let_go(self, member: Member) -> None:
        """This session has ended; what it has not seen waits for the next."""
        for letter in self.letters:
            letter.cursors.pop(member, None)

    def _forget_old(self) -> None:
        oldest = milliseconds() - KEPT
        self.letters = [letter for letter in self.letters if letter.at >= oldest]
