"""The published files: what is admitted, what is refused by name, and how well they replay.

Set WORKBENCH_PUBLISHED to a folder of published ``.pkl`` files to test on those as well.
"""

import builtins
import io
import os
import pickle
import random
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from workbench.exchange import pickle_reader
from workbench.exchange.pickle_reader import RefusedFile, refuse
from workbench.exchange.prompt_dt_release import named_task, pickled_episodes
from workbench.exchange.raw_episodes import to_trajectories, validated
from workbench.exchange.task_match import find_task
from workbench.tasks import find, make

VEL = find("cheetah-vel")


def record(task, n_episodes=2, n_steps=20):
    """Record episodes of random actions in the published form."""
    rng = np.random.default_rng(0)
    env = make(task)
    episodes = []
    for seed in range(n_episodes):
        rows = {k: [] for k in ("observations", "next_observations", "actions", "rewards")}
        observation, _ = env.reset(seed=seed)
        for _ in range(n_steps):
            action = rng.uniform(-1, 1, 6).astype(np.float32)
            following, reward, *_ = env.step(action)
            for key, value in zip(rows, (observation, following, action, [reward]), strict=True):
                rows[key].append(value)
            observation = following
        episode = {key: np.array(value, np.float32) for key, value in rows.items()}
        episodes.append(episode | {"terminals": np.zeros((n_steps, 1), bool)})
    return episodes


@pytest.fixture(scope="module")
def episodes():
    return record(VEL.task(5))


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write bytes or a value to a file; the simulator's log stays in the folder too."""
    monkeypatch.chdir(tmp_path)

    def to_file(content, name="demos.pkl", protocol=4):
        path = tmp_path / name
        raw = content if isinstance(content, bytes) else pickle.dumps(content, protocol)
        path.write_bytes(raw)
        return path

    return to_file


def read(path):
    """Read a file by its content alone, whatever its name or first bytes."""
    episodes, problems = validated(pickled_episodes(path))
    if problems:
        refuse(problems[0])
    return episodes


def fit(path, family=None, task=None):
    """Return the task of a file, and how well it reproduces the recording."""
    return find_task(read(path), family, task, claim=named_task(path))


def refused(path, *words):
    with pytest.raises(RefusedFile) as caught:
        fit(path)
    message = str(caught.value)
    assert len(message) < 1000
    assert all(word in message for word in words), message
    return message


def test_reads_what_was_written(write, episodes):
    got = read(write(episodes))
    assert len(got) == 2
    for a, b in zip(got, episodes, strict=True):
        assert set(a) == set(b)
        np.testing.assert_array_equal(a["observations"], b["observations"])
        np.testing.assert_array_equal(a["rewards"], b["rewards"][:, 0])
        assert a["rewards"].dtype == np.float32
        assert a["terminals"].dtype == bool


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
def test_every_protocol_and_both_names_of_numpys_core(write, episodes, protocol, core):
    class Renaming(pickle._Pickler):
        """Write the module of NumPy's functions under the name asked for."""

        def save_global(self, obj, name=None):
            module = getattr(obj, "__module__", None) or ""
            if not module.startswith(("numpy._core.", "numpy.core.")):
                return super().save_global(obj, name)
            module = f"{core}.{module.split('.', 2)[2]}"
            if protocol < 4:
                self.write(f"c{module}\n{obj.__name__}\n".encode())
            else:
                self.save(module)
                self.save(obj.__name__)
                self.write(pickle.STACK_GLOBAL)
            self.memoize(obj)

        dispatch = pickle._Pickler.dispatch | {type(len): save_global, type(record): save_global}

    buffer = io.BytesIO()
    Renaming(buffer, protocol).dump(episodes)
    assert f"{core}.".encode() in buffer.getvalue()
    got = read(write(buffer.getvalue()))
    np.testing.assert_array_equal(got[1]["actions"], episodes[1]["actions"])


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize(
    "change",
    [
        np.asfortranarray,
        lambda x: x.astype(">f8"),
        lambda x: x.astype(np.float64),
        lambda x: np.repeat(x, 2, 1)[:, ::2],
    ],
)
def test_layouts_of_arrays(write, episodes, protocol, change):
    changed = [e | {"observations": change(e["observations"])} for e in episodes]
    got = read(write(changed, protocol=protocol))
    np.testing.assert_array_equal(got[0]["observations"], episodes[0]["observations"])


