"""Which session each of the server's numbers stands for (PROTOCOL.md 6.1-3 to 6.1-8)."""

from __future__ import annotations

from .violation import Violation


class SessionNumbers:
    """A number is one session's, and a session has one number."""

    def __init__(self) -> None:
        self.sessions: dict[int, bytes] = {}
        self.numbers: dict[bytes, int] = {}
        self.fresh: list[int] = []  # told since the last event or Welcome

    def give(self, number: int, session: bytes, is_here: bool) -> None:
        """A session has this number; one that has gone may have come back under another."""
        if self.sessions.get(number) == session:
            return
        if number in self.sessions:
            raise Violation(f"the number {number}, which is somebody's, was given to somebody else")
        before = self.numbers.get(session)
        if before is not None:
            if is_here:
                raise Violation(f"a second number, {number}, was given to somebody who is here")
            del self.sessions[before]
        self.sessions[number] = session
        self.numbers[session] = number
        self.fresh.append(number)

    def session(self, number: int) -> bytes:
        """Every Person comes before what first names its session."""
        if number not in self.sessions:
            raise Violation("a number was named before its Person")
        return self.sessions[number]

    def settle(self) -> None:
        """What the numbers were told for has come."""
        self.fresh.clear()

    def lost(self) -> None:
        """What they were told for will not come: after a power cut they may be others' (§8)."""
        for number in self.fresh:
            session = self.sessions.pop(number, None)
            if session is not None:
                self.numbers.pop(session, None)
        self.fresh.clear()
