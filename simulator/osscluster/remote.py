"""Objects that live in another process: stand-ins for them here, and the loop that serves them there.

A stand-in forwards whatever it is asked to the object that its path of attributes leads to, so it needs no list of
methods: what the class gets tomorrow works. What travels is copied (pickle over a socket pair that nobody else holds):

- arguments, results and exceptions travel by value; a change of a result changes nothing over there;
- an attribute travels by value when its value is immutable (text, numbers, tuples, frozen dataclasses), otherwise what
  comes back is a stand-in for it: `service.cnames["www.example.com"] = "bucket"` reaches the real dictionary;
- the content of a large object stays there and is fetched when it is read;
- an exception has the other process's traceback as its cause;
- private names are private: they are not served.

What the other process logs is logged here too, with the next answer. What it logs below `_DEFECTS` with a traceback is
a mistake in the simulation, not an answer: the next call raises it as a ClusterError.

`Remote` and the stand-ins may be used from any thread, one call at a time; not from a forked child. `serve` belongs to
the thread that called it.
"""

from __future__ import annotations

import contextlib
import copyreg
import io
import logging
import os
import pickle
import signal
import socket
import struct
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import partial
from inspect import getattr_static
from types import FunctionType, MethodDescriptorType
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

from osscloud.admin import ObjectView
from osscloud.blob import Content, cut
from osscloud.faults import FaultedResponse
from osscloud.message import Body, Response
from osscluster.errors import CallTimeout, ClusterError, ProcessDied

if TYPE_CHECKING:
    from osscluster.spawner import Process

__all__ = ["Remote", "serve"]

T = TypeVar("T")
Path = tuple[int | str, ...]
"""The number of an object, then names of attributes."""

_DEFECTS = "osscloud"
_PARAMETERS = "__dataclass_params__"
_LENGTH = struct.Struct("=Q")
_INLINE = 64 * 1024
"""Bytes of content that travel with their object."""
_END_SECONDS = 10.0  # how long a process that was told to end may take
_PIECE = 4 * 1024 * 1024
_RECORDS = 1000
_METHODS = (FunctionType, MethodDescriptorType, staticmethod, classmethod)
_VIEWS: tuple[type, ...] = (type({}.keys()), type({}.values()), type({}.items()))
_logger = logging.getLogger(__name__)
_IMMUTABLE = (bool, int, float, complex, str, bytes, tuple, frozenset, Enum, type, type(None))