def test_optional_and_extra_keys(write, episodes):
    must = ("observations", "actions", "rewards")
    lean = [{k: e[k] for k in must} | {"infos": {"seed": 2**70, "n": (1, None)}} for e in episodes]
    lean[0]["rewards"] = lean[0]["rewards"][:, 0]
    lean[1]["path_return"] = np.float32(3)
    got = read(write(lean))
    assert all(set(e) == set(must) for e in got)
    assert fit(write(lean)).task.index == 5


def test_our_own_rollout_replays_exactly(write, episodes):
    path = write(episodes)
    found = fit(path)
    assert found.task == VEL.task(5)
    assert found.reward_error < 1e-4
    assert found.state_error < 1e-4
    trajectories = to_trajectories(read(path), found.task)
    returns = [e["rewards"].sum() for e in episodes]
    assert [t.episode_return for t in trajectories] == pytest.approx(returns, abs=1e-3)
    assert trajectories[0].states.shape == (20, 18)


def test_the_direction_is_found_by_the_velocity(write):
    for index in (0, 1):
        task = find("cheetah-dir").task(index)
        assert fit(write(record(task))).task == task


def test_name_that_disagrees_with_the_rewards(write, episodes):
    assert fit(write(episodes, "cheetah_vel-5-prompt-expert.pkl")).task.index == 5
    wrong = write(episodes, "cheetah_vel-6-prompt-expert.pkl")
    refused(wrong, "cheetah-vel 6", "cheetah-vel 5", "0.075")
    assert fit(wrong, task=6).reward_error == pytest.approx(0.075, abs=1e-3)
    assert fit(wrong, "cheetah-vel", 5).reward_error < 1e-4
    refused(write(episodes, "cheetah_vel-77-prompt-expert.pkl"), "cheetah-vel 77")
    assert fit(write(episodes, "unknown-3-prompt-expert.pkl")).task.index == 5


def test_rewards_that_fit_none_or_several(write, episodes):
    shifted = [e | {"rewards": e["rewards"] + 5} for e in episodes]
    refused(write(shifted), "fit no task", "cheetah")
    refused(write(shifted, "cheetah_vel-5-prompt-expert.pkl"), "fit no task")
    assert fit(write(shifted), "cheetah-vel", 5).reward_error > 4
    halfway = [e | {"rewards": e["rewards"] + 0.0375} for e in episodes]
    slow = [e | {"rewards": e["rewards"] * 0 - 0.5} for e in episodes]
    for ambiguous in (halfway, slow):
        refused(write(ambiguous), "fit")


def test_wrong_family_or_task_asked_for(write, episodes):
    path = write(episodes)
    with pytest.raises(ValueError, match="Did you mean"):
        fit(path, "cheeta-vel")
    for task in (40, -1):
        with pytest.raises(ValueError, match="task"):
            fit(path, "cheetah-vel", task)
        with pytest.raises(ValueError, match="task"):
            fit(path, task=task)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda e: e | {"actions": e["actions"] * 1.5}, ["actions", "within ±1"]),
        (lambda e: e | {"rewards": e["rewards"] * np.nan}, ["rewards", "finite", "row 0"]),
        (lambda e: e | {"observations": e["observations"] + np.inf}, ["observations"]),
        (lambda e: e | {"observations": e["observations"].astype("f8") * 1e300}, ["finite"]),
        (lambda e: e | {"observations": e["observations"][:-1]}, ["observations", "one row"]),
        (lambda e: e | {"rewards": e["rewards"].repeat(2, 1)}, ["rewards", "(20, 2)"]),
        (lambda e: e | {"next_observations": e["actions"]}, ["next_observations", "(20, 6)"]),
        (lambda e: e | {"actions": e["actions"][:, 0]}, ["actions", "2 dimension"]),
        (lambda e: e | {"actions": e["actions"].tolist()}, ["actions", "got list"]),
        (lambda e: {k: v for k, v in e.items() if k != "actions"}, ["actions", "'rewards'"]),
        (lambda e: {k: v for k, v in e.items() if k != "terminals"}, ["terminals"]),
        (lambda e: {}, ["got none"]),
        (lambda e: {1: e["actions"]}, ["episode 1 must have", "got '1'"]),
        (lambda e: {(1, 2): e["actions"]}, ["SETITEM", "does not fit"]),
        (lambda e: e | {"rewards": e["rewards"][:0]}, ["rewards", "episode 1", "1 or more rows"]),
    ],
)
def test_arrays_that_do_not_fit(write, episodes, change, words):
    refused(write([episodes[0], change(episodes[1])]), *words)


