"""What a server keeps and answers after the handshake (PROTOCOL.md §6 and §8), without input or output."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from . import cbor, shapes
from .commands import LONGEST as LONGEST_COMMAND
from .commands import Commands, Refused
from .guests import Bucket, Guest, Member, Room
from .journal import Journal, milliseconds, person_message
from .mailbox import Mailbox
from .passwords import NoPassword
from .registry import Registry
from .relay import LONGEST_TEXT, Cut, Relay

ROOM_MEMBERS = 1000
ROOMS_OF_A_SESSION = 32
SESSIONS = 4096
RESUME_SECONDS = 120.0
TOLD_SECONDS = 2.0
EXPIRED_SECONDS = 24 * 60 * 60  # how long after its end a credential is still taken (§2)


LOBBY = "#lobby"  # has no keeper


class ChatState(Relay):
    """All rooms; every method that is not private takes the one lock."""

    def __init__(
        self,
        report: Callable[[dict], None],
        window: float = RESUME_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        registry: Registry | None = None,
    ) -> None:
        self.lock = threading.Lock()
        self.report = report
        self.window = window
        self.clock = clock
        self.rooms: dict[str, Room] = {}
        self.registry = registry or Registry()
        self.commands = Commands(self)
        self.present: dict[str, Member] = {}  # by name, those who are away too
        self.sessions: dict[bytes, Member] = {}  # the same by session
        self.numbers: dict[int, Member] = {}  # and by number
        self.last_number = 0  # none is used twice
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
        """The connection ended; without Leave or Bye, its session waits for another (PROTOCOL.md 8.3-1)."""
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
                    self._hand_out([shapes.ABSENCE, member.number, 1], self._sharing(member))
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

    def command(self, line: str) -> str:
        """A command of whoever runs the server."""
        with self.lock:
            try:
                return self.commands.answer(None, line)
            except Refused as refused:
                return str(refused)

    # --- Messages

    def _handle(self, guest: Guest, message: list) -> None:
        kind = message[0]
        if not guest.spoken_at_all and (kind != shapes.JOIN or not self._well_formed(message)):
            raise Cut("the first message is no Join")
        guest.spoken_at_all = True
        asked = not guest.member.joined and guest.asked_to_join
        if asked and kind != shapes.PING and (kind != shapes.JOIN or not self._well_formed(message)):
            raise Cut("it was asked for a password, and does something else")  # 6.6-10
        if shapes.SAY <= kind <= shapes.LETTER:
            self._numbered(guest, message)
            return
        if kind not in shapes.CLIENT_MESSAGES:
            guest.error("unsupported")
            return
        paced = (shapes.LOOKUP, shapes.COMMAND, shapes.PASSWORD)
        if not self._well_formed(message):
            guest.error("malformed")  # 6.15: before the pace
        elif kind in paced and not guest.member.messages.take():
            guest.error("wait")
        elif kind == shapes.COMMAND:
            self._command(guest, message[1])
        elif kind == shapes.PASSWORD:
            self._password(guest, message[1])
        elif kind == shapes.LOOKUP:
            self._look_up(guest, message[1])
        elif kind == shapes.SEEN:
            self._seen(guest, message[1])
        elif kind == shapes.JOIN:
            self._join(guest, *message[1:4])
        elif kind == shapes.LEAVE:
            self._leave(guest, message[1])
        elif kind == shapes.PING:
            guest.send([shapes.PONG])

    def _look_up(self, guest: Guest, name: str) -> None:
        """The key of that name that was used last."""
        known = self.registry.find(name)
        if known is not None and known.spkis:
            guest.send([shapes.FOUND, name, next(reversed(known.spkis.values()))])
        else:
            guest.error("absent")

    def _command(self, guest: Guest, line: str) -> None:
        if len(line.encode()) > LONGEST_COMMAND:
            guest.error("large")
        else:
            self.report({"command": line, "from": guest.member.person.name})
            try:
                guest.send([shapes.ANSWER, self.commands.answer(guest.member, line)])
            except Refused as refused:
                guest.error(refused.code, text=str(refused))

    def _password(self, guest: Guest, password: str) -> None:
        try:
            guest.send([shapes.ANSWER, self.registry.set_password(guest.member.name, password)])
        except NoPassword as error:
            guest.error("refused", text=str(error))

    def _seen(self, guest: Guest, cursor: int) -> None:
        """Nobody has seen what was not handed to them yet."""
        member = guest.member
        cursor = min(cursor, guest.outbox.taken)
        member.seen = max(member.seen, cursor)
        self.journal.seen(member, cursor)
        self.mailbox.seen(member, cursor)

    # --- Joining, resuming, leaving

    def _join(self, guest: Guest, name: str, secret: str, cursor: int) -> None:
        member = guest.member
        is_first, guest.asked_to_join = not guest.asked_to_join, True
        if is_first and (cursor != 0 or self._is_known(member.session)):
            self._resume(guest, name, cursor)
            return
        if not is_first and member.joined and cursor != 0:
            guest.error("refused", text="a session is resumed at once or never")  # 8.4-9
            return
        refusal = self._refuses_join(member, name, secret)
        if refusal is not None:
            self._send_refusal(guest, *refusal, may_ask_again=is_first and not secret)
            return
        enters = not member.joined
        if enters:
            self._enter(guest, secret)
        if name not in self.rooms:
            self.rooms[name] = Room(keeper=None if name == LOBBY else member.name)
        room = self.rooms[name]
        change = room.next_change()
        room.members.append(member)
        others = room.others(member)
        event = [shapes.JOINED, name, member.number, change]
        cursor, at = self._hand_out(event, others, member)
        member.entered_room(name, cursor)
        for other in others:
            guest.outbox.put(person_message(other))
        numbers: cbor.Value = [other.number for other in room.members]
        notice = self._notice(member, name, room, enters)
        guest.send(
            [shapes.WELCOME, name, numbers, change, 0, cursor, at, notice, LONGEST_TEXT, member.number]
        )
        self.report({"joined": guest.person.name, "room": name})
        if enters:
            guest.outbox.taken = cursor
            for letter in self.mailbox.waiting_for(guest.person.fingerprint):
                self._deliver(member, letter)

    def _notice(self, member: Member, name: str, room: Room, first: bool) -> str:
        lines = [self.registry.notice()] if first else []
        lines += [f"Topic of {name}: {room.topic}"] if room.topic else []
        notice = "\n".join(lines)
        member.notice = notice if first else member.notice
        return notice

    def _send_refusal(self, guest: Guest, code: str, why: str, may_ask_again: bool) -> None:
        """A Join that gets nowhere; one that came first and without a password may be tried once more."""
        guest.error(code, text=why)
        self.report({"join_refused": guest.person.name, "code": code})
        guest.told_password += code in ("password", "invitation")
        if not guest.member.joined and not (may_ask_again and code in ("password", "invitation")):
            guest.end()

    def _is_known(self, session: bytes) -> bool:
        return session in self.sessions or session in self.ended

    def _refuses_join(self, member: Member, name: str, secret: str) -> tuple[str, str] | None:
        """The code and the text of why not."""
        room = self.rooms.get(name)
        refused: str | None = None
        if not member.joined:
            if self._is_known(member.session):
                refused = "you are here already"  # asked for a password, and came in elsewhere meanwhile
            elif (unknown := self.registry.refuses(member.person, secret)) is not None:
                return unknown
            elif len(self.present) >= SESSIONS and not self._away():
                refused = "the server is full"
        if refused is not None:
            return "refused", refused
        if name in member.rooms:
            refused = f"you are in {name} already"
        elif len(member.rooms) >= ROOMS_OF_A_SESSION:
            refused = "you are in too many rooms"
        elif room and len(room.members) >= ROOM_MEMBERS:
            refused = f"{name} is full"
        elif room and not room.admits(member) and not self.registry.is_operator(member.person):
            refused = f"{name} is locked"
        elif not self._moves_of(member).take():
            refused = "too many joins"
        return None if refused is None else ("refused", refused)

    def _away(self) -> list[Member]:
        """Those whose connection is lost, who has been away longest first."""
        away = [member for member in self.present.values() if member.away_since is not None]
        return sorted(away, key=lambda member: member.away_since or 0.0)

    def _enter(self, guest: Guest, secret: str) -> None:
        """A session begins; one of the same name is replaced (PROTOCOL.md 6.7-8)."""
        member = guest.member
        old = self.here(guest.person.name)
        if old is not None:
            self._end(old, "replaced", bye="replaced")
        elif len(self.present) >= SESSIONS:
            self._end(self._away()[0], "lost")
        self.registry.enter(guest.person, secret)
        self.present[guest.person.name] = member
        self.last_number += 1
        member.number = self.last_number
        self.sessions[member.session] = self.numbers[member.number] = member
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
        guest.send(
            [shapes.WELCOME, name, [], 0, 1, cursor, at, member.notice, LONGEST_TEXT, member.number]
        )
        for entry in member.kept:
            if entry.cursor > cursor:
                guest.outbox.put(entry)
        self.report({"resumed": guest.person.name})
        if member.told_away:
            member.told_away = False
            self._hand_out([shapes.ABSENCE, member.number, 0], self._sharing(member))

    def _can_resume(self, member: Member, name: str, cursor: int) -> bool:
        earliest = max(member.seen, member.forgotten, 1)
        return member.was_in(name, cursor) and earliest <= cursor <= self.journal.cursor

    def _leave(self, guest: Guest, name: str) -> None:
        member = guest.member
        if name not in member.rooms:
            guest.error("refused")
            return
        self._moves_of(member).take()
        self._go(member, name, "left", tell_leaver=True)
        if not member.rooms:
            self._end(member, "left", bye="left")

    # --- What commands do

    def here(self, name: str) -> Member | None:
        """Who has this name here, or one that could be taken for it."""
        matching = (member for member in self.present.values() if member.name == name.lower())
        return next(matching, None)

    def tell(self, member: Member, text: str) -> None:
        """A notice."""
        self._hand_out([shapes.NOTICE, text], [member])

    def put_out(self, member: Member, room: str | None = None) -> None:
        """Out of a room; out of the last of them, or of all, is the end of the session."""
        for name in [room] if room else sorted(member.rooms):
            self._go(member, name, "kicked", tell_leaver=True)
        if not member.rooms:
            self._end(member, "kicked", bye="kicked")

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
        room.has_gone(member)
        event = [shapes.LEFT, name, member.number, room.next_change(), reason]
        cursor, _ = self._hand_out(event, room.members + [member] * tell_leaver)
        member.left_room(name, cursor)
        if not room.members and room.registered:
            room.begin_anew()
        elif not room.members:
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
        del self.sessions[member.session], self.numbers[member.number]
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
        self, event: list, to: list[Member], newcomer: Member | None = None
    ) -> tuple[int, int]:
        """Journals an event, then sends it to those who are here of all it is for."""
        entry = self.journal.add(event, to, newcomer)
        for member in to:
            if member.guest is not None:
                member.guest.outbox.put(entry)
        for member, cursor in self.journal.overflow():
            if member.guest is not None and member.guest.outbox.taken < cursor:
                self.slow.append(member)
        return entry.cursor, entry.at

    def _end_slow(self) -> None:
        """What these were to read next has been forgotten (PROTOCOL.md 8.8-2)."""
        while self.slow:
            member = self.slow.pop()
            if member.ended:
                continue
            if member.guest is not None:
                member.guest.outbox.clear()
            self._end(member, "slow", bye="slow")
