"""The commands of PROTOCOL.md §6 that a test needs, and keepers and operators, who may give them."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from .credential import is_room
from .crypto import fingerprint_text
from .guests import Member, Room

if TYPE_CHECKING:
    from .chat_state import ChatState

LONGEST = 4096
FOREVER = float("inf")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class Refused(Exception):
    """The command is not for who gave it, or about nothing that is there."""

    def __init__(self, why: str, code: str = "refused") -> None:
        super().__init__(why)
        self.code = code


HELP = {
    "HELP": "HELP [COMMAND]: what there is",
    "ROOMS": "ROOMS: the rooms that are here",
    "TOPIC": "TOPIC #room [text]: what a room is about",
    "DEVICES": "DEVICES [SHA256:…]: the keys of one's name, or takes one away",
    "LOCK": "LOCK #room: nobody but guests comes in",
    "UNLOCK": "UNLOCK #room: everybody may",
    "INVITE": "INVITE #room NAME: a guest; INVITE [hours] [uses]: a token",
    "KICK": "KICK #room NAME [reason]: out of a room; KICK NAME [reason]: out of all",
    "KEEPER": "KEEPER #room NAME: hands a room on",
    "REGISTER": "REGISTER #room: it stays when nobody is in it",
    "UNREGISTER": "UNREGISTER #room: it goes with the last who does",
    "SAY": "SAY text: to everybody",
    "MUTE": "MUTE NAME [duration]: says nothing for now",
    "UNMUTE": "UNMUTE NAME: speaks again",
    "OP": "OP NAME: an operator",
    "MOTD": "MOTD [text]: the words of the day",
}


class Commands:
    """Carries out commands; `None` as a member is whoever holds the server's own standard input."""

    def __init__(self, chat: ChatState) -> None:
        self.chat = chat
        self.registry = chat.registry

    def answer(self, member: Member | None, line: str) -> str:
        """What became of a command; raises `Refused`."""
        line = line.strip()
        if any(unicodedata.category(character) == "Cc" for character in line):
            raise Refused("a line has no control characters in it", "malformed")
        word, _, rest = line.partition(" ")
        word, rest = word.upper(), rest.strip()
        if word not in HELP:
            raise Refused(f"There is no command {word}. HELP tells which there are.", "malformed")
        return getattr(self, "_" + word.lower())(member, rest)

    # --- Who may

    def _is_operator(self, member: Member | None) -> bool:
        return member is None or self.registry.is_operator(member.person)

    def _operators_only(self, member: Member | None) -> None:
        if not self._is_operator(member):
            raise Refused("only an operator may")

    def _room(self, name: str) -> Room:
        room = self.chat.rooms.get(name)
        if room is None:
            raise Refused(f"there is no room {name}", "absent")
        return room

    def _kept_by(self, member: Member | None, name: str) -> Room:
        """The room, if the member may rule it."""
        room = self._room(name)
        if not self._is_operator(member) and (member is None or room.keeper != member.name):
            raise Refused(f"only the keeper of {name} may")
        return room

    # --- Anybody

    def _help(self, member: Member | None, rest: str) -> str:
        asked = rest.upper()
        if asked:
            return HELP.get(asked, f"There is no command {asked}.")
        return "\n".join(HELP.values())

    def _rooms(self, member: Member | None, rest: str) -> str:
        lines = []
        for name, room in sorted(self.chat.rooms.items()):
            keeper = f", kept by {self._called(room.keeper)}" if room.keeper else ""
            topic = f": {room.topic}" if room.topic else ""
            lines.append(f"{name} ({len(room.members)}{keeper}{', locked' * room.locked}){topic}")
        return "\n".join(lines)

    def _called(self, name: str) -> str:
        known = self.registry.find(name)
        return known.name if known else name

    def _topic(self, member: Member | None, rest: str) -> str:
        name, _, text = rest.partition(" ")
        if not text:
            topic = self._room(name).topic
            return f"{name}: {topic}" if topic else f"{name} has no topic."
        room = self._kept_by(member, name)
        room.topic = "" if text == "-" else text
        return f"{name} has the topic: {room.topic}" if room.topic else f"{name} has no topic."

    def _devices(self, member: Member | None, rest: str) -> str:
        if member is None:
            raise Refused("this is for those who have a name here")
        known = self.registry.find(member.name)
        assert known
        for fingerprint in list(known.spkis):
            if rest and fingerprint_text(fingerprint) == rest:
                if fingerprint == member.person.fingerprint:
                    return "That is the key you are here with."
                del known.spkis[fingerprint]
                return f"{rest} is no key of {known.name} any more."
        if rest:
            return f"{rest} is no key of {known.name}."
        return "\n".join(fingerprint_text(fingerprint) for fingerprint in known.spkis)

    # --- A room's keeper, and operators

    def _lock(self, member: Member | None, rest: str) -> str:
        self._kept_by(member, rest).locked = True
        return f"{rest} is locked."

    def _unlock(self, member: Member | None, rest: str) -> str:
        self._kept_by(member, rest).locked = False
        return f"{rest} is open."

    def _invite(self, member: Member | None, rest: str) -> str:
        first, _, second = rest.partition(" ")
        if is_room(first):
            self._kept_by(member, first).guests.add(second.lower())
            return f"{second} is a guest of {first}."
        self._operators_only(member)
        try:
            hours, uses = float(first or 24), int(second or 1)
        except ValueError:
            return "INVITE takes hours and uses."
        return self.registry.invite(hours, uses)

    def _kick(self, member: Member | None, rest: str) -> str:
        first, _, after = rest.partition(" ")
        if not is_room(first):
            self._operators_only(member)
            return self._kick_out(first, after)
        room = self._kept_by(member, first)
        name, _, reason = after.partition(" ")
        for other in room.members:
            if other.name == name.lower():
                self.chat.tell(other, f"You were kicked from {first}. {reason}".strip())
                self.chat.put_out(other, first)
                return f"{name} is removed from {first}."
        return f"{name} is not in {first}."

    def _kick_out(self, name: str, reason: str) -> str:
        other = self.chat.here(name)
        if other is None:
            return f"{name} is not here."
        self.chat.tell(other, f"You were kicked. {reason}".strip())
        self.chat.put_out(other)
        return f"{name} is out."

    def _keeper(self, member: Member | None, rest: str) -> str:
        name, _, to = rest.partition(" ")
        room = self._kept_by(member, name)
        if self.registry.find(to) is None:
            return f"Nobody called {to} is known."
        room.keeper = to.lower()
        return f"{to} keeps {name}."

    def _register(self, member: Member | None, rest: str) -> str:
        self._kept_by(member, rest).registered = True
        return f"{rest} stays."

    def _unregister(self, member: Member | None, rest: str) -> str:
        room = self._kept_by(member, rest)
        room.registered = False
        if not room.members:
            del self.chat.rooms[rest]
        return f"{rest} goes with the last who does."

    # --- Operators

    def _say(self, member: Member | None, rest: str) -> str:
        self._operators_only(member)
        for other in list(self.chat.present.values()):
            self.chat.tell(other, rest)
        return "Said."

    def _mute(self, member: Member | None, rest: str) -> str:
        self._operators_only(member)
        name, _, duration = rest.partition(" ")
        seconds = FOREVER
        if duration:
            if not duration[:-1].isdecimal() or duration[-1] not in UNITS:
                return "A duration is a number and s, m, h, d or w."
            seconds = int(duration[:-1]) * UNITS[duration[-1]]
        done = self.registry.mute(name, seconds)
        return f"{name} is muted." if done else f"Nobody called {name} is known."

    def _unmute(self, member: Member | None, rest: str) -> str:
        self._operators_only(member)
        done = self.registry.mute(rest, 0)
        return f"{rest} may speak." if done else f"Nobody called {rest} is known."

    def _op(self, member: Member | None, rest: str) -> str:
        self._operators_only(member)
        known = self.registry.find(rest)
        if known is None:
            return f"Nobody called {rest} is known."
        self.registry.operators |= set(known.spkis)
        return f"{known.name} is an operator."

    def _motd(self, member: Member | None, rest: str) -> str:
        if not rest:
            return self.registry.words_of_the_day or "There is no message of the day."
        self._operators_only(member)
        self.registry.words_of_the_day = "" if rest == "-" else rest
        return "So be it."
