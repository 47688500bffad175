"""A control handler's answer. What each means at each decision point is the contract's table (`control` in `plugin.wit`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Signal:
    """One of six answers; make it by the function of its name. The chain ends at the first that is not `proceed`."""

    kind: str
    reason: str = ""
    value: Any = None
    after_ms: int | None = None

    @staticmethod
    def proceed() -> Signal:
        """Go on."""
        return Signal("proceed")

    @staticmethod
    def amend(value: Any) -> Signal:
        """Go on, with this value in place of the payload (publish), input (submitted), parameters (ready) or result (completed)."""
        return Signal("amend", value=value)

    @staticmethod
    def skip(reason: str) -> Signal:
        """Leave it out."""
        return Signal("skip", reason)

    @staticmethod
    def retry(reason: str, after_ms: int | None = None) -> Signal:
        """Try later: after so many milliseconds, or when the task's own policy says."""
        return Signal("retry", reason, after_ms=after_ms)

    @staticmethod
    def fallback(value: Any, reason: str) -> Signal:
        """Use this value instead."""
        return Signal("fallback", reason, value=value)

    @staticmethod
    def fail(reason: str) -> Signal:
        """Stop: refused, for a reason that the caller is told."""
        return Signal("fail", reason)

    @staticmethod
    def error(reason: str) -> Signal:
        """This handler could not judge. It ends the chain, whatever the operator says about faults."""
        return Signal("error", reason)
