"""Turns that ask for media: known things, several at once, unknown things, too many, moods."""

from __future__ import annotations

from dataclasses import replace

from anyweave.messages import Modality
from emoji_mini.emoji_talk.phrases import unknown_sounds, unknown_things
from emoji_mini.emoji_talk.talk import KIND, Talk, modality_of
from emoji_mini.emoji_world.captions import call
from emoji_mini.emoji_world.scenes import BACKGROUNDS, PictureScene, Scene
from emoji_mini.emoji_world.sounds import SOUND_OF_THING, SOUNDS
from emoji_mini.emoji_world.things import MAX_COUNT, NUMBER_WORDS, THINGS, article_of

SOUNDING = tuple(SOUND_OF_THING)
PLEASANT = ("piano", "guitar", "bird", "harp", "violin", "waves", "flute")
_PLAIN = 0.5  # share of requests that are for one thing and name no place
_NICE = ("butterfly", "unicorn", "balloon", "dog", "panda", "rabbit", "sunflower", "rainbow")
_FORMS = ("both", "both", "sound first", "pictures", "clip", "clip+sound", "three", "mix")
_HOW_MANY = {2: "two", 3: "three"}
_VAGUE = {"animal": "animal", "food": "food", "instrument": "instrument", "vehicle": "vehicle"}


def ask(t: Talk, modality: Modality) -> None:
    """A known thing in everyday words, and the medium."""
    scene = t.scene(modality)
    # People often name a thing and nothing else. If only unknown things were asked for like that,
    # that alone would give them away.
    if modality == "image" and t.chance(_PLAIN):
        scene = t.one(t.pick(tuple(THINGS)))
    elif modality == "video" and t.chance(_PLAIN):
        thing = t.pick(tuple(THINGS))
        scene = t.moving(thing, t.motion(thing))
    t.user(_request(t, scene))
    t.show(scene)


def _request(t: Talk, scene: Scene) -> str:
    kind = KIND[modality_of(scene)]
    if kind == "sound" and len(scene.sounds) == 1 and t.chance(0.35):  # type: ignore[union-attr]
        thing = SOUNDS[scene.sounds[0]].thing  # type: ignore[union-attr]
        if thing:
            heard = t.pick(("call", "name"))
            name = THINGS[thing].name if heard == "name" else _bare(t, thing)
            return t.line("voice", n=name)
    words = t.words(scene)
    line = t.line(kind, x=words)
    return line[:1].upper() + line[1:] if t.chance(0.5) else line


def _bare(t: Talk, thing: str) -> str:
    """A name of a thing without its article."""
    options = [THINGS[thing].name, *(one for one, _ in THINGS[thing].synonyms)]
    return t.pick(options)


def several(t: Talk) -> None:
    """One reply that holds two or three media, in the order asked for."""
    form = t.pick((*_FORMS, *("list", "same") * 3))
    thing = t.pick(SOUNDING)
    called = call(t.rng, THINGS[thing])
    slots = {"a": called, "x": called}
    picture, sound = t.one(thing), t.sound_of(thing)
    if form == "both":
        t.user(t.line(t.pick(("both", "ask_two")), **slots))
        t.show(picture, sound)
    elif form == "sound first":
        t.user(t.line("sound_first", **slots))
        t.show(sound, picture)
    elif form == "pictures":
        a, b = t.picture(alone=True), t.picture(alone=True)
        t.user(t.line("two_pictures", x=t.words(a), y=t.words(b)))
        t.show(a, b)
    elif form == "clip":
        clip = t.clip()
        still = t.one(clip.object, clip.background)
        t.user(t.line("picture_and_clip", x=t.words(still), m=clip.motion))
        t.show(still, clip)
    elif form == "clip+sound":
        clip = t.moving(thing, t.motion(thing))
        t.user(t.line("clip_and_sound", x=t.words(clip)))
        t.show(clip, sound)
    elif form == "three":
        t.user(t.line("ask_three", **slots))
        t.show(picture, t.moving(thing), sound)
    elif form == "list":
        _listed(t)
    elif form == "same":
        _of_one_kind(t)
    else:
        seen, heard = t.picture(alone=True), t.sound(pair_share=0)
        t.user(t.line("picture_and_sound_of_other", x=t.words(seen), s=t.words(heard)))
        t.show(seen, heard)


def _listed(t: Talk) -> None:
    """Two or three media of any kinds, one after the other."""
    scenes = [_small(t, t.pick(tuple(KIND))) for _ in range(t.pick((2, 2, 3)))]
    said = [t.line(f"listed_{KIND[modality_of(scene)]}", x=_name(t, scene)) for scene in scenes]
    _ask_for(t, "list", said, scenes)


def _of_one_kind(t: Talk) -> None:
    """Two or three media of the same kind, each of its own thing."""
    modality = t.pick(tuple(KIND))
    scenes = [_small(t, modality) for _ in range(t.pick((2, 2, 3)))]
    kinds = {"image": ("pictures", "drawings", "images"), "video": ("clips", "videos")}
    kind = t.pick(kinds.get(modality, ("sounds", "recordings")))
    _ask_for(t, "same", [_name(t, scene) for scene in scenes], scenes, k=kind)


