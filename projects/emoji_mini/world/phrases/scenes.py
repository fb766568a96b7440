"""Other words for what a scene shows: things, places, relations, motions, counts, sounds."""

from __future__ import annotations

SYNONYMS: dict[str, tuple[str, str]] = {  # name -> singular, plural
    "dog": ("puppy", "puppies"),
    "cat": ("kitten", "kittens"),
    "rabbit": ("bunny", "bunnies"),
    "hamburger": ("burger", "burgers"),
    "airplane": ("plane", "planes"),
    "bicycle": ("bike", "bikes"),
    "telephone": ("phone", "phones"),
    "donut": ("doughnut", "doughnuts"),
    "chicken": ("hen", "hens"),
    "horse": ("pony", "ponies"),
    "car": ("automobile", "automobiles"),
    "saxophone": ("sax", "saxes"),
    "fire": ("flame", "flames"),
    "house": ("home", "homes"),
    "cake": ("birthday cake", "birthday cakes"),
}
PLACES: dict[str, tuple[str, ...]] = {
    "white": ("", "on white", "on a white background", "with a white background"),
    "sky": ("under a blue sky", "in the sky", "with a blue sky", "in front of a blue sky"),
    "grass": ("on green grass", "on grass", "on the grass", "in a meadow", "on a green lawn"),
    "night": ("at night", "in the dark", "in the night", "by night"),
    "beach": ("on a beach", "at the beach", "on the beach", "on the sand"),
    "pink": ("on a pink background", "on pink", "with a pink background"),
}
RELATION_WORDS: dict[str, tuple[str, ...]] = {
    "left of": ("left of", "to the left of", "on the left of"),
    "right of": ("right of", "to the right of", "on the right of"),
    "above": ("above", "over", "on top of"),
    "below": ("below", "under", "beneath"),
}
MOTION_WORDS: dict[str, tuple[str, ...]] = {
    "moving left": ("moving left", "going left", "moving to the left", "going to the left"),
    "moving right": ("moving right", "going right", "moving to the right", "going to the right"),
    "rising": ("rising", "going up", "moving up", "floating up"),
    "falling": ("falling", "going down", "falling down", "dropping"),
    "spinning": ("spinning", "turning around", "rotating", "twirling"),
    "bouncing": ("bouncing", "jumping", "hopping", "jumping up and down"),
    "growing": ("growing", "getting bigger", "becoming larger", "getting larger"),
}
COUNT_WORDS: dict[int, tuple[str, ...]] = {
    2: ("two", "2", "a pair of", "a couple of"),
    3: ("three", "3", "a group of three"),
    4: ("four", "4", "a group of four"),
}
SOUND_WORDS: dict[str, tuple[str, ...]] = {  # beside the canonical phrase
    "dog": ("a barking dog", "a dog's bark", "a dog"),
    "cat": ("a meowing cat", "a cat's meow", "a cat"),
    "cow": ("a mooing cow", "a cow's moo", "a cow"),
    "frog": ("a croaking frog", "a frog's croak", "a frog"),
    "duck": ("a quacking duck", "a duck's quack", "a duck"),
    "bee": ("a buzzing bee", "a bee's buzz", "a bee"),
    "sheep": ("a bleating sheep", "a sheep's bleat", "a sheep"),
    "bird": ("a singing bird", "birdsong", "a bird"),
    "piano": ("piano music", "someone playing the piano", "a piano"),
    "guitar": ("guitar music", "someone playing the guitar", "a guitar"),
    "violin": ("violin music", "someone playing the violin", "a violin"),
    "trumpet": ("trumpet music", "someone playing the trumpet", "a trumpet"),
    "drum": ("drum beats", "someone beating a drum", "a drum"),
    "saxophone": ("saxophone music", "someone playing the sax", "a saxophone"),
    "banjo": ("banjo music", "someone playing the banjo", "a banjo"),
    "accordion": ("accordion music", "someone playing the accordion", "an accordion"),
    "bell": ("a ringing bell", "a bell"),
    "telephone": ("a ringing phone", "a telephone", "a phone call"),
    "helicopter": ("a flying helicopter", "a helicopter"),
    "applause": ("applause", "a clapping crowd", "clapping hands"),
    "waves": ("ocean waves", "the sea", "the waves at the beach"),
    "harp": ("harp music", "someone playing the harp", "a harp"),
    "organ": ("organ music", "someone playing the organ", "an organ"),
    "xylophone": ("xylophone music", "someone playing the xylophone", "a xylophone"),
}
SOUND_PAIRS = (
    "{a} then {b}",
    "{a} followed by {b}",
    "first {a} and then {b}",
    "{a} and after that {b}",
    "{a}, and next {b}",
)
