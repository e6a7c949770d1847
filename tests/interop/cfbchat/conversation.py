"""What a client knows and checks after the handshake (PROTOCOL.md §6 and §8), without input or output."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from . import cbor, shapes, texts
from .credential import CredentialRefused, OwnCredential, is_room
from .crypto import RefusedKey, load_spki, sha256
from .events import Events
from .hearing import Hearing
from .numbered import Delay, Item, Letter, Numbers, Say, Share, Whisper
from .peers import PeerTable
from .previous_session import Draft, PreviousSession, addressed_anew, anew, words
from .reader import Reader
from .requests import Requests
from .rooms import Room
from .safety_number import safety_number
from .speaker import Speaker
from .texts import Text
from .violation import Violation
from .who_is_who import KnownUsers, LettersSeen


def milliseconds() -> int:
    return time.time_ns() // 1_000_000


class Conversation(Events):
    """One session on all its connections: messages in, shown lines and messages out."""

    def __init__(
        self,
        own: OwnCredential,
        name: str,
        room: str,
        server: bytes,
        keys: Path,
        show: Callable[[dict], None],
        *,
        verified_only: bool = False,
        secret: str = "",
        previous_session: PreviousSession | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], int] = milliseconds,
    ) -> None:
        self.own = own
        self.name = name
        self.room = room  # where what is said without a room goes
        self.secret = secret  # a password, or a token, for a server that may be told
        self.server = server
        self.show = show
        self.verified_only = verified_only
        self.clock = clock
        self.now = now
        known = KnownUsers(keys / "known_users", server, name, own.identity.fingerprint)
        self.peers = PeerTable(own, name, known, show)
        self.reader = Reader(own, server, LettersSeen(keys / "letters_seen"))
        self.hearing = Hearing(self.peers, self.reader, show)
        self.speaker = Speaker(own, name, server)
        self.outgoing: list[bytes] = []
        self.cursor = 0  # of the last event, the Welcome's if there was none; 0 before it
        self.last_at = 0
        self.online = False  # the Welcome of this connection has come
        self.seen_by: float | None = None
        self.sees_no_more = False
        self.numbers = Numbers(lambda: self.clock())
        previous_session = previous_session or PreviousSession()
        self.counters = previous_session.counters
        self.hearing.heard = previous_session.heard
        self.numbers.queue.extend(previous_session.unsent)
        self.drafts = deque(previous_session.drafts)
        self.draft_delay = Delay()
        self.requests = Requests(self._send, previous_session.rooms)
        self.floors: dict[str, dict[bytes, int]] = {}  # of rooms this session has left
        self.pongs_due = 0
        self.longest = texts.LONGEST
        self.leaving = False
        self.refused: str | None = None  # the code a Join was answered with
        self.bye: str | None = None

    # --- What the user does

    def join(self) -> None:
        """A connection begins: the session's first, or one that goes on with it (PROTOCOL.md 8.4-1)."""
        self.lost()
        self.outgoing.clear()
        for doubtful in self.requests.lost():
            self.show({"in_doubt": doubtful.about, "of": "command", "to": None})
        self.pongs_due = 0
        if self.cursor and self.room not in self.peers.rooms:
            self.room = next(iter(self.peers.rooms), self.room)
        self.requests.join(self.room, "", self.cursor, opens=True)
        if self.requests.catching_up:
            self.ping()

    def lost(self) -> None:
        """The connection has ended: what is said from now on waits for the next."""
        self.online = False
        self.seen_by = None
        self.peers.session_numbers.lost()

    def resumes(self) -> bool:
        """Whether there is a session to go on with, and nothing says that it cannot be."""
        return self.cursor != 0 and self.refused is None and self.bye is None

    def begins_anew(self) -> bool:
        """Whether a new session is to begin in its place (§8).

        Not if all that was left to do was to leave: who is refused then has left.
        """
        if self.has_left():
            return False
        if self.bye is not None:
            return self.bye == "slow"
        return self.refused == ("refused" if self.cursor else None)

    def has_left(self) -> bool:
        """Left as wanted; the answer to a Leave may have been lost with the connection."""
        gone = self.refused == "refused" and self.cursor != 0
        parted = self.requests.left_before >= set(self.peers.rooms)
        return self.bye == "left" or bool(gone and parted and self.peers.rooms)

    def hand_over(self) -> PreviousSession:
        """For a new session; what was sent and not answered is shown, to be sent by hand."""
        for item in self.numbers.in_doubt():
            if (line := words(item)) is not None:
                self.show(line)
        unsent = [new for item in self.numbers.unsent() if (new := anew(item)) is not None]
        counters = self.counters
        for name, room in self.peers.rooms.items():
            counters = {**counters, name: room.counters()}
        for doubtful in self.requests.lost():
            self.show({"in_doubt": doubtful.about, "of": "command", "to": None})
        rooms = {*self.peers.rooms, *self.requests.to_join, *self.requests.unsure} - self.requests.to_part
        return PreviousSession(
            deque(unsent), self.drafts, counters, self.hearing.heard, sorted(rooms - {self.room})
        )

    def enter(self, room: str) -> None:
        """Joins one more room."""
        if not is_room(room) or room in self.peers.rooms or self.requests.expects(room):
            self.show({"error": f"{room} cannot be joined"})
            return
        self.requests.to_join.append(room)
        self.pump()

    def part(self, room: str) -> None:
        """Leaves one room once what was said in it is answered; the last is the end."""
        if room in self.peers.rooms or self.requests.expects(room):
            self.requests.to_part.add(room)
            self.pump()
        else:
            self.show({"error": f"this client is not in {room}"})

    def command(self, line: str) -> None:
        """Something for the server to do."""
        self._ask(shapes.COMMAND, line, line)

    def set_password(self, password: str) -> None:
        """A password for the name one has here; none takes it away."""
        self._ask(shapes.PASSWORD, "password", password)

    def _ask(self, kind: int, about: str, field: str) -> None:
        if self.online:
            self.requests.ask(kind, about, field)
        else:
            self.show({"error": "not connected", "of": about})

    def say(self, text: str, room: str | None = None) -> None:
        room = room or self.room
        if room not in self.peers.rooms and self.online and not self.requests.expects(room):
            self.show({"error": f"this client is not in {room}"})
        elif (made := self._text(text)) is not None:
            self._queue(Say(room, made))

    def whisper(self, name: str, text: str) -> None:
        """To somebody who is here; to anybody else it goes as a letter."""
        to = self.peers.present(name)
        if to is None:
            self.write_letter(name, text)
        elif not self.speaker.reaches(to):
            self.show({"error": f"{name} has a key nobody can whisper to"})
        elif (made := self._text(text)) is not None:
            self._queue(Whisper(to, made))

    def write_letter(self, name: str, text: str) -> None:
        """A letter, once the server has told the reader's key."""
        if (made := self._text(text)) is not None:
            self.drafts.append(Draft(name, made))
            self.pump()

    def verify(self, name: str, compared: bool = False) -> None:
        """Shows the number to compare; writes the mark if it has been."""
        fingerprint = self.peers.known.fingerprint_of(name)
        if fingerprint is None:
            self.show({"error": f"nobody called {name} is known"})
            return
        if compared:
            self.peers.known.verify(name)
        number = safety_number(self.own.identity.fingerprint, fingerprint)
        self.show(
            {"verify": name, "number": number, "verified": self.peers.known.is_verified(name)}
        )

    def leave(self) -> None:
        """Leaves all rooms once everything said is answered."""
        self.leaving = True
        self.pump()

    def ping(self) -> None:
        self.pongs_due += 1
        self._send([shapes.PING])

    def is_idle(self) -> bool:
        """Whether all that was said, whispered, written and asked has been answered."""
        return not self.numbers.queue and not self.drafts and self.requests.is_idle()

    def patience(self) -> float:
        """The seconds after which there may be something to send, without anything coming."""
        waits = [self.numbers.delay.until, self.draft_delay.until]
        if self.seen_by is not None:
            waits.append(self.seen_by)
        return min((wait - self.clock() for wait in waits if wait > self.clock()), default=1.0)

    def _text(self, text: str) -> Text | None:
        if 1 <= len(text.encode()) <= self.longest:
            return Text(self.now(), texts.TEXT, text)
        self.show({"error": f"a text must have 1 to {self.longest} bytes"})
        return None

    def _queue(self, item: Item) -> None:
        self.numbers.queue.append(item)
        self.pump()

    # --- What is sent

    def pump(self) -> None:
        """Sends what may be sent now."""
        if not self.online:
            return
        if self.seen_by is not None and self.clock() >= self.seen_by:
            self._send_seen()
        while (item := self.numbers.next_to_send()) is not None:
            if isinstance(item, (Say, Share)) and item.room not in self.peers.rooms:
                if self.requests.expects(item.room):
                    break
                self._give_up(item)
                continue
            if isinstance(item, Say):
                shares = self._shares_before(self.peers.rooms[item.room])
                if shares is None:
                    break
                if shares:
                    self.numbers.put_first([*shares])
                    continue
            fields = self._fields(item)
            n = self.numbers.following()
            message = cbor.encode([fields[0], n, *fields[1:]])
            self.numbers.sent(n, message)
            self.outgoing.append(message)
        self._look_up()
        leaving = self.leaving and self.is_idle()
        self.requests.move(self.peers.rooms, self._speaks_in, leaving)

    def _speaks_in(self, room: str) -> bool:
        """Whether something is still to be said in a room, or to be answered."""
        return any(isinstance(item, (Say, Share)) and item.room == room for item in self.numbers.queue)

    def _give_up(self, item: Say | Share) -> None:
        """What was to be said in a room that this session is not in any more."""
        self.numbers.queue.remove(item)
        if isinstance(item, Say):
            self.show({"error": f"this client is not in {item.room}", "text": item.text.text, "of": "say"})

    def _shares_before(self, room: Room) -> list[Share] | None:
        readers = self.peers.readers_in(room)
        if self.verified_only:
            readers = [person for person in readers if self.peers.known.is_verified(person.name)]
        return self.speaker.shares_before(room, readers, self.numbers.says_in_flight(room.name))

    def _fields(self, item: Item) -> list[cbor.Value]:
        """The message an item stands for, without its n."""
        if isinstance(item, Say):
            room = self.peers.rooms[item.room]
            self._tell_who_reads_too(item, room)
            unanswered = self.numbers.says_in_flight(room.name)
            envelope = self.speaker.envelope(item, room, unanswered)
            return [shapes.SAY, room.name, room.change, envelope]
        if isinstance(item, Share):
            numbers = self.peers.session_numbers.numbers
            return [shapes.SHARE, [[numbers[session], box] for session, box in item.boxes]]
        if isinstance(item, Whisper):
            item.box = item.box or self.speaker.whisper(item.to, item.text)
            return [shapes.WHISPER, self.peers.session_numbers.numbers[item.to.session], item.box]
        return [shapes.LETTER, item.to, item.letter]

    def _tell_who_reads_too(self, say: Say, room: Room) -> None:
        """Who has come in since a Say that is sent again was sent first (§7)."""
        present = frozenset(room.members)
        if say.readers and (since := present - say.readers):
            names = sorted(self.peers.called(session) for session in since)
            self.show({"read_too_by": names, "text": say.text.text})
        say.readers = present

    def _look_up(self) -> None:
        """Asks for the key the first letter needs."""
        waits = self.clock() < self.draft_delay.until
        if self.drafts and not waits and not self.requests.is_due(shapes.LOOKUP):
            self.requests.ask(shapes.LOOKUP, self.drafts[0].name, self.drafts[0].name)

    def _send_seen(self) -> None:
        self.seen_by = None
        if not self.sees_no_more:
            self._send([shapes.SEEN, self.cursor])

    def _see_within(self, seconds: float) -> None:
        at = self.clock() + seconds
        self.seen_by = at if self.seen_by is None else min(self.seen_by, at)

    def _send(self, message: cbor.Value) -> None:
        self.outgoing.append(cbor.encode(message))

    # --- What the server says

    def handle(self, message: list) -> None:
        """Takes one message in; raises `Violation` where §6 has the client end the connection."""
        kind = message[0]
        if kind not in shapes.SERVER_MESSAGES:
            return
        name, fields = shapes.SERVER_MESSAGES[kind]
        if not cbor.has_fields(message, shapes.shape(fields), exactly=False):
            raise Violation(f"{name} has wrong fields")
        answers_later = kind in (shapes.ACCEPTED, shapes.FOUND) or kind == shapes.ERROR and message[3]
        if not self.online and (answers_later or kind == shapes.EVENT):
            raise Violation(f"{name} came before the Welcome")
        handler = getattr(self, "_on_" + name.lower())
        handler(*message[1 : 1 + len(fields)])
        self.pump()

    def _on_person(self, number: int, spki: bytes, made: bytes, signature: bytes) -> None:
        self.peers.person_came(number, spki, made, signature)

    def _on_welcome(
        self,
        room: str,
        numbers: list[int],
        change: int,
        resumed: int,
        cursor: int,
        at: int,
        notice: str,
        longest: int,
        own: int,
    ) -> None:
        asked = self.requests.answered("Welcome", shapes.JOIN)
        if asked.opens and self.cursor:
            self._go_on(room, numbers, change, resumed, cursor, own)
            self.show({"resumed": room, "cursor": cursor})
            return
        if room != asked.about or resumed != 0:
            raise Violation("Welcome is for another room, or resumes what was not to be resumed")
        self._grow(cursor)
        self.peers.is_oneself(own)
        self.peers.session_numbers.settle()
        sessions = [self.peers.session_numbers.session(number) for number in numbers]
        if self.own.session not in sessions or len(set(sessions)) != len(sessions):
            raise Violation("Welcome does not list every member once, the joiner included")
        if change < len(sessions):
            raise Violation("Welcome has a change no such roster can have")
        counters = self.counters.get(room, {})
        floors = self.floors.pop(room, {})
        self.peers.rooms[room] = Room.entered(room, sessions, change, at, counters, floors)
        self.counters.pop(room, None)
        self.room = room
        at = self.last_at = max(self.last_at, at)
        self.speaker.entered(room)
        self.longest = self.reader.longest = longest
        self.online = True
        if asked.opens:
            readers = self.peers.readers_in(self.peers.rooms[room])
            self.drafts += addressed_anew(
                self.numbers.queue, {person.name: person for person in readers}
            )
        members = [self.peers.called(session) for session in sessions]
        self.show(
            {"welcome": {"room": room, "members": members, "change": change, "cursor": cursor,
                         "at": at, "notice": notice, "longest": longest}}
        )  # fmt: skip

    def _go_on(
        self, room: str, numbers: list[int], change: int, resumed: int, cursor: int, own: int
    ) -> None:
        """The Welcome of a session that is resumed; its `at` is no event's, and is not looked at."""
        known = self.peers.session_numbers.numbers.get(self.own.session)
        if (room, resumed, numbers, change, cursor, own) != (self.room, 1, [], 0, self.cursor, known):
            raise Violation("Welcome does not resume this session where it was asked to")
        self.online = True
        self.outgoing += [sent.message for sent in self.numbers.in_flight]
        self._see_within(0)  # the last one may have been lost, and a letter waits for it

    def _on_accepted(self, n: int) -> None:
        item = self.numbers.used_up(n, "Accepted")
        if isinstance(item, Say):
            self.speaker.answered(item.room, accepted=True)
            self.show({"accepted": n})
        elif isinstance(item, Share):
            names = [self.peers.called(session) for session, _ in item.boxes]
            self.show({"shared_with": names, "n": n})
        elif isinstance(item, Whisper):
            self.show({"whispered_to": item.to.name, "text": item.text.text, "n": n})
        else:
            self.show({"wrote_to": item.name, "text": item.text.text, "n": n})

    def _on_error(self, code: str, text: str, n: int) -> None:
        if n == 0:
            self._answered_with(code, text)
            return
        if code in ("again", "wait"):
            first = self.numbers.queue[0] if self.numbers.queue else None
            room = self.peers.rooms.get(first.room) if isinstance(first, Say) else None
            self.numbers.not_now(code, n, room.change if room else 0)
            self.show({"told": code, "n": n})
            return
        item = self.numbers.used_up(n, f'Error "{code}"')
        if isinstance(item, Say):
            self.speaker.answered(item.room, accepted=False)
        of = type(item).__name__.lower()
        self.show({"error": code, "text": text, "n": n, "of": of})

    def _answered_with(self, code: str, text: str) -> None:
        """An Error to the first of what is due."""
        request = self.requests.refused(code, self.peers.rooms)
        if request is None:
            return
        if request.kind == shapes.LOOKUP and code == "wait":
            self.draft_delay.lengthen(self.clock())
            return
        line = {"error": code, "text": text, "n": 0}
        if request.opens:
            if code in ("password", "invitation") and self.secret and not self.cursor:
                secret, self.secret = self.secret, ""
                self.requests.join(request.about, secret, 0, opens=True)
                self.show({"asked_for": code, "text": text})
                return
            self.refused = code
        elif request.kind == shapes.LOOKUP:
            line["of"] = f"letter to {self.drafts.popleft().name}"
            self.draft_delay = Delay()
        else:
            line["of"] = request.about
        self.show(line)

    def _on_answer(self, text: str) -> None:
        asked = self.requests.answered("Answer", shapes.COMMAND, shapes.PASSWORD)
        self.show({"answer": text, "of": asked.about})

    def _on_found(self, name: str, spki: bytes) -> None:
        self.requests.answered("Found", shapes.LOOKUP)
        draft = self.drafts.popleft()
        self.draft_delay = Delay()
        if name != draft.name:
            raise Violation("Found is for another name")
        try:
            load_spki(spki)
            self.peers.meet(name, sha256(spki))
        except (RefusedKey, CredentialRefused) as error:
            self.show({"error": str(error), "of": f"letter to {name}"})
            return
        letter = self.speaker.letter(spki, draft.text)
        self._queue(Letter(sha256(spki), name, draft.text, letter))

    def _on_pong(self) -> None:
        if self.pongs_due == 0:
            raise Violation("Pong was not due")
        self.pongs_due -= 1
        self.requests.catching_up = False  # it comes behind all that was missed

    def _on_bye(self, reason: str) -> None:
        self.bye = reason
        self.show({"bye": reason})
