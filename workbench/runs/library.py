"""A store's runs: names, tags, a bin, and runs to take along."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

from workbench.data.atomic_files import write_json
from workbench.runs.locks import held
from workbench.runs.store import RunStore
from workbench.tuning.spec import RunSpec

LABELS = "labels.json"
"""In the store's folder: id of a run → its name and tags."""


BIN = ".deleted"
"""In the store's folder: deleted runs, until the bin is emptied."""


MAX_NAME, MAX_TAGS = 80, 12


_PATIENCE = 5.0


@dataclass(frozen=True)
class Label:
    """What a reader calls a run.

    Attributes:
        name: Up to ``MAX_NAME`` characters; "" for none.
        tags: Up to ``MAX_TAGS`` words without commas, each once.
    """

    name: str = ""
    tags: tuple[str, ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "tags", tuple(self.tags))
        for text in (self.name, *self.tags):
            if not isinstance(text, str) or len(text) > MAX_NAME or not text.isprintable():
                raise ValueError(
                    f"Names and tags are up to {MAX_NAME} printable characters: got {text!r:.99}."
                )
        if len(self.tags) > MAX_TAGS or any(not t or "," in t or t != t.strip() for t in self.tags):
            raise ValueError(
                f"`tags` must be up to {MAX_TAGS} words without commas: got {self.tags!r:.99}."
            )
        if len(set(self.tags)) < len(self.tags):
            raise ValueError(f"`tags` must name each once: got {self.tags}.")


