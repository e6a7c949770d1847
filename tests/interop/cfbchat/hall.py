"""What a server keeps and answers after the handshake (PROTOCOL.md §6), without input or output."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from . import cbor, letters, shapes
from .credential import Person
from .guests import KEPT_REFUSALS, Bucket, Guest, Room
from .mailbox import Mailbox, Waiting, milliseconds

LONGEST_TEXT = 4096
LONGEST_ENVELOPE = LONGEST_WHISPER = LONGEST_TEXT + 512
LONGEST_LETTER = LONGEST_TEXT + 2048
LONGEST_SHARED_BOX = 1024
MOST_BOXES = 128
ROOM_MEMBERS = 1000
ROOMS_OF_A_SESSION = 32
SESSIONS = 4096


class Cut(Exception):
    """The guest's connection is to be ended without a word."""


class Hall:
    """All rooms; every method that is not private takes the one lock."""

    def __init__(self, report: Callable[[dict], None]) -> None:
        self.lock = threading.Lock()
        self.report = report
        self.rooms: dict[str, Room] = {}
        self.owners: dict[str, Person] = {}  # of each name who first used it
        self.present: dict[str, Guest] = {}
        self.mailbox = Mailbox()
        self.sessions: dict[bytes, Guest] = {}  # all that ever came: none comes back
        self.moves: dict[bytes, Bucket] = {}
        self.cursor = 0
        self.slow: deque[Guest] = deque()

    def handle(self, guest: Guest, message: list) -> None:
        """Answers one message of a guest."""
        with self.lock:
            if not guest.gone:
                self._handle(guest, message)
            self._end_slow()

    def lost(self, guest: Guest) -> None:
        """The connection ended without Leave or Bye."""
        with self.lock:
            self._end(guest, "lost")
            self._end_slow()

    def terminate(self) -> None:
        with self.lock:
            for guest in list(self.present.values()):
                guest.gone = True
                guest.say_bye("terminated")
            self.present.clear()

    # --- Messages

    def _handle(self, guest: Guest, message: list) -> None:
        kind = message[0]
        if not guest.spoken_at_all and (kind != shapes.JOIN or not self._well_formed(message)):
            raise Cut("the first message is no Join")
        guest.spoken_at_all = True
        if shapes.SAY <= kind <= shapes.LETTER:
            self._numbered(guest, message)
            return
        if kind not in shapes.CLIENT_MESSAGES:
            guest.error("unsupported")
            return
        if kind in (shapes.LOOKUP, shapes.COMMAND) and not guest.messages.take():
            guest.error("wait")
        elif not self._well_formed(message):
            guest.error("malformed")
        elif kind == shapes.COMMAND:
            guest.error("unsupported")
        elif kind == shapes.LOOKUP:
            self._look_up(guest, message[1])
        elif kind == shapes.SEEN:
            self.mailbox.seen(guest, message[1])
        elif kind == shapes.JOIN:
            self._join(guest, message[1])
        elif kind == shapes.LEAVE:
            self._leave(guest, message[1])
        elif kind == shapes.PING:
            guest.send([shapes.PONG])

    def _well_formed(self, message: list) -> bool:
        _, fields = shapes.CLIENT_MESSAGES[message[0]]
        return cbor.has_fields(message, shapes.shape(fields), exactly=False)

    def _numbered(self, guest: Guest, message: list) -> None:
        """Messages 17 to 20: n is looked at first (§6, Numbers)."""
        n = message[1] if len(message) > 1 else None
        if not isinstance(n, int) or n == 0:
            raise Cut("no n")
        following = guest.last_n + 1
        if n > following:
            guest.error("again", following)
            return
        if n <= guest.last_n:
            self._answer(guest, n, guest.not_taken.get(n))
            return
        if not guest.messages.take():
            guest.error("wait", following)
            return
        refusal: str | None = "malformed"
        if self._well_formed(message):
            answer = {shapes.SAY: self._say, shapes.WHISPER: self._whisper,
                      shapes.SHARE: self._share, shapes.LETTER: self._letter}  # fmt: skip
            refusal = answer[message[0]](guest, message)
        if refusal == "again":
            guest.error("again", following)
            return
        guest.last_n = n
        if refusal is not None:
            guest.not_taken[n] = refusal
            while len(guest.not_taken) > KEPT_REFUSALS:
                guest.not_taken.popitem(last=False)
        self._answer(guest, n, refusal)

    def _answer(self, guest: Guest, n: int, refusal: str | None) -> None:
        if refusal is None:
            guest.send([shapes.ACCEPTED, n])
        else:
            guest.error(refusal, n)

    def _say(self, guest: Guest, message: list) -> str | None:
        """Hands a Say out; the code of its refusal otherwise."""
        _, n, name, change, envelope = message[:5]
        room = self.rooms.get(name)
        if room is None or guest not in room.members:
            return "refused"
        if len(envelope) > LONGEST_ENVELOPE:
            return "large"
        if not room.is_fresh(change):
            return "again"
        event = [shapes.SAID, name, guest.session, change, envelope]
        self._hand_out(event, guest, [other for other in room.members if other is not guest])
        self.report({"said": {"from": guest.person.name, "room": name, "n": n}})
        return None

    def _whisper(self, guest: Guest, message: list) -> str | None:
        """To one session that shares a room with the sender's."""
        _, n, session, box = message[:4]
        if len(box) > LONGEST_WHISPER:
            return "large"
        to = self._reached_by(guest, session)
        if to is None:
            return "absent"
        self._hand_out([shapes.WHISPERED, guest.session, box], guest, [to])
        self.report({"whispered": {"from": guest.person.name, "to": to.person.name, "n": n}})
        return None

    def _share(self, guest: Guest, message: list) -> str | None:
        """Each box to its session; one that cannot go is passed over."""
        _, n, boxes = message[:3]
        if len(boxes) > MOST_BOXES or any(len(box) > LONGEST_SHARED_BOX for _, box in boxes):
            return "large"
        names = []
        for session, box in boxes:
            to = self._reached_by(guest, session)
            if to is not None:
                self._hand_out([shapes.SHARED, guest.session, box], guest, [to])
                names.append(to.person.name)
        self.report({"shared": {"from": guest.person.name, "to": names, "n": n}})
        return None

    def _reached_by(self, guest: Guest, session: bytes) -> Guest | None:
        """The guest of this session, if it shares a room with `guest` and is another."""
        to = self.sessions.get(session)
        if to is None or to is guest or guest.rooms.isdisjoint(to.rooms):
            return None
        return to

    def _letter(self, guest: Guest, message: list) -> str | None:
        """To whoever has registered a name; it waits until it is seen."""
        _, n, to, content = message[:4]
        if len(content) > LONGEST_LETTER:
            return "large"
        if all(person.fingerprint != to for person in self.owners.values()):
            return "absent"
        if not letters.names_author(content, guest.person.spki, guest.person.name):
            return "refused"
        letter = self.mailbox.take(guest.person.fingerprint, to, content)
        if letter is None:
            return "refused"
        for reader in self.present.values():
            if reader.person.fingerprint == to:
                self._deliver(reader, letter)
        self.report({"letter": {"from": guest.person.name, "n": n}})
        return None

    def _deliver(self, reader: Guest, letter: Waiting) -> None:
        """Hands a letter out under a new cursor: its first may be older than the reader's."""
        self.cursor += 1
        self.mailbox.handed_out(letter, reader, self.cursor)
        self._send_event(reader, self.cursor, letter.at, [shapes.LETTER_CAME, letter.content])

    def _look_up(self, guest: Guest, name: str) -> None:
        if name in self.owners:
            guest.send([shapes.FOUND, name, self.owners[name].spki])
        else:
            guest.error("absent")

    def _join(self, guest: Guest, name: str) -> None:
        refusal = self._refuses_join(guest, name)
        if refusal is not None:
            guest.error(refusal)
            self.report({"join_refused": guest.person.name, "code": refusal})
            if not guest.joined and guest.session in self.sessions:
                guest.gone = True
                guest.outbox.close()
            guest.told_password = guest.told_password or refusal == "password"
            return
        is_first = not guest.joined
        if is_first:
            self._enter(guest)
        room = self.rooms.setdefault(name, Room())
        change = room.next_change()
        room.members.append(guest)
        guest.rooms.add(name)
        others = [other for other in room.members if other is not guest]
        event = [shapes.JOINED, name, guest.session, change]
        cursor, at = self._hand_out(event, guest, others)
        for other in others:
            self._announce(guest, other)
        sessions: cbor.Value = [member.session for member in room.members]
        guest.send([shapes.WELCOME, name, sessions, change, 0, cursor, at, "", LONGEST_TEXT])
        self.report({"joined": guest.person.name, "room": name})
        if is_first:
            for letter in self.mailbox.waiting_for(guest.person.fingerprint):
                self._deliver(guest, letter)

    def _refuses_join(self, guest: Guest, name: str) -> str | None:
        person = guest.person
        if not guest.joined and guest.session in self.sessions:
            return "refused"  # nothing is resumed
        if self.owners.get(person.name, person).fingerprint != person.fingerprint:
            return "password"
        if name in guest.rooms:
            return "refused"
        if len(guest.rooms) >= ROOMS_OF_A_SESSION or len(self.present) >= SESSIONS:
            return "refused"
        if name in self.rooms and len(self.rooms[name].members) >= ROOM_MEMBERS:
            return "refused"
        if not self._moves_of(guest).take():
            return "refused"
        return None

    def _enter(self, guest: Guest) -> None:
        """A session begins; one of the same name is replaced (§6, Names)."""
        old = self.present.get(guest.person.name)
        if old is not None:
            self._end(old, "replaced", bye="replaced")
        self.owners.setdefault(guest.person.name, guest.person)
        self.present[guest.person.name] = guest
        self.sessions[guest.session] = guest
        guest.joined = True

    def _leave(self, guest: Guest, name: str) -> None:
        if name not in guest.rooms:
            guest.error("refused")
            return
        self._moves_of(guest).take()
        self._go(guest, name, "left", tell_leaver=True)
        if not guest.rooms:
            self._end(guest, "left", bye="left")

    # --- What messages bring about

    def _moves_of(self, guest: Guest) -> Bucket:
        return self.moves.setdefault(guest.person.fingerprint, Bucket(16, 16 / 60))

    def _go(self, guest: Guest, name: str, reason: str, tell_leaver: bool = False) -> None:
        """A guest leaves a room; an empty room is forgotten, and counts from 1 again."""
        room = self.rooms[name]
        room.members.remove(guest)
        guest.rooms.discard(name)
        event = [shapes.LEFT, name, guest.session, room.next_change(), reason]
        self._hand_out(event, guest, room.members + [guest] * tell_leaver)
        if not room.members:
            del self.rooms[name]
        self.report({"left": guest.person.name, "room": name, "reason": reason})

    def _end(self, guest: Guest, reason: str, bye: str | None = None) -> None:
        """A session ends: it leaves its rooms, and is told why if somebody is there to be told."""
        if guest.gone:
            return
        guest.gone = True
        for name in sorted(guest.rooms):
            self._go(guest, name, reason)
        if self.present.get(guest.person.name) is guest:
            del self.present[guest.person.name]
        if bye is None:
            guest.outbox.close()
        else:
            guest.say_bye(bye)

    def _hand_out(self, event: list, subject: Guest, to: list[Guest]) -> tuple[int, int]:
        """Sends an event, with the next cursor, to all it is for; the Person comes first."""
        self.cursor += 1
        at = milliseconds()
        for guest in to:
            self._announce(guest, subject)
            self._send_event(guest, self.cursor, at, event)
        return self.cursor, at

    def _send_event(self, guest: Guest, cursor: int, at: int, event: list) -> None:
        guest.send([shapes.EVENT, cursor, at, event])
        if guest.outbox.is_over():
            self.slow.append(guest)

    def _announce(self, guest: Guest, subject: Guest) -> None:
        """The Person of `subject`, unless it is known on this connection (§6, Joining)."""
        if subject is guest or subject.session in guest.announced:
            return
        guest.announced.add(subject.session)
        person = subject.person
        guest.send([shapes.PERSON, person.spki, person.credential, person.signature])

    def _end_slow(self) -> None:
        while self.slow:
            self._end(self.slow.popleft(), "slow", bye="slow")
