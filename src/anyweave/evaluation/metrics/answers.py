"""Answers to questions: the official VQA accuracy, exact match, letters of choices."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from anyweave.evaluation.metrics import Ratio
from anyweave.evaluation.task import Answered, Metric, Record

_NAMES = "zero one two three four five six seven eight nine ten"
_NUMBERS = {"none": "0"} | {name: str(n) for n, name in enumerate(_NAMES.split())}
_ARTICLES = ("a", "an", "the")
_MARKS = ';/[]"{}()=+\\_-><@`,?!'
# Contractions that are repaired where one apostrophe is missing. ("im" and "ive" are not: the
# evaluation's own table has them capitalised, but it lower-cases all words first.)
_SHORT = """
ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't
haven't he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am might've mightn't
mightn't've must've mustn't needn't not've o'clock oughtn't shan't she'd've should've shouldn't
shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've someone'll someone's
something'd something'd've something'll that's there'd there'd've there're there's they'd they'd've
they'll they're they've wasn't we'd've we've weren't what'll what're what's what've when's where'd
where's where've who'd who'd've who'll who's who've why'll why're why's won't would've wouldn't
wouldn't've y'all y'all'd've y'all'll you'd you'd've you'll you're you've 'twas 'ow's'at
"""
_CONTRACTIONS = {
    word[: place.start()] + word[place.end() :]: word
    for word in _SHORT.split()
    for place in re.finditer("'", word)
} | {"somebody'd": "somebodyd"}


def _trimmed(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()


def without_marks(text: str) -> str:
    """Drop punctuation, or make it a space between two words; a point before a digit stays."""
    text = _trimmed(text)
    number = re.search(r"\d,\d", text) is not None
    made = text
    for mark in _MARKS:
        apart = f"{mark} " in text or f" {mark}" in text or number
        made = made.replace(mark, "" if apart else " ")
    return re.sub(r"\.(?!\d)", "", made)


def normalized(text: str) -> str:
    """An answer as the VQA evaluation compares it: no punctuation, numbers as digits, no articles,
    contractions with their apostrophe.
    """
    found = (_NUMBERS.get(word, word) for word in without_marks(text).lower().split())
    return " ".join(_CONTRACTIONS.get(word, word) for word in found if word not in _ARTICLES)


def vqa_score(said: str, references: Sequence[str]) -> float:
    """``min(matches / 3, 1)`` against the other people's answers, averaged over leaving each out.

    As in the VQA evaluation nothing is normalised where all people say the same.
    """
    right, answer = [_trimmed(one) for one in references], _trimmed(said)
    if len(right) == 1 or len(set(right)) > 1:
        right, answer = [normalized(one) for one in right], normalized(answer)
    right, answer = [one.lower() for one in right], answer.lower()
    matches = right.count(answer)
    if len(right) == 1:
        return float(matches)
    return sum(min((matches - (one == answer)) / 3, 1.0) for one in right) / len(right)


def vqa_accuracy(answers: Sequence[Answered]) -> Ratio:
    return Ratio.of((vqa_score(a.text, a.record.references), 1.0) for a in answers)


def exact_match(answers: Sequence[Answered]) -> Ratio:
    return Ratio.of(
        (float(normalized(a.text) in map(normalized, a.record.references)), 1.0) for a in answers
    )


def letter(text: str, record: Record) -> str:
    """The letter of a choice: said as such, or the one choice whose words are in the answer; ""
    where neither is clear.
    """
    choices: dict[str, str] = record.about["choices"]
    found = re.match(r"\s*(?:answer\s*:?\s*|option\s+)?\(?([A-Z])\)?(?:[.):,\s]|$)", text, re.I)
    article = found is not None and found[0].lstrip() in ("a ", "A ")
    if found and found[1].upper() in choices and not article:
        return found[1].upper()
    said = f" {normalized(text)} "
    named = [key for key, words in choices.items() if f" {normalized(words)} " in said]
    return named[0] if len(named) == 1 else ""


def choice_accuracy(answers: Sequence[Answered]) -> Ratio:
    """A question is right when all its rotations are; one without rotations counts by itself."""
    groups: dict[str, list[bool]] = defaultdict(list)
    for answer in answers:
        group = answer.record.about.get("group", answer.record.key)
        groups[group].append(answer.text == answer.record.references[0])
    return Ratio.of((float(all(right)), 1.0) for right in groups.values())


VQA = Metric(name="VQA accuracy", score=vqa_accuracy, scale=100,
             protocol="min(n/3, 1) with leave-one-out, answers normalised, x100")  # fmt: skip
EXACT = Metric(name="accuracy", score=exact_match, scale=100,
               protocol="exact match of normalised answers, no judge, x100")  # fmt: skip
CHOICE = Metric(name="accuracy", score=choice_accuracy, scale=100,
                protocol="the letter, or the one choice that is named, x100")  # fmt: skip
CIRCULAR = Metric(name="CircularEval", score=choice_accuracy, scale=100,
                  protocol="right in every rotation of the choices, no judge, x100")  # fmt: skip
