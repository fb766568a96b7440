from __future__ import annotations

from collections import Counter

import pytest

from emoji_mini.emoji_world.things import THINGS, article_of, find_thing, plural_of

OLD_THINGS = (
    "dog cat cow pig horse monkey lion panda rabbit fox frog chicken penguin duck owl fish "
    "whale octopus turtle snake bee butterfly elephant sheep unicorn bird apple banana grapes "
    "strawberry watermelon lemon carrot pizza hamburger cake donut sunflower rose cactus mushroom "
    "tree snowman fire car bus bicycle airplane rocket train helicopter house balloon robot piano "
    "guitar violin "
    "trumpet drum saxophone banjo accordion bell telephone"
).split()


def test_there_is_enough_to_ask_for() -> None:
    assert len(THINGS) >= 240
    assert set(OLD_THINGS) <= set(THINGS)


def test_no_two_things_share_a_word_or_a_picture() -> None:
    words = Counter(word for thing in THINGS.values() for word in thing.words)
    assert [word for word, times in words.items() if times > 1] == []
    assert len({thing.emoji for thing in THINGS.values()}) == len(THINGS)


def test_every_word_finds_its_thing_alone_and_in_a_phrase() -> None:
    for thing in THINGS.values():
        for said in (*thing.words, thing.one, *(thing.many(count) for count in range(1, 7))):
            assert find_thing(said) is thing, said
            assert find_thing(f"The {said.upper()}.") is thing, said


@pytest.mark.parametrize(
    ("name", "one", "two"),
    [
        ("dog", "a dog", "two dogs"),
        ("apple", "an apple", "two apples"),
        ("unicorn", "a unicorn", "two unicorns"),
        ("UFO", "a UFO", "two UFOs"),
        ("moon", "the moon", "two moons"),
        ("grapes", "a bunch of grapes", "two bunches of grapes"),
        ("scissors", "a pair of scissors", "two pairs of scissors"),
        ("bread", "a loaf of bread", "two loaves of bread"),
        ("corn", "an ear of corn", "two ears of corn"),
        ("fish", "a fish", "two fish"),
        ("wolf", "a wolf", "two wolves"),
        ("fox", "a fox", "two foxes"),
        ("strawberry", "a strawberry", "two strawberries"),
        ("piece of cake", "a piece of cake", "two pieces of cake"),
    ],
)
def test_one_and_two(name: str, one: str, two: str) -> None:
    assert (THINGS[name].one, THINGS[name].many(2)) == (one, two)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("bunnies", "rabbit"),
        ("a pair of glasses", "glasses"),
        ("two kittens", "cat"),
        ("3 bikes", "bicycle"),
        ("a pair of rabbits", "rabbit"),
        ("some grapes", "grapes"),
        ("the sun", "sun"),
        ("a cab", "taxi"),
        ("my puppy", "dog"),
        ("these wolves", "wolf"),
        ("half a dozen eggs", "egg"),
        ("a single rose", "rose"),
        ("a group of six owls", "owl"),
        ("a bunch of flowers", "bouquet"),
        ("a cherry", "cherries"),
        ("a loaf of bread", "bread"),
    ],
)
def test_people_s_words(said: str, name: str) -> None:
    assert find_thing(said) is THINGS[name]


@pytest.mark.parametrize("said", ["", "a", "a kangaroo rat", "the idea", "a loaf of dogs"])
def test_other_words_find_nothing(said: str) -> None:
    assert find_thing(said) is None


def test_a_taxi_is_not_a_car() -> None:
    assert find_thing("taxi") is not find_thing("car")


def test_plural_names_never_stand_behind_a_or_an() -> None:
    """ "a grapes" cannot happen: a name that is a plural has a unit."""
    for thing in THINGS.values():
        if thing.article in ("a", "an") and not thing.unit and thing.name.endswith("s"):
            assert thing.plural != thing.name or thing.name == "thumbs up", thing


def test_regular_forms() -> None:
    assert [plural_of(noun) for noun in ("box", "fly", "toy", "bush")] == [
        "boxes",
        "flies",
        "toys",
        "bushes",
    ]
    assert (article_of("owl"), article_of("bee"), article_of("Ice cube")) == ("an", "a", "an")


def test_articles_follow_the_sound() -> None:
    nouns = ("hourglass", "unicorn", "UFO", "ewe", "umbrella", "house", "elk")
    assert [article_of(noun) for noun in nouns] == ["an", "a", "a", "a", "an", "a", "an"]