def test_shapes_that_fit_no_family(write, episodes):
    narrow = [e | {"actions": e["actions"][:, :5]} for e in episodes]
    refused(write(narrow), "(20, 5)", "cheetah-vel (20, 6)")
    refused(write(narrow, "cheetah_vel-5-prompt-expert.pkl"), "columns of cheetah-vel")


def test_state_that_cannot_be_simulated(write, episodes, capfd):
    # A state this far from any that was recorded makes the simulator reset itself.
    far = [e | {"observations": e["observations"] + 9000} for e in episodes]
    refused(write(far), "unstable")


@pytest.mark.parametrize("value", [None, {}, [], [1], [[{}]], "text", 3.5, {"a": 1}, [None]])
def test_containers_of_another_form(write, value):
    refused(write(value), "list of dicts")


# --- files that want to run something -----------------------------------------------------


def text(x):
    return b"\x8c" + bytes([len(x)]) + x.encode()


def program(body, protocol=4):
    return b"\x80" + bytes([protocol]) + body + b"."


class Calls:
    def __init__(self, function, *args):
        self.reduced = function, args

    def __reduce__(self):
        return self.reduced


def test_functions_are_refused_by_name(write, tmp_path):
    flag = tmp_path / "ran"
    touch = f"touch {flag}"
    for protocol in range(2, 6):
        hostile = [
            (Calls(os.system, touch), f"{os.name}.system"),
            (Calls(eval, f"open({str(flag)!r}, 'w')"), ".eval"),
            (Calls(builtins.exec, f"open({str(flag)!r}, 'w')"), ".exec"),
            (Calls(getattr, 1, "real"), ".getattr"),
            (Calls(np.fromfile, "x"), "fromfile"),
            (Calls(np.load, "x"), "load"),
            (Path("x"), "Path"),
        ]
        for payload, name in hostile:
            refused(write([{"observations": payload}], protocol=protocol), name)
    assert not flag.exists()


