"""Refuse calls that cannot work, with one sentence that says what to do instead."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from typing import TYPE_CHECKING, NoReturn

from exporter.errors import ConfigError

MAX_PER_PAGE = 150
MAX_CONSUMERS = 1_000  # far more than is useful
MAX_QUEUE_PAGES = 1_000
MAX_CONCURRENCY = 100
MAX_RESERVE_PERCENT = 90
MAX_CONTACTS = 10**12
MAX_BYTES = 10**18
MAX_CURSORS = 128
MAX_SETTLE_S = 86_400
"""The largest values of arguments, the same for the library and the command."""

Kinds = type | tuple[type, ...]


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the event loop of the current asyncio task.

    Raises:
        ConfigError: no asyncio task runs here. Trio has its own event loop.
    """
    try:
        # In trio's guest mode an asyncio loop runs, but no task of it.
        if asyncio.current_task() is not None:
            return asyncio.get_running_loop()
    except RuntimeError:
        pass
    raise ConfigError(
        "this library needs asyncio, and no asyncio task runs here: start the program with asyncio.run(), "
        "or with anyio.run(..., backend='asyncio'); trio cannot run it"
    )


class LoopBinding:
    """The event loop that an object belongs to, from entering its block to leaving it.

    Args:
        name: what the object is called in messages.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None

    @contextmanager
    def entering(self) -> Iterator[None]:
        """Bind the object to the running event loop; if this block fails, the object stays unbound.

        Raises:
            ConfigError: the object's block has been entered already, or asyncio does not run.
        """
        loop = running_loop()
        if self._loop is not None:
            raise ConfigError(f"this {self._name} is open already: enter its block once")
        self._loop = loop
        try:
            yield
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """Unbind the object from its event loop."""
        self._loop = None

    def check(self) -> None:
        """Check that the block is entered, in the event loop that runs now.

        Raises:
            ConfigError: it is not.
        """
        if self._loop is None:
            raise ConfigError(f"this {self._name} is not open: use it inside its 'async with' block")
        if running_loop() is not self._loop:
            raise ConfigError(f"this {self._name} was opened in another event loop: open one in each loop")


class AsyncBlock:
    """Base class of objects that are entered only with ``async with``."""

    # Hidden from type checkers, which report a plain 'with' themselves.
    if not TYPE_CHECKING:

        def __enter__(self) -> NoReturn:
            name = type(self).__name__.lstrip("_")
            raise ConfigError(f"{name} is entered with 'async with', not with a plain 'with'")

        def __exit__(self, *_failure: object) -> None:
            """Do nothing: the block is never entered."""


class NoBlock:
    """Base class of objects that are used without a block."""

    if not TYPE_CHECKING:

        def __enter__(self) -> NoReturn:
            raise ConfigError(f"{type(self).__name__} has no block: use it without 'with'")

        def __exit__(self, *_failure: object) -> None:
            """Do nothing: there is no block."""

        async def __aenter__(self) -> NoReturn:
            self.__enter__()

        async def __aexit__(self, *_failure: object) -> None:
            """Do nothing: there is no block."""


class AsyncItems:
    """Base class of objects that are iterated over only with ``async for``."""

    if not TYPE_CHECKING:

        def __iter__(self) -> NoReturn:
            raise ConfigError(f"{type(self).__name__} is iterated over with 'async for', not with a plain 'for'")


def check_kinds(arguments: Mapping[str, object], kinds: Mapping[str, Kinds]) -> None:
    """Check the types of arguments.

    Args:
        arguments: values by name; names that are not in `kinds` are ignored.
        kinds: the allowed types by name. A bool does not count as a number.

    Raises:
        ConfigError: one has another type. Its value is not quoted: it could be a secret.
    """
    for name, wanted in kinds.items():
        value, options = arguments[name], wanted if isinstance(wanted, tuple) else (wanted,)
        fits = isinstance(value, options) or (float in options and isinstance(value, int))
        if not fits or (isinstance(value, bool) and bool not in options):
            names = " or ".join(_NAMES.get(option, option.__name__) for option in options)
            raise ConfigError(f"{name} must be {names}, not {_kind_of(value)}")


_NAMES: dict[type, str] = {
    type(None): "None",
    bool: "True or False",
    bytes: "bytes",
    float: "a number",
    int: "a whole number",
    str: "text",
}


def check_callable(name: str, value: object) -> None:
    """Check that an argument can be called.

    Raises:
        ConfigError: it cannot.
    """
    if not callable(value):
        raise ConfigError(f"{name} must be a function, not {_kind_of(value)}")


def check_path(path: object) -> None:
    """Check that a path is text, or a path object of text.

    Raises:
        ConfigError: it is neither.
    """
    if isinstance(path, str) or (isinstance(path, PathLike) and isinstance(path.__fspath__(), str)):
        return
    raise ConfigError(f"the path must be text or a pathlib.Path, not {_kind_of(path)}")


def _kind_of(value: object) -> str:
    return _NAMES.get(type(value), type(value).__name__)


def texts_of(name: str, value: object) -> tuple[str, ...]:
    """Return several texts as a tuple.

    Args:
        name: name of the argument.
        value: its value.

    Raises:
        ConfigError: it is a single text, which Python would iterate over by letters, or an item is not a text.
    """
    several = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str | bytes) else (None,)
    if not all(isinstance(one, str) for one in several):
        raise ConfigError(f"{name} must be a tuple or a list of texts, not {_kind_of(value)}")
    return several
