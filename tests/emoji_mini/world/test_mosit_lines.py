"""The hand-written lines of Emoji MosIT: each as long, as whole and as new as it has to be."""

from __future__ import annotations

import re
import string
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from anyweave.messages import PAPER_MODALITIES
from emoji_mini.world import phrases, small_talk
from emoji_mini.world.catalogue import BACKGROUNDS, NUMBER_WORDS, OBJECTS, SOUND_OF_OBJECT, SOUNDS
from emoji_mini.world.mosit import read_bank, read_situations, situations
from emoji_mini.world.mosit.situations import Situation
from emoji_mini.world.phrases import OUTSIDE, SOUND_WORDS, SYNONYMS, usable

SITUATIONS = read_situations()
BANK = read_bank()
FILES = sorted(Path(situations.__file__).with_suffix("").glob("*.toml"))
SLOT = re.compile(r"\{(\w+)\}")

# How many lines of each kind a situation has.
COUNTS = {"opening": 4, "reply": 3, "talk": 4, "love": 4, "closing": 2, "outside": 4}
NAMES = {
    "things": (OBJECTS, range(4, 9)),
    "sounds": (SOUNDS, range(2, 6)),
    "places": (BACKGROUNDS, range(2, 7)),
}
HINTS = {"image": (3, {"a", "s"}), "video": (2, {"a", "s"}), "audio": (2, {"sound"})}
SHOWN = {"image": 3, "video": 2, "audio": 2}

# Of every key of the bank: how many lines, and the slots that each has exactly once.
KEYS: Mapping[str, tuple[int, str]] = {
    "ask_image": (60, "x"),
    "ask_video": (45, "x"),
    "ask_audio": (45, "x"),
    "ask_two": (20, "a"),
    "ask_three": (12, "a"),
    "sound_of": (35, ""),
    "picture_of": (30, ""),
    "clip_of": (20, ""),
    "clip_doing": (25, "m"),
    "change_count": (25, "n"),
    "change_place": (30, "b"),
    "change_thing": (30, "x"),
    "again": (15, ""),
    "no_the_sound": (20, ""),
    "no_the_picture": (20, ""),
    "no_the_clip": (20, ""),
    "no_the_thing": (20, "x"),
    "vague_animal": (12, ""),
    "vague_food": (12, ""),
    "vague_instrument": (12, ""),
    "vague_vehicle": (12, ""),
    "vague_any": (12, ""),
    "which": (12, ""),
    "how_many": (20, ""),
    "where_is": (15, ""),
    "which_motion": (15, ""),
    "is_it": (15, "a"),
    "compare": (20, ""),
    "recall_first": (20, ""),
    "recall_last": (12, ""),
    "more_of_which": (12, ""),
    "offer_sound": (12, ""),
    "offer_picture": (12, ""),
    "offer_clip": (12, ""),
    "accept": (25, ""),
    "decline": (20, ""),
    "decline_reply": (12, ""),
    "oops": (15, ""),
    "glad": (20, ""),
    "sure": (20, ""),
    "thanks": (30, ""),
    "wonder": (25, "a"),
    "wonder_sound": (20, "x"),
    "wonder_clip": (15, "x"),
    "refuse_image": (8, "xy"),
    "refuse_video": (8, "xy"),
    "refuse_audio": (8, "xy"),
    "instead_yes": (20, ""),
    "instead_no": (15, ""),
    "silent_reply": (6, "x"),
    "only_words": (20, ""),
    "only_words_reply": (10, ""),
    "feelings": (40, ""),
    "cheer": (20, ""),
    "cheer_sound": (12, ""),
    "talk": (420, ""),
    "outside": (700, ""),
    "outside_sounds": (80, ""),
    "jokes": (70, ""),
    "stories": (30, "nkp"),
    "riddles": (64, ""),
}
NAMED = ("jokes", "riddles")  # pairs of a thing and a line
PAIRS = ("talk", "feelings", "outside_sounds", *NAMED)
MAX_WORDS = 20
MAX_ANSWER = 22  # of a question that words answer
MAX_PLAN = 25


def norm(line: str) -> str:
    """Without case and punctuation; a slot is a slot whatever it is called."""
    words = SLOT.sub(" slot ", line).lower().translate(str.maketrans("", "", string.punctuation))
    return " ".join(words.split())


def words_in(line: str) -> int:
    return len(line.split())


def situation_lines(situation: Situation) -> Iterator[str]:
    """What the person and the assistant say in a situation, answers too."""
    yield from (*situation.opening, *situation.reply, *situation.love, *situation.plan)
    for modality in PAPER_MODALITIES:
        yield from (*situation.hints[modality], *situation.shown[modality])
    for pair in (*situation.talk, *situation.closing):
        yield from pair


def bank_lines(key: str) -> Iterator[str]:
    """The lines under a key of the bank; of jokes and riddles without the names of things."""
    for entry in BANK[key]:
        if key == "stories":
            yield entry["text"]
        elif key in NAMED:
            yield entry[1]
        elif key in PAIRS:
            yield from entry
        else:
            yield entry