def test_every_way_to_name_a_function(write, tmp_path):
    flag = tmp_path / "ran"
    arg = text(f"touch {flag}") + b"\x85"
    call = arg + b"R"
    inst = b"(" + text("x") + b"ios\nsystem\n"
    hidden = [
        (b"cos\nsystem\n" + call, "os.system"),
        (text("os") + text("system") + b"\x93" + call, "os.system"),
        # the memo: stored, fetched, overwritten, numbered by MEMOIZE
        (text("os") + b"\x94" + text("system") + b"\x940" + b"h\x00h\x01\x93" + call, "POP"),
        (text("os") + b"\x94" + text("system") + b"\x94h\x00h\x01\x93" + call, "os.system"),
        (
            text("numpy")
            + b"q\x00"
            + text("os")
            + b"q\x00"
            + text("dtype")
            + b"q\x01"
            + text("system")
            + b"q\x01h\x00h\x01\x93"
            + call,
            "os.system",
        ),
        (text("os") + b"r\xff\xff\xff\xff" + text("system") + b"\x93" + call, "os.system"),
        (text("numpy") + text("os") + b"2" + text("system") + b"\x93" + call, "DUP"),
        (text("os") + b"\x85" + text("system") + b"\x93" + call, "STACK_GLOBAL"),
        (b"K\x01" + text("system") + b"\x93" + call, "STACK_GLOBAL"),
        (b"cnumpy dtype\n\n" + call, "numpy.dtype"),
        (b"c\nnumpy dtype\n" + call, "numpy"),
        (b"cnumpy\nndarray.__class__\n" + call, "ndarray.__class__"),
        (b"cnumpy\nload\n" + call, "numpy.load"),
        (b"c__builtin__\neval\n" + call, "__builtin__.eval"),
        (b"c_codecs\nlookup\n" + call, "_codecs.lookup"),
        (inst, "INST"),
        (b"(cos\nsystem\n" + text("x") + b"o", "OBJ"),
        (b"cnumpy\nndarray\n)\x81", "NEWOBJ"),
        (b"cnumpy\nndarray\n)}\x92", "NEWOBJ_EX"),
        (b"\x82\x01", "EXT1"),
        (b"\x83\x01\x00", "EXT2"),
        (b"\x84\x01\x00\x00\x00", "EXT4"),
        (b"Pname\n", "PERSID"),
        (text("x") + b"Q", "BINPERSID"),
        (b"\x97", "NEXT_BUFFER"),
        (b"\x8f", "EMPTY_SET"),
    ]
    for body, word in hidden:
        for protocol in range(2, 6):
            refused(write(program(body, protocol)), word, "byte")
    assert not flag.exists()


def test_admitted_names_cannot_be_turned_against_us(write):
    dtype = b"cnumpy\ndtype\n"
    array = b"cnumpy.core.multiarray\n_reconstruct\n"
    f4 = dtype + text("f4") + b"\x85R"
    frombuffer = b"cnumpy.core.numeric\n_frombuffer\n"
    for body, word in [
        (dtype + text("O8") + b"\x85R", "'O8'"),
        (dtype + text("V99999999") + b"\x85R", "'V99999999'"),
        (dtype + text("S9") + b"\x85R", "'S9'"),
        (dtype + text("f16") + b"\x85R", "'f16'"),
        (dtype + text("f4,O") + b"\x85R", "'f4,O'"),
        (dtype + b"K\x01\x85R", "REDUCE"),
        (f4 + b"(K\x03" + text("<") + b"N" + text("ab") + b"NJ\xff\xff\xff\xfftb", "structured"),
        (f4 + b"}b", "BUILD"),
        (f4 + b"(K\x03" + text("=") + b"NNNtb", "dtype"),
        (b"cnumpy\nndarray\nK\x09\x85R", "ndarray"),
        (array + dtype + b"K\x00\x85C\x01b\x87R", "another class"),
        (array + b"NK\x00\x85C\x01b\x87R", "REDUCE"),
        (b"}" + text("a") + b"\x85b", "BUILD"),
        (b"]K\x01b", "BUILD"),
        (b"N)R", "REDUCE"),
        (b"]K\x01\x85R", "REDUCE"),
        (b"c_codecs\nencode\n" + text("x") + text("rot13") + b"\x86R", "'rot13'"),
        (b"c_codecs\nencode\nX\x03\x00\x00\x00\xe2\x82\xac" + text("latin1") + b"\x86R", "REDUCE"),
        (frombuffer + b"(C\x04abcd" + f4 + b"K\x02\x85" + text("C") + b"tR", "needs 8 bytes"),
        (frombuffer + b"(C\x04abcd" + f4 + b"K\x01\x85" + text("CF") + b"tR", "dimensions"),
        (frombuffer + b"(C\x00" + f4 + b"K\x01K\x00\x86" + text("C") + b"tR", "dimensions"),
        (frombuffer + b"(C\x00" + f4 + b"K\x00\x85" + text("C") + b"tR", "list of dicts"),
        (frombuffer + b"(C\x04abcd" + f4 + b"J\xff\xff\xff\xff\x85" + text("C") + b"tR", "dim"),
        (frombuffer + b"(C\x04abcd" + f4 + b"\x88\x85" + text("C") + b"tR", "REDUCE"),
        (frombuffer + b"(" + text("abcd") + f4 + b"K\x01\x85" + text("C") + b"tR", "got str"),
        (frombuffer + b"(C\x04abcd" + f4 + b"(" + b"K\x01" * 40 + b"t" + text("C") + b"tR", "dim"),
        (
            frombuffer
            + b"(C\x04abcd"
            + f4
            + b"("
            + b"J\xff\xff\xff\x7f" * 4
            + b"t"
            + text("C")
            + b"tR",
            "needs",
        ),
        (b"K\x01K\x02", "left over"),
        (b"(K\x01", "left over"),
        (b"", "STOP"),
        (b"h\x07", "BINGET"),
        (b"t", "TUPLE"),
        (b"}(K\x01u", "SETITEMS"),
        (b"}(" + text("a") + b"u", "SETITEMS"),
    ]:
        refused(write(program(body)), word)
    unfilled = b"]}" + text("observations") + array + b"cnumpy\nndarray\nK\x00\x85C\x01b\x87Rsa"
    refused(write(program(unfilled)), "episode 0")


