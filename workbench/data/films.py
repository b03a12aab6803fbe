"""What an episode looked like where its states do not say: pictures, recorded while it ran.

A film is one JPEG with all pictures side by side, so that a browser shows any of them at once.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PICTURES, HEIGHT, WIDTH = 100, 144, 240
"""At most so many pictures of an episode, each of at most so many pixels."""
_COLUMNS, _QUALITY = 10, 80


@dataclass(frozen=True, eq=False)
class Film:
    """The pictures of one episode.

    Attributes:
        sheet: A JPEG of all pictures in rows of ``columns``, as bytes, (N,) uint8.
        n: How many there are.
        every: Steps from one to the next; the first is of step 0.
        columns: Pictures in a row.
        width, height: Of a picture, in pixels.
    """

    sheet: np.ndarray
    n: int
    every: int
    columns: int
    width: int
    height: int

    @classmethod
    def of(cls, pictures: Sequence[np.ndarray], every: int) -> Film:
        """Put pictures, (H, W, 3) uint8 of one size each, onto one sheet."""
        from PIL import Image

        height, width = pictures[0].shape[:2]
        columns = min(_COLUMNS, len(pictures))
        sheet = np.zeros((-(-len(pictures) // columns) * height, columns * width, 3), np.uint8)
        for i, picture in enumerate(pictures):
            y, x = i // columns * height, i % columns * width
            sheet[y : y + height, x : x + width] = picture
        file = io.BytesIO()
        Image.fromarray(sheet).save(file, "JPEG", quality=_QUALITY)
        made = np.frombuffer(file.getvalue(), np.uint8)
        return cls(made, len(pictures), every, columns, width, height)

    def packed(self) -> np.ndarray:
        """Return everything as bytes, (N + 20,) uint8: five whole numbers, then the sheet."""
        numbers = (self.n, self.every, self.columns, self.width, self.height)
        return np.concatenate([np.array(numbers, "<i4").view(np.uint8), self.sheet])

    @classmethod
    def unpacked(cls, packed: np.ndarray) -> Film:
        """Return what ``packed`` made; the sheet is not opened.

        Raises:
            ValueError: if it is none, with the reason.
        """
        packed = np.ascontiguousarray(packed, np.uint8)
        n, every, columns, width, height = map(int, np.frombuffer(packed[:20].tobytes(), "<i4"))
        numbers_fit = 0 < n <= 10_000 and every > 0 and 0 < columns <= n
        if not numbers_fit or not (0 < width <= WIDTH and 0 < height <= HEIGHT):
            raise ValueError("its film has no possible size")
        if packed[20:22].tobytes() != b"\xff\xd8":
            raise ValueError("its film is no JPEG")
        return cls(packed[20:], n, every, columns, width, height)

    def pictures(self) -> np.ndarray:
        """Return every picture, (n, H, W, 3) uint8."""
        from PIL import Image

        sheet = np.asarray(Image.open(io.BytesIO(self.sheet.tobytes()), formats=("JPEG",)))
        w, h = self.width, self.height
        places = [divmod(i, self.columns) for i in range(self.n)]
        return np.stack([sheet[y * h : (y + 1) * h, x * w : (x + 1) * w] for y, x in places])


def stride(horizon: int) -> int:
    """Return how many steps lie between two pictures of an episode."""
    return -(-horizon // PICTURES)


def shrunk(picture: np.ndarray) -> np.ndarray:
    """Return a picture, (H, W, 3) uint8, at the size that films have; the smaller, the lighter."""
    from PIL import Image

    height, width = picture.shape[:2]
    by = min(HEIGHT / height, WIDTH / width, 1.0)
    size = max(2, round(width * by) // 2 * 2), max(2, round(height * by) // 2 * 2)
    return np.asarray(Image.fromarray(picture).convert("RGB").resize(size))