def said_by_people() -> dict[str, str]:
    """Every line in its normal form, with where it stands."""
    lines = {norm(line): key for key in BANK for line in bank_lines(key) if key != "outside"}
    lines |= {norm(line): s.name for s in SITUATIONS for line in situation_lines(s)}
    return lines


# --- situations


def test_there_are_many_situations_each_by_its_own_name():
    names = [situation.name for situation in SITUATIONS]
    assert len(names) == len(set(names)) == 120
    assert all(name == name.lower() and 1 <= words_in(name) <= 4 for name in names)


@pytest.mark.parametrize("field", [*COUNTS, *NAMES])
def test_situations_have_as_many_lines_as_they_should(field):
    for situation in SITUATIONS:
        found = getattr(situation, field)
        if field in COUNTS:
            assert len(found) == COUNTS[field], situation.name
        else:
            known, counts = NAMES[field]
            assert len(found) in counts and len(set(found)) == len(found), situation.name
            assert set(found) <= set(known), situation.name
        assert len(set(found)) == len(found), situation.name


def test_hints_have_one_slot_and_questions_beside_media_none():
    for situation in SITUATIONS:
        for modality, (count, slots) in HINTS.items():
            hints, shown = situation.hints[modality], situation.shown[modality]
            assert (len(hints), len(shown)) == (count, SHOWN[modality]), situation.name
            for line in hints:
                found = SLOT.findall(line)
                assert len(found) == 1 and set(found) <= slots, line
            assert not any(SLOT.findall(line) for line in shown)


def test_hints_ask_for_nothing_outright():
    outright = re.compile(r"\b(draw me|show me|picture of|make me|play me|sound of)\b", re.I)
    for situation in SITUATIONS:
        for hints in situation.hints.values():
            assert [line for line in hints if outright.search(line)] == []


def test_only_hints_have_slots():
    for situation in SITUATIONS:
        hints = {line for lines in situation.hints.values() for line in lines}
        rest = [line for line in situation_lines(situation) if line not in hints]
        assert [line for line in rest if "{" in line or "}" in line] == []


def test_the_assistant_takes_part_without_asking_or_offering():
    for situation in SITUATIONS:
        for line in situation.reply:
            assert "?" not in line and not re.search(r"\bhere is\b", line, re.I), line
        assert [line for line in situation.love if "?" in line] == []


def test_lines_of_situations_are_short_and_plain():
    for situation in SITUATIONS:
        answers = {answer for _, answer in situation.talk}
        for line in situation_lines(situation):
            limit = MAX_ANSWER if line in answers else MAX_WORDS
            limit = MAX_PLAN if line == situation.plan[1] else limit
            assert words_in(line) <= limit, line
            assert_plain(line)


def assert_plain(line: str) -> None:
    """Typed on any keyboard, in one line, and not about what the assistant is made of."""
    assert line and line.isascii() and line.isprintable(), line
    assert line == line.strip() and "  " not in line, line
    assert not re.search(r"\bemojis?\b|\bas an ai\b", line, re.I), line


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_two_lines_of_a_file_of_situations_are_alike(file):
    rows = tomllib.loads(file.read_text(encoding="utf-8"))["situation"]
    names = {row["name"] for row in rows}
    found = [situation for situation in SITUATIONS if situation.name in names]
    lines = Counter(norm(line) for situation in found for line in situation_lines(situation))
    assert lines and [line for line, count in lines.items() if count > 1] == []


# --- the bank


def test_the_bank_has_the_keys_that_acts_ask_for():
    assert {key: len(lines) for key, lines in BANK.items()} == {
        key: count for key, (count, _) in KEYS.items()
    }


@pytest.mark.parametrize("key", KEYS)
def test_lines_of_the_bank_are_short_plain_and_have_their_slots(key):
    slots = sorted(KEYS[key][1])
    for line in bank_lines(key):
        assert sorted(SLOT.findall(line)) == slots, line
        assert SLOT.sub("", line).count("{") == 0
        assert words_in(line) <= (MAX_ANSWER if key == "talk" else MAX_WORDS), line
        assert_plain(line)


@pytest.mark.parametrize("file", ["bank.toml", "talk.toml"])
def test_no_two_lines_of_a_file_of_the_bank_are_alike(file):
    rows = tomllib.loads((FILES[0].parents[1] / file).read_text(encoding="utf-8"))
    # Of questions and moods, what the person says: two may have the same answer.
    answered = ("talk", "feelings", "outside_sounds")
    lines = Counter(
        norm(line)
        for key in rows
        for line in ((entry[0] for entry in BANK[key]) if key in answered else bank_lines(key))
    )
    assert lines and [line for line, count in lines.items() if count > 1] == []


def test_the_assistant_says_sorry_and_yes_in_a_few_words():
    assert max(map(words_in, BANK["oops"])) <= 5
    assert max(map(words_in, BANK["sure"])) <= 4
    assert not [line for line in BANK["sure"] if "here" in line.lower()]


def test_offers_are_questions_and_thanks_are_none():
    for key in ("offer_sound", "offer_picture", "offer_clip"):
        assert all(line.endswith("?") for line in BANK[key])
    for key in ("thanks", "glad", "decline_reply", "only_words_reply"):
        assert not [line for line in BANK[key] if "?" in line]