def test_object_arrays_are_refused(write, tmp_path):
    flag = tmp_path / "ran"
    payload = np.array([Calls(os.system, f"touch {flag}"), None], object)
    for protocol in range(2, 6):
        refused(write([{"observations": payload}], protocol=protocol), "'O8'")
        refused(write([{"observations": np.array([1, "x"], object)}], protocol=protocol), "'O8'")
        for other in (np.array(["2020"], "M8[s]"), np.zeros(1, "f4,i2"), np.array(["text"])):
            refused(write([{"observations": other}], protocol=protocol), "dtype")
    assert not flag.exists()


def test_booleans_are_normalised(write, episodes):
    raw = pickle.dumps([episodes[0]], 4).replace(b"\x00" * 20, b"\x02" * 20)
    assert b"\x02" * 20 in raw
    got = read(write(raw))[0]["terminals"]
    assert set(got.view(np.uint8)) == {1}


# --- bombs, damage, noise -----------------------------------------------------------------


def test_bombs(write, monkeypatch):
    huge = struct.pack("<Q", 2**62)
    for body, word in [
        (b"\x8e" + huge + b"abc", "damaged"),
        (b"\x8d" + huge + b"abc", "damaged"),
        (b"\x96" + huge + b"abc", "damaged"),
        (b"B\xff\xff\xff\x7fabc", "damaged"),
        (b"\x8b\xff\xff\xff\x7fabc", "damaged"),
        (b"\x8b\x04\x00\x00\x00abcd", "LONG4"),
        (b"\x95" + huge + b"N", "list of dicts"),
        (b"I" + b"9" * 10_000 + b"\n", "damaged"),
        (b"L" + b"9" * 10_000 + b"L\n", "damaged"),
        (b"Fx\n", "damaged"),
        (b"F" + b"x" * 10_000 + b"\n", "damaged"),
        (b"X\x02\x00\x00\x00\xff\xff", "damaged"),
        (b"]" * 100_000 + b"a" * 99_999, "list of dicts"),
        (b")" + b"\x85" * 100_000, "list of dicts"),
        (b"(" * 100_000, "STOP"),
        (b"]\x94h\x00a", "list of dicts"),
        (b"N" * (pickle_reader.MAX_OPCODES + 1), "opcodes"),
        # a tuple of 2^60 leaves as a key: hashing it would not end
        (
            b"}K\x01"
            + b"\x94h\x00\x86"
            + b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(1, 60))
            + b"Ns",
            "SETITEM",
        ),
    ]:
        refused(write(program(body)), word)
    monkeypatch.setattr(pickle_reader, "MAX_FILE_BYTES", 1000)
    refused(write(b"\x80\x04" + b"N" * 2000), "larger")


