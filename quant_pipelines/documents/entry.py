"""The form of every entry."""

from pydantic import BaseModel, ConfigDict


class Entry(BaseModel, frozen=True):
    """Frozen, and closed to unknown fields: a typo is an error, not a default."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    def __hash__(self) -> int:
        # Field by field would fail: some fields are dictionaries.
        return hash(self.model_dump_json())
