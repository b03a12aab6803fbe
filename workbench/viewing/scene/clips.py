"""Films as files: how an mp4 is written, made into a GIF, and put beside others."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import imageio.v2 as imageio
import numpy as np
from PIL import Image, ImageDraw, ImageFont

_BAND = 28  # pixels above each film, for its label


def mp4_writer(path: Path, fps: float):
    """Open an mp4 that every browser plays while it loads: H.264, yuv420p, its index in front.

    One thread is enough for pictures this small, and leaves the other cores free. Sizes are even.

    Args:
        path: The file.
        fps: Pictures per second.
    """
    return imageio.get_writer(
        path,
        fps=fps,
        codec="libx264",
        pixelformat="yuv420p",
        macro_block_size=2,
        output_params=["-movflags", "+faststart", "-threads", "1"],
    )


def of_pictures(pictures: np.ndarray, fps: float) -> bytes:
    """Return an mp4 of pictures, (n, H, W, 3) uint8 with even H and W."""
    with tempfile.TemporaryDirectory(prefix="workbench-clip-") as name:
        made = Path(name) / "film.mp4"
        with mp4_writer(made, fps) as writer:
            for picture in pictures:
                writer.append_data(picture)
        return made.read_bytes()


def gif(film: bytes, *, fps: float = 10, width: int = 480) -> bytes:
    """Turn an mp4 into a GIF that plays for ever, at its own pace.

    The film is read twice, first for its colours, so that its pictures are never all in memory.

    Args:
        film: An mp4.
        fps: Pictures per second, at most; a GIF counts in hundredths of a second.
        width: Pixels, at most.

    Raises:
        ValueError: if ``film`` holds no pictures.
    """
    with tempfile.TemporaryDirectory(prefix="workbench-clip-") as name:
        source, made = Path(name) / "film.mp4", Path(name) / "film.gif"
        source.write_bytes(film)
        rate, _ = _opened(source)
        every = max(1, round(rate / fps))

        def kept() -> Iterator[Image.Image]:
            pictures = itertools.islice(_opened(source)[1], 0, None, every)
            return (_shrunk(picture, width) for picture in pictures)

        # One palette for all pictures, so that the colours of what does not move do not flicker.
        colours = [np.asarray(picture)[::3, ::3].copy() for picture in kept()]
        if not colours:
            raise ValueError("The film holds no pictures: render it again.")
        palette = Image.fromarray(np.concatenate(colours)).quantize(128)
        first, *others = (picture.quantize(palette=palette, dither=0) for picture in kept())
        first.save(
            made,
            save_all=True,
            append_images=others,
            duration=round(100 * every / rate) * 10,
            loop=0,
            optimize=False,
        )
        return made.read_bytes()


def beside(films: Sequence[bytes], labels: Sequence[str]) -> bytes:
    """Put mp4s of equal size and pace beside each other; one that ends earlier stands still.

    Args:
        films: The mp4s, from left to right.
        labels: What to write above each.

    Raises:
        ValueError: if there is nothing to show, or the films differ in size or pace.
    """
    if not films or len(films) != len(labels):
        raise ValueError(
            f"There must be films and one label for each: got {len(films)} and {len(labels)}."
        )
    with tempfile.TemporaryDirectory(prefix="workbench-clip-") as name:
        opened = []
        for i, film in enumerate(films):
            (Path(name) / f"{i}.mp4").write_bytes(film)
            rate, pictures = _opened(Path(name) / f"{i}.mp4")
            opened.append((rate, _labelled(pictures, labels[i])))
        rates = {round(rate, 3) for rate, _ in opened}
        if len(rates) > 1:
            raise ValueError(f"Films must have one pace: got {sorted(rates)} pictures a second.")
        made = Path(name) / "film.mp4"
        with mp4_writer(made, opened[0][0]) as writer:
            for row in _together([pictures for _, pictures in opened]):
                writer.append_data(row)
        return made.read_bytes()


def _opened(path: Path) -> tuple[float, Iterator[np.ndarray]]:
    """Return pictures per second, and the pictures, (H, W, 3) uint8 each."""
    reader = imageio.get_reader(path, "ffmpeg")
    return float(reader.get_meta_data()["fps"]), reader.iter_data()


def _together(films: Sequence[Iterator[np.ndarray]]) -> Iterator[np.ndarray]:
    """Yield rows of pictures until the last film has ended."""
    last = [next(film, None) for film in films]
    if len({None if picture is None else picture.shape for picture in last}) > 1:
        raise ValueError("Films must have one size: render all of them with the same size.")
    while True:
        yield np.concatenate(last, 1)
        following = [next(film, None) for film in films]
        if all(picture is None for picture in following):
            return
        last = [b if a is None else a for a, b in zip(following, last, strict=True)]


def _labelled(pictures: Iterator[np.ndarray], label: str) -> Iterator[np.ndarray]:
    band = None
    for picture in pictures:
        if band is None:
            image = Image.new("RGB", (picture.shape[1], _BAND), "white")
            font = ImageFont.load_default(size=15)
            ImageDraw.Draw(image).text((8, 5), label, fill="black", font=font)
            band = np.asarray(image)
        yield np.concatenate([band, picture])


def _shrunk(picture: np.ndarray, width: int) -> Image.Image:
    image = Image.fromarray(picture)
    if image.width <= width:
        return image
    return image.resize((width, round(image.height * width / image.width)))
