"""Whom a server knows: names for good, who may come in, who is muted (PROTOCOL.md §6).

In memory alone, where a server that is meant to last has a disk. Names that could be taken for one
another are here those that differ in case alone: of §9's skeletons that much needs no tables.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from .credential import Person
from .crypto import sha256
from .guests import Bucket
from .passwords import Kept, NoPassword, new_token, prepared

NAMES_OF_ONE = 8
FINGERPRINTS = 16
HOUR = 60 * 60.0


class Access(str, Enum):
    """Who may come in that has registered no name."""

    OPEN = "open"
    INVITE = "invite"
    CLOSED = "closed"


@dataclass(eq=False)
class Registered:
    """A name, and whose it is."""

    name: str
    spkis: OrderedDict[bytes, bytes] = field(default_factory=OrderedDict)  # by fingerprint; used last, last
    password: Kept | None = None
    wrong: Bucket = field(default_factory=lambda: Bucket(5, 1 / 30))
    muted_until: float = 0.0


@dataclass
class Invited:
    """What is known of an invitation: not its token."""

    until: float
    uses: int


class Registry:
    """All that stays when a session goes."""

    def __init__(self, access: Access = Access.OPEN, clock: Callable[[], float] = time.monotonic) -> None:
        self.access = access
        self.clock = clock
        self.names: dict[str, Registered] = {}
        self.invitations: dict[bytes, Invited] = {}
        self.operators: set[bytes] = set()
        self.words_of_the_day = ""

    def find(self, name: str) -> Registered | None:
        """The registered name that this is, or could be taken for."""
        return self.names.get(name.lower())

    def has_fingerprint(self, fingerprint: bytes) -> bool:
        return any(fingerprint in known.spkis for known in self.names.values())

    def names_of(self, fingerprint: bytes) -> list[Registered]:
        return [known for known in self.names.values() if fingerprint in known.spkis]

    # --- Coming in

    def refuses(self, person: Person, secret: str) -> tuple[str, str] | None:
        """The code and the text of why somebody may not come in; nothing is changed but the pace of passwords."""
        known = self.find(person.name)
        if known is None:
            return self._refuses_new(person, secret)
        if person.fingerprint in known.spkis:
            return None
        if known.password is None:
            return "taken", f"the name {known.name} belongs to another key"
        if not secret:
            return "password", f"the name {known.name} has a password"
        if not known.wrong.has_some():
            return "wait", f"too many wrong passwords for {known.name}"
        if not known.password.fits(secret):
            known.wrong.take()
            return "password", "that is not the password"
        if len(known.spkis) >= FINGERPRINTS:
            return "refused", f"{known.name} has {FINGERPRINTS} keys already"
        return None

    def _refuses_new(self, person: Person, secret: str) -> tuple[str, str] | None:
        """A name that nobody has yet."""
        names = len(self.names_of(person.fingerprint))
        if names >= NAMES_OF_ONE:
            return "refused", f"this key has {names} names already"
        if self.access is Access.CLOSED:
            return "refused", "this server is closed"  # to names (6.9-2)
        if names or self.access is Access.OPEN:
            return None  # by invitation is for keys (6.9-1)
        if not secret:
            return "invitation", "this server is by invitation"
        return None if self._invited(secret) else ("invitation", "this invitation is none, or over")

    def _invited(self, token: str) -> Invited | None:
        invited = self.invitations.get(sha256(token.encode()))
        return invited if invited and invited.uses and self.clock() < invited.until else None

    def enter(self, person: Person, secret: str) -> None:
        """Somebody comes in, whom nothing refuses; a name that is new is theirs from now on."""
        known = self.find(person.name)
        if known is None:
            if not self.names_of(person.fingerprint) and (invited := self._invited(secret)):
                invited.uses -= 1
            known = self.names.setdefault(person.name.lower(), Registered(person.name))
        known.spkis[person.fingerprint] = person.spki
        known.spkis.move_to_end(person.fingerprint)

    # --- What is asked for

    def set_password(self, name: str, password: str) -> str:
        """What to answer; raises `NoPassword`."""
        known = self.names[name.lower()]
        known.password = Kept.of(prepared(password)) if password else None
        return f"{known.name} has a new password." if password else f"{known.name} has no password."

    def invite(self, hours: float, uses: int) -> str:
        """A token for a new invitation."""
        token = new_token()
        self.invitations[sha256(token.encode())] = Invited(self.clock() + hours * HOUR, uses)
        return token

    def mute(self, name: str, seconds: float) -> bool:
        known = self.find(name)
        if known is not None:
            known.muted_until = self.clock() + seconds
        return known is not None

    def is_muted(self, name: str) -> bool:
        known = self.find(name)
        return known is not None and self.clock() < known.muted_until

    def is_operator(self, person: Person) -> bool:
        return person.fingerprint in self.operators

    def notice(self) -> str:
        """The notice of a session's first Welcome, but for the room's topic."""
        operators = [known.name for known in self.names.values() if self.operators & set(known.spkis)]
        lines = ["This server keeps names, keys and hashes of passwords in memory."]
        lines += [f"Operators: {', '.join(sorted(operators))}"] if operators else []
        lines += [self.words_of_the_day] if self.words_of_the_day else []
        return "\n".join(lines)


__all__ = ["Access", "NoPassword", "Registered", "Registry"]
