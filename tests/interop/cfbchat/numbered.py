"""A session's numbered messages, 17 to 20, until each is answered (PROTOCOL.md 6.3-7, 8.5-1)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from .credential import Person
from .sender_keys import Envelope
from .texts import Text
from .violation import Violation

FIRST_DELAY, LONGEST_DELAY = 0.2, 5.0
MOST_IN_FLIGHT = 20  # a server takes no more at once (§9)


@dataclass
class Say:
    """Something said in a room; sealed once, and signed for each roster it is sent to."""

    room: str
    text: Text
    envelope: Envelope | None = None
    readers: frozenset[bytes] = frozenset()


@dataclass
class Whisper:
    """A private message; its box is made when it is first sent, for boxes are counted."""

    to: Person
    text: Text
    box: bytes | None = None


@dataclass
class Share:
    """A sender key for some sessions, each in its box."""

    room: str
    boxes: list[tuple[bytes, bytes]]


@dataclass
class Letter:
    """A letter, written."""

    to: bytes
    name: str
    text: Text
    letter: bytes


Item = Say | Whisper | Share | Letter


def _has_box(item: Item) -> bool:
    return isinstance(item, Share) or isinstance(item, Whisper) and item.box is not None


@dataclass
class Delay:
    """A wait that doubles each time."""

    seconds: float = 0.0
    until: float = 0.0

    def lengthen(self, now: float) -> None:
        self.seconds = min(self.seconds * 2 or FIRST_DELAY, LONGEST_DELAY)
        self.until = now + self.seconds


@dataclass(frozen=True)
class Sent:
    """A message as it went out: sent again, it is the same byte for byte (§8)."""

    n: int
    message: bytes


@dataclass
class Numbers:
    """What is to be sent, in order; the first of it stands for `next_n`."""

    clock: Callable[[], float]
    queue: deque[Item] = field(default_factory=deque)
    in_flight: deque[Sent] = field(default_factory=deque)  # not answered
    next_n: int = 1
    delay: Delay = field(default_factory=Delay)
    stalled: bool = False  # told "again" or "wait", and not all is answered yet
    again_at: tuple[int, int] | None = None  # the n last told "again", and the room's change then

    def next_to_send(self) -> Item | None:
        """What may be sent now."""
        if self.stalled or self.clock() < self.delay.until:
            return None
        if len(self.in_flight) == min(len(self.queue), MOST_IN_FLIGHT):
            return None
        return self.queue[len(self.in_flight)]

    def put_first(self, items: list[Item]) -> None:
        """Before all that is not sent yet."""
        for offset, item in enumerate(items):
            self.queue.insert(len(self.in_flight) + offset, item)

    def following(self) -> int:
        """The n of the next that is sent."""
        return self.next_n + len(self.in_flight)

    def sent(self, n: int, message: bytes) -> None:
        self.in_flight.append(Sent(n, message))

    def in_doubt(self) -> list[Item]:
        """What was sent, and has no answer."""
        return [self.queue[sent.n - self.next_n] for sent in self.in_flight]

    def unsent(self) -> list[Item]:
        """All else: never sent, or told "again" or "wait"."""
        doubtful = {sent.n - self.next_n for sent in self.in_flight}
        return [item for index, item in enumerate(self.queue) if index not in doubtful]

    def says_in_flight(self, room: str) -> int:
        sent = list(self.queue)[: len(self.in_flight)]
        return sum(isinstance(item, Say) and item.room == room for item in sent)

    def used_up(self, n: int, answer: str) -> Item:
        """The first has its answer, which uses n up."""
        if not self.in_flight or n != self.in_flight[0].n or n != self.next_n:
            raise Violation(f"{answer} for {n} was not due")
        self.in_flight.popleft()
        self.next_n += 1
        self.delay = Delay()
        self.again_at = None
        self._go_on_if_answered()
        return self.queue.popleft()

    def not_now(self, code: str, n: int, change: int) -> None:
        """Told "again" or "wait": no more until all is answered, then on from that n."""
        if not self.in_flight or n != self.next_n:
            raise Violation(f'Error "{code}" for {n} was not due')
        of = self.in_flight.popleft().n
        self.stalled = True
        at = (n, change)
        if code == "wait" or (of == n and self.again_at == at):
            self.delay.lengthen(self.clock())
        if code == "again" and of == n:
            self.again_at = at
        self._go_on_if_answered()

    def _go_on_if_answered(self) -> None:
        """Once all is answered, those with boxes go first: a reader drops a box that comes late."""
        if self.stalled and not self.in_flight:
            self.stalled = False
            self.queue = deque(sorted(self.queue, key=lambda item: not _has_box(item)))
