"""The exceptions of the SDK: a task's failure, and a refusal of the host. Which call refuses what is told by the host's interfaces."""

from __future__ import annotations

from typing import Any


class Failure(Exception):
    """Why an attempt at a task failed: raise it in a method. Any other exception is a failure too, one that trying again would not help.

    `code` lets retry policies and breakers tell failures apart, for example `rate-limited`; `details` is any JSON value, for machines.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        retryable: bool = False,
        retry_after_ms: int | None = None,
        details: Any = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.retryable = retryable
        self.retry_after_ms = retry_after_ms
        self.details = details


class Refused(Exception):
    """The host did not do what was asked. `reason` is the contract's word for it, such as `not-granted` or `conflict`."""

    def __init__(self, call: str, reason: str) -> None:
        hint = "; see [grants] in the plugin's settings file" if reason == "not-granted" else ""
        super().__init__(f"{call}: {reason}{hint}")
        self.call = call
        self.reason = reason
