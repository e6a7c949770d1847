"""Whom this client has met, and which letters it has read (PROTOCOL.md 7.4-1 to 7.4-3)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from . import durable
from .crypto import fingerprint_from_text, fingerprint_text

DAY = 24 * 60 * 60
LETTERS_KEPT = 31 * DAY
VERIFIED = "verified"


class Standing(Enum):
    """What a name's fingerprint is, compared with the one it had before."""

    NEW = "new"
    SAME = "same"
    CHANGED = "changed"


@dataclass
class _Known:
    server: bytes
    name: str
    fingerprint: bytes
    verified: bool = False

    @staticmethod
    def from_line(line: str) -> _Known:
        server, name, fingerprint, *marks = line.split(" ")
        if marks not in ([], [VERIFIED]):
            raise ValueError("it ends with something unknown")
        return _Known(
            fingerprint_from_text(server), name, fingerprint_from_text(fingerprint), bool(marks)
        )

    def to_line(self) -> str:
        parts = [fingerprint_text(self.server), self.name, fingerprint_text(self.fingerprint)]
        return " ".join(parts + [VERIFIED] * self.verified)


class KnownUsers:
    """The file `known_users`, for one server: a name keeps the identity it was first met with."""

    def __init__(self, path: Path, server: bytes, own_name: str, own: bytes) -> None:
        self.path = path
        self.server = server
        self.own = _Known(server, own_name, own)  # known without being written
        self.known: list[_Known] = []
        for number, line in enumerate(durable.read_lines(path), 1):
            try:
                self.known.append(_Known.from_line(line))
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from error

    def _find(self, name: str) -> _Known | None:
        for known in [self.own, *self.known]:
            if (known.server, known.name) == (self.server, name):
                return known
        return None

    def meet(self, name: str, fingerprint: bytes) -> Standing:
        """How this name stands; a new one is written before this returns."""
        known = self._find(name)
        if known is not None:
            return Standing.SAME if known.fingerprint == fingerprint else Standing.CHANGED
        known = _Known(self.server, name, fingerprint)
        durable.append_line(self.path, known.to_line())
        self.known.append(known)
        return Standing.NEW

    def fingerprint_of(self, name: str) -> bytes | None:
        known = self._find(name)
        return known.fingerprint if known else None

    def is_verified(self, name: str) -> bool:
        known = self._find(name)
        return known is not None and known.verified

    def verify(self, name: str) -> None:
        """Writes the mark that the two users have compared their number."""
        known = self._find(name)
        if known is None:
            raise KeyError(name)
        known.verified = True
        durable.replace_lines(self.path, [known.to_line() for known in self.known])


class KnownServers:
    """The file `known_servers`: an address keeps the fingerprint it was first met with."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict[str, bytes] = {}
        for line in durable.read_lines(path):
            address, fingerprint = line.split(" ")
            self.known.setdefault(address, fingerprint_from_text(fingerprint))

    def fingerprint_of(self, address: str) -> bytes | None:
        return self.known.get(address)

    def add(self, address: str, fingerprint: bytes) -> None:
        """Written before this returns."""
        if address not in self.known:
            durable.append_line(self.path, f"{address} {fingerprint_text(fingerprint)}")
            self.known[address] = fingerprint


class LettersSeen:
    """The file `letters_seen`: a letter, its sender and when it was read, for 31 days."""

    def __init__(self, path: Path, now: float | None = None) -> None:
        self.path = path
        self.seen: set[tuple[bytes, bytes]] = set()
        oldest = int(time.time() if now is None else now) - LETTERS_KEPT
        lines = durable.read_lines(path)
        kept = [line for line in lines if int(line.split(" ")[2]) >= oldest]
        if kept != lines:
            durable.replace_lines(path, kept)
        for line in kept:
            sender, letter_id, _ = line.split(" ")
            self.seen.add((fingerprint_from_text(sender), bytes.fromhex(letter_id)))

    def has(self, sender: bytes, letter_id: bytes) -> bool:
        return (sender, letter_id) in self.seen

    def add(self, sender: bytes, letter_id: bytes) -> None:
        """Written before this returns, so that the letter is never shown again."""
        line = f"{fingerprint_text(sender)} {letter_id.hex()} {int(time.time())}"
        durable.append_line(self.path, line)
        self.seen.add((sender, letter_id))
