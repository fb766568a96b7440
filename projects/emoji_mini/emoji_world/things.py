"""What can be seen: the table of things (`things.toml`) and the grammar of their names."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NUMBER_WORDS = ("no", "one", "two", "three", "four", "five", "six")
MAX_COUNT = len(NUMBER_WORDS) - 1
_OPENERS = (
    *("a", "an", "the", "some", "one", "single", "half a dozen", "several", "few", r"\d+"),
    *("my", "your", "his", "her", "our", "their", "this", "that", "these", "those"),
    *NUMBER_WORDS,
)
_OPENING = re.compile(rf"^(?:(?:{'|'.join(_OPENERS)})\s+)*(?P<rest>.+)$")


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One kind of thing. `article` belongs to the name or, where it has one, to its `unit`, whose
    plural is `units` ("a bunch of grapes", "two bunches of grapes").

    `synonyms` are (singular, plural) pairs, `heard` words that are understood but never said;
    `does` is what its animated emoji does, or "".
    """

    name: str
    emoji: str
    group: str
    plural: str
    article: str
    unit: str = ""
    units: str = ""
    synonyms: tuple[tuple[str, str], ...] = ()
    heard: tuple[str, ...] = ()
    does: str = ""

    @property
    def one(self) -> str:
        """The thing with its article: "a dog", "the moon", "a pair of scissors"."""
        return f"{self.article} {f'{self.unit} of {self.name}' if self.unit else self.name}"

    def many(self, count: int) -> str:
        """The thing counted: "a dog", "two dogs", "two pairs of scissors"."""
        if count == 1:
            return self.one
        noun = f"{self.units} of {self.name}" if self.unit else self.plural
        return f"{NUMBER_WORDS[count]} {noun}"

    @property
    def words(self) -> tuple[str, ...]:
        """Every word that means this thing, in lower case, the name first."""
        pairs = ((self.name, self.plural), *self.synonyms)
        words = (*(word for pair in pairs for word in pair), *self.heard)
        return tuple(dict.fromkeys(word.lower() for word in words))


def plural_of(noun: str) -> str:
    """The regular English plural of a noun."""
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "sh", "ch", "x", "z")) else "s")


def article_of(noun: str) -> str:
    """ "a" or "an", by the first sound of a noun."""
    said = noun.lower()
    if said.startswith(("uni", "ufo", "ewe", "eu", "one-")):
        return "a"
    return "an" if said.startswith(("a", "e", "i", "o", "u", "hour")) else "a"


def _read() -> Iterator[Thing]:
    table = tomllib.loads((Path(__file__).parent / "things.toml").read_text("utf-8"))
    for group, rows in table.items():
        for name, row in rows.items():
            unit, units = _pair(row["unit"]) if "unit" in row else ("", "")
            words = {
                "plural": name if unit else plural_of(name),
                "article": article_of(unit or name),
                **row,
                "unit": unit,
                "units": units,
                "synonyms": tuple(map(_pair, row.get("synonyms", ()))),
                "heard": tuple(row.get("heard", ())),
            }
            yield Thing(name=name, group=group, **words)


def _pair(noun: str) -> tuple[str, str]:
    """Singular and plural of a noun written "leaf/leaves", or "dog" where the plural is regular."""
    one, _, many = noun.partition("/")
    return one, many or plural_of(one)


THINGS: dict[str, Thing] = {thing.name: thing for thing in _read()}
_BY_WORD = {word: thing for thing in THINGS.values() for word in thing.words}


def find_thing(words: str) -> Thing | None:
    """The thing that a noun phrase names, or None: "bunnies", "a pair of glasses"."""
    said = " ".join(words.lower().split()).strip(" .,!?")
    if said in _BY_WORD:  # "a" may belong to a name
        return _BY_WORD[said]
    opened = _OPENING.match(said)
    rest = opened["rest"] if opened else said
    if rest in _BY_WORD:
        return _BY_WORD[rest]
    unit, of, noun = rest.partition(" of ")
    thing = find_thing(noun) if of else None
    return thing if thing and unit in _units(thing) else None


def _units(thing: Thing) -> tuple[str, ...]:
    """The measures under which a thing stays the same: its own, and general ones."""
    own = (thing.unit, thing.units) if thing.unit else ()
    return (*own, "pair", "couple", "group", "bunch", "lot", "lots")
