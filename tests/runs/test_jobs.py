"""One thread owns one stream; any number of readers see what it has yielded."""

import threading

import pytest

from workbench.runs.jobs import Job


class Source:
    """A stream that yields when it is told to, and knows who asked for the next item."""

    def __init__(self, n=1000, fail_at=None):
        self.n, self.fail_at = n, fail_at
        self.allowed, self.reached = threading.Semaphore(0), threading.Semaphore(0)
        self.threads, self.inside, self.overlap, self.closed = set(), 0, False, threading.Event()

    def __iter__(self):
        return self._stream()

    def _stream(self):
        try:
            for i in range(self.n):
                self.threads.add(threading.get_ident())
                self.inside += 1
                self.overlap |= self.inside > 1
                self.reached.release()
                assert self.allowed.acquire(timeout=10)
                self.inside -= 1
                if i == self.fail_at:
                    raise RuntimeError("the disk is full")
                yield i
        finally:
            self.closed.set()

    def give(self, n):
        for _ in range(n):
            self.allowed.release()

    def wait_for(self, n):
        """Wait until the stream is busy with its n-th item."""
        for _ in range(n):
            assert self.reached.acquire(timeout=10)


@pytest.fixture
def source():
    made = Source()
    yield made
    made.give(made.n)


def start(source):
    return Job(lambda: iter(source))


def test_a_job_collects_what_its_stream_yields():
    job = Job(lambda: iter_of(range(5)))
    assert job.wait(10)
    assert job.items == [0, 1, 2, 3, 4]
    assert not job.running
    assert not job.stopped
    assert job.error is None


def iter_of(items):
    yield from items


def test_readers_see_a_growing_list_without_waiting(source):
    job = start(source)
    source.wait_for(1)
    assert (job.items, job.running) == ([], True)
    source.give(3)
    source.wait_for(3)
    assert (job.items, job.running) == ([0, 1, 2], True)
    assert not job.wait(0.01)


def test_the_list_that_was_read_is_a_copy(source):
    job = start(source)
    source.give(2)
    source.wait_for(3)
    seen = job.items
    seen.clear()
    assert job.items == [0, 1]


def test_stop_freezes_the_items_at_once(source):
    """The item in flight is dropped, though the stream has not noticed yet."""
    job = start(source)
    source.give(2)
    source.wait_for(3)
    job.stop()
    assert job.stopped
    assert not job.running
    frozen = job.items
    source.give(5)
    assert job.wait(10)
    assert job.items == frozen == [0, 1]
    assert source.closed.is_set(), "the stream was closed"
    assert job.error is None


def test_stopping_twice_or_after_the_end_is_harmless():
    job = Job(lambda: iter_of([1]))
    assert job.wait(10)
    job.stop()
    job.stop()
    assert job.items == [1]


@pytest.mark.parametrize("fail_at", [0, 2])
def test_an_error_is_kept_beside_what_came_before(fail_at):
    source = Source(fail_at=fail_at)
    source.give(10)
    job = start(source)
    assert job.wait(10)
    assert str(job.error) == "the disk is full"
    assert job.items == list(range(fail_at))
    assert not job.running
    assert source.closed.is_set()


def test_an_error_while_the_stream_is_built_is_kept():
    def make():
        raise ValueError("no such file")

    job = Job(make)
    assert job.wait(10)
    assert str(job.error) == "no such file"
    assert (job.items, job.running) == ([], False)


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_any_iterator_will_do():
    job = Job(lambda: iter([1, 2, 3]))
    assert job.wait(10)
    assert (job.items, job.error) == ([1, 2, 3], None)


def test_the_stream_is_built_and_run_in_one_thread_of_its_own(source):
    built = []

    def make():
        built.append(threading.get_ident())
        return iter(source)

    job = Job(make)
    source.give(20)
    source.wait_for(20)
    assert source.threads == set(built)
    assert threading.get_ident() not in built
    job.stop()


def test_many_readers_never_ask_for_the_next_item_and_never_break():
    source, failures = Source(n=300), []
    job = start(source)

    def read():
        try:
            last = 0
            while job.running:
                items = job.items
                assert items == list(range(len(items)))
                assert len(items) >= last
                last = len(items)
        except BaseException as error:
            failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    source.give(300)
    assert job.wait(20)
    for reader in readers:
        reader.join(10)
    assert failures == []
    assert len(job.items) == 300
    assert len(source.threads) == 1
    assert not source.overlap


def test_the_thread_does_not_keep_the_process_alive(source):
    job = start(source)
    assert [t for t in threading.enumerate() if t is job._thread and t.daemon]
