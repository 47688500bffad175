"""`trackside plugin build` once, for the SDK; then `python3 -m unittest`."""

import unittest

import plugin
from trackside import Context, Delivery, Event, Failure, Signal, Task
from trackside.testing import Host


class Tests(unittest.TestCase):
    def test_words_are_masked(self) -> None:
        with Host(settings={"words": ["balderdash"]}):
            posted = Event.of("comment:posted", {"text": "Balderdash, he said"})
            self.assertEqual(plugin.check(posted, Context()), Signal.amend({"text": "✱✱✱, he said"}))
            self.assertEqual(plugin.check(Event.of("comment:posted", {"text": "WHAT IS THIS"}), Context()).kind, "fail")

    def test_what_was_masked_is_counted(self) -> None:
        with Host() as host:
            plugin.observe([Event.of("comment:posted", {"text": "✱✱✱ ✱✱✱", "author": "ada"})], Delivery())
            self.assertEqual(host.kv, {"masked/ada": b"2"})
            self.assertEqual([text for _, text in host.lines], ["2 words of ada have been masked"])

    def test_a_score_needs_a_text(self) -> None:
        with Host(), self.assertRaises(Failure):
            plugin.score({}, Task.of("moderation/score"))


if __name__ == "__main__":
    unittest.main()
