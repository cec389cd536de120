"""Blocks of shared memory that a process finds by name: `multiprocessing`'s names, without files.

A block without a name of the program's choice, `SharedMemory(create=True, size=n)`, is anonymous
memory. Nothing of it is in `/dev/shm`, no size of that bounds it, and no resource tracker knows it.
Its `name` is a text with which any process of the same user attaches to it:

- **As long as** the process that created it lives, closed or not, and after that as long as some
  process that attached to it, or inherited it, has not closed it. When all of these have ended,
  however they ended, the memory is gone.
- **Until** somebody calls `unlink()`. Then nobody can attach any more, and the memory goes when all
  that have it have closed it or ended.

So what a process creates and hands over by name does not outlive the process unless the other one
has attached by then; with the standard library it does, and leaks if nobody unlinks it. A child of
`multiprocessing` that ends by itself waits up to five seconds for somebody to attach.

A block with a name of the program's choice, `SharedMemory("name", create=True, size=n)`, is the
exception: that asks for a named object of the system, and is the standard library's, resource
tracker and all. So are all blocks of a program that replaced `_make_filename`, the function of
`multiprocessing.shared_memory` that names them.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import re
import secrets
import sys
import time
import types
from collections import OrderedDict
from multiprocessing import process, util
from multiprocessing import shared_memory as _stdlib

from millpond import _handles
from millpond._version import load_engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.shared_memory import ShareableList as _ShareableList
    from multiprocessing.shared_memory import SharedMemory as _SharedMemory
    from typing import Any
else:
    # While millpond is installed, the module's attributes are the classes of this one.
    _ShareableList, _SharedMemory = map(vars(_stdlib).get, ("ShareableList", "SharedMemory"))

__all__ = ["ShareableList", "SharedMemory"]

_NAME = re.compile(r"millpond_([0-9]+)_[0-9a-f]{16}", re.ASCII)
"""The creator's pid, so that it is asked first, and something that nobody else has."""

# How that is kept track of, without anything but the memory's own file:
#
# - Whoever has a block open has two descriptions of its file. One is the mapping's (`mmap` keeps a
#   duplicate of the descriptor that it is given), with a shared lock (flock). A forked child shares
#   its parent's, and so holds the lock as long as it has the block mapped, whatever the parent
#   does. The kernel drops the locks of the dead. The other one, `_fd`, has no lock; it is what
#   remains after the mapping, so that closing a block needs no new descriptor.
# - A creator that closes a block keeps `_fd`, for others to find.
# - After the unlinking, whoever closes a block tries to lock it exclusively. Where that succeeds,
#   nobody has it open, nobody will, and its memory is given back although creators may keep empty
#   files until they look.
#
# Seals are kept by the kernel, with the memory, and are never taken back. This one, which forbids
# further ones, says that the block is unlinked: adding it fails for all but the first who tries.
_UNLINKED = fcntl.F_SEAL_SEAL

# And this one, which forbids what nobody does, that another process than the creator has attached.
_ATTACHED = fcntl.F_SEAL_GROW

# What says of this process that it has no descriptor left, and nothing of the file.
_WANT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)

# Descriptors of blocks that this process created and closed, by name. They are what others find
# the blocks by.
_kept: dict[str, int] = {}

# Those of them that nobody is at. Who takes one out of here, which is one step, may use the
# descriptor and close it, without a lock: a thread, a signal handler or the garbage collector may
# come between any two steps.
_idle: OrderedDict[str, int] = OrderedDict()

# At how many of them each call looks, the longest unseen first: whether somebody else has unlinked
# them.
_LOOKS = 4


