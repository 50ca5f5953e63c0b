"""What goes wrong, by what the reader can do about it: every error says what came, what is allowed and what to do."""

from __future__ import annotations

from typing import Any


class PfmapError(Exception):
    """Base of every error that pfmap raises on purpose."""


class InvalidInput(PfmapError, ValueError):
    """An argument outside what is allowed."""


class IncompatibleTables(InvalidInput):
    """Truth tables, counts or estimates that live on different domains or come from different maps."""


class TooFewSamples(PfmapError):
    """The sample cannot carry the question asked of it; `estimate` holds what it does support, or None."""

    def __init__(self, message: str, estimate: Any = None) -> None:
        super().__init__(message)
        self.estimate = estimate


class StoreError(PfmapError, OSError):
    """A folder or file that cannot be read or written: missing, read-only, full or in use."""


class CorruptStore(StoreError):
    """A stored file that is damaged, or belongs to another run; it is named and never merged."""
