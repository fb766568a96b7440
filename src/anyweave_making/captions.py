"""Captions inside sentences: cleaned up, and classified by the grammar they need around them.

"two dogs on a beach" can follow "a picture of"; "a man talks while a dog barks" cannot, but can
follow "a recording in which". Anything less clear is quoted.
"""

from __future__ import annotations

import re
from typing import Literal

__all__ = ["Form", "capitalized", "caption_form", "tidy"]

Form = Literal["noun", "clause", "other"]

_LONGEST = 25  # words; longer captions are quoted, whatever they are
_ONE = frozenset("a an one another this that its his her their each every".split())
_OPENERS = _ONE | frozenset(
    """the these those some several many few two three four five six seven eight nine ten various
    multiple different other both lots plenty no""".split()
)
_FINITE = frozenset("is are was were am has have had does do did can could will would".split())
_RELATIVE = frozenset("who that which whose where".split())
_PLURAL = frozenset("people men women children kids cattle sheep police they both".split())
_CONNECTING = frozenset(
    "of on in at with by from near over under to into through and or for as along above".split()
)
# Nouns that captions begin with; a first word that is one of them is not a name.
_COMMON = frozenset(
    """adult aerial air animal artist audience baby ball beach beautiful bell bird boat boy bridge
    building bus car cat child city close closeup cloud couple crowd detail dog drone emergency
    engine family fire fog footage girl group hand heavy horse house illustration interior kid
    lady lake landscape light liquid little machine male man motorcycle mountain music night ocean
    old panorama part person photo piano picture pilot player portrait rain river road scene sea
    shot silhouette siren sky slow small snow someone something speech static street student sun
    sunset table team thunder time timelapse toddler top traffic train tree truck vehicle vector
    video view water wave white wide wind woman wood worker young""".split()
)
# Verbs that captions are made of: the -s form, or the bare form after a plural, makes a sentence.
_VERBS = frozenset(
    """applaud approach bark beat beep begin blow bounce break bring buzz call carry catch chase
    cheer chime chirp chop clap clatter click climb close come cook cough crackle croak crow cry
    cut dance dive drip drive echo eat enter fall feed fill flap float flow fly follow gallop get
    giggle give go grind growl grow hammer hang hiss hit hold honk hoot howl hum idle jump keep
    kick knock land laugh lead lean lie lift look make march meow moo move murmur narrate neigh
    oink open paint pass pick play pop pour pull pump purr push put quack race rain read rev ride
    ring rise roar roll rotate rub run rustle sail say scrape scream screech shake shine shout
    show sing sit sizzle sleep slide smile snap sneeze snore sound speak spin splash squeak squeal
    stand start stop stroll surf swim swing take talk tap thunder tick toll touch travel trickle
    try tune turn type use vibrate wait walk watch wave wear whimper whine whip whir whisper
    whistle work yell""".split()
)


def tidy(caption: str) -> str:
    """The caption ready for the middle of a sentence: one line, no full stop, and a small first
    letter unless the first word may be a name.
    """
    text = re.sub(r"\s+", " ", caption).strip().strip('"').rstrip(" .;,")
    text = re.sub(r" (?=[.,;:!?'])", "", text)
    first, space, rest = text.partition(" ")
    if _is_no_name(first):
        first = first[:1].lower() + first[1:]
    return f"{first}{space}{rest}"


def capitalized(text: str) -> str:
    """The same with a capital first letter."""
    return text[:1].upper() + text[1:]


def caption_form(caption: str) -> Form:
    """What a tidied caption is: a noun phrase, a clause, or neither with certainty."""
    words = re.findall(r"[a-z']+", caption.lower())
    if not words or len(words) > _LONGEST or re.search(r'["?!:;]|\. ', caption):
        return "other"
    for before, word in zip(["", *words], words, strict=False):
        if before in _RELATIVE:
            break  # "a man who is talking": what follows belongs to the noun
        if before and (word in _FINITE or _is_verb(word, before)):
            return "clause"
    if words[0] in _OPENERS:
        return "other" if _may_be_verb(words) else "noun"
    return "noun" if any(word.endswith("ing") for word in words[1:4]) else "other"


def _is_verb(word: str, before: str) -> bool:
    """Whether a word after another one is certainly a finite verb."""
    if before in _OPENERS or before in _CONNECTING:
        return False  # "a few walks"
    if word in _VERBS:
        return before in _PLURAL or (before.endswith("s") and not before.endswith("ss"))
    return word.endswith("s") and (word[:-1] in _VERBS or word[:-2] in _VERBS)


def _may_be_verb(words: list[str]) -> bool:
    """Whether the first noun group of a caption has an -s word where one thing is spoken of, as in
    "the actor attends": a verb that `_VERBS` does not know, or a plural ("a rack of fresh rolls").
    """
    for number, word in enumerate(words):
        if word in _CONNECTING or word in _RELATIVE or word.endswith(("ing", "ed")):
            return False
        ends = word.endswith("s") and not word.endswith(("ss", "us", "'s"))
        if ends and number >= 2 and words[0] in _ONE | {"the"}:
            return True
    return False


def _is_no_name(word: str) -> bool:
    lower = word.lower()
    return (
        word[1:].islower()
        and (
            lower in _OPENERS | _COMMON | _PLURAL | _VERBS
            or lower.endswith(("ing", "ly"))
            or (lower.endswith("s") and not lower.endswith(("ss", "us", "is", "as")))
        )
        or lower in _ONE
    )
