"""Files that are often brought and hold no demonstrations as they are: their name, what to do."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import PurePosixPath

_AS_ARRAYS = (
    'Save the arrays: `np.savez("mine.npz", observations=…, actions=…, rewards=…, timeouts=…)`.'
)
_HEADS = (
    (b"version https://git-lfs", "a Git LFS pointer, which stands for the file that was not "
     "downloaded. Fetch it: `git lfs pull`, or the download button of its page."),
    (b"\x1f\x8b", "compressed by gzip. Unpack it (`gunzip`) and give what comes out."),
    (b"BZh", "compressed by bzip2. Unpack it (`bunzip2`) and give what comes out."),
    (b"\xfd7zXZ", "compressed by xz. Unpack it (`unxz`) and give what comes out."),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd. Unpack it (`unzstd`) and give what comes out."),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive. Unpack it and give what comes out."),
    (b"Rar!", "a RAR archive. Unpack it and give what comes out."),
    (b"\x93NUMPY", f"one NumPy array, and demonstrations take several. {_AS_ARRAYS}"),
    (b"\x80\x02\x8a\nl\xfc\x9cF\xf9", "written by an old `torch.save`."),
    (b"MATLAB", "a MATLAB file. Read it with `scipy.io.loadmat` and save it with `np.savez`."),
    (b"ARROW1", "an Arrow file. Write it as Parquet, or with `np.savez`."),
)  # fmt: skip
_TORCH = (
    "Torch saves programs, which are not run here. Read it yourself, "
    f'`torch.load("FILE", weights_only=True)`. {_AS_ARRAYS}'
)


def named(head: bytes) -> str | None:
    """Return what a file that begins so is, and what to do with it; None if that is not known.

    Args:
        head: The first bytes, a hundred or more.
    """
    for begin, words in _HEADS:
        if head.startswith(begin):
            return f"it is {words} {_TORCH}" if "torch" in words else f"it is {words}"
    if head[257:262] == b"ustar":
        return "it is a tar archive. Unpack it and give what comes out."
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head")):
        return (
            "it is a web page, saved in place of the file that it shows. Use the page's download "
            "button or its raw address."
        )
    if text.startswith((b"<?xml", b"{", b"[")):
        return f"it is text ({'XML' if text[:1] == b'<' else 'JSON'}), not arrays. {_AS_ARRAYS}"
    return None


def named_archive(members: Sequence[zipfile.ZipInfo]) -> str | None:
    """Return what a zip without a Minari data set is, likewise."""
    names = [PurePosixPath(m.filename.replace("\\", "/")).name for m in members]
    if "data.pkl" in names and "version" in names:
        return f"it is written by `torch.save`. {_TORCH}"
    for name in names:
        if name.endswith((".pkl", ".pickle", ".npz", ".hdf5", ".h5", ".safetensors", ".parquet")):
            return f"it is a zip of `{name[:80]}`. Unpack it and give that file itself."
    return None
