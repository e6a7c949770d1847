"""The smallest client of PROTOCOL.md §12, for tests: one room, no resuming, one message at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from cfbchat import boxes, cbor, credential, sender_keys, shapes, texts
from cfbchat.connection import RecordLink, TimedOut, after
from cfbchat.credential import OwnCredential, Person
from cfbchat.opening import PassedOver
from cfbchat.rooms import Room
from cfbchat.sender_keys import Envelope, Place, SenderKey
from cfbchat.who_is_who import KnownUsers, Standing

SECONDS = 20.0
SILENCE = 30.0  # 6.13-1
PAUSE, LONGEST_PAUSE = 0.2, 5.0  # 6.3-8
BOXES = 128


class Fault(Exception):
    """The server broke a rule (6.2-7)."""


class Smallest:
    """A session in one room, on a connection whose handshake is done."""

    def __init__(self, records: RecordLink, own: OwnCredential, folder: Path, room: str = "#lobby") -> None:
        self.records, self.own, self.name = records, own, room
        self.server = records.peer.fingerprint
        own_name = cbor.decode(own.credential)[2]
        self.known = KnownUsers(folder / "known_users", self.server, own_name, own.identity.fingerprint)
        self.sessions: dict[int, bytes] = {}  # by number
        self.people: dict[bytes, Person] = {}  # by session; those that are refused are not here
        self.cursor = self.last_at = self.n = self.seen = 0
        self.unread: int | None = None  # the cursor of a letter, which waits for a client that reads it
        self.received: dict[bytes, int] = {}  # counts of boxes (7.1-1)
        self.sent: dict[bytes, int] = {}
        self.key: SenderKey | None = None
        self.counter = 0
        self.have: set[bytes] = set()
        self.heard: list[tuple[str, str]] = []
        self.told: list[str] = []
        self.answers: list[list] = []
        self.room: Room | None = None
        self.spoke_at = 0.0
        self._send([shapes.JOIN, room, "", 0])
        self._until(lambda: self.room is not None)

    # --- What is sent

    def say(self, text: str) -> None:
        """Says a text, and returns when it is accepted."""
        padded = texts.pad(texts.Text(int(time.time() * 1000), texts.TEXT, text))
        sealed: Envelope | None = None
        pause = PAUSE
        while True:
            if not self._share():
                continue
            assert self.key is not None and self.room is not None
            if sealed is None or sealed.key_id != self.key.key_id:
                sealed = Envelope(self.key.key_id, self.key.counter, self.key.seal(padded))
            roster = sender_keys.roster(self.server, self.name, self.room.change, self.room.members)
            place = Place(self.server, self.name, self.own.session, roster)
            code = self._numbered(shapes.SAY, self.name, self.room.change, sealed.signed(place, self.own.ed25519))
            if code in ("again", "wait"):
                self._listen(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            self.counter = sealed.counter + 1
            if code is None:
                if self.key is not None and self.key.key_id == sealed.key_id:
                    self.key = self.key.after()
                return
            self.key = None  # 7.3-7
            raise Fault(f"refused for good: {code}")

    def _share(self) -> bool:
        """Gives the key to those who lack it (7.3-4); False if the room changed meanwhile."""
        assert self.room is not None
        if self.key is None:
            self.key, self.have = SenderKey.fresh(self.name, self.counter), set()
        key = self.key
        lacking = [session for session in self.room.members if session in self.people and session not in self.have]
        for some in (lacking[at : at + BOXES] for at in range(0, len(lacking), BOXES)):
            self.have |= set(some)
            pairs: list[cbor.Value] = [[self._number(session), self._box(session, key)] for session in some]
            while (code := self._numbered(shapes.SHARE, pairs)) in ("again", "wait"):
                self._listen(PAUSE)
            if code is not None:
                self.key = None
        return self.key is key and all(s in self.have or s not in self.people for s in self.room.members)

    def _box(self, session: bytes, key: SenderKey) -> bytes:
        self.sent[session] = self.sent.get(session, 0) + 1
        way = boxes.Way(boxes.KEY, self.server, self.own.session, session)
        return boxes.make(way, self.sent[session], key.to_text(), self.own.ed25519, self.people[session].x25519)

    def _number(self, session: bytes) -> int:
        return next(number for number, other in self.sessions.items() if other == session)

    def _numbered(self, kind: int, *fields: cbor.Value) -> str | None:
        """Sends the next message, waits for its answer, and gives the code of an Error."""
        self._send([kind, self.n + 1, *fields])
        self._until(lambda: bool(self.answers))
        answer = self.answers.pop(0)
        if answer[-1] != self.n + 1:
            raise Fault(f"{answer} is no answer to {self.n + 1}")
        code = answer[1] if answer[0] == shapes.ERROR else None
        self.n += code not in ("again", "wait")
        return code

    def leave(self) -> None:
        self._send([shapes.LEAVE, self.name])
        self._until(lambda: "left" in self.told)

    def _send(self, *messages: cbor.Value) -> None:
        self.records.write([cbor.encode(message) for message in messages], after(SECONDS))
        self.spoke_at = time.monotonic()

    # --- What comes

    def await_members(self, count: int) -> None:
        """Until so many are in the room: what is said before is not for newcomers (7.3-12)."""
        self._until(lambda: self.room is not None and len(self.room.members) == count)

    def listen_for_a_letter(self) -> None:
        """Until there is one, which is not read here."""
        self._until(lambda: self.unread is not None)

    def listen_until(self, text: str) -> None:
        """Until somebody has said this."""
        self._until(lambda: any(said == text for _, said in self.heard))

    def _until(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        while not is_so():
            if time.monotonic() > deadline:
                raise TimedOut("it did not come")
            self._listen(0.5)

    def _listen(self, seconds: float) -> None:
        """Takes in a record, if one comes."""
        if time.monotonic() - self.spoke_at > SILENCE:
            self._send([shapes.PING])
        try:
            messages = self.records.read(after(seconds))
        except TimedOut:
            return
        for message in messages:
            self._take(message)
        seen = self.cursor if self.unread is None else self.unread - 1
        if seen > self.seen and "left" not in self.told:
            self.seen = seen
            self._send([shapes.SEEN, seen])

    def _take(self, message: list) -> None:
        kind = message[0]
        if kind == shapes.PERSON:
            self._person(*message[1:5])
        elif kind == shapes.WELCOME:
            self._welcome(message)
        elif kind == shapes.EVENT:
            self._event(*message[1:4])
        elif kind in (shapes.ACCEPTED, shapes.ERROR):
            self.answers.append(message[:2] if kind == shapes.ACCEPTED else message[:4])
        elif kind == shapes.BYE:
            self.told.append(message[1])

    def _person(self, number: int, spki: bytes, made: bytes, signature: bytes) -> None:
        session = credential.crypto.sha256(made)
        if self.sessions.setdefault(number, session) != session:
            raise Fault(f"number {number} is given to another session")
        try:
            person = credential.check("user", spki, made, signature)
        except credential.CredentialRefused as why:
            self.told.append(str(why))
            return
        if self.known.meet(person.name, person.fingerprint) is Standing.CHANGED:
            self.told.append(f"{person.name} has another key")
            return
        self.people[session] = person

    def _welcome(self, message: list) -> None:
        _, room, numbers, change, resumed, self.cursor, at, _, _, own = message[:10]
        self.sessions[own] = self.own.session
        if (room, resumed) != (self.name, 0):
            raise Fault("a Welcome that was not asked for")
        self.room = Room.entered(room, [self._session(number) for number in numbers], change, at)

    def _session(self, number: int) -> bytes:
        if number not in self.sessions:
            raise Fault(f"number {number} has no Person")
        return self.sessions[number]

    def _event(self, cursor: int, at: int, event: list) -> None:
        if cursor <= self.cursor or self.room is None:
            raise Fault(f"event {cursor} after {self.cursor}")
        self.cursor, self.last_at = cursor, max(self.last_at, at)
        kind = event[0]
        if kind == shapes.JOINED:
            self.room.joined(self._session(event[2]), event[3], self.last_at)
        elif kind == shapes.LEFT:
            session = self._session(event[2])
            self.room.left(session, event[3], self.last_at)
            self.key = None if session in self.have else self.key
        elif kind in (shapes.SHARED, shapes.WHISPERED):
            self._boxed(self._session(event[1]), event[2], boxes.KEY if kind == shapes.SHARED else boxes.WHISPER)
        elif kind == shapes.LETTER_CAME and self.unread is None:
            self.unread = cursor
        elif kind == shapes.SAID:
            self._said(self._session(event[2]), event[3], event[4])

    def _boxed(self, session: bytes, box: bytes, purpose: str) -> None:
        """A whisper is counted, and not shown."""
        if self.room is None or session not in self.room.members or session not in self.people:
            return
        way = boxes.Way(purpose, self.server, session, self.own.session)
        assert self.own.x25519 is not None
        try:
            signed = boxes.check(way, box, self.people[session].ed25519)
            missing = signed.count - self.received.get(session, 0) - 1
            if missing < 0:
                raise boxes.CannotOpen("count", "it came before")
            text = signed.open(self.own.x25519)
            self.received[session] = signed.count
            self.told += [f"{missing} boxes are missing"] * (missing > 0)
            if purpose == boxes.KEY:
                self.room.voices[session].take(SenderKey.from_text(text))
        except boxes.CannotOpen as why:
            self.told.append(str(why))

    def _said(self, session: bytes, change: int, data: bytes) -> None:
        if self.room is None or session not in self.people:
            return  # its own, or of a member that is refused
        try:
            members = self.room.members_at(session, change, self.last_at)
            roster = sender_keys.roster(self.server, self.name, change, members)
            place = Place(self.server, self.name, session, roster)
            envelope = sender_keys.check(place, data, self.people[session].ed25519)
            padded, missing = self.room.voices[session].open(envelope)
            self.told += [f"{missing} messages are missing"] * (missing > 0)
            self.heard.append((self.people[session].name, texts.unpad(padded).text))
        except PassedOver:
            return
        except boxes.CannotOpen as why:
            self.told.append(str(why))