class Library:
    """The runs of a store as a reader keeps them.

    Several processes may use it at a time; every change is written at once or not at all.

    Args:
        store: The runs.
    """

    def __init__(self, store: RunStore):
        self.store = store
        self._labels, self._bin = store.root / LABELS, store.root / BIN

    def labels(self) -> dict[str, Label]:
        """Return the labels by id; those of deleted runs too.

        Raises:
            ValueError: if the file of labels cannot be read.
        """
        try:
            plain = json.loads(self._labels.read_text())
            return {run_id: Label(**fields) for run_id, fields in plain.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ValueError(
                f"The names and tags in {self._labels} cannot be read: {error}. "
                "Repair the file, or delete it to begin without any."
            ) from error

    def label(self, run_ids: Iterable[str], change: Callable[[Label], Label]) -> None:
        """Change the labels of runs.

        Args:
            run_ids: Runs of the store.
            change: The label that a run has → the one that it gets.

        Raises:
            ValueError: if the new label cannot be one, or the labels cannot be written now.
        """
        self.store.root.mkdir(parents=True, exist_ok=True)
        with held(self.store.root / f"{LABELS}.lock", _PATIENCE) as ours:
            if not ours:
                raise ValueError("Another process is writing the names and tags: try again.")
            labels = self.labels()
            labels |= {i: change(labels.get(i, Label())) for i in run_ids}
            plain = {i: asdict(label) for i, label in labels.items() if label != Label()}
            write_json(self._labels, plain, sort_keys=True)

    def rename(self, run_id: str, name: str) -> None:
        """Give a run a name; "" takes it away.

        Raises:
            ValueError: if it is too long, or the labels cannot be written now.
        """
        self.label([run_id], lambda label: Label(" ".join(name.split()), label.tags))

    def tag(self, run_ids: Iterable[str], tags: Iterable[str]) -> None:
        """Add tags to runs.

        Raises:
            ValueError: if they are too many or no tags, or the labels cannot be written now.
        """
        new = tuple(tags)
        self.label(run_ids, lambda old: Label(old.name, tuple(dict.fromkeys([*old.tags, *new]))))

    def untag(self, run_ids: Iterable[str], tags: Iterable[str]) -> None:
        """Take tags away from runs.

        Raises:
            ValueError: if the labels cannot be written now.
        """
        gone = set(tags)
        self.label(
            run_ids, lambda old: Label(old.name, tuple(t for t in old.tags if t not in gone))
        )

    def delete(self, run_ids: Iterable[str]) -> list[str]:
        """Put complete runs into the bin and return those that went; ``restore`` undoes it.

        One that is being written now stays.
        """
        gone = []
        for run_id in run_ids:
            folder = self.store.root / run_id
            if run_id not in self.store:
                continue
            # both are held while a run is made: by a sweep, and by whatever writes
            with held(folder / "lock", 0.0) as first, held(folder / "steps.jsonl", 0.0) as second:
                if first and second:
                    self._bin.mkdir(exist_ok=True)
                    shutil.rmtree(self._bin / run_id, ignore_errors=True)
                    folder.replace(self._bin / run_id)
                    os.utime(self._bin / run_id)  # the bin is in the order of deletion
                    gone.append(run_id)
        return gone

    def deleted(self) -> list[str]:
        """Return the ids of the runs in the bin, last deleted first."""
        found = [p.parent for p in self._bin.glob("*/result.json")]
        return [p.name for p in sorted(found, key=lambda p: -p.stat().st_mtime_ns)]

    def restore(self, run_ids: Iterable[str]) -> list[str]:
        """Take runs out of the bin and return those that came back.

        One that was run again meanwhile stays in the bin: the newer one is kept.
        """
        back = []
        for run_id in run_ids:
            folder, kept = self.store.root / run_id, self._bin / run_id
            if run_id in self.store or not (kept / "result.json").exists():
                continue
            shutil.rmtree(folder, ignore_errors=True)  # an attempt that did not end
            kept.replace(folder)
            back.append(run_id)
        return back

    def empty_bin(self) -> int:
        """Delete for good what is in the bin, with its labels; return how many runs that were."""
        gone = self.deleted()
        shutil.rmtree(self._bin, ignore_errors=True)
        known = self.labels()
        forget = [i for i in gone if i not in self.store and i in known]
        if forget:
            self.label(forget, lambda _: Label())
        return len(gone)

    @property
    def bin_bytes(self) -> int:
        """How much room the bin takes."""
        return sum(path.stat().st_size for path in self._bin.rglob("*") if path.is_file())


_HOW = """\
Runs of the Prompt Diffuser Workbench.

Unpack this file in a folder of runs, such as runs/, and the workbench shows them.
ID/reproduce.py makes a run again, and so does, on a command line:
"""


def snippet(spec: RunSpec) -> str:
    """Return Python that makes a run again and prints its returns.

    Args:
        spec: The run.
    """
    plain = {f.name: getattr(spec, f.name) for f in dataclasses.fields(spec)}
    plain["settings"] = dict(plain["settings"])
    fields = "".join(f"    {name}={value!r},\n" for name, value in plain.items())
    return (
        "from workbench import RunSpec, RunStore, run\n\n"
        f"spec = RunSpec(\n{fields})\n"
        'store = RunStore("runs")\n'
        "for step in store.record(spec, run(spec)):\n"
        "    if step.evaluation is not None:\n"
        '        print(f"after {step.update} updates: {step.evaluation.returns.mean():.2f}")\n'
    )


def command(spec: RunSpec) -> str:
    """Return the command line that makes a run again.

    The untuned prompt is what every tuning is compared with: a tuning of no updates makes it.
    """
    if spec.is_untuned:
        spec = dataclasses.replace(spec.untuned, method="soft-prompt")
    return spec.command


def zipped(runs: Iterable[tuple[RunStore, str]]) -> bytes:
    """Return complete runs as a zip: their folders as the stores keep them, and how to make them.

    Unpacked in the folder of another store, they are runs there.

    Args:
        runs: Stores and ids.

    Raises:
        ValueError: if a store has no such complete run.
    """
    packed, how = io.BytesIO(), _HOW
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for store, run_id in runs:
            store.result(run_id)
            spec, folder = store.spec(run_id), store.folder(run_id)
            how += f"\n{run_id}\n  {command(spec)}\n"
            file.writestr(f"{run_id}/reproduce.py", snippet(spec))
            for path in sorted(folder.rglob("*")):
                if path.is_file() and path.name != "lock":
                    file.write(path, f"{run_id}/{path.relative_to(folder).as_posix()}")
        file.writestr("README.txt", how)
    return packed.getvalue()
