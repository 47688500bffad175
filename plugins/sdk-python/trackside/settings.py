"""What the operator wrote under `[settings]`. The same for the life of an instance: changed settings come with new instances."""

from __future__ import annotations

import json
from typing import Any

from .host import call


def get(name: str, default: Any = None) -> Any:
    """One setting, or `default` where the operator did not give it."""
    text = call("settings", "get", name)
    return default if text is None else json.loads(text)


def all() -> dict[str, Any]:
    """All of them."""
    return json.loads(call("settings", "all"))