def test_jokes_and_riddles_are_about_things_of_the_world():
    for key in NAMED:
        assert {name for name, _ in BANK[key]} <= set(OBJECTS)
    assert sorted(name for name, _ in BANK["riddles"]) == sorted(OBJECTS)
    for name, riddle in BANK["riddles"]:
        assert not re.search(rf"\b({name}|{OBJECTS[name].plural})\b", riddle, re.I), riddle
    for name, joke in BANK["jokes"]:
        assert "?" in joke and re.search(rf"\b{name[:4]}", joke, re.I), joke


def test_sums_add_or_take_away_and_half_of_them_are_drawn():
    assert all(set(row) == {"text", "sign", "draw"} for row in BANK["stories"])
    assert {row["sign"] for row in BANK["stories"]} == {1, -1}
    assert sum(row["draw"] for row in BANK["stories"]) == len(BANK["stories"]) / 2


# --- what training may not see


def held_out(table: object) -> Iterator[str]:
    """The phrasings in a table that tests keep; of rows what a person says, which comes first."""
    if isinstance(table, Mapping):
        for part in table.values():
            yield from held_out(part)
    elif isinstance(table, (tuple, list)) and len(table) >= phrases.HELD_OUT_EVERY:
        for row in usable(table, "test"):
            yield row if isinstance(row, str) else next(iter(row))


def questions_of_tests() -> set[str]:
    tables = {name: table for name, table in vars(phrases).items() if name.isupper()}
    # A row of jokes begins with a thing, and nobody asks for a joke by its words.
    tables = {name: table for name, table in tables.items() if name not in ("JOKES", "OUTSIDE")}
    made = {name: table for name, table in vars(small_talk).items() if re.match("_[A-Z]", name)}
    return {norm(line) for table in (tables, made) for line in held_out(table)}


def test_no_line_is_a_phrasing_that_tests_keep():
    kept = questions_of_tests()
    assert {"let me watch it slot", "tell me in text what slot is", "sum of slot and slot"} <= kept
    assert norm(usable(phrases.TALK, "test")[0][0]) in kept
    assert {line: place for line, place in said_by_people().items() if line in kept} == {}


def test_no_line_fills_a_question_that_tests_make_up():
    """Small talk of tests is made of phrasings with slots; no line is one of them filled."""
    tables = [table for name, table in vars(small_talk).items() if re.match("_[A-Z]", name)]
    things = [w for k in OBJECTS.values() for w in (k.name, k.plural, k.with_article)]
    numbers = [*NUMBER_WORDS, *map(str, range(21))]
    asked = [question for question, _ in phrases.TALK]
    slot = "(?:" + "|".join(sorted({norm(w) for w in (*things, *numbers, *asked)})) + ")"
    forms = [
        re.compile(norm(line).replace("slot", slot))
        for table in tables
        for line in held_out(table)
        if "{" in line
    ]
    assert forms
    found = [line for line in said_by_people() if any(form.fullmatch(line) for form in forms)]
    assert found == []


# --- what is not in the world


def noun(thing: str) -> str:
    return thing.split(" ", 1)[1] if thing.split(" ")[0] in ("a", "an", "the") else thing


def test_what_a_person_asks_for_in_vain_is_not_in_the_world():
    of_situations = [thing for situation in SITUATIONS for thing in situation.outside]
    assert all(re.match(r"(an? |the )\S", thing) for thing in of_situations)
    known = {w for kind in OBJECTS.values() for w in (kind.name, kind.plural)} | set(SOUNDS)
    known |= {word for pair in SYNONYMS.values() for word in pair}
    asked = {*map(noun, of_situations), *BANK["outside"]}
    asked |= {noun(thing) for _, thing in BANK["outside_sounds"]}
    assert asked & known == set()


def test_what_a_person_asks_for_in_vain_is_nothing_that_tests_ask_for():
    kept = set(usable(OUTSIDE, "test"))
    found = {s.name: thing for s in SITUATIONS for thing in s.outside if noun(thing) in kept}
    assert found == {}
    assert [name for name in BANK["outside"] if name in kept] == []
    assert [pair for pair in BANK["outside_sounds"] if noun(pair[1]) in kept] == []


def test_nouns_that_are_not_in_the_world_are_new_and_alone():
    names = BANK["outside"]
    assert len(set(names)) == len(names)
    assert set(names) & set(OUTSIDE) == set()
    assert all(name == name.lower() and words_in(name) <= 2 for name in names)


def test_sounds_that_are_not_in_the_world_are_no_words_for_one_that_is():
    known = {norm(words) for said in SOUND_WORDS.values() for words in said}
    known |= {norm(kind.phrase) for kind in SOUNDS.values()}
    heard = [norm(phrase) for phrase, _ in BANK["outside_sounds"]]
    assert set(heard) & known == set()
    assert len(set(heard)) == len(heard)
    for _, thing in BANK["outside_sounds"]:
        assert re.match(r"(an? |the )", thing) and noun(thing) not in SOUND_OF_OBJECT, thing
