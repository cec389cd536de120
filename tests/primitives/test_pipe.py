"""`Pipe`, `Connection`, `connection.wait`: as in the standard library, and beyond it."""

from __future__ import annotations

import array
import os
import pickle
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import connection as stdlib
from multiprocessing import reduction, resource_sharer
from typing import Any

import numpy as np
import pytest

import millpond
from millpond.connection import Client, Connection, Listener, Pipe, wait
from millpond.context import BaseContext

Ends = tuple[Connection, Connection]

LARGE = 3 << 20


@pytest.fixture(params=["fork", "spawn", "forkserver"])
def context(request: pytest.FixtureRequest) -> BaseContext:
    return millpond.get_context(str(request.param))


@pytest.fixture
def sharer() -> Iterator[None]:
    """The standard library's thread that hands out descriptors, which stays until it is told."""
    yield
    resource_sharer.stop()


@pytest.fixture
def ends() -> Iterator[Ends]:
    left, right = Pipe()
    yield left, right
    left.close()
    right.close()


def echo(connection: Connection, other: Connection) -> None:
    """Send everything back, until the end."""
    # As with any pipe, whoever has the other end keeps it open.
    other.close()
    while True:
        try:
            connection.send(connection.recv())
        except EOFError:
            return


@pytest.fixture
def echoing(context: BaseContext) -> Iterator[Connection]:
    """One end, with a child at the other that sends everything back."""
    mine, its = context.Pipe()
    child = context.Process(target=echo, args=(its, mine))
    child.start()
    its.close()
    yield mine
    mine.close()
    child.join()
    assert child.exitcode == 0


VALUES: list[Any] = [
    None,
    True,
    0,
    -(2**63),
    2**200,
    1.5,
    "",
    "text",
    "ü" * 100_000,
    b"",
    b"x" * LARGE,
    (1, "two", b"three"),
    [1, [2, [3]]],
    {"a": {1, 2}, "b": [None]},
    bytearray(b"y" * LARGE),
    range(10),
    [b"z" * 50_000, b"z" * 50_000],
]


@pytest.mark.parametrize("value", VALUES, ids=lambda v: f"{type(v).__name__}-{v!r:.12}")
def test_values_arrive(value: Any, ends: Ends) -> None:
    left, right = ends
    left.send(value)
    received = right.recv()
    assert type(received) is type(value) and received == value


def test_children_send_everything_back(echoing: Connection) -> None:
    for value in VALUES:
        echoing.send(value)
        assert echoing.recv() == value


@pytest.mark.parametrize("length", [10, 10_000, 1_000_000])
def test_arrays_arrive_and_can_be_written(length: int, echoing: Connection) -> None:
    for _ in range(3):
        sent = np.arange(length)
        echoing.send({"array": sent, "name": "x"})
        received = echoing.recv()["array"]
        assert np.array_equal(received, sent)
        received += 1
        assert received[-1] == length


def test_arrays_that_are_kept_stay_as_they_are(ends: Ends) -> None:
    left, right = ends
    kept = []
    for number in range(100):
        left.send(np.full(100_000, number))
        kept.append(right.recv())
    assert all((array == number).all() for number, array in enumerate(kept))


def test_an_array_outlives_its_pipe() -> None:
    left, right = Pipe()
    left.send(np.arange(100_000))
    received = right.recv()
    left.close()
    right.close()
    assert received.sum() == 4999950000


def add_one(number: int) -> int:
    return number + 1


def test_functions_by_reference_and_by_value(echoing: Connection) -> None:
    echoing.send(add_one)
    assert echoing.recv()(1) == 2
    offset = 10
    echoing.send(lambda n: n + offset)
    assert echoing.recv()(1) == 11


def test_bytes_and_objects_mix(ends: Ends) -> None:
    left, right = ends
    for value in VALUES:
        left.send_bytes(pickle.dumps(value))
        assert right.recv() == value
        left.send(value)
        assert pickle.loads(right.recv_bytes()) == value
    left.send([np.arange(100_000), 1])
    assert pickle.loads(right.recv_bytes())[0].sum() == 4999950000


@pytest.mark.parametrize("length", [0, 1, 1000, 40_000, LARGE])
def test_bytes(length: int, ends: Ends) -> None:
    left, right = ends
    data = os.urandom(length)
    for buffer in (data, bytearray(data), memoryview(data)):
        left.send_bytes(buffer)
        assert right.recv_bytes() == data
    left.send_bytes(array.array("B", data))
    assert right.recv_bytes(length) == data
    room = bytearray(length + 5)
    left.send_bytes(data)
    assert right.recv_bytes_into(room, 3) == length
    assert room[3 : length + 3] == data