def _ask_for(t: Talk, table: str, said: list[str], scenes: list[Scene], **slots: str) -> None:
    line = t.line(
        f"{table}_{_HOW_MANY[len(said)]}", **dict(zip("abc", said, strict=False)), **slots
    )
    t.user(line[:1].upper() + line[1:] if t.chance(0.5) else line)
    t.show(*scenes)


def _name(t: Talk, scene: Scene) -> str:
    """A scene in words that fit into a list: not "in the snow, two dogs"."""
    while "," in (words := t.words(scene)):
        pass
    return words


def _small(t: Talk, modality: Modality) -> Scene:
    """What one of several media shows: one kind of thing, or one sound."""
    if modality == "audio":
        return t.sound(pair_share=0)
    if modality == "video":
        return t.clip()
    return t.one(t.pick(tuple(THINGS))) if t.chance(_PLAIN) else t.picture(alone=True)


def unknown(t: Talk) -> None:
    """What the world lacks: the reply says so and offers something known, sometimes taken."""
    modality: Modality = t.pick(("image", "image", "image", "video", "audio"))
    if modality == "audio":
        silent = tuple(thing for thing in THINGS if thing not in SOUND_OF_THING)
        if t.chance(0.4):
            wanted = heard = call(t.rng, THINGS[t.pick(silent)])
        else:
            heard, wanted = t.pick(unknown_sounds())
        instead: Scene = t.sound_of(t.pick(SOUNDING))
        offered = THINGS[SOUNDS[instead.sounds[0]].thing].one  # type: ignore[union-attr]
        t.user(t.line("sound", x=t.pick((heard, wanted))))
    else:
        name = t.pick(unknown_things())
        wanted = f"{article_of(name)} {name}"
        thing = t.pick(tuple(THINGS))
        count = int(t.rng.integers(2, MAX_COUNT + 1)) if t.chance(0.15) else 1
        said = f"{NUMBER_WORDS[count]} {name}s" if count > 1 else wanted
        place = f" {t.place(t.pick(tuple(BACKGROUNDS)))}"
        said += place if t.chance(1 - _PLAIN) else ""
        if modality == "image" and t.chance(0.12):  # beside something known
            said = f"{said} and {THINGS[t.pick(tuple(THINGS))].one}"
        if modality == "video":
            said += f" {t.motion(thing)}"
        instead = t.moving(thing) if modality == "video" else t.one(thing)
        offered = THINGS[thing].one
        t.user(t.line(KIND[modality], x=said))
    t.assistant(t.line(f"refuse_{modality}", x=wanted, y=offered))
    t.about = None
    if t.chance(0.25):
        t.user(t.line("instead_yes"))
        t.show(instead)
    elif t.chance(0.2):
        t.user(t.line("instead_no"))
        t.assistant(t.line("decline_reply"))


def too_many(t: Talk) -> None:
    """More than fit: the reply says so, and six are drawn."""
    scene = replace(t.picture(alone=True), count=MAX_COUNT)
    plural = THINGS[scene.object].many(2).removeprefix("two ")
    t.user(t.line("too_many", k=t.row("big_numbers"), p=plural))
    t.show(scene, before=t.line("too_many_reply"))


def vague(t: Talk) -> None:
    """The choice is left to the assistant."""
    group = t.pick((*_VAGUE, "any"))
    of_group = tuple(name for name, thing in THINGS.items() if group in ("any", thing.group))
    t.user(t.line(f"vague_{group}"))
    t.show(t.one(t.pick(of_group), t.pick(("white", "white", "grass", "sky"))), before="")


def mood(t: Talk) -> None:
    """How somebody feels; kind words, and something nice when asked for."""
    feeling, reply = t.row("feelings")
    form = t.pick(("words", "words", "picture", "sound"))
    if form == "words":
        t.user(feeling)
        t.assistant(reply)
        return
    wish = t.line("cheer" if form == "picture" else "cheer_sound")
    t.user(f"{feeling} {wish}")
    nice = t.one(t.pick(_NICE)) if form == "picture" else t.sound(t.pick(PLEASANT))
    t.show(nice, before=reply)


def sum_drawn(t: Talk) -> None:
    """A sum; its result is drawn when wanted (paper, Figure 10)."""
    row = t.row("stories")
    result = int(t.rng.integers(1, MAX_COUNT + 1))
    change = int(t.rng.integers(1, 4))
    start = result - row["sign"] * change
    if start < 1:
        result, start = result + change, result
        if row["sign"] < 0:
            result, start = start, result
    if result > MAX_COUNT:
        return sum_drawn(t)
    picture: PictureScene = replace(t.picture(alone=True), count=result, background="white")
    plural = THINGS[picture.object].many(2).removeprefix("two ")
    t.user(row["text"].format(n=start, k=change, p=plural))
    worked = f"{start} {'plus' if row['sign'] > 0 else 'minus'} {change} is {result}."
    if row["draw"]:
        t.show(picture, before=worked)
    else:
        t.assistant(worked)
        t.about = None
    return None
