"""What a server keeps and answers after the handshake (PROTOCOL.md §6 and §8), without input or output."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from . import cbor, letters, shapes
from .credential import Person
from .guests import KEPT_REFUSALS, Bucket, Guest, Member, Room
from .journal import Journal, milliseconds, person_message
from .mailbox import Mailbox, Waiting

LONGEST_TEXT = 4096
LONGEST_ENVELOPE = LONGEST_WHISPER = LONGEST_TEXT + 512
LONGEST_LETTER = LONGEST_TEXT + 2048
LONGEST_SHARED_BOX = 1024
MOST_BOXES = 128
ROOM_MEMBERS = 1000
ROOMS_OF_A_SESSION = 32
SESSIONS = 4096
RESUME_SECONDS = 120.0
TOLD_SECONDS = 2.0
EXPIRED_SECONDS = 24 * 60 * 60  # how long after its end a credential is still taken (§2)


class Cut(Exception):
    """The guest's connection is to be ended without a word."""


class Hall:
    """All rooms; every method that is not private takes the one lock."""

    def __init__(
        self,
        report: Callable[[dict], None],
        window: float = RESUME_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lock = threading.Lock()
        self.report = report
        self.window = window
        self.clock = clock
        self.rooms: dict[str, Room] = {}
        self.owners: dict[str, Person] = {}  # of each name who first used it
        self.present: dict[str, Member] = {}  # by name, those who are away too
        self.sessions: dict[bytes, Member] = {}  # the same by session
        self.ended: dict[bytes, int] = {}  # sessions that do not come back, and when they expire
        self.mailbox = Mailbox()
        self.journal = Journal()
        self.moves: dict[bytes, Bucket] = {}
        self.slow: list[Member] = []

    def handle(self, guest: Guest, message: list) -> None:
        """Answers one message of a guest."""
        with self.lock:
            if not guest.gone:
                self._handle(guest, message)
            self._end_slow()
            if guest.outbox.is_over():
                raise Cut("it asks, and does not read the answers")

    def lost(self, guest: Guest) -> None:
        """The connection ended; without Leave or Bye, its session waits for another (§8, Loss)."""
        with self.lock:
            if guest.gone:
                return
            guest.end()
            member = guest.member
            if member.joined:
                member.guest = None
                member.away_since = self.clock()
                self.report({"lost": member.person.name})

    def tick(self) -> None:
        """Tells who has been away for 2 s, and ends the session of who has been for too long."""
        with self.lock:
            for member in list(self.present.values()):
                if member.away_since is None:
                    continue
                away = self.clock() - member.away_since
                if away >= self.window:
                    self._end(member, "lost")
                elif away >= TOLD_SECONDS and not member.told_away:
                    member.told_away = True
                    self._hand_out([shapes.ABSENCE, member.session, 1], self._sharing(member))
            self._end_slow()

    def expire(self, member: Member) -> None:
        """This session's resume window is over."""
        with self.lock:
            self._end(member, "lost")
            self._end_slow()

    def terminate(self) -> None:
        with self.lock:
            for member in self.present.values():
                if member.guest is not None:
                    member.guest.end(bye="terminated")
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
        if kind in (shapes.LOOKUP, shapes.COMMAND) and not guest.member.messages.take():
            guest.error("wait")
        elif not self._well_formed(message):
            guest.error("malformed")
        elif kind == shapes.COMMAND:
            guest.error("unsupported")
        elif kind == shapes.LOOKUP:
            self._look_up(guest, message[1])
        elif kind == shapes.SEEN:
            self._seen(guest, message[1])
        elif kind == shapes.JOIN:
            self._join(guest, message[1], message[3])
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
        if len(envelope) > LONGEST_ENVELOPE:
            return "large"
        if not room.is_fresh(change):
            return "again"
        event = [shapes.SAID, name, member.session, change, envelope]
        self._hand_out(event, room.others(member))
        self.report({"said": {"from": member.person.name, "room": name, "n": n}})
        return None

    def _whisper(self, member: Member, message: list) -> str | None:
        """To one session that shares a room with the sender's."""
        _, n, session, box = message[:4]
        if len(box) > LONGEST_WHISPER:
            return "large"
        to = self._reached_by(member, session)
        if to is None:
            return "absent"
        self._hand_out([shapes.WHISPERED, member.session, box], [to])
        self.report({"whispered": {"from": member.person.name, "to": to.person.name, "n": n}})
        return None

    def _share(self, member: Member, message: list) -> str | None:
        """Each box to its session; one that cannot go is passed over."""
        _, n, boxes = message[:3]
        if len(boxes) > MOST_BOXES or any(len(box) > LONGEST_SHARED_BOX for _, box in boxes):
            return "large"
        names = []
        for session, box in boxes:
            to = self._reached_by(member, session)
            if to is not None:
                self._hand_out([shapes.SHARED, member.session, box], [to])
                names.append(to.person.name)
        self.report({"shared": {"from": member.person.name, "to": names, "n": n}})
        return None

    def _reached_by(self, member: Member, session: bytes) -> Member | None:
        """The session of this hash, if it shares a room with `member` and is another."""
        to = self.sessions.get(session)
        if to is None or to is member or member.rooms.isdisjoint(to.rooms):
            return None
        return to

    def _letter(self, member: Member, message: list) -> str | None:
        """To whoever has registered a name; it waits until it is seen."""
        _, n, to, content = message[:4]
        if len(content) > LONGEST_LETTER:
            return "large"
        if all(person.fingerprint != to for person in self.owners.values()):
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

    def _look_up(self, guest: Guest, name: str) -> None:
        if name in self.owners:
            guest.send([shapes.FOUND, name, self.owners[name].spki])
        else:
            guest.error("absent")

    def _seen(self, guest: Guest, cursor: int) -> None:
        """Nobody has seen what was not handed to them yet."""
        member = guest.member
        cursor = min(cursor, guest.outbox.taken)
        member.seen = max(member.seen, cursor)
        self.journal.seen(member, cursor)
        self.mailbox.seen(member, cursor)

    # --- Joining, resuming, leaving

    def _join(self, guest: Guest, name: str, cursor: int) -> None:
        member = guest.member
        is_first, guest.asked_to_join = not guest.asked_to_join, True
        if is_first and (cursor != 0 or self._is_known(member.session)):
            self._resume(guest, name, cursor)
            return
        refusal = self._refuses_join(member, name)
        if refusal is not None:
            guest.error(refusal)
            self.report({"join_refused": guest.person.name, "code": refusal})
            if not member.joined and refusal == "refused":
                guest.end()
            guest.told_password = guest.told_password or refusal == "password"
            return
        enters = not member.joined
        if enters:
            self._enter(guest)
        room = self.rooms.setdefault(name, Room())
        change = room.next_change()
        room.members.append(member)
        member.rooms.add(name)
        others = room.others(member)
        event = [shapes.JOINED, name, member.session, change]
        cursor, at = self._hand_out(event, others, member.person)
        for other in others:
            guest.outbox.put(person_message(other.person))
        sessions: cbor.Value = [other.session for other in room.members]
        guest.send([shapes.WELCOME, name, sessions, change, 0, cursor, at, "", LONGEST_TEXT])
        self.report({"joined": guest.person.name, "room": name})
        if enters:
            guest.outbox.taken = cursor
            for letter in self.mailbox.waiting_for(guest.person.fingerprint):
                self._deliver(member, letter)

    def _is_known(self, session: bytes) -> bool:
        return session in self.sessions or session in self.ended

    def _refuses_join(self, member: Member, name: str) -> str | None:
        person = member.person
        if self._is_known(member.session) and not member.joined:
            return "refused"  # it asked for a password meanwhile, and is here already
        if self.owners.get(person.name, person).fingerprint != person.fingerprint:
            return "password"
        if name in member.rooms:
            return "refused"
        if len(member.rooms) >= ROOMS_OF_A_SESSION:
            return "refused"
        if not member.joined and len(self.present) >= SESSIONS and not self._away():
            return "refused"
        if name in self.rooms and len(self.rooms[name].members) >= ROOM_MEMBERS:
            return "refused"
        if not self._moves_of(member).take():
            return "refused"
        return None

    def _away(self) -> list[Member]:
        """Those whose connection is lost, who has been away longest first."""
        away = [member for member in self.present.values() if member.away_since is not None]
        return sorted(away, key=lambda member: member.away_since or 0.0)

    def _enter(self, guest: Guest) -> None:
        """A session begins; one of the same name is replaced (§6, Names)."""
        member = guest.member
        old = self.present.get(guest.person.name)
        if old is not None:
            self._end(old, "replaced", bye="replaced")
        elif len(self.present) >= SESSIONS:
            self._end(self._away()[0], "lost")
        self.owners.setdefault(guest.person.name, guest.person)
        self.present[guest.person.name] = member
        self.sessions[member.session] = member
        member.guest = guest
        member.joined = True

    def _resume(self, guest: Guest, name: str, cursor: int) -> None:
        """Goes on with the session of a credential, or nobody hears that it was asked (§8)."""
        member = self.sessions.get(guest.member.session)
        if member is None or not self._can_resume(member, name, cursor):
            guest.error("refused")
            guest.end()
            self.report({"resume_refused": guest.person.name})
            return
        if member.guest is not None:
            member.guest.supersede()
        guest.member, member.guest, member.away_since = member, guest, None
        guest.outbox.taken = cursor
        at = milliseconds()
        guest.send([shapes.WELCOME, name, [], 0, 1, cursor, at, "", LONGEST_TEXT])
        for entry in member.kept:
            if entry.cursor > cursor:
                guest.outbox.put(entry)
        self.report({"resumed": guest.person.name})
        if member.told_away:
            member.told_away = False
            self._hand_out([shapes.ABSENCE, member.session, 0], self._sharing(member))

    def _can_resume(self, member: Member, name: str, cursor: int) -> bool:
        earliest = max(member.seen, member.forgotten, 1)
        return name in member.rooms and earliest <= cursor <= self.journal.cursor

    def _leave(self, guest: Guest, name: str) -> None:
        member = guest.member
        if name not in member.rooms:
            guest.error("refused")
            return
        self._moves_of(member).take()
        self._go(member, name, "left", tell_leaver=True)
        if not member.rooms:
            self._end(member, "left", bye="left")

    # --- What messages bring about

    def _moves_of(self, member: Member) -> Bucket:
        return self.moves.setdefault(member.person.fingerprint, Bucket(16, 16 / 60))

    def _sharing(self, member: Member) -> list[Member]:
        """The others who share a room with a session."""
        others = [other for name in sorted(member.rooms) for other in self.rooms[name].others(member)]
        return list(dict.fromkeys(others))

    def _go(self, member: Member, name: str, reason: str, tell_leaver: bool = False) -> None:
        """A session leaves a room; an empty room is forgotten, and counts from 1 again."""
        room = self.rooms[name]
        room.members.remove(member)
        member.rooms.discard(name)
        event = [shapes.LEFT, name, member.session, room.next_change(), reason]
        self._hand_out(event, room.members + [member] * tell_leaver)
        if not room.members:
            del self.rooms[name]
        self.report({"left": member.person.name, "room": name, "reason": reason})

    def _end(self, member: Member, reason: str, bye: str | None = None) -> None:
        """A session ends: it leaves its rooms, and is told why if somebody is there to be told."""
        if member.ended:
            return
        member.ended = True
        for name in sorted(member.rooms):
            self._go(member, name, reason)
        if self.present.get(member.person.name) is member:
            del self.present[member.person.name]
        del self.sessions[member.session]
        self._remember_ended(member)
        self.journal.let_go(member)
        self.mailbox.let_go(member)
        if member.guest is not None:
            member.guest.end(bye)

    def _remember_ended(self, member: Member) -> None:
        """Until its credential cannot be used any more."""
        now = milliseconds() // 1000
        self.ended = {session: until for session, until in self.ended.items() if until >= now}
        self.ended[member.session] = member.person.expires + EXPIRED_SECONDS

    def _hand_out(
        self, event: list, to: list[Member], person: Person | None = None
    ) -> tuple[int, int]:
        """Journals an event, then sends it to those who are here of all it is for."""
        entry = self.journal.add(event, to, person)
        for member in to:
            if member.guest is not None:
                member.guest.outbox.put(entry)
        for member, cursor in self.journal.overflow():
            if member.guest is not None and member.guest.outbox.taken < cursor:
                self.slow.append(member)
        return entry.cursor, entry.at

    def _end_slow(self) -> None:
        """What these were to read next has been forgotten (§8, Lagging)."""
        while self.slow:
            member = self.slow.pop()
            if member.ended:
                continue
            if member.guest is not None:
                member.guest.outbox.clear()
            self._end(member, "slow", bye="slow")
