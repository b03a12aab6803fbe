"""Pictures of an episode: packed, read back, refused where they are none."""

import numpy as np
import pytest

from workbench.data.films import HEIGHT, WIDTH, Film, shrunk, stride
from workbench.data.trajectory import Trajectory
from workbench.data.trajectory_files import load_trajectories, save_trajectories


@pytest.fixture
def film():
    levels = np.linspace(0, 255, 13).astype(np.uint8)
    return Film.of([np.full((24, 32, 3), level) for level in levels], every=2)


def test_pictures_come_back_in_their_order(film):
    assert (film.n, film.columns, film.width, film.height) == (13, 10, 32, 24)
    means = film.pictures().mean((1, 2, 3))
    np.testing.assert_allclose(means, np.linspace(0, 255, 13), atol=4)


def test_it_is_packed_into_bytes_and_back(film):
    again = Film.unpacked(film.packed())
    assert {k: v for k, v in vars(again).items() if k != "sheet"} == {
        k: v for k, v in vars(film).items() if k != "sheet"
    }
    np.testing.assert_array_equal(again.pictures(), film.pictures())


def test_a_file_of_trajectories_keeps_the_films_that_there_are(film, toy, demos, tmp_path):
    import dataclasses

    one, two, _ = demos
    filmed = dataclasses.replace(two, film=film)
    save_trajectories(tmp_path / "t.safetensors", [one, filmed])
    first, second = load_trajectories(tmp_path / "t.safetensors")
    assert first.film is None
    np.testing.assert_array_equal(second.film.sheet, film.sheet)
    assert isinstance(first, Trajectory)


@pytest.mark.parametrize("at", [0, 4, 8, 12, 16, 20])
def test_what_is_no_film_is_refused(film, at):
    packed = film.packed().copy()
    packed[at : at + 4] = 255
    with pytest.raises(ValueError, match="its film"):
        Film.unpacked(packed)


def test_pictures_are_small_and_few():
    assert shrunk(np.zeros((500, 500, 3), np.uint8)).shape == (HEIGHT, HEIGHT, 3)
    assert shrunk(np.zeros((100, 900, 3), np.uint8)).shape[1] == WIDTH
    assert shrunk(np.zeros((40, 60, 3), np.uint8)).shape == (40, 60, 3)
    assert [stride(horizon) for horizon in (50, 100, 101, 1000)] == [1, 1, 2, 10]
