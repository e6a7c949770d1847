"""The half of a server's chat that passes on what is numbered: messages 17 to 20 (PROTOCOL.md §6)."""

from __future__ import annotations

from collections.abc import Callable

from . import cbor, letters, shapes
from .guests import KEPT_REFUSALS, Guest, Member, Room
from .mailbox import Mailbox, Waiting
from .registry import Registry

LONGEST_TEXT = 4096
LONGEST_ENVELOPE = LONGEST_WHISPER = LONGEST_TEXT + 512
LONGEST_LETTER = LONGEST_TEXT + 2048
LONGEST_SHARED_BOX = 1024
MOST_BOXES = 128


class Cut(Exception):
    """The guest's connection is to be ended without a word."""


class Relay:
    """Answers Say, Whisper, Share and Letter; its methods are called under the chat's lock."""

    report: Callable[[dict], None]
    rooms: dict[str, Room]
    present: dict[str, Member]
    numbers: dict[int, Member]
    mailbox: Mailbox
    registry: Registry

    def _hand_out(
        self, event: list, to: list[Member], newcomer: Member | None = None
    ) -> tuple[int, int]:
        raise NotImplementedError

    def _well_formed(self, message: list) -> bool:
        _, fields = shapes.CLIENT_MESSAGES[message[0]]
        return cbor.has_fields(message, shapes.shape(fields), exactly=False)

    def _numbered(self, guest: Guest, message: list) -> None:
        """Messages 17 to 20: n is looked at first (PROTOCOL.md 6.3-1)."""
        n = message[1] if len(message) > 1 else None
        if not isinstance(n, int) or n == 0:
            raise Cut("no n")
        member = guest.member
        following = member.last_n + 1
        if n > following:
            guest.error("again", following)
            return
        if n <= member.last_n:
            self._answer(guest, n, member.not_taken.get(n))
            return
        if not member.messages.take():
            guest.error("wait", following)
            return
        refusal: str | None = "malformed"
        if self._well_formed(message):
            answer = {shapes.SAY: self._say, shapes.WHISPER: self._whisper,
                      shapes.SHARE: self._share, shapes.LETTER: self._letter}  # fmt: skip
            refusal = answer[message[0]](member, message)
        if refusal == "again":
            guest.error("again", following)
            return
        member.last_n = n
        if refusal is not None:
            member.not_taken[n] = refusal
            while len(member.not_taken) > KEPT_REFUSALS:
                member.not_taken.popitem(last=False)
        self._answer(guest, n, refusal)

    def _answer(self, guest: Guest, n: int, refusal: str | None) -> None:
        if refusal is None:
            guest.send([shapes.ACCEPTED, n])
        else:
            guest.error(refusal, n)

    def _say(self, member: Member, message: list) -> str | None:
        """Hands a Say out; the code of its refusal otherwise."""
        _, n, name, change, envelope = message[:5]
        room = self.rooms.get(name)
        if room is None or member not in room.members:
            return "refused"
        if self.registry.is_muted(member.name):
            return "muted"
        if len(envelope) > LONGEST_ENVELOPE:
            return "large"
        if not room.is_fresh(change):
            return "again"
        event = [shapes.SAID, name, member.number, change, envelope]
        self._hand_out(event, room.others(member))
        self.report({"said": {"from": member.person.name, "room": name, "n": n}})
        return None

    def _whisper(self, member: Member, message: list) -> str | None:
        """To one session that shares a room with the sender's."""
        _, n, number, box = message[:4]
        if self.registry.is_muted(member.name):
            return "muted"
        if len(box) > LONGEST_WHISPER:
            return "large"
        to = self._reached_by(member, number)
        if to is None:
            return "absent"
        self._hand_out([shapes.WHISPERED, member.number, box], [to])
        self.report({"whispered": {"from": member.person.name, "to": to.person.name, "n": n}})
        return None

    def _share(self, member: Member, message: list) -> str | None:
        """Each box to its session; one that cannot go is passed over."""
        _, n, boxes = message[:3]
        if len(boxes) > MOST_BOXES or any(len(box) > LONGEST_SHARED_BOX for _, box in boxes):
            return "large"
        names = []
        for number, box in boxes:
            to = self._reached_by(member, number)
            if to is not None:
                self._hand_out([shapes.SHARED, member.number, box], [to])
                names.append(to.person.name)
        self.report({"shared": {"from": member.person.name, "to": names, "n": n}})
        return None

    def _reached_by(self, member: Member, number: int) -> Member | None:
        """The session of this number, if it shares a room with `member` and is another."""
        to = self.numbers.get(number)
        if to is None or to is member or member.rooms.isdisjoint(to.rooms):
            return None
        return to

    def _letter(self, member: Member, message: list) -> str | None:
        """To whoever has registered a name; it waits until it is seen."""
        _, n, to, content = message[:4]
        if self.registry.is_muted(member.name):
            return "muted"
        if len(content) > LONGEST_LETTER:
            return "large"
        if not self.registry.names_of(to):
            return "absent"
        if not letters.names_author(content, member.person.spki, member.person.name):
            return "refused"
        letter = self.mailbox.take(member.person.fingerprint, to, content)
        if letter is None:
            return "refused"
        for reader in self.present.values():
            if reader.person.fingerprint == to:
                self._deliver(reader, letter)
        self.report({"letter": {"from": member.person.name, "n": n}})
        return None

    def _deliver(self, reader: Member, letter: Waiting) -> None:
        """Hands a letter out under a new cursor: its first may be older than the reader's."""
        cursor, _ = self._hand_out([shapes.LETTER_CAME, letter.content], [reader])
        self.mailbox.handed_out(letter, reader, cursor)
