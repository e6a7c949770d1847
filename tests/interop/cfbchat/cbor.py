"""The encoding of PROTOCOL.md §2: CBOR cut down so that a value has exactly one encoding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Union

Value = Union[int, bytes, str, list["Value"]]

MAX_DEPTH = 8
MAX_INTEGER = 2**64 - 1

UNSIGNED, BYTES, TEXT, ARRAY = 0, 2, 3, 4


class EncodingError(ValueError):
    """The bytes are not the encoding of a value."""


def _head(major: int, argument: int) -> bytes:
    """The shortest head for this major type and argument."""
    if argument < 24:
        return bytes([major << 5 | argument])
    for info, width in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if argument < 1 << (8 * width):
            return bytes([major << 5 | info]) + argument.to_bytes(width, "big")
    raise EncodingError("integer over 64 bits")


def encode(value: Value, depth: int = 0) -> bytes:
    """The one encoding of `value`."""
    if isinstance(value, bool):
        raise EncodingError("a truth value has no encoding here")
    if isinstance(value, int):
        if value < 0:
            raise EncodingError("negative integer")
        return _head(UNSIGNED, value)
    if isinstance(value, bytes):
        return _head(BYTES, len(value)) + value
    if isinstance(value, str):
        text = value.encode("utf-8")
        return _head(TEXT, len(text)) + text
    if isinstance(value, list):
        if depth == MAX_DEPTH:
            raise EncodingError("more than 8 arrays in one another")
        return _head(ARRAY, len(value)) + b"".join(encode(item, depth + 1) for item in value)
    raise EncodingError(f"no encoding for {type(value).__name__}")


class _Reader:
    """Reads values off the front of `data`."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def left(self) -> int:
        return len(self.data) - self.position

    def take(self, count: int) -> bytes:
        if count > self.left():
            raise EncodingError("a length is greater than what is left")
        start = self.position
        self.position += count
        return self.data[start : self.position]

    def head(self) -> tuple[int, int]:
        first = self.take(1)[0]
        major, info = first >> 5, first & 0x1F
        if major not in (UNSIGNED, BYTES, TEXT, ARRAY):
            raise EncodingError("a type outside the subset")
        if info < 24:
            return major, info
        if info > 27:
            raise EncodingError("an indefinite length or a reserved head")
        width = 1 << (info - 24)
        argument = int.from_bytes(self.take(width), "big")
        smallest = 24 if width == 1 else 1 << (4 * width)
        if argument < smallest:
            raise EncodingError("a head that is not the shortest")
        return major, argument

    def value(self, depth: int) -> Value:
        major, argument = self.head()
        if major == UNSIGNED:
            return argument
        if major == ARRAY:
            if depth == MAX_DEPTH:
                raise EncodingError("more than 8 arrays in one another")
            if argument > self.left():
                raise EncodingError("a length is greater than what is left")
            return [self.value(depth + 1) for _ in range(argument)]
        content = self.take(argument)
        if major == BYTES:
            return content
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError:
            raise EncodingError("text that is not UTF-8") from None


def decode(data: bytes) -> Any:
    """The value whose encoding `data` is; anything else is refused. Its shape is not known yet."""
    reader = _Reader(data)
    value = reader.value(0)
    if reader.left():
        raise EncodingError("bytes after the end")
    if encode(value) != data:
        raise EncodingError("not the one encoding of this value")
    return value


def decode_sequence(data: bytes) -> list[Any]:
    """The values whose encodings, one behind the other, `data` is."""
    reader = _Reader(data)
    values: list[Value] = []
    while reader.left():
        values.append(reader.value(0))
    if b"".join(encode(value) for value in values) != data:
        raise EncodingError("not the one encoding of these values")
    return values


def is_message(value: Value) -> bool:
    """Whether `value` is an array `[type, field, …]` (§3)."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], int)


@dataclass(frozen=True)
class Bytes:
    """In a shape: a byte string of this length."""

    length: int


@dataclass(frozen=True)
class Checked:
    """In a shape: a field of this type for which a rule holds."""

    kind: type
    rule: Callable[[Any], bool]


def has_fields(value: Value, shape: list[object], exactly: bool = True) -> bool:
    """Whether `value` is an array of these fields.

    A shape's element is a type, `Bytes`, `Checked`, a constant the field must equal, `[element]` for an array
    of any number of such elements, or a tuple of elements for an array of exactly these.
    """
    if not isinstance(value, list) or len(value) < len(shape):
        return False
    if exactly and len(value) != len(shape):
        return False
    return all(_fits(field, element) for field, element in zip(value, shape))


def _fits(field: Value, element: object) -> bool:
    if isinstance(element, type):
        return isinstance(field, element)
    if isinstance(element, Bytes):
        return isinstance(field, bytes) and len(field) == element.length
    if isinstance(element, Checked):
        return isinstance(field, element.kind) and element.rule(field)
    if isinstance(element, tuple):
        return has_fields(field, list(element))
    if isinstance(element, list):
        return isinstance(field, list) and all(_fits(item, element[0]) for item in field)
    return type(field) is type(element) and field == element
