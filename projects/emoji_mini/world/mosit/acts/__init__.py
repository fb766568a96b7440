"""What happens in dialogues of the emoji world: acts of one or two exchanges, as in
`anyweave_making.mosit.grammar`.

People show, ask, hint, correct themselves, change their mind, compare, wonder, calculate and ask
for what does not exist. The assistant states the canonical caption right before each medium.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from anyweave_making.mosit import Act
from emoji_mini.world.mosit.acts import asking, going_on, showing, words
from emoji_mini.world.mosit.talk import EmojiTalk
from emoji_mini.world.scenes import ImageScene, VideoScene

__all__ = ["ACTS", "SHORT_ACTS"]


def _always(t: EmojiTalk) -> bool:
    return True


def _visible(t: EmojiTalk) -> bool:
    return isinstance(t.about, (ImageScene, VideoScene))


def _counted(t: EmojiTalk) -> bool:
    return isinstance(t.about, ImageScene) and t.about.relation is None


def _at_the_end(t: EmojiTalk) -> bool:
    return t.turns > 1 and t.turns == t.num_turns - 1


ACTS: Mapping[str, Act[EmojiTalk]] = {
    "ask": Act(asking.ask, _always, weight=1.6, most=2),
    "hint": Act(asking.hint, _always, weight=1.2, most=2),
    "wonder": Act(asking.wonder, _always, weight=0.5),
    "vague": Act(asking.vague, _always, weight=0.4),
    "several": Act(asking.several, _always, weight=0.7),
    "offer": Act(asking.offer, _always, weight=0.6, turns=2),
    "show": Act(showing.show, _always, weight=2.4, most=2),
    "is it": Act(showing.is_it, _always, weight=0.5),
    "compare": Act(showing.compare, lambda t: bool(showing.own_pictures(t)), weight=2.0),
    "hear it": Act(
        going_on.hear_it,
        lambda t: _visible(t) and t.heard_thing is not None and not t.pair,
        weight=2.2,
        most=2,
    ),
    "see it": Act(
        going_on.see_it,
        lambda t: t.heard_thing is not None and not isinstance(t.about, ImageScene),
        weight=2.4,
        most=2,
    ),
    "watch it": Act(
        going_on.watch_it, lambda t: t.heard_thing is not None and t.single, weight=2.0, most=2
    ),
    "count it": Act(going_on.count_it, _counted, weight=1.6),
    "move it": Act(
        going_on.move_it, lambda t: _counted(t) or isinstance(t.about, VideoScene), weight=1.8
    ),
    "replace it": Act(going_on.replace_it, lambda t: t.about is not None, weight=1.3),
    "again": Act(going_on.again, lambda t: t.by == "assistant" and _visible(t), weight=0.5),
    "correct": Act(going_on.correct, lambda t: t.by == "assistant" and not t.pair, weight=2.0),
    "question": Act(going_on.question, _visible, weight=1.6, most=2),
    "recall": Act(going_on.recall, lambda t: t.turns > 2 and bool(t.made), weight=1.6),
    "topic": Act(words.topic, _always, weight=1.6, most=2),
    "chat": Act(words.chat, _always, weight=0.3),
    "small talk": Act(words.small_talk, _always, weight=0.2),
    "plan": Act(words.plan, _always, weight=0.5),
    "only words": Act(words.only_words, lambda t: t.turns > 0, weight=0.3, turns=2),
    "feel": Act(words.feel, _always, weight=0.35),
    "joke": Act(words.joke, _always, weight=0.3),
    "riddle": Act(words.riddle, _always, weight=0.35),
    "story": Act(words.story, _always, weight=0.35),
    "refuse": Act(asking.refuse, _always, weight=1.0),
    "close": Act(words.close, _at_the_end, weight=8.0),
}
# Short chats: requests and replies, and words alone, so that the model also learns not to draw.
_SHORT = {
    "ask": 28.0,
    "several": 9.0,
    "hint": 5.0,
    "wonder": 3.0,
    "vague": 2.0,
    "chat": 16.0,
    "small talk": 16.0,
    "topic": 6.0,
    "plan": 2.0,
    "only words": 2.0,
    "joke": 3.0,
    "riddle": 3.0,
    "story": 4.0,
    "feel": 4.0,
    "refuse": 14.0,
}
SHORT_ACTS: Mapping[str, Act[EmojiTalk]] = {
    name: replace(ACTS[name], weight=weight, most=3, ready=_always)
    for name, weight in _SHORT.items()
}