def test_bytes_of_other_items(ends: Ends) -> None:
    left, right = ends
    numbers = array.array("i", range(1000))
    left.send_bytes(numbers)
    into = array.array("i", [0] * 1000)
    assert right.recv_bytes_into(into) == 4000
    assert into == numbers
    table: Any = np.ones((3, 4))
    left.send_bytes(table)
    assert right.recv_bytes() == np.ones(12).tobytes()


def test_part_of_a_buffer(ends: Ends) -> None:
    left, right = ends
    for buffer in (b"abcdefg", bytearray(b"abcdefg")):
        left.send_bytes(buffer, 2)
        left.send_bytes(buffer, 2, 3)
        left.send_bytes(buffer, 7)
        left.send_bytes(buffer, 0, 0)
        assert [right.recv_bytes() for _ in range(4)] == [b"cdefg", b"cde", b"", b""]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1,), "offset is negative"),
        ((8,), "buffer length < offset"),
        ((2, -1), "size is negative"),
        ((2, 6), "buffer length < offset \\+ size"),
    ],
)
@pytest.mark.parametrize("pipe", [Pipe, vars(stdlib)["Pipe"]])
def test_wrong_part_of_a_buffer(pipe: Any, arguments: tuple[int, ...], message: str) -> None:
    left, right = pipe()
    with left, right:
        with pytest.raises(ValueError, match=f"^{message}$"):
            left.send_bytes(b"abcdefg", *arguments)
        left.send_bytes(b"fine")
        assert right.recv_bytes() == b"fine"


@pytest.mark.parametrize("length", [10, LARGE])
@pytest.mark.parametrize("pipe", [Pipe, vars(stdlib)["Pipe"]])
def test_too_little_room(pipe: Any, length: int) -> None:
    left, right = pipe()
    with left, right:
        sender = threading.Thread(target=left.send_bytes, args=(b"x" * length,))
        sender.start()
        with pytest.raises(millpond.BufferTooShort) as caught:
            right.recv_bytes_into(bytearray(9))
        sender.join()
        assert caught.value.args == (b"x" * length,)
        for offset, message in ((-1, "negative offset"), (10, "offset too large")):
            with pytest.raises(ValueError, match=f"^{message}$"):
                right.recv_bytes_into(bytearray(9), offset)
        left.send_bytes(b"fine")
        assert right.recv_bytes() == b"fine"


@pytest.mark.parametrize("duplex", [True, False])
@pytest.mark.parametrize("pipe", [Pipe, vars(stdlib)["Pipe"]])
def test_a_message_beyond_maxlength(pipe: Any, duplex: bool) -> None:
    right, left = pipe(duplex)
    with left, right:
        with pytest.raises(ValueError, match="negative maxlength"):
            right.recv_bytes(-1)
        left.send_bytes(b"four")
        with pytest.raises(OSError, match="bad message length"):
            right.recv_bytes(3)
        assert right.closed == (not duplex)
        with pytest.raises(OSError, match=r"handle is closed|connection is write-only"):
            right.recv_bytes()
        if duplex:
            right.send("still writable")
            assert left.recv() == "still writable"


def test_wrong_buffers(ends: Ends) -> None:
    left, right = ends
    with pytest.raises(TypeError):
        left.send_bytes("text")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        right.recv_bytes_into(b"not writable")
    left.send(1)
    assert right.recv() == 1


def test_one_way() -> None:
    reader, writer = Pipe(duplex=False)
    with reader, writer:
        assert (reader.readable, reader.writable) == (True, False)
        assert (writer.readable, writer.writable) == (False, True)
        with pytest.raises(OSError, match="connection is read-only"):
            reader.send(1)
        with pytest.raises(OSError, match="connection is read-only"):
            reader.send_bytes(b"")
        for receive in (writer.recv, writer.recv_bytes, writer.poll):
            with pytest.raises(OSError, match="connection is write-only"):
                receive()
        writer.send(1)
        assert reader.recv() == 1


def test_closed(ends: Ends) -> None:
    left, right = ends
    assert not left.closed
    assert left._handle == left.fileno()
    left.close()
    left.close()
    assert left.closed
    assert left._handle is None
    uses: list[Callable[[], Any]] = [
        lambda: left.send(1),
        lambda: left.send_bytes(b""),
        left.recv,
        left.recv_bytes,
        lambda: left.recv_bytes_into(bytearray()),
        left.poll,
        left.fileno,
    ]
    for use in uses:
        with pytest.raises(OSError, match="handle is closed"):
            use()
    assert right.poll()
    with pytest.raises(EOFError):
        right.recv()
    with pytest.raises(BrokenPipeError):
        right.send(1)


