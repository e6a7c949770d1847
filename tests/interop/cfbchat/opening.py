"""What the parts of PROTOCOL.md §7 have in common when something is opened."""

from __future__ import annotations

from . import cbor


class CannotOpen(ValueError):
    """Something sealed that must not be used; `check` is the first check it did not pass."""

    def __init__(self, check: str, why: str) -> None:
        super().__init__(f"{check}: {why}")
        self.check = check


class PassedOver(Exception):
    """Something sealed that is not for this reader, or not any more: nobody need be told."""


def fields_of(data: bytes, shape: list[object], what: str) -> list:
    """The fields whose encoding `data` is.

    Exactly these: only messages and events may have more at the end (PROTOCOL.md 6.2-1).
    """
    try:
        value = cbor.decode(data)
    except cbor.EncodingError as error:
        raise CannotOpen("fields", f"{what}: {error}") from error
    if not cbor.has_fields(value, shape):
        raise CannotOpen("fields", f"{what} has wrong fields")
    assert isinstance(value, list)
    return value
