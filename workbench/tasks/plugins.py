"""What comes from outside the package: families and methods in files and packages of the user.

``WORKBENCH_PLUGINS=my_family.py,my_package.methods`` names files and modules, and the entry-point
groups ``workbench.families`` and ``workbench.methods`` name what installed packages bring. They are
imported when a family or a method is first asked for. Nothing is ever loaded from a run, a data
file or an address: only what the user named.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import re
import sys
import threading
import traceback
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

from workbench.tasks.family import Family

VARIABLE = "WORKBENCH_PLUGINS"
"""The environment variable that names plug-ins, with commas between."""
HOME = "WORKBENCH_OWN"
"""The environment variable that names the folder of what is made for families of plug-ins."""
GROUPS = ("workbench.families", "workbench.methods")
"""Groups of entry points of installed packages."""
FOLDER = "workbench-assets"
"""Where that is kept by default, beside the plug-in's file."""


@dataclass(frozen=True)
class Plugin:
    """One file or module that was named, as it was found.

    Attributes:
        name: As it was named.
        path: Its file; None where it was not found.
        families: What it brings, by name.
        methods: Likewise.
        error: Why it could not be loaded, with its line; "" where it could.
        code: A hash of its source: of its file, or of every Python file of its package.
    """

    name: str
    path: Path | None = None
    families: tuple[Family, ...] = ()
    methods: tuple[tuple[str, type], ...] = ()
    error: str = ""
    code: str = ""

    @property
    def home(self) -> Path:
        """The folder of what is made for its families."""
        if named := os.environ.get(HOME):
            return Path(named).resolve()
        assert self.path is not None  # of what was loaded
        if _package(self.path) is None:
            return self.path.parent / FOLDER
        return Path.home() / ".workbench"


def named() -> list[str]:
    """Return the plug-ins that ``WORKBENCH_PLUGINS`` names."""
    words = os.environ.get(VARIABLE, "").split(",")
    return list(dict.fromkeys(word.strip() for word in words if word.strip()))


def plugins() -> tuple[Plugin, ...]:
    """Import every plug-in, once, and return them; one that fails is returned with its error."""
    with _STATE.lock:
        # a plug-in that looks something up while it is imported finds what ships
        if _STATE.found is None and not _STATE.loading:
            _STATE.loading = True
            try:
                _STATE.found = _all_loaded()
            finally:
                _STATE.loading = False
        return _STATE.found or ()


class _State:
    """What was loaded in this process; pages ask from several threads."""

    def __init__(self) -> None:
        self.lock, self.loading = threading.RLock(), False
        self.found: tuple[Plugin, ...] | None = None
        self.shipped: dict[str, dict[str, Any]] = {"family": {}, "method": {}}


_STATE = _State()


def _all_loaded() -> tuple[Plugin, ...]:
    found: list[Plugin] = []
    words = [_absolute(word) for word in named()]
    if words:
        os.environ[VARIABLE] = ",".join(words)  # processes that we start may run elsewhere
    sources: list[tuple[str, _Load]] = [(word, functools.partial(_named, word)) for word in words]
    for group in GROUPS:
        for point in importlib.metadata.entry_points(group=group):
            sources.append((point.value, functools.partial(_entered, point)))
    for word, load in sources:
        found.append(_loaded(word, load, found))
    return tuple(found)


def add(name: str | Path) -> Plugin:
    """Load one more plug-in now, as if ``WORKBENCH_PLUGINS`` had named it; for notebooks.

    A file that was loaded before is read anew. Processes that are started later load it too.

    Raises:
        ValueError: if it cannot be loaded, with the line.
    """
    word = _absolute(str(name))
    os.environ[VARIABLE] = ",".join(dict.fromkeys([*map(_absolute, named()), word]))
    _forget()
    added = next(p for p in plugins() if p.name == word)
    if added.error:
        os.environ[VARIABLE] = ",".join(other for other in named() if other != word)
        _forget()
        raise ValueError(added.error)
    return added


def seen() -> tuple[str, ...]:
    """Return what another process must know to have the same plug-ins: the variable, the code."""
    return os.environ.get(VARIABLE, ""), *(plugin.code for plugin in plugins())