class SharedMemory(_SharedMemory):
    """A block of memory that processes share; see the module for how long it lives.

    Args:
        name: of the block to attach to. With `create`, a name for an object of the system; None,
            the default, for anonymous memory, which gets a name of millpond's.
        create: make a new block.
        size: of the new block, in bytes.
        track: whether the resource tracker of the standard library is told of a block with a name
            of the program's choice; heeded from Python 3.13 on.

    Raises:
        ValueError: the size is not positive, or there is neither a name nor `create`.
        FileNotFoundError: no block has the name: it was unlinked, or nobody who has it lives.
        FileExistsError: `create`, and there is an object of this name.
        MemoryError: the size is more than this machine has.

    Example:
        >>> from millpond.shared_memory import SharedMemory
        >>> block = SharedMemory(create=True, size=5)
        >>> block.buf[:] = b"hello"
        >>> other = SharedMemory(block.name)  # here or in another process
        >>> bytes(other.buf)
        b'hello'
        >>> other.close(); block.close(); block.unlink()
    """

    # What the base class has; its stubs do not tell.
    _name: str
    _fd: int
    _mmap: Any
    _buf: Any
    _size: int
    # The process in which an anonymous block was created; None if this object attached to one.
    _creator: int | None = None
    _anonymous = False
    # Whether nobody had unlinked the block when this object, which attached to it, was closed.
    _left_linked = False

    def __init__(
        self, name: str | None = None, create: bool = False, size: int = 0, *, track: bool = True
    ) -> None:
        _look_for_unlinked()
        if create and name is None and size > 0 and not _names_are_the_program_s():
            self._create(size)
        elif not create and name is not None and _NAME.fullmatch(name):
            self._map(_find(name), name)
            _note_attachment(self._fd, name)
        elif sys.version_info >= (3, 13):
            super().__init__(name, create, size, track=track)
        else:
            super().__init__(name, create, size)

    def _create(self, size: int) -> None:
        load_engine().could_hold(size)
        name = f"millpond_{os.getpid()}_{secrets.token_hex(8)}"
        fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(fd, size)
        except BaseException:
            os.close(fd)
            raise
        self._map(fd, name)
        self._creator = os.getpid()
        _wait_at_exit()

    def _map(self, fd: int, name: str) -> None:
        """Take over a descriptor of a block, without a lock, and map the block."""
        try:
            self._map_locked(fd, name)
        except BaseException:
            # It may have had the lock for a moment, and so have kept others from this.
            _give_back(fd)
            os.close(fd)
            raise
        self._buf = memoryview(self._mmap)
        self._fd, self._name, self._anonymous = fd, name, True

    def _map_locked(self, fd: int, name: str) -> None:
        locked = _open(f"/proc/self/fd/{fd}")
        try:
            # In this order: who unlinks it and then finds no lock has made sure of this one.
            fcntl.flock(locked, fcntl.LOCK_SH | fcntl.LOCK_NB)
            if _is_unlinked(locked):
                raise _not_found(name)
            self._size = os.fstat(locked).st_size
            self._mmap = mmap.mmap(locked, self._size)
        except BlockingIOError:
            # Its memory is just being given back.
            raise _not_found(name) from None
        finally:
            os.close(locked)

    def close(self) -> None:
        """Give up this object's access to the memory. The block stays until it is unlinked.

        Raises:
            BufferError: views of the memory are in use.
        """
        if not self._anonymous or self._fd < 0:
            super().close()
            return
        fd, self._fd = self._fd, -1
        try:
            super().close()
        except BaseException:
            self._fd = fd
            raise
        if self._creator == os.getpid():
            _keep(self._name, fd)
            _look_for_unlinked()
        else:
            self._left_linked = not _is_unlinked(fd)
            _give_back(fd)
            os.close(fd)

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        # What is left when the interpreter ends, its modules half gone, goes with the process.
        if not is_finalizing():
            super().__del__()

    def unlink(self) -> None:
        """See to it that nobody can attach any more, and that the memory goes when it is closed.

        Raises:
            FileNotFoundError: the block was unlinked already, or nobody who has it lives.
        """
        if not self._anonymous:
            super().unlink()
            return
        if self._fd >= 0:
            _unlink(self._fd, self._name)
        elif (kept := _idle.pop(self._name, None)) is not None:
            try:
                _unlink(kept, self._name)
            finally:
                _let_go(self._name, kept)
        else:
            self._unlink_elsewhere()
        _look_for_unlinked()

    def _unlink_elsewhere(self) -> None:
        left_linked, self._left_linked = self._left_linked, False
        try:
            found = _find(self._name)
        except FileNotFoundError:
            if left_linked:
                # It went when this process, the last that had it, closed it.
                return
            raise
        try:
            _unlink(found, self._name)
        finally:
            os.close(found)


def _with_our_memory(function: Any) -> Any:
    """Return a function of the standard library's module that makes blocks of ours."""
    names = {**vars(_stdlib), "SharedMemory": SharedMemory}
    ours = types.FunctionType(
        function.__code__, names, function.__name__, function.__defaults__, function.__closure__
    )
    ours.__kwdefaults__ = function.__kwdefaults__
    ours.__doc__ = function.__doc__
    return ours


class ShareableList(_ShareableList):  # type: ignore[type-arg]
    """A list of fixed length, of plain values, in a `SharedMemory`: that of the standard library.

    Example:
        >>> from millpond.shared_memory import ShareableList
        >>> values = ShareableList(["one", 2, 3.0, None])
        >>> values[1] = 20
        >>> list(ShareableList(name=values.shm.name))  # here or in another process
        ['one', 20, 3.0, None]
        >>> values.shm.close(); values.shm.unlink()
    """

    # All that it does is right, but for the class of which it makes its memory.
    __init__ = _with_our_memory(_ShareableList.__init__)


