"""Kinds of entries: a name, and the frozen type whose values it keeps."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from quant_pipelines.journal.entries import Entry, Row
from quant_pipelines.journal.failures import EntryRefused, JournalDamaged

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """Turns values of a frozen dataclass or pydantic model into entries, and rows back into values."""

    name: str
    type: type[T]

    def entry(self, value: T, *, subject: str, actor: str) -> Entry:
        payload = self._payload(value)
        entry = Entry(kind=self.name, subject=subject, actor=actor, payload=payload)
        # Tuples come back, extra fields do not: what a reader would not get is not written.
        if self._payload(self._value(payload)) != payload:
            raise EntryRefused(f"{self.type.__name__} does not come back from its JSON as it went in: {value!r}.")
        return entry

    def of(self, row: Row) -> T:
        """The value that the row keeps."""
        if row.kind != self.name:
            raise EntryRefused(f"Row {row.sequence} is a {row.kind}, but a {self.name} was asked for.")
        try:
            value = self._value(row.payload)
        except ValidationError as error:
            raise self._strange(row, str(error)) from error
        if self._payload(value) != row.payload:
            raise self._strange(row, "it holds more or less than the type")
        return value

    def _strange(self, row: Row, reason: str) -> JournalDamaged:
        return JournalDamaged(f"Row {row.sequence} does not hold a {self.type.__name__}: {reason}.")

    def _value(self, payload: Any) -> T:
        return TypeAdapter(self.type).validate_python(payload)

    def _payload(self, value: T) -> dict[str, Any]:
        return TypeAdapter(self.type).dump_python(value, mode="json")