def test_a_view_that_is_not_contiguous_is_refused(ends: Ends) -> None:
    left, right = ends
    view = memoryview(b"backwards")[::-1]
    with pytest.raises(TypeError, match="contiguous"):
        right.send_bytes(view)
    left.close()
    with pytest.raises(TypeError, match="contiguous"):
        right.send_bytes(view)


def test_the_end_comes_after_all_that_was_sent(ends: Ends) -> None:
    left, right = ends
    right.send("never read")
    left.send(1)
    left.send(np.zeros(100_000))
    left.close()
    assert right.recv() == 1
    assert right.recv().shape == (100_000,)
    for receive in (right.recv, right.recv_bytes):
        with pytest.raises(EOFError):
            receive()


def test_a_detached_descriptor_stays_open() -> None:
    left, right = Pipe()
    number = left.fileno()
    left._detach()
    left._detach()
    assert left.closed
    with pytest.raises(OSError, match="handle is closed"):
        left.send(1)
    left.close()
    with Connection(number) as again:
        again.send("still there")
        assert right.recv() == "still there"
    with pytest.raises(EOFError):
        right.recv()
    right.close()


def test_detaching_ends_a_wait_in_another_thread() -> None:
    left, right = Pipe()
    number, ended = left.fileno(), []

    def receive() -> None:
        try:
            left.recv()
        except OSError as error:
            ended.append(str(error))

    thread = threading.Thread(target=receive)
    thread.start()
    left._detach()
    thread.join()
    assert ended == ["handle is closed"]
    os.close(number)
    with pytest.raises(EOFError):
        right.recv()
    right.close()


def test_handles_that_are_none() -> None:
    with pytest.raises(ValueError, match="invalid handle"):
        Connection(-1)
    left, right = Pipe()
    with left, right, pytest.raises(ValueError, match="at least one of"):
        Connection(left.fileno(), False, False)


@pytest.mark.parametrize(
    ("duplex", "first", "second"),
    [(True, "readable, writable", "readable, writable"), (False, "readable", "writable")],
)
def test_reprs_tell_the_state(duplex: bool, first: str, second: str) -> None:
    left, right = Pipe(duplex)
    with left, right:
        assert repr(left) == f"<millpond.connection.Connection fd={left.fileno()}, {first}>"
        assert repr(right) == f"<millpond.connection.Connection fd={right.fileno()}, {second}>"
    assert repr(left) == repr(right) == "<millpond.connection.Connection closed>"


def test_stdlib_connections_are_connections_too() -> None:
    left, right = socket.socketpair()
    connection = Connection(left.detach())
    with right, connection:
        assert type(connection) is vars(stdlib)["Connection"]
        assert isinstance(connection, Connection)
        connection.send_bytes(b"hello")
        assert right.recv(100).endswith(b"hello")
    mine, other = Pipe()
    with mine, other:
        assert isinstance(mine, vars(stdlib)["Connection"])


def test_what_does_not_pickle_leaves_the_pipe_usable(ends: Ends) -> None:
    left, right = ends
    with pytest.raises(TypeError, match="cannot pickle"):
        left.send([threading.Lock()])
    left.send("fine")
    assert right.recv() == "fine"


def explode() -> None:
    raise ZeroDivisionError("while unpickling")


class Explosive:
    def __reduce__(self) -> tuple[Any, ...]:
        return explode, ()


def test_what_does_not_unpickle_raises_and_the_next_is_fine(ends: Ends) -> None:
    left, right = ends
    left.send([Explosive(), np.zeros(100_000)])
    left.send("fine")
    with pytest.raises(ZeroDivisionError, match="while unpickling"):
        right.recv()
    assert right.recv() == "fine"


def test_poll(ends: Ends) -> None:
    left, right = ends
    assert not right.poll()
    assert not right.poll(0.01)
    assert not right.poll(-1)
    left.send(1)
    assert right.poll() and right.poll(10) and right.poll(None)
    assert right.recv() == 1
    timer = threading.Timer(0.05, left.send, [2])
    timer.start()
    assert right.poll(None)
    timer.join()


def test_the_descriptor_works_in_select(ends: Ends) -> None:
    left, right = ends
    assert select.select([right], [], [], 0)[0] == []
    left.send(1)
    assert select.select([right], [], [], 10)[0] == [right]


