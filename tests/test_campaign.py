"""Malformed inputs, seeded: a clear error each, no trace, nothing executed, nothing written.

Every form of file is damaged in every way below; every verb meets flags that make no sense; every
page meets addresses and uploads that do not. `make campaign` runs a thousand, the tests a part.
"""

import contextlib
import io
import pickle
import random
import re
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from tests.app.test_data import script as data_page
from tests.campaign import FULL
from tests.conftest import record
from workbench import __main__ as command
from workbench.app import data, jobs
from workbench.data import own_sets
from workbench.data.trajectory_files import save_trajectories
from workbench.exchange.minari_format import save_minari
from workbench.exchange.received import examine
from workbench.runs.store import RunStore

SCALE = 1.0 if FULL else 0.06
FILES, FLAGS, ADDRESSES, UPLOADS = (max(3, int(SCALE * n)) for n in (600, 450, 105, 50))
IN_A_PROCESS = {".hdf5", ".zip", ".parquet"}
"""Forms that a process of its own reads: a second each, so one in ten of them."""
ODD = (
    "", " ", "-1", "nan", "inf", "1e999", "9" * 40, "∞", "é", "\udcff", "../../etc/passwd", "~/x",
    "$(touch ran)", "; touch ran", "<script>alert(1)</script>", "%00", "None", "[]", "{}", "--",
    "own:../x", "own:", "other:999", "cheetah-vel;", "a" * 5000, "0x10", "1,2", "1..9999999999",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch, shipped):
    """Where everything happens; the sets of the user's own lie below it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(own_sets, "FOLDER", tmp_path / "data" / "own")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(jobs, "OWN", RunStore(tmp_path / "runs"))
    monkeypatch.setattr(jobs, "SHIPPED", RunStore(shipped / "runs"))
    return tmp_path


def valid_files(folder, toy):
    """One small file of every form."""
    demos = record(toy.task(5), 3)
    columns = ("observations", "actions", "rewards")
    rows = [{c: getattr(t, c) for c in columns} for t in demos]
    flat = {c: np.concatenate([row[c] for row in rows]) for c in columns}
    flat["timeouts"] = np.arange(36) % 12 == 11
    save_trajectories(folder / "a.safetensors", demos)
    for protocol in (2, 4, 5):
        (folder / f"toy-5-expert{protocol}.pkl").write_bytes(pickle.dumps(rows, protocol))
    np.savez(folder / "a.npz", **flat)
    np.savez_compressed(folder / "b.npz", **flat)
    table = {"observation.state": list(flat["observations"]), "action": list(flat["actions"])}
    table |= {"next.reward": flat["rewards"], "episode_index": np.repeat([0, 1, 2], 12)}
    pd.DataFrame(table).to_parquet(folder / "a.parquet")
    with h5py.File(folder / "d4rl.hdf5", "w") as file:
        for name, x in flat.items():
            file[name] = x
    there = save_minari(folder / "theirs-v0", demos)
    shutil.copy(there / "data" / "main_data.hdf5", folder / "minari.hdf5")
    shutil.make_archive(str(folder / "minari"), "zip", there)
    shutil.rmtree(there)
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file()}


def damaged(raw, draw, others):
    """Return a file damaged in one of the ways that files are."""
    at = draw.randrange(len(raw))
    way = draw.randrange(9)
    if way == 0:  # cut short
        return raw[:at]
    if way == 1:  # a page of zeros, as a file system leaves it
        return raw[:at] + b"\0" * min(4096, len(raw) - at) + raw[at + 4096 :]
    if way == 2:  # a piece is lost
        return raw[:at] + raw[at + draw.randrange(1, 200) :]
    if way == 3:  # text mode changed the ends of lines
        return raw.replace(b"\n", b"\r\n")
    if way == 4:  # read as text and written again
        return raw.decode("utf-8", errors="replace").encode()
    if way == 5:  # another file's beginning
        return others[draw.randrange(len(others))][:64] + raw[64:]
    if way == 6:  # twice in one
        return raw + raw
    mutated = bytearray(raw)  # bytes in the part that says what is where, or anywhere
    for _ in range(draw.choice([1, 2, 8, 64])):
        mutated[draw.randrange(min(len(raw), 3000) if way == 7 else len(raw))] = draw.randrange(256)
    return bytes(mutated)


def inputs(folder, toy, n, seed):
    """Yield ``n`` names and contents of malformed files."""
    draw, files = random.Random(seed), valid_files(folder, toy)
    names, contents = list(files), list(files.values())
    for path in list(folder.iterdir()):
        if path.is_file():
            path.unlink()
    while n:
        name = draw.choice(names)
        if Path(name).suffix in IN_A_PROCESS and draw.random() > 0.1:
            continue
        worn = draw.choice(names) if draw.random() < 0.2 else name  # under another's name
        n -= 1
        yield worn, damaged(files[name], draw, contents)


def everything(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


def in_words(text):
    """Check what is told: one line, for people."""
    assert text
    assert len(text) < 1500
    assert not any(sign in text for sign in ("Traceback", "\n", "opcode", "\\x00", "0x7f")), text


def test_files(folder, toy, tally):
    outcomes, path = {True: 0, False: 0}, folder / "given"
    for name, content in inputs(folder, toy, FILES, seed=1):
        path.write_bytes(content)
        before = everything(folder)
        report = examine(path, name=name)
        for error in report.errors:
            in_words(error)
        assert report.accepted == (not report.errors)
        assert everything(folder) == before, "nothing written, nothing executed"
        outcomes[report.accepted] += 1
    assert outcomes[False] > FILES // 3
    tally("malformed files, by `import`", FILES)


def test_uploads(folder, toy, tally, monkeypatch):
    monkeypatch.setattr(data, "show_replays", lambda task, names: None)
    page = AppTest.from_function(data_page, default_timeout=60).run()
    given = [
        (name, content)
        for name, content in inputs(folder, toy, 4 * UPLOADS, seed=2)
        if content and (FULL or Path(name).suffix not in IN_A_PROCESS)
    ][:UPLOADS]
    before = everything(folder)
    for name, content in given:
        page.file_uploader[0].set_value((name, content, "application/octet-stream")).run()
        assert not page.exception
        for error in page.error:
            assert "Nothing was kept" in error.value
            assert not any(sign in error.value for sign in ("Traceback", "opcode", "\\x00"))
    assert everything(folder) == before
    tally("malformed uploads on the page Data", len(given))


VERBS = {
    "tasks": ["toy"],
    "methods": ["--family", "toy"],
    "doctor": ["nosuch"],
    "check": ["nosuch"],
    "app": ["--port", "99999"],
    "findings": ["nosuch"],
    "results": ["--files", "nosuch"],
    "notebooks": ["nosuch"],
    "lessons": ["nosuch"],
    "runs": ["--store", "nowhere"],
    "import": ["absent.pkl"],
    "export": ["nosuch"],
    "tune": ["nosuch", "2"],
    "evaluate": ["nosuch", "2"],
    "prompts": ["nosuch"],
    "render": ["nosuch"],
    "sampler": ["nosuch"],
    "values": ["nosuch"],
    "sweep": ["--family", "nosuch"],
    "table": ["99"],
    "collect": ["nosuch"],
    "demos": ["nosuch"],
    "behaviour": ["nosuch"],
    "pretrain": ["nosuch"],
    "diffuser": ["nosuch"],
    "informed": ["nosuch"],
    "critic": ["nosuch"],
    "vae": ["nosuch"],
    "gan": ["nosuch"],
    "hyper": ["nosuch"],
    "record": ["nosuch"],
    "reproduce-assets": ["nosuch"],
}
"""Every verb is asked for something that there is not: it must not begin to work."""


def flags_of(verb):
    """Return the flags of a verb's help."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit):
        called(verb, "--help")
    return sorted(set(re.findall(r"(?<!\S)--[a-z][\w-]*", out.getvalue().replace("[", " "))))


