"""What a new session takes over from one that could not be resumed (PROTOCOL.md 8.6-2, 8.6-4)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from .credential import Person
from .numbered import Item, Letter, Say, Share, Whisper
from .texts import Text


@dataclass(frozen=True)
class Draft:
    """A letter that waits for its reader's key."""

    name: str
    text: Text


@dataclass
class PreviousSession:
    """What was not sent yet, and what is expected of each sender's counter, by room and session."""

    unsent: deque[Item] = field(default_factory=deque)
    drafts: deque[Draft] = field(default_factory=deque)
    counters: dict[str, dict[bytes, int]] = field(default_factory=dict)
    heard: int = 0
    rooms: list[str] = field(default_factory=list)  # beside the one it begins with


def anew(item: Item) -> Item | None:
    """What is to be sent, without what only the old session could; its keys are shared anew."""
    if isinstance(item, Say):
        return Say(item.room, item.text)
    if isinstance(item, Whisper):
        return Whisper(item.to, item.text)
    return None if isinstance(item, Share) else item


def addressed_anew(queue: deque[Item], present: dict[str, Person]) -> list[Draft]:
    """Sends whispers to who has the name now; to those who are not here they become letters."""
    away: list[Draft] = []
    for item in list(queue):
        if isinstance(item, Whisper):
            to = present.get(item.to.name)
            if to is None:
                queue.remove(item)
                away.append(Draft(item.to.name, item.text))
            else:
                item.to = to
    return away


def words(item: Item) -> dict | None:
    """How something that is not known to have been delivered is shown."""
    if isinstance(item, Share):
        return None
    to = None if isinstance(item, Say) else item.name if isinstance(item, Letter) else item.to.name
    return {"in_doubt": item.text.text, "of": type(item).__name__.lower(), "to": to}