class _Traceback(Exception):
    """What the other process printed; the cause of an exception that came from there."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


# --- this side --------------------------------------------------------------------------------------------------------


class Remote:
    """The connection to a process that runs `serve`.

    name: what messages call it. errors: descriptor of the file that is its standard error; this object closes it.
    timeout: seconds that a call may take; afterwards the process is killed and CallTimeout raised.

    Every call raises, besides what the object itself raises: ProcessDied when the process has ended, ClusterError when
    it has met a defect of its own or when this connection can't be used (a forked child, an earlier interruption).
    """

    def __init__(self, process: Process, connection: socket.socket, *, name: str, errors: int, timeout: float) -> None:
        self.process = process
        self.name = name
        self._connection = connection
        self._answers = connection.makefile("rb")
        self._errors = errors
        self.timeout = timeout
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._released: list[int] = []
        self._unusable = ""
        self._closed = False

    def make(self, factory: Callable[..., T], *arguments: object) -> T:
        """Calls `factory` over there, a function or class of a module; a stand-in for what it gives. Arguments that are
        stand-ins of this connection reach it as what they stand for."""
        sent = tuple(_Reference(one._path) if isinstance(one, _StandIn) else one for one in arguments)
        return cast(T, self.ask("make", factory, sent))

    def forget(self) -> None:
        """Everything that was made: stand-ins and content not read yet lead nowhere from now on."""
        self.ask("forget")

    def usable(self) -> bool:
        """Whether it can be asked: the process runs, nothing was interrupted."""
        return not self._unusable and self.process.poll() is None

    def ask(self, what: str, *operands: object) -> Any:
        """One request and its answer."""
        if os.getpid() != self._owner:
            raise ClusterError(f"{self.name} was started by process {self._owner}, not by its forked child")
        with self._lock:
            released, self._released = self._released, []
            answer = self._exchange(what, (what, operands, released))
            kind, value, records = _Unpickler(io.BytesIO(answer), self).load()
        defects = [_log(record) for record in records]
        if kind == "raised":
            error, text = value
            if isinstance(error, tuple):
                error = _rebuilt(*error)
            raise error from _Traceback(text)
        if any(defects):
            raise ClusterError(f"{self.name} (pid {self.process.pid}) met a defect of its own:\n" + "\n".join(defects))
        if kind == "reference":
            return _stand_in(self, *value)
        return value

    def release(self, number: int) -> None:
        """The content of that number is not needed any more. Called whenever the garbage collector runs."""
        self._released.append(number)

    def close(self) -> None:
        """Ends the process; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        if self._unusable:
            # It may still be at the call that was given up.
            self.process.send_signal(signal.SIGKILL)
        self._unusable = self._unusable or "has been closed"
        self._answers.close()
        self._connection.close()
        if self.process.wait(_END_SECONDS) is None:
            self.process.end(signal.SIGKILL)
        os.close(self._errors)

    def output(self) -> str:
        """What the process has written to its standard error so far, "" after `close`."""
        if self._closed:
            return ""
        return os.pread(self._errors, os.fstat(self._errors).st_size, 0).decode("utf-8", "replace").strip("\n")

    def _exchange(self, what: str, message: object) -> bytes:
        if self._unusable:
            raise ClusterError(f"{self.name} (pid {self.process.pid}) {self._unusable}")
        try:
            payload = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise TypeError(f"{what} for {self.name}: this can't travel to another process: {error}") from error
        try:
            self._connection.settimeout(self.timeout)
            # A request is small, or large enough for the copy not to matter.
            self._connection.sendall(_LENGTH.pack(len(payload)) + payload)
            answer = _receive(self._answers)
        except TimeoutError:
            self.process.send_signal(signal.SIGKILL)
            self._unusable = f"was killed: {what} was not answered within {self.timeout:g} s"
            raise CallTimeout(f"{self.name} (pid {self.process.pid}) {self._unusable}") from None
        except (BrokenPipeError, ConnectionResetError):
            answer = None
        except BaseException:
            # Interrupted in the middle (Ctrl-C): what comes next on this socket would answer the wrong call.
            self._unusable = f"can't be asked any more: {what} was interrupted"
            raise
        if answer is None:
            code = self.process.wait(self.timeout)
            raise ProcessDied(
                f"{self.name} (pid {self.process.pid}) ended, exit code {code}:\n{self.output() or '(no output)'}"
            )
        return answer


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a stand-in has to know of a class. items: whether it has some, as a list or a dictionary."""

    name: str
    methods: frozenset[str]
    items: bool


class _StandIn:
    """Forwards attributes and calls."""

    __slots__ = ("_kind", "_path", "_remote")

    def __init__(self, remote: Remote, kind: _Kind, path: Path) -> None:
        object.__setattr__(self, "_remote", remote)
        object.__setattr__(self, "_kind", kind)
        object.__setattr__(self, "_path", path)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{self!r} has no {name!r}")
        path = (*self._path, name)
        if name in self._kind.methods:
            return partial(_call, self._remote, path)
        return self._remote.ask("read", path)

    def __setattr__(self, name: str, value: object) -> None:
        _call(self._remote, (*self._path, "__setattr__"), name, value)

    def __call__(self, *arguments: object, **named: object) -> Any:
        return _call(self._remote, self._path, *arguments, **named)

    def __repr__(self) -> str:
        return f"<{self._kind.name} in {self._remote.name} (pid {self._remote.process.pid})>"

    def __reduce_ex__(self, protocol: object) -> str:
        raise TypeError(f"{self!r} can't be copied or sent")


class _Container(_StandIn):
    """For what has items: the operators look at the type, not at `__getattr__`."""

    __slots__ = ()

    def __len__(self) -> int:
        return cast(int, _call(self._remote, (*self._path, "__len__")))

    def __getitem__(self, index: object) -> Any:
        return _call(self._remote, (*self._path, "__getitem__"), index)

    def __setitem__(self, index: object, value: object) -> None:
        _call(self._remote, (*self._path, "__setitem__"), index, value)

    def __delitem__(self, index: object) -> None:
        _call(self._remote, (*self._path, "__delitem__"), index)

    def __contains__(self, item: object) -> bool:
        return cast(bool, _call(self._remote, (*self._path, "__contains__"), item))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._remote.ask("items", self._path))


def _stand_in(remote: Remote, kind: _Kind, path: Path) -> _StandIn:
    return (_Container if kind.items else _StandIn)(remote, kind, path)


def _call(remote: Remote, path: Path, /, *arguments: object, **named: object) -> Any:
    return remote.ask("call", path, arguments, named)


class _RemoteContent:
    """Content that stayed over there. Implements `message.Blob`; read after the process has ended it raises."""

    def __init__(self, remote: Remote, number: int, size: int) -> None:
        self._remote = remote
        self._number = number
        self._size = size

    def __len__(self) -> int:
        return self._size

    def chunks(self) -> Iterator[bytes]:
        for start in range(0, self._size, _PIECE):
            yield self._remote.ask("content", self._number, start, min(start + _PIECE, self._size))

    def __del__(self) -> None:
        self._remote.release(self._number)


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, remote: Remote) -> None:
        super().__init__(file)
        self._remote = remote

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        return partial(_RemoteContent, self._remote) if found is _RemoteContent else found


def _log(record: tuple[str, int, str, bool]) -> str:
    """Logs a record of the other process; the text of a defect is given back instead."""
    name, level, text, defect = record
    if defect:
        return text
    logging.getLogger(name).log(level, "%s", text)
    return ""


# --- that side --------------------------------------------------------------------------------------------------------


class _Reference:
    """An argument that is an object over there."""

    def __init__(self, path: Path) -> None:
        self.path = path


def serve(connection: socket.socket) -> None:
    """Answers what a `Remote` asks until it hangs up."""
    records = _Records()
    logging.getLogger().addHandler(records)
    threading.excepthook = _log_thread_failure
    server = _Server()
    requests = connection.makefile("rb")
    while (message := _receive(requests)) is not None:
        answer = server.answer(message, records)
        try:
            connection.sendall(_LENGTH.pack(len(answer)) + answer)
        except (BrokenPipeError, ConnectionResetError):
            return


class _Server:
    def __init__(self) -> None:
        self._objects: dict[int, object] = {}
        self._kinds: dict[type, _Kind] = {}
        self._contents: dict[int, Content] = {}
        self._count = 0
        self._reducers: dict[type, Callable[[Any], Any]] = {
            **copyreg.dispatch_table,
            **dict.fromkeys(_VIEWS, lambda view: (list, (list(view),))),
            memoryview: lambda view: (bytes, (bytes(view),)),
            ObjectView: partial(self._reduce, "_content"),
            Response: partial(self._reduce, "body"),
            FaultedResponse: partial(self._reduce, "body"),
        }

    def answer(self, message: bytes, records: _Records) -> bytes:
        """Of kind "value", "reference" (`_Kind` and path) or "raised" (an exception and its traceback)."""
        kind, value = self._outcome(message)
        taken = records.taken()
        try:
            return self._pickled((kind, value, taken))
        except Exception as error:  # noqa: BLE001 - carried to the other side, which raises it
            text = traceback.format_exc()
            if kind == "raised":
                text = cast("tuple[object, str]", value)[1] + text
            failure = TypeError(f"the answer can't travel to another process: {error}")
            return self._pickled(("raised", (failure, text), taken))

    def _outcome(self, message: bytes) -> tuple[str, object]:
        try:
            what, operands, released = pickle.loads(message)
            for number in released:
                self._contents.pop(number, None)
            outcome: tuple[str, object] = getattr(self, f"_{what}")(*operands)
        except Exception as error:  # noqa: BLE001 - carried to the other side, which raises it
            return "raised", (_portable(error), traceback.format_exc())
        return outcome

    def _pickled(self, answer: object) -> bytes:
        buffer = io.BytesIO()
        pickler = pickle.Pickler(buffer, pickle.HIGHEST_PROTOCOL)
        pickler.dispatch_table = self._reducers
        pickler.dump(answer)
        return buffer.getvalue()

    def _find(self, path: Path) -> Any:
        number, *names = path
        if number not in self._objects:
            raise ClusterError("this cloud has been closed")
        found = self._objects[number]
        for name in names:
            found = getattr(found, cast(str, name))
        return found

    def _call(self, path: Path, arguments: tuple[object, ...], named: dict[str, object]) -> tuple[str, object]:
        return "value", self._find(path)(*arguments, **named)

    def _read(self, path: Path) -> tuple[str, object]:
        found = self._find(path)
        if isinstance(found, _IMMUTABLE) or (is_dataclass(found) and getattr(found, _PARAMETERS).frozen):
            return "value", found
        return "reference", (self._kind(type(found)), path)

    def _items(self, path: Path) -> tuple[str, object]:
        return "value", list(self._find(path))

    def _make(self, factory: Callable[..., object], arguments: tuple[object, ...]) -> tuple[str, object]:
        made = factory(*(self._find(one.path) if isinstance(one, _Reference) else one for one in arguments))
        self._count += 1
        self._objects[self._count] = made
        return "reference", (self._kind(type(made)), (self._count,))

    def _kind(self, seen: type) -> _Kind:
        known = self._kinds.get(seen)
        if known is None:
            methods = {name for name in dir(seen) if isinstance(getattr_static(seen, name), _METHODS)}
            known = self._kinds[seen] = _Kind(seen.__qualname__, frozenset(methods), hasattr(seen, "__getitem__"))
        return known

    def _forget(self) -> tuple[str, object]:
        self._objects.clear()
        self._contents.clear()
        return "value", None

    def _content(self, number: int, start: int, stop: int) -> tuple[str, object]:
        return "value", _joined(cut(self._contents[number], start, stop))

    def _reduce(self, name: str, value: object) -> tuple[Any, ...]:
        """A dataclass whose field `name` is content."""
        values = {field.name: getattr(value, field.name) for field in fields(value)}  # type: ignore[arg-type]
        values[name] = self._travelling(values[name])
        return type(value), tuple(values.values())

    def _travelling(self, content: Body) -> object:
        if len(content) <= _INLINE:
            return _joined(content)
        self._count += 1
        self._contents[self._count] = bytes(content) if isinstance(content, bytearray | memoryview) else content  # type: ignore[assignment]  # the cloud's own blobs
        return _Kept(self._count, len(content))


class _Kept:
    """Content in the answer that does not travel: it arrives as a `_RemoteContent`."""

    def __init__(self, number: int, size: int) -> None:
        self._arguments = (number, size)

    def __reduce__(self) -> tuple[Any, ...]:
        return _RemoteContent, self._arguments


def _portable(error: Exception) -> object:
    """The exception, or what `_rebuilt` makes it from: one with an __init__ of its own is rarely made by its args."""
    if isinstance(type(error).__init__, FunctionType):
        return type(error), error.args, vars(error)
    return error


def _rebuilt(kind: type[Exception], arguments: tuple[object, ...], attributes: dict[str, object]) -> Exception:
    error = kind.__new__(kind, *arguments)
    vars(error).update(attributes)
    return error


def _joined(content: Body) -> bytes:
    return bytes(content) if isinstance(content, bytes | bytearray | memoryview) else b"".join(content.chunks())


class _Records(logging.Handler):
    """Keeps what is logged until the next answer, the newest where it is too much."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._kept: deque[tuple[str, int, str, bool]] = deque(maxlen=_RECORDS)

    def emit(self, record: logging.LogRecord) -> None:
        defect = record.exc_info is not None and record.name.partition(".")[0] == _DEFECTS
        self._kept.append((record.name, record.levelno, self.format(record), defect))

    def taken(self) -> list[tuple[str, int, str, bool]]:
        """And forgets them."""
        taken = []
        with contextlib.suppress(IndexError):
            while True:
                taken.append(self._kept.popleft())
        return taken


def _log_thread_failure(failure: threading.ExceptHookArgs) -> None:
    cause = failure.exc_value or failure.exc_type()
    logging.getLogger(_DEFECTS).error("a thread of the cloud ended", exc_info=cause)


def _receive(file: BinaryIO) -> bytes | None:
    """None when the other end has closed."""
    head = file.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    body = file.read(length)
    return body if len(body) == length else None