def called(*words):
    sys.argv[1:] = words
    command.main()


def test_flags(folder, monkeypatch, capfd, tally):
    monkeypatch.setattr(sys, "argv", ["workbench"])
    assert set(VERBS) == set(command.VERBS)
    draw, before = random.Random(3), everything(folder)
    asked = [(verb, flag) for verb in VERBS for flag in flags_of(verb) if flag != "--help"]
    draw.shuffle(asked)
    assert len(asked) < FLAGS or not FULL, "each flag of each verb once, some with another"
    for n in range(FLAGS):
        verb, flag = asked[n % len(asked)]
        words = [verb, *VERBS[verb], flag]
        words += [draw.choice(ODD)] if draw.random() < 0.9 else []
        if n >= len(asked) or draw.random() < 0.3:
            words += [draw.choice([flag for v, flag in asked if v == verb]), draw.choice(ODD)]
        capfd.readouterr()
        status = 0
        try:
            called(*words)
        except SystemExit as end:
            status = end.code
        out, err = capfd.readouterr()
        assert status in (0, 1, 2), words
        assert "Traceback" not in out + err, (words, err)
        assert status == 0 or err.strip() or out.strip(), words
        assert not (folder / "ran").exists()
    assert everything(folder) == before, "nothing is written for what makes no sense"
    tally(f"malformed command lines, {len(asked)} flags of {len(VERBS)} verbs", FLAGS)


ASKED = {
    "explore": ("robot", "cheetah-vel-task", "data", "updates", "seed", "view", "a-method",
                "b-lam", "b-projection", "b-guidance", "a-data", "look", "guess-first"),
    "report": ("report-title",),
    "glossary": ("glossary-find",),
    "ablate": ("robot", "data", "lam", "cheetah_vel-lams", "metric"),
    "compare": ("table", "claim", "view", "row-1", "column-1"),
    "data": ("robot", "cheetah-vel-task", "episode"),
    "runs": ("robot", "method", "runs", "cell", "search", "where"),
}  # fmt: skip


def any_page(name):
    import streamlit as st

    from workbench.app import ablate, compare, data, explore, glossary, report, runs

    first = st.Page(explore.page, title="Explore", url_path="explore")
    runs_page = st.Page(lambda: runs.page(first), title="Runs", url_path="runs")
    pages = {
        "explore": lambda: explore.page(),
        "ablate": lambda: ablate.page(runs_page),
        "compare": lambda: compare.page(runs_page),
        "runs": lambda: runs.page(first),
        "data": lambda: data.page(first),
        "report": lambda: report.page(),
        "glossary": lambda: glossary.page(),
    }
    here = st.Page(pages[name], title="Here", default=True)
    st.navigation([here, runs_page, first]).run()


def test_addresses(folder, tally):
    draw, before = random.Random(4), everything(folder)
    for i in range(ADDRESSES):
        name = list(ASKED)[i % len(ASKED)]
        page = AppTest.from_function(any_page, args=(name,), default_timeout=120)
        for _ in range(draw.choice([1, 2, 3])):
            key = draw.choice(ASKED[name]) if draw.random() < 0.9 else "nonsense"
            page.query_params[key] = draw.choice([w for w in ODD if w.isprintable()])
        page.run()
        assert not page.exception, dict(page.query_params)
        assert not [box for box in page.error if "could not be shown" in box.value]
        for box in (*page.warning, *page.error):
            assert "Traceback" not in box.value
    assert everything(folder) == before
    tally("malformed addresses of pages", ADDRESSES)
