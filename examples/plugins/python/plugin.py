"""`moderation`: masks words in comments before they are logged, refuses those that shout, and counts what was masked by author."""

import re

from trackside import Context, Delivery, Event, Failure, Plugin, Signal, Task, kv, log, settings

plugin = Plugin("moderation", version="0.1.0", summary="Keeps comments civil.", priority=90)

MASK = "✱✱✱"


@plugin.control("comment:posted")
def check(event: Event, context: Context) -> Signal:
    """The comment as it is to be logged, or why it is not."""
    text = event.payload["text"]
    if shouting(text) > settings.get("shouting", 0.7):
        return Signal.fail("please do not shout")
    masked = mask(text, settings.get("words", []))
    return Signal.proceed() if masked == text else Signal.amend({**event.payload, "text": masked})


@plugin.observer("comment:posted")
def observe(events: list[Event], delivery: Delivery) -> None:
    """Sees comments as they were logged."""
    for event in events:
        masked = event.payload["text"].count(MASK)
        if masked:
            author = event.payload.get("author", "nobody")
            total = kv.increment(f"masked/{author}", masked)
            log.warning(f"{total} words of {author} have been masked", cause=event.event_id)


@plugin.method("moderation/score", "How a text reads: words, the share of capitals, and what would be masked.")
def score(parameters: dict, task: Task) -> dict:
    text = parameters.get("text")
    if not isinstance(text, str):
        raise Failure("there is no text", code="invalid-parameters")
    masked = mask(text, settings.get("words", []))
    return {"words": len(text.split()), "shouting": round(shouting(text), 2), "masked": masked.count(MASK)}


@plugin.method("moderation/review", "Reads a comment again that somebody has reported.")
def review(parameters: dict, task: Task) -> dict:
    return score(parameters["event"]["payload"], task)


# Nobody has to ask for it: the event starts it.
plugin.trigger("moderation/review", "comment:reported")


def shouting(text: str) -> float:
    """The share of capitals among the letters."""
    letters = [character for character in text if character.isalpha()]
    return sum(character.isupper() for character in letters) / len(letters) if letters else 0.0


def mask(text: str, words: list[str]) -> str:
    for word in words:
        text = re.sub(rf"\b{re.escape(word)}\b", MASK, text, flags=re.IGNORECASE)
    return text
