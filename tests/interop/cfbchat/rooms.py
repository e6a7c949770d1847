"""A room as one of its members knows it: who is there, and whose keys it has (PROTOCOL.md 6.6-3, 7.3-10 to 7.3-14)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from .opening import CannotOpen, PassedOver
from .sender_keys import Envelope, SenderKey
from .violation import Violation

KEPT_ROSTERS = 32
KEPT_COUNTERS = 4096
STALE = 65_000  # the server's 60 s, and 5 more
NEWCOMER = 60_000


@dataclass
class Voice:
    """What a reader knows of one session's messages in a room."""

    expected: int | None  # the next counter; None until the first key of one who was there before
    key: SenderKey | None = None
    was_there: bool = False  # before this session came
    floor: int = 0  # what was expected when this session left the room the last time

    def take(self, key: SenderKey) -> int:
        """Takes a key that was shared; how many messages it shows to be missing."""
        if self.key and self.key.key_id == key.key_id and key.counter < (self.expected or 0):
            raise PassedOver("a key for what has been read already")
        expected = max(key.counter, self.floor) if self.expected is None else self.expected
        self.key = key
        self.expected = max(expected, key.counter)
        return self.expected - expected

    def open(self, envelope: Envelope) -> tuple[bytes, int]:
        """The padded text, and how many before it are missing; changes only if the tag holds."""
        if self.key is None or self.expected is None or self.key.key_id != envelope.key_id:
            raise CannotOpen("key", "its key was not shared with this session")
        if envelope.counter < self.expected:
            raise PassedOver("a message that was read already, or given up")
        key = self.key.at(envelope.counter)
        padded = key.open(envelope.sealed)
        missing = envelope.counter - self.expected
        self.key = key.after()
        self.expected = envelope.counter + 1
        return padded, missing


@dataclass
class Room:
    """A room's roster at its present change, those before it, and its members' voices."""

    name: str
    members: list[bytes]
    change: int
    own_change: int
    joined_at: int
    replaced: OrderedDict[int, tuple[list[bytes], int]] = field(default_factory=OrderedDict)
    voices: dict[bytes, Voice] = field(default_factory=dict)

    @staticmethod
    def entered(
        name: str,
        members: list[bytes],
        change: int,
        at: int,
        counters: dict[bytes, int] | None = None,
        floors: dict[bytes, int] | None = None,
    ) -> Room:
        """A room as its Welcome tells it.

        `counters` are those that a session before this expected; `floors` those of this session, when
        it was here before: what was said while it was not is not missing.
        """
        voices = {session: Voice(expected) for session, expected in (counters or {}).items()}
        for session in members:
            voices.setdefault(session, Voice(expected=None)).was_there = True
        for session, floor in (floors or {}).items():
            voices.setdefault(session, Voice(expected=None)).floor = floor
        return Room(name, list(members), change, change, at, voices=voices)

    def _next_change(self, change: int, at: int) -> None:
        """Each joined or left event is the last change + 1 (PROTOCOL.md 6.6-3)."""
        if change != self.change + 1:
            raise Violation(f"change {change} after {self.change}: a member was hidden")
        self.replaced[self.change] = (list(self.members), at)
        while len(self.replaced) > KEPT_ROSTERS:
            self.replaced.popitem(last=False)
        self.change = change

    def joined(self, session: bytes, change: int, at: int) -> None:
        if session in self.members:
            raise Violation("somebody joined who was there already")
        self._next_change(change, at)
        self.members.append(session)
        # Counters go on when a session comes back, so what is known of it stays.
        voice = self.voices.setdefault(session, Voice(expected=0))
        if voice.expected is None and not voice.was_there:
            voice.expected = voice.floor

    def left(self, session: bytes, change: int, at: int) -> None:
        if session not in self.members:
            raise Violation("somebody left who was not there")
        self._next_change(change, at)
        self.members.remove(session)

    def counters(self) -> dict[bytes, int]:
        """What is expected of each session that has been heard or has joined (PROTOCOL.md 8.6-4)."""
        expected = ((session, voice.expected) for session, voice in self.voices.items())
        known = [(session, counter) for session, counter in expected if counter is not None]
        return dict(known[-KEPT_COUNTERS:])

    def members_at(self, session: bytes, change: int, at: int) -> list[bytes]:
        """Who was there at the change that `session` gave with a message that came `at`."""
        if change == self.change:
            return self.members
        if change in self.replaced:
            members, replaced_at = self.replaced[change]
            if at - replaced_at > STALE:
                raise CannotOpen("change", "it was kept back for more than a minute")
            return members
        if change < self.own_change and self._is_early(session, at):
            raise PassedOver("a message from before this client came")
        raise CannotOpen("change", f"the roster of change {change} is not known")

    def _is_early(self, session: bytes, at: int) -> bool:
        """Whether this message may be one that was under way when this client came."""
        voice = self.voices.get(session)
        is_silent = voice is not None and voice.was_there and voice.key is None
        return is_silent and at - self.joined_at <= NEWCOMER