def test_one_array_shared_many_times(write, episodes, monkeypatch):
    shared = write(episodes[:1] * 30_000)
    assert shared.stat().st_size < 1_000_000
    refused(shared, "transitions")
    monkeypatch.setattr(pickle_reader, "MAX_ARRAY_BYTES", 10_000)
    refused(write([{"a": np.zeros(2000), "b": np.ones(2000)}]), "MiB")
    encode = b"c_codecs\nencode\nX\x88\x13\x00\x00" + b"x" * 5000 + text("latin1") + b"\x86"
    again = b"\x94c_codecs\nencode\nh\x00R0"
    refused(write(program(b"(" + encode + (b"\x94c_codecs\nencode\nh\x00R") * 9 + b"t")), "MiB")
    refused(write(program(encode + again)), "POP")


def test_damaged_files(write, episodes, tmp_path):
    raw = pickle.dumps(episodes, 4)
    rng = random.Random(0)
    for n in [0, 1, 2, len(raw) - 1] + [rng.randrange(len(raw)) for _ in range(50)]:
        refused(write(raw[:n]))
    refused(write(raw + raw), "bytes follow the end")
    refused(write(raw + b"\n"), "1 bytes follow")
    refused(write(raw[:2] + b"N." + raw[2:]), "bytes follow")
    refused(write(raw[:-1] + raw), "PROTO")
    refused(write(b""), "no pickle")
    refused(write(b"\x89PNG\r\n\x1a\n"), "no pickle")
    refused(write(pickle.dumps(episodes, 0)), "no pickle")
    refused(write(b"\x80\x06N."), "no pickle")
    for n in (2, 50, 5000):
        refused(write(rng.randbytes(n)))
        refused(write(b"\x80\x04" + rng.randbytes(n)))
    refused(tmp_path / "absent.pkl", "no such file")
    refused(tmp_path, "no such file")


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_random_mutations_are_read_or_refused(write, protocol, capfd):
    raw = pickle.dumps(record(VEL.task(5), n_steps=3), protocol)
    rng = random.Random(protocol)
    outcomes = set()
    for _ in range(100):
        mutated = bytearray(raw)
        for _ in range(rng.choice([1, 1, 2, 5])):
            at = rng.randrange(len(mutated))
            if rng.random() < 0.2:
                del mutated[at]
            else:
                mutated[at] = rng.randrange(256)
        try:
            fit(write(bytes(mutated)), "cheetah-vel", 5)
            outcomes.add("read")
        except RefusedFile:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


# --- the published files themselves -------------------------------------------------------

FOLDER = os.environ.get("WORKBENCH_PUBLISHED")
FILES = sorted(Path(FOLDER).glob("cheetah_*.pkl")) if FOLDER else []
needs_files = pytest.mark.skipif(
    not FILES, reason="set WORKBENCH_PUBLISHED to a folder of published .pkl files"
)


@needs_files
def test_published_files_replay():
    for path in FILES:
        found, rewards = fit(path), [e["rewards"] for e in read(path)]
        family, index = path.name.split("-")[:2]
        assert found.task == find(family.replace("_", "-")).task(int(index))
        assert (len(rewards), sum(map(len, rewards))) == (5, 1000)
        # float32 precision: our simulator is the one they were recorded in (tasks/inertia.py).
        assert found.reward_error < 1e-6, found
        assert found.state_error < 1e-5, found


@needs_files
def test_published_tasks_are_found_without_the_name(tmp_path):
    for path in FILES[::4]:
        copy = shutil.copy(path, tmp_path / "some demonstrations.pkl")
        assert fit(copy).task == fit(path).task


@needs_files
def test_published_file_under_another_name(tmp_path):
    path = next(p for p in FILES if "vel" in p.name)
    task = fit(path).task
    wrong = tmp_path / f"cheetah_vel-{task.index + 1}-prompt-expert.pkl"
    refused(shutil.copy(path, wrong), f"{task}", "Name family and task")
