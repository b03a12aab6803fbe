"""Films beside each other, and as GIFs: what comes out is what went in."""

import io

import imageio.v2 as imageio
import numpy as np
import pytest
from PIL import Image

from workbench.viewing.scene import clips


def film(colour, n=10, size=(64, 48), fps=20):
    """Return a film of one colour whose brightness falls to half over its length."""
    out = io.BytesIO()
    with imageio.get_writer(
        out, format="mp4", fps=fps, codec="libx264", macro_block_size=2
    ) as writer:
        for i in range(n):
            shade = np.array(colour) * (1 - 0.5 * i / max(1, n - 1))
            writer.append_data(np.broadcast_to(shade, (size[1], size[0], 3)).astype(np.uint8))
    return out.getvalue()


def pictures(made):
    reader = imageio.get_reader(io.BytesIO(made), format="mp4")
    return reader.get_meta_data()["fps"], list(reader.iter_data())


def test_two_films_stand_side_by_side_under_their_labels():
    made = clips.beside([film((200, 0, 0)), film((0, 0, 200))], ["A", "B"])
    fps, seen = pictures(made)
    assert fps == 20
    assert len(seen) == 10
    assert seen[0].shape == (48 + 28, 128, 3)
    assert seen[0][60, 20, 0] > 150
    assert seen[0][60, 20, 2] < 60
    assert seen[0][60, 110, 2] > 150
    assert seen[0][60, 110, 0] < 60
    assert seen[0][3, 60].min() > 230, "the band of labels is white"
    assert seen[0][:28].min() < 100, "with something written on it"


def test_a_shorter_film_stands_still_at_its_end():
    _, seen = pictures(clips.beside([film((200, 0, 0), 4), film((0, 0, 200), 10)], ["A", "B"]))
    assert len(seen) == 10
    assert abs(int(seen[9][60, 20, 0]) - int(seen[4][60, 20, 0])) < 8


@pytest.mark.parametrize(
    ("films", "labels", "words"),
    [
        ([], [], "one label for each"),
        ([b"x"], [], "one label for each"),
    ],
)
def test_films_need_labels(films, labels, words):
    with pytest.raises(ValueError, match=words):
        clips.beside(films, labels)


def test_films_of_other_sizes_or_paces_do_not_fit():
    with pytest.raises(ValueError, match="one size"):
        clips.beside([film((9, 9, 9)), film((9, 9, 9), size=(80, 48))], ["A", "B"])
    with pytest.raises(ValueError, match="one pace"):
        clips.beside([film((9, 9, 9)), film((9, 9, 9), fps=10)], ["A", "B"])


def test_a_gif_lasts_as_long_as_its_film_and_plays_for_ever():
    made = Image.open(io.BytesIO(clips.gif(film((200, 30, 0), 40, fps=20), fps=10)))
    assert 5 < made.n_frames <= 20, "pictures that look alike may be one"
    assert made.info["loop"] == 0
    seconds = 0.0
    for i in range(made.n_frames):
        made.seek(i)
        seconds += made.info["duration"] / 1000
    assert seconds == pytest.approx(2.0)
    made.seek(0)
    first = np.asarray(made.convert("RGB"))[20, 20]
    made.seek(made.n_frames - 1)
    last = np.asarray(made.convert("RGB"))[20, 20]
    assert first[0] > 1.5 * last[0] > 0


def test_a_gif_has_no_more_pictures_than_people_see():
    fast = film((200, 30, 0), 4, fps=50)
    assert Image.open(io.BytesIO(clips.gif(fast, fps=25))).n_frames == 2
    assert Image.open(io.BytesIO(clips.gif(fast, fps=60))).n_frames == 4


def test_a_wide_film_is_made_smaller():
    made = Image.open(io.BytesIO(clips.gif(film((9, 99, 9), 2, size=(128, 64)), width=64)))
    assert made.size == (64, 32)