def _note_attachment(fd: int, name: str) -> None:
    if _NAME.fullmatch(name)[1] != str(os.getpid()):  # type: ignore[index]
        try:
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _ATTACHED)
        except PermissionError:
            # It was just unlinked.
            pass


# The process that will wait at its end.
_waiting: int | None = None


def _wait_at_exit() -> None:
    """See to it that a child which creates a block does not end before its name was made use of."""
    global _waiting
    if _waiting != os.getpid() and process.parent_process() is not None:
        _waiting = os.getpid()
        util.Finalize(None, _wait_for_attachments, exitpriority=-200)


def _wait_for_attachments() -> None:
    end = time.monotonic() + _handles.GRACE
    while _has_blocks_of_its_own() and time.monotonic() < end:
        time.sleep(0.005)


def _has_blocks_of_its_own() -> bool:
    """Return whether there is a block of which nobody else has taken notice."""
    own = f"/memfd:millpond_{os.getpid()}_"
    for number in _listing("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{number}").startswith(own):
                seals = fcntl.fcntl(int(number), fcntl.F_GET_SEALS)
                if not seals & (_UNLINKED | _ATTACHED):
                    return True
        except OSError:
            # Another thread has closed it.
            continue
    return False


def _names_are_the_program_s() -> bool:
    """Return whether the function that names blocks has been replaced."""
    names: object = vars(_stdlib)["_make_filename"]
    return getattr(names, "__globals__", None) is not vars(_stdlib)


def _find(name: str) -> int:
    """Return a new descriptor of an anonymous block."""
    creator = _NAME.fullmatch(name)[1]  # type: ignore[index]
    for pid in _candidates(creator):
        for number in _listing(f"/proc/{pid}/fd"):
            path = f"/proc/{pid}/fd/{number}"
            if not _is_block(path, name):
                continue
            try:
                fd = _open(path)
            except OSError as error:
                if error.errno in _WANT:
                    raise
                continue
            # It may have become another file between the look and the opening.
            if _is_block(f"/proc/self/fd/{fd}", name):
                return fd
            os.close(fd)
    raise _not_found(name)


def _open(path: str) -> int:
    """Return a descriptor with a description of its own, whatever file it is by now."""
    return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)


def _candidates(creator: str) -> Iterator[str]:
    """Yield the processes that may have a block, the likely ones first."""
    yield "self"
    yield creator
    for pid in _listing("/proc"):
        if pid.isdigit() and pid != creator:
            yield pid


def _listing(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError as error:
        if error.errno in _WANT:
            raise
        # The process has ended, or is another user's.
        return []


def _is_block(path: str, name: str) -> bool:
    try:
        return os.readlink(path) == f"/memfd:{name} (deleted)"
    except OSError:
        return False


def _is_unlinked(fd: int) -> bool:
    return bool(fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _UNLINKED)


def _give_back(fd: int) -> None:
    """Give an unlinked block's memory back, if nobody else has it open. Its lock is then gone."""
    if not _is_unlinked(fd):
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    os.ftruncate(fd, 0)


def _not_found(name: str) -> FileNotFoundError:
    message = "no such shared memory: it was unlinked, or no process that has it lives"
    return FileNotFoundError(errno.ENOENT, message, name)


def _unlink(fd: int, name: str) -> None:
    try:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _UNLINKED)
    except PermissionError:
        raise _not_found(name) from None
    _give_back(fd)


def _keep(name: str, fd: int) -> None:
    _kept[name] = _idle[name] = fd


def _let_go(name: str, fd: int) -> None:
    """Close a descriptor that was kept; the caller has taken it out of those that are idle."""
    del _kept[name]
    os.close(fd)


def _look_for_unlinked() -> None:
    for _ in range(min(_LOOKS, len(_idle))):
        try:
            name, fd = _idle.popitem(last=False)
        except KeyError:
            # Others are at the rest.
            return
        if _is_unlinked(fd):
            _give_back(fd)
            _let_go(name, fd)
        else:
            _idle[name] = fd


def _leave_to_parent() -> None:
    """In a forked child: the process that created the blocks is the one to keep them."""
    _idle.clear()
    while _kept:
        os.close(_kept.popitem()[1])


os.register_at_fork(after_in_child=_leave_to_parent)
