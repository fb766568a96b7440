from __future__ import annotations

import numpy as np
import pytest

from emoji_mini.emoji_world.arranging import arrange
from emoji_mini.emoji_world.backdrops import backdrop
from emoji_mini.emoji_world.moving import POSES
from emoji_mini.emoji_world.pack import Pack, load_pack
from emoji_mini.emoji_world.render import boxes, contact_sheet, render_clip, render_picture
from emoji_mini.emoji_world.sampling import sample_clip, sample_picture
from emoji_mini.emoji_world.scenes import ACTS, BACKGROUNDS, MOTIONS, ClipScene, PictureScene
from emoji_mini.emoji_world.things import THINGS


def test_every_thing_has_a_picture_and_every_act_its_frames() -> None:
    pack = load_pack()
    for name, thing in THINGS.items():
        picture = pack.picture(name)
        assert max(picture.shape[:2]) >= 128 and picture.shape[2] == 4, name
        if thing.does:
            assert pack.animation(name).shape[0] == 16
            assert np.abs(np.diff(pack.animation(name).astype(int), axis=0)).mean() > 0.5, name


def test_a_folder_without_a_pack_is_named(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="to build it"):
        Pack(tmp_path)


def test_the_same_scene_is_the_same_picture() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        scene = sample_picture(rng, "train")
        picture = render_picture(scene)
        assert picture.shape == (128, 128, 3) and picture.dtype == np.uint8
        assert (picture == render_picture(scene)).all()


def test_things_are_where_the_boxes_say_and_inside() -> None:
    rng = np.random.default_rng(4)
    for _ in range(300):
        scene = sample_picture(rng, "test")
        found = boxes(scene)
        assert [name for name, _ in found].count(scene.object) == scene.count
        assert len(found) == scene.count + scene.other_count
        for _, (left, top, right, bottom) in found:
            assert -4 <= left < right <= 132 and -4 <= top < bottom <= 132, scene


def test_a_picture_is_its_backdrop_outside_the_boxes() -> None:
    scene = PictureScene(object="dog", background="sky", seed=11)
    ((_, (left, top, right, bottom)),) = boxes(scene)
    arranged = arrange(scene)
    plain = backdrop("sky", arranged.variant, 128) + np.array(arranged.tint)
    off = np.abs(render_picture(scene) - np.clip(plain, 0, 255)).max(-1)
    inside = off[top:bottom, left:right]
    assert (inside > 8).mean() > 0.5
    off[top:bottom, left:right] = 0
    assert off.max() <= 1


@pytest.mark.parametrize(
    ("relation", "holds"),
    [
        ("left of", lambda a, b: a[0] < b[0][0]),
        ("right of", lambda a, b: a[0] > b[0][0]),
        ("above", lambda a, b: a[1] < b[0][1]),
        ("below", lambda a, b: a[1] > b[0][1]),
        ("between", lambda a, b: b[0][0] < a[0] < b[1][0]),
    ],
)
def test_relations_hold(relation: str, holds) -> None:  # type: ignore[no-untyped-def]
    for seed in range(30):
        number = 2 if relation == "between" else 1
        scene = PictureScene(
            object="dog", relation=relation, other="cat", other_count=number, seed=seed
        )
        one, *others = [((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) for _, box in boxes(scene)]
        assert holds(one, others)


def test_dark_things_are_lit_at_night(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    def around(scene: PictureScene) -> float:
        ((_, (left, top, right, bottom)),) = boxes(scene)
        picture = render_picture(scene).astype(float)
        edges = np.concatenate([picture[top - 2, left:right], picture[top:bottom, left - 2]])
        return float(edges.mean())

    scene = PictureScene(object="spider", background="night", seed=4)
    lit = around(scene)
    monkeypatch.setattr("emoji_mini.emoji_world.render._GLOWS", {})
    assert lit > around(scene) + 5


def test_every_background_is_drawn_in_its_own_colours() -> None:
    means = np.array([backdrop(name, 0, 64).mean((0, 1)) for name in BACKGROUNDS])
    far = np.abs(means[:, None] - means[None]).sum(-1) + 1000 * np.eye(len(means))
    assert far.min() > 12


def test_clips() -> None:
    rng = np.random.default_rng(5)
    for _ in range(10):
        scene = sample_clip(rng, "train")
        clip = render_clip(scene)
        assert clip.shape == (16, 64, 64, 3) and clip.dtype == np.uint8
        assert (clip == render_clip(scene)).all()
        assert np.abs(np.diff(clip.astype(int), axis=0)).mean() > 0.2, scene


def test_motions_go_where_they_say() -> None:
    def centre(frame: np.ndarray, ground: np.ndarray) -> np.ndarray:
        moved = np.abs(frame.astype(int) - ground).sum(-1) > 60
        return np.argwhere(moved).mean(0)[::-1]

    for motion, axis, sign in (
        ("moving left", 0, -1),
        ("moving right", 0, 1),
        ("rising", 1, -1),
        ("falling", 1, 1),
    ):
        clip = render_clip(ClipScene(object="apple", motion=motion, background="sky", seed=2))
        ground = np.median(clip, 0)
        way = (centre(clip[-1], ground) - centre(clip[0], ground)) * sign
        assert way[axis] > 12 and abs(way[1 - axis]) < 4, motion
    assert set(POSES) == set(MOTIONS)
    assert not set(ACTS) & set(MOTIONS)


def test_a_contact_sheet() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    assert contact_sheet([picture] * 5, columns=3).size == (24, 16)