def test_a_signal_handler_runs_while_a_receiver_waits(ends: Ends) -> None:
    left, right = ends
    before = signal.signal(signal.SIGUSR1, lambda *_: left.send("from the handler"))
    try:
        timer = threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGUSR1])
        timer.start()
        assert right.recv() == "from the handler"
        timer.join()
    finally:
        signal.signal(signal.SIGUSR1, before)


class Interrupted(Exception):
    pass


def interrupt(*_: object) -> None:
    raise Interrupted


def test_a_signal_handler_interrupts_a_sender_and_nothing_is_torn(ends: Ends) -> None:
    left, right = ends
    before = signal.signal(signal.SIGUSR1, interrupt)
    sent = 0
    try:
        timer = threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGUSR1])
        try:
            timer.start()
            while True:
                left.send(np.full(100_000, sent))
                sent += 1
        except Interrupted:
            pass
        timer.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    # Interrupted when its message was gone already, or before.
    for number in range(sent + 1):
        if number == sent and not right.poll():
            break
        assert (right.recv() == number).all()
    left.send("end")
    assert right.recv() == "end"


def test_closing_ends_a_wait_in_another_thread(ends: Ends) -> None:
    _, right = ends
    failures: list[BaseException] = []

    def receive() -> None:
        try:
            right.recv()
        except OSError as error:
            failures.append(error)

    thread = threading.Thread(target=receive)
    thread.start()
    time.sleep(0.05)
    right.close()
    thread.join()
    assert [str(error) for error in failures] == ["handle is closed"]


def test_threads_and_processes_may_share_an_end(context: BaseContext) -> None:
    reader, writer = context.Pipe(duplex=False)
    children = [context.Process(target=send_many, args=(writer, n)) for n in range(3)]
    for child in children:
        child.start()
    writer.close()
    received = []
    while True:
        try:
            message = reader.recv()
        except EOFError:
            break
        assert (message[2] == message[1]).all()
        received.append(message[:2])
    for child in children:
        child.join()
    reader.close()
    assert sorted(received) == [(n, i) for n in range(3) for i in range(40)]
    assert all([i for n, i in received if n == child] == list(range(40)) for child in range(3))


def send_many(writer: Connection, number: int) -> None:
    for i in range(40):
        writer.send((number, i, np.full(10 + i % 2 * 50_000, i)))


def test_a_connection_travels_in_messages(sharer: None, echoing: Connection) -> None:
    left, right = Pipe()
    echoing.send([left, lambda: None])
    with echoing.recv()[0] as again, left, right:
        assert type(again) is Connection
        assert again.fileno() != left.fileno()
        again.send("hello")
        assert right.recv() == "hello"


def test_other_handles_travel_in_messages(sharer: None, echoing: Connection) -> None:
    left, right = socket.socketpair()
    echoing.send(left)
    with echoing.recv() as again, left, right:
        again.sendall(b"hello")
        assert right.recv(5) == b"hello"


def send_handle(connection: Connection) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"by handle")
    reduction.send_handle(connection, reader, os.getppid())
    os.close(reader)
    os.close(writer)


def test_handles_can_be_sent_over_the_socket(ends: Ends) -> None:
    left, right = ends
    child = millpond.get_context("fork").Process(target=send_handle, args=(left,))
    child.start()
    descriptor = reduction.recv_handle(right)
    assert os.read(descriptor, 100) == b"by handle"
    os.close(descriptor)
    child.join()


def tell_what_is_in(array: Any, connection: Connection) -> None:
    connection.recv()
    connection.send(set(array.tolist()))


def test_a_forked_child_may_read_what_its_parent_has_dropped(ends: Ends) -> None:
    left, right = ends
    answer, go = millpond.Pipe()
    left.send(np.full(100_000, 1))
    received = right.recv()

    child = millpond.get_context("fork").Process(target=tell_what_is_in, args=(received, go))
    child.start()
    del received
    for _ in range(3):
        left.send(np.full(100_000, 2))
        right.recv()
    answer.send("go")
    assert answer.recv() == {1}
    child.join()
    answer.close()
    go.close()


def test_wait_returns_what_is_ready_in_order(ends: Ends) -> None:
    left, right = ends
    a, b = socket.socketpair()
    with a, b:
        everything: list[Any] = [left, b, right]
        assert wait(everything, 0) == []
        assert wait(everything, 0.01) == []
        left.send(1)
        assert wait(everything) == [right]
        a.send(b"x")
        right.send(2)
        assert wait(everything, 10) == everything
        assert wait(iter([b.fileno()])) == [b.fileno()]
    assert wait([], 0.01) == []


