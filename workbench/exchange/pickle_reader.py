"""Lists, tuples, dicts and arrays of numbers out of a pickle, without running anything in it.

A pickle is a program for a small stack machine, and Python's unpickler runs whatever function it
names: https://docs.python.org/3/library/pickle.html. So it never meets an unpickler here. It is cut
into opcodes, all of which must be on a short list before the first is interpreted, and a machine of
our own rebuilds plain containers and arrays. The few names that NumPy's pickles need
(``numpy.ndarray``, ``numpy.dtype``, …) are looked up in a table, never imported, and NumPy's own
pickling is not called either: an array is made from its bytes once type, shape and length agree.
"""

from __future__ import annotations

import math
import pickletools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

MAX_FILE_BYTES = 64 << 20
MAX_ARRAY_BYTES = 256 << 20
MAX_OPCODES = 500_000

# Python describes each opcode in Lib/pickletools.py; these names are its own.
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_EMPTY = {"EMPTY_LIST": list, "EMPTY_DICT": dict}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_LITERALS = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"}
_LITERALS |= {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
_LITERALS |= {"SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"}
_OPCODES = _LITERALS.union(_CONSTANTS, _EMPTY, _TUPLES)
_OPCODES |= {"PROTO", "FRAME", "STOP", "MARK", "TUPLE"}
_OPCODES |= {"APPEND", "APPENDS", "SETITEM", "SETITEMS"}
_OPCODES |= {"MEMOIZE", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"}
_OPCODES |= {"GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"}
_GLOBALS = {
    "numpy.ndarray": "ndarray",
    "numpy.dtype": "dtype",
    "_codecs.encode": "encode",  # protocol 2 writes bytes as encoded text
    **{f"numpy.{core}.multiarray._reconstruct": "reconstruct" for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": "scalar" for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": "frombuffer" for core in ("core", "_core")},
}
_ADVICE = (
    "Nothing in the file was run. Only NumPy arrays of numbers in lists, tuples and dicts are "
    "read, written by Python 3 with pickle protocol 2 to 5; save it again in that form."
)


class RefusedFile(ValueError):
    """A file of demonstrations that is not read, and why.

    Attributes:
        reason: What is wrong, what was got and what to do, for anybody.
        detail: Where in the file that is, for whoever wrote it; may be empty.
    """

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(f"{reason} ({detail})" if detail else reason)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class _Global:
    """Stand for one of the admitted names; nothing is imported."""

    name: str


@dataclass
class _Dtype:
    """Stand for ``numpy.dtype`` of plain numbers."""

    code: str
    order: str = "<"


@dataclass
class PickledArray:
    """Stand for ``numpy.ndarray``; ``values`` is None until the pickle has filled it."""

    values: np.ndarray | None = None


class _Machine:
    """Interpret admitted opcodes over our own values; the result is ``value``."""

    def __init__(self, operations: list[tuple[str, Any, int]]):
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.n_bytes = 0
        for name, arg, at in operations:
            try:
                self._step(name, arg)
            except RefusedFile as refusal:
                raise RefusedFile(f"{refusal}. {_ADVICE}", _at(name, at)) from None
            except (IndexError, KeyError, TypeError, ValueError):
                refuse(f"a part of it does not fit what precedes it. {_ADVICE}", _at(name, at))
        if self.stack or self.marked:
            refuse(f"values are left over at the end of the pickle. {_ADVICE}")

    def _step(self, name: str, arg: Any) -> None:
        stack = self.stack
        if name in _LITERALS:
            stack.append(bytes(arg) if name == "BYTEARRAY8" else arg)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name in _TUPLES:
            items = tuple(stack.pop() for _ in range(_TUPLES[name]))
            stack.append(items[::-1])
        elif name == "MARK":
            self.marked.append(stack)
            self.stack = []
        elif name == "TUPLE":
            self.stack = self.marked.pop()
            self.stack.append(tuple(stack))
        elif name in ("APPEND", "APPENDS"):
            items = [stack.pop()] if name == "APPEND" else self._to_mark()
            _exactly(list, self.stack[-1]).extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            items = [stack.pop(), stack.pop()][::-1] if name == "SETITEM" else self._to_mark()
            # Text alone is hashed: a nested tuple can take for ever, integers can be made to
            # collide, so that they become text.
            keys = [f"{k}" if type(k) is int else _exactly(str, k) for k in items[::2]]
            _exactly(dict, self.stack[-1]).update(zip(keys, items[1::2], strict=True))
        elif name in ("MEMOIZE", "BINPUT", "LONG_BINPUT"):
            self.memo[len(self.memo) if name == "MEMOIZE" else arg] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[arg])
        elif name == "GLOBAL":
            stack.append(_admitted(arg.replace(" ", ".", 1)))
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(_admitted(f"{_exactly(str, module)}.{_exactly(str, attribute)}"))
        elif name == "REDUCE":
            args, function = _exactly(tuple, stack.pop()), _exactly(_Global, stack.pop())
            stack.append(self._call(function.name, args))
        elif name == "BUILD":
            state = _exactly(tuple, stack.pop())
            self._build(stack[-1], state)
        elif name == "STOP":
            self.value = stack.pop()

    def _to_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marked.pop()
        return items

    def _call(self, name: str, args: tuple) -> Any:
        if name == "dtype":
            code = _exactly(str, args[0])
            if not re.fullmatch(r"b1|[iu][1248]|f[248]", code):
                refuse(f"it holds an array of dtype {_short(code)} (O is object), not of numbers")
            return _Dtype(code)
        if name == "encode":
            text, encoding = args
            if encoding != "latin1":
                refuse(f"it encodes bytes as {_short(encoding)} instead of 'latin1'")
            self._count(len(_exactly(str, text)))
            return text.encode("latin1")
        if name == "reconstruct" and _exactly(_Global, args[0]).name == "ndarray":
            return PickledArray()
        if name == "frombuffer":
            data, dtype, shape, order = args
            return PickledArray(self._array(data, dtype, shape, order))
        if name == "scalar":
            dtype, data = args
            return PickledArray(self._array(data, dtype, (), "C"))
        refuse(f"it calls numpy.{name}, or makes an array of another class than numpy.ndarray")

    def _build(self, target: Any, state: tuple) -> None:
        if isinstance(target, _Dtype):
            if any(part is not None for part in state[2:5]) or state[1] not in ("<", ">", "|"):
                refuse("it holds a structured or non-standard dtype")
            target.order = state[1]
        else:
            _, shape, dtype, fortran, data = state
            _exactly(PickledArray, target).values = self._array(
                data, dtype, shape, "F" if fortran else "C"
            )

    def _array(self, data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
        code, order = _exactly(_Dtype, dtype).code, _exactly(str, order)
        if (
            len(_exactly(tuple, shape)) > 4
            or any(_exactly(int, n) < min(i, 1) for i, n in enumerate(shape))
            or order not in ("C", "F")
        ):
            refuse("an array must have at most 4 dimensions, each but the first of 1 or more")
        expected = math.prod(shape) * int(code[1])
        if type(data) is not bytes or len(data) != expected:
            got = f"{len(data)} bytes" if type(data) is bytes else type(data).__name__
            refuse(f"an array of {code} needs {expected:.3g} bytes as its shape says: got {got}")
        self._count(expected)
        if code == "b1":  # any byte but 0 and 1 is not a Boolean
            return np.frombuffer(data, "u1").reshape(shape, order=order) != 0
        values = np.frombuffer(data, dtype.order + code).reshape(shape, order=order)
        return np.array(values, code)

    def _count(self, n_bytes: int) -> None:
        """Count bytes of arrays: one that the memo holds can be asked for a thousand times."""
        self.n_bytes += n_bytes
        if self.n_bytes > MAX_ARRAY_BYTES:
            refuse(f"its arrays exceed {MAX_ARRAY_BYTES >> 20} MiB")


def refuse(reason: str, detail: str = "") -> NoReturn:
    """Refuse a file for a reason that says what, what was got, and what to do."""
    raise RefusedFile(reason, detail)


def _at(opcode: str, byte: int) -> str:
    return f"opcode {opcode} at byte {byte}"


def _short(value: Any) -> str:
    return repr(value[:80]) if isinstance(value, str) else f"a {type(value).__name__}"


def _exactly(kind: type, value: Any) -> Any:
    """Return ``value``, which must be of the very type ``kind`` and not of a subclass."""
    if type(value) is not kind:
        raise TypeError
    return value


def _admitted(name: str) -> _Global:
    """Return what stands for a function's name, or refuse the file."""
    if name not in _GLOBALS:
        refuse(f"it names {_short(name)}, which is not among NumPy's own for arrays")
    return _Global(_GLOBALS[name])


def _scan(data: bytes) -> list[tuple[str, Any, int]]:
    """Cut a pickle into opcodes; refuse the first that is not admitted."""
    if len(data) < 2 or data[0] != 0x80 or not 2 <= data[1] <= 5:
        refuse(f"it is no pickle of protocol 2 to 5. {_ADVICE}")
    operations: list[tuple[str, Any, int]] = []
    at = 0
    try:
        for opcode, arg, at in pickletools.genops(data):
            if opcode.name not in _OPCODES or (opcode.name == "PROTO" and at):
                refuse(f"it holds what no array of numbers needs. {_ADVICE}", _at(opcode.name, at))
            if len(operations) == MAX_OPCODES:
                refuse(f"it has more than {MAX_OPCODES} opcodes. Split it into smaller files.")
            operations.append((opcode.name, arg, at))
    except RefusedFile:
        raise
    except (ValueError, OverflowError) as error:
        refuse(f"it is truncated or damaged. {_ADVICE}", f"after byte {at}: {str(error)[:120]}")
    if at + 1 != len(data):
        refuse(f"{len(data) - at - 1} bytes follow the end of the pickle. {_ADVICE}", f"byte {at}")
    return operations


def read_pickle(path: str | Path) -> Any:
    """Return what a pickle holds; its arrays are ``PickledArray``.

    Raises:
        RefusedFile: if it is damaged, too large, or holds anything else; the error names it.
    """
    try:
        if not Path(path).is_file():
            refuse("there is no such file. Give the path of one published .pkl file.")
        with open(path, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        refuse(f"it cannot be opened: {error.strerror}. Check its permissions.")
    if len(data) > MAX_FILE_BYTES:
        refuse(f"it is larger than {MAX_FILE_BYTES >> 20} MiB. Split it into smaller files.")
    return _Machine(_scan(data)).value