def agree(others: tuple[str, ...]) -> None:
    """Read plug-ins anew unless they are what ``seen`` said in another process."""
    if seen() != others:
        os.environ[VARIABLE] = others[0]
        _forget()


def _forget() -> None:
    """Let plug-ins be read anew; what was put into a registry by hand stays."""
    for path, code in ((p.path, p.code) for p in _STATE.found or () if p.path is not None):
        if (package := _package(path)) is not None and _code(path) != code:
            for name in [n for n in sys.modules if n.partition(".")[0] == package.name]:
                del sys.modules[name]
    for name, module in list(sys.modules.items()):
        if name.startswith(_PREFIX) and isinstance(module, ModuleType):
            del sys.modules[name]
    _STATE.found = None


def failures() -> list[str]:
    """Return what could not be loaded, and why, in one line each."""
    return [plugin.error for plugin in plugins() if plugin.error]


def of_family(name: str) -> Plugin | None:
    """Return the plug-in that a family comes from; None for one that ships."""
    return next((p for p in plugins() if any(f.name == name for f in p.families)), None)


def of_method(name: str) -> Plugin | None:
    """Return the plug-in that a method comes from; None for one that ships."""
    return next((p for p in plugins() if any(key == name for key, _ in p.methods)), None)


def code_of(family: str, method: str) -> dict[str, str]:
    """Return the hashes of the plug-ins that a run depends on; {} where nothing is from outside."""
    sources = {"family": of_family(family), "method": of_method(method)}
    return {what: plugin.code for what, plugin in sources.items() if plugin is not None}


_Load = Callable[[], tuple[ModuleType, list[Any]]]
T = TypeVar("T")


class Registry(dict[str, T], Generic[T]):
    """What ships, by name, and behind it what plug-ins bring, which are imported at first use.

    The dictionary itself holds what is at hand: what ships, and what was put in. Asking for that
    imports no plug-in.

    Args:
        what: ``"family"`` or ``"method"``.
        shipped: What ships.
        brought: Yields what plug-ins bring, by name.
    """

    def __init__(
        self, what: str, shipped: dict[str, T], brought: Callable[[], Iterator[tuple[str, T]]]
    ) -> None:
        super().__init__(shipped)
        self._brought = brought
        _STATE.shipped[what] = dict(shipped)

    def _all(self) -> dict[str, T]:
        every = {name: dict.__getitem__(self, name) for name in dict.__iter__(self)}
        for name, value in self._brought():
            every.setdefault(name, value)
        return every

    def __missing__(self, name: str) -> T:
        return self._all()[name]

    def __contains__(self, name: object) -> bool:
        return dict.__contains__(self, name) or name in self._all()

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def keys(self):
        """Return all names, those of plug-ins last."""
        return self._all().keys()

    def values(self):
        """Return all of it, in that order."""
        return self._all().values()

    def items(self):
        """Return both."""
        return self._all().items()

    def get(self, name, default=None):
        """Return what has a name, or ``default``."""
        return self._all().get(name, default)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self)})"


def families() -> Iterator[tuple[str, Family]]:
    """Yield the families of all plug-ins, by name."""
    for plugin in plugins():
        yield from ((family.name, family) for family in plugin.families)


def methods() -> Iterator[tuple[str, Any]]:
    """Yield the methods of all plug-ins, by name."""
    for plugin in plugins():
        yield from plugin.methods


_PREFIX = "workbench_plugin_"


def _absolute(word: str) -> str:
    """Return a file by its whole path, a module as it is."""
    return str(Path(word).expanduser().resolve()) if _is_file(word) else word


def _is_file(word: str) -> bool:
    return word.endswith(".py") or "/" in word or os.sep in word


def _named(word: str) -> tuple[ModuleType, list[Any]]:
    """Import a file or a module that was named; return it and what stands in it."""
    module = _from_file(word) if _is_file(word) else importlib.import_module(word)
    return module, list(vars(module).values())


def _entered(point: importlib.metadata.EntryPoint) -> tuple[ModuleType, list[Any]]:
    """Import what an entry point names: a module, a family, a method, or a list of them."""
    module, thing = importlib.import_module(point.module), point.load()
    if isinstance(thing, ModuleType):
        return thing, list(vars(thing).values())
    return module, list(thing) if isinstance(thing, list | tuple) else [thing]