def test_what_is_waited_for_twice_is_returned_twice(ends: Ends) -> None:
    left, right = ends
    left.send(1)
    assert wait([right, left, right]) == [right, right]


def test_a_pipe_has_one_descriptor_besides_its_ends() -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = descriptors()
    left, right = Pipe()
    assert descriptors() - before == 3
    left.close()
    assert descriptors() - before == 2
    right.close()
    assert descriptors() == before


def test_the_descriptor_is_a_socket_of_packets(ends: Ends) -> None:
    left, right = ends
    with socket.socket(fileno=os.dup(right.fileno())) as under:
        assert under.type == socket.SOCK_SEQPACKET
        left.send_bytes(b"in shared memory")
        assert select.select([under], [], [], 10)[0] == [under]
        assert b"in shared memory" not in under.recv(1000, socket.MSG_PEEK)
    assert right.recv_bytes() == b"in shared memory"


def test_wait_for_a_process_and_for_connections_of_both_kinds(context: BaseContext) -> None:
    with Listener(authkey=b"key") as listener:
        clients: list[Any] = []
        thread = threading.Thread(
            target=lambda: clients.append(Client(listener.address, authkey=b"key"))
        )
        thread.start()
        accepted = listener.accept()
        thread.join()
    left, right = context.Pipe()
    child = context.Process(target=right_then_sleep, args=(right,))
    child.start()
    right.close()
    everything: list[Any] = [accepted, left, child.sentinel]
    assert wait(everything) == [left]
    assert left.recv() == "hello"
    clients[0].send("hi")
    assert wait(everything, 10) == [accepted]
    left.send("end")
    assert child.sentinel in wait([child.sentinel])
    child.join()
    for connection in (accepted, left, *clients):
        connection.close()


def right_then_sleep(right: Connection) -> None:
    right.send("hello")
    right.recv()


def test_wait_for_what_has_no_descriptor(ends: Ends) -> None:
    left, right = ends
    wrongs: list[Any] = [object(), "text", -1]
    for wrong in wrongs:
        with pytest.raises(ValueError, match="cannot wait for"):
            wait([left, wrong])
    right.close()
    with pytest.raises(OSError, match="handle is closed"):
        wait([right])


def test_idle_waits_burn_no_processor(ends: Ends) -> None:
    _, right = ends
    before = time.process_time()
    assert not right.poll(1.0)
    assert wait([right], 1.0) == []
    # Two seconds of waiting; spinning through them would take as much.
    assert time.process_time() - before < 0.5


def test_install_gives_ours() -> None:
    import multiprocessing

    millpond.install()
    try:
        from multiprocessing.connection import Pipe as installed_pipe

        assert installed_pipe.__wrapped__ is Pipe  # type: ignore[attr-defined]
        for pipe in (multiprocessing.Pipe, multiprocessing.get_context("spawn").Pipe):
            left, right = pipe()
            with left, right:
                assert type(left) is Connection
                assert isinstance(left, multiprocessing.connection.Connection)
                again = multiprocessing.connection.Connection(os.dup(left.fileno()))
                assert type(again) is Connection
                again.close()
        assert multiprocessing.connection.wait([], 0) == []
    finally:
        millpond.uninstall()
    assert multiprocessing.connection.Pipe is not Pipe


def test_an_installed_pipe_does_not_stop_the_executor_of_the_standard_library() -> None:
    """Nobody receives while it sends itself a message for each task that is submitted."""
    millpond.install()
    try:
        from concurrent.futures import process

        wakeup: Any = vars(process)["_ThreadWakeup"]()
        for _ in range(10_000):
            wakeup.wakeup()
        wakeup.clear()
        wakeup.close()
        context = millpond.get_context("spawn")
        with process.ProcessPoolExecutor(1, mp_context=context) as executor:
            assert list(executor.map(abs, range(-2000, 0))) == list(range(2000, 0, -1))
    finally:
        millpond.uninstall()


def test_a_pipe_may_be_subclassed(ends: Ends) -> None:
    class Counting(Connection):
        sent = 0

        def send(self, obj: object) -> None:
            self.sent += 1
            super().send(obj)

    left, right = ends
    with Counting(os.dup(left.fileno())) as counting:
        counting.send("hello")
        assert (counting.sent, right.recv()) == (1, "hello")