def _from_file(word: str) -> ModuleType:
    path = Path(word)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:6]
    name = f"{_PREFIX}{re.sub(r'[^0-9a-zA-Z_]', '_', path.stem)}_{digest}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # a file that ends in .py
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look it up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _loaded(word: str, load: _Load, earlier: list[Plugin]) -> Plugin:
    """Import one plug-in and take what it brings; an error of any kind is kept as its words."""
    try:
        module, things = load()
        path, ours = Path(str(module.__file__)).resolve(), _STATE.shipped["family"].values()
        own = {id(t): t for t in things if isinstance(t, Family) and t not in ours}.values()
        kinds = dict.fromkeys(t for t in things if _is_method(t) and _from(t, module))
        if not own and not kinds:
            raise ValueError(
                "it brings neither a Family nor a method (a frozen dataclass with `start`) at the "
                "level of the module"
            )
        keyed = tuple((key_of(kind), _completed(kind)) for kind in kinds)
        _check_names("family", [f.name for f in own], [f.name for p in earlier for f in p.families])
        _check_names("method", [k for k, _ in keyed], [k for p in earlier for k, _ in p.methods])
        return Plugin(word, path, tuple(own), keyed, code=_code(path))
    except (Exception, SystemExit) as error:  # whatever the user's code raises
        return Plugin(word, None, error=f"The plug-in {word} was left out: {_why(error, word)}")


def _from(kind: type, module: ModuleType) -> bool:
    """Whether a class was written there, and not imported from the workbench."""
    return kind.__module__ == module.__name__ or not kind.__module__.startswith("workbench.")


def _is_method(thing: Any) -> bool:
    return (
        isinstance(thing, type)
        and dataclasses.is_dataclass(thing)
        and callable(getattr(thing, "start", None))
    )


def key_of(kind: type) -> str:
    """Return the key of a method: its ``name``, else its class in small letters with hyphens."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", kind.__name__)
    return str(getattr(kind, "name", words.lower()))


def _completed(kind: type) -> type:
    """Give a method what it need not say of itself: label, needs, data, guided, published."""
    _check_value(kind)
    words = key_of(kind).replace("-", " ")
    usual = {
        "label": words[:1].upper() + words[1:],
        "needs": {},
        "data": "few-shot",
        "guided": False,
        "published": (),
    }
    for name, value in usual.items():
        if not hasattr(kind, name):
            setattr(kind, name, value)
    return kind


def _check_value(kind: Any) -> None:
    """Raise ValueError unless a method is a frozen value that its defaults alone can build."""
    if not kind.__dataclass_params__.frozen:
        raise ValueError(f"the method {kind.__name__} must be frozen: `@dataclass(frozen=True)`")
    for field in dataclasses.fields(kind):
        if field.default is field.default_factory is dataclasses.MISSING:
            raise ValueError(f"`{field.name}` of the method {kind.__name__} must have a default")
    typing.get_type_hints(kind)  # flags are made of them


def _check_names(what: str, names: list[str], earlier: list[str]) -> None:
    for name in names:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", name):
            raise ValueError(
                f"the name of a {what} is 1 to 40 of a to z, 0 to 9 and -: got {name!r}"
            )
        if name in _STATE.shipped[what] or name in earlier:
            raise ValueError(f"there is a {what} {name!r} already: give it another name")


def _why(error: BaseException, word: str) -> str:
    """Return what went wrong and in which line of the user's code, in one line."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {text}"
    package = str(Path(__file__).parents[1])
    frames = traceback.extract_tb(error.__traceback__)
    outside = [f for f in frames if not f.filename.startswith((package, "<frozen"))]
    # of what it calls, the line that stands in the file itself is the one to look at
    own = [frame for frame in frames if frame.filename == word] or outside
    return f"{Path(own[-1].filename).name} line {own[-1].lineno}: {text}" if own else text


def _package(path: Path) -> Path | None:
    """Return the folder of the outermost package that holds a file; None for a single file."""
    folder, top = path.parent, None
    while (folder / "__init__.py").exists():
        folder, top = folder.parent, folder
    return top


def _code(path: Path) -> str:
    package, sha = _package(path), hashlib.sha256()
    for source in [path] if package is None else sorted(package.rglob("*.py")):
        sha.update(source.read_bytes())
    return sha.hexdigest()[:12]
