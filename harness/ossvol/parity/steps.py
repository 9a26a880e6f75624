"""What a parity run does: steps, and sequences of them, as values and as one line of text.

A step is "ACTOR VERB ARGUMENT...": a system call of one of three processes (root, app 1000:1001, other 2000:2001 in
group 1001), a change by another client of the bucket (cloud), or a remount or the passing of time (volume). A sequence
is its mount options and its steps, joined by "; "; the text is what a report prints and `ossvol parity --replay` takes.
Options may begin with "path=/PATH", the directory of the bucket that is mounted, and name "@cache", a new directory.

Paths are relative to the directory in which a sequence works. Pure values: any thread.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from ossvol.errors import UsageError

__all__ = ["ACTORS", "VERBS", "Sequence", "Step"]

ACTORS = ("root", "app", "other")

# Verb to its arguments. Numbers are decimal, modes octal; HANDLE is a name that `open` gives and later steps use.
VERBS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "stat": ("PATH",),
        "lstat": ("PATH",),
        "fstat": ("HANDLE",),
        "access": ("PATH", "MASK"),
        "listdir": ("PATH",),
        "readlink": ("PATH",),
        "statvfs": ("PATH",),
        "open": ("HANDLE", "PATH", "FLAGS", "MODE"),
        "close": ("HANDLE",),
        "read": ("HANDLE", "SIZE", "OFFSET"),
        "write": ("HANDLE", "SIZE", "OFFSET"),
        "fsync": ("HANDLE",),
        "fdatasync": ("HANDLE",),
        "flush": ("HANDLE",),  # dup(2), and close(2) of the duplicate
        "ftruncate": ("HANDLE", "SIZE"),
        "put": ("PATH", "SIZE"),  # open O_CREAT|O_TRUNC, write, close
        "append": ("PATH", "SIZE"),  # open O_APPEND, write, close
        "cat": ("PATH",),  # open, read, close
        "truncate": ("PATH", "SIZE"),
        "mkdir": ("PATH", "MODE"),
        "rmdir": ("PATH",),
        "unlink": ("PATH",),
        "rename": ("PATH", "PATH"),
        "link": ("PATH", "PATH"),
        "symlink": ("TARGET", "PATH"),
        "mknod": ("PATH", "MODE"),
        "chmod": ("PATH", "MODE"),
        "chown": ("PATH", "UID", "GID"),
        "lchown": ("PATH", "UID", "GID"),
        "utime": ("PATH", "SECONDS", "SECONDS"),  # "-": UTIME_OMIT
        "setxattr": ("PATH", "NAME", "VALUE", "FLAGS"),
        "getxattr": ("PATH", "NAME"),
        "listxattr": ("PATH",),
        "removexattr": ("PATH", "NAME"),
    }
)
CLOUD_VERBS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "put": ("KEY", "SIZE", "TYPE", "META"),  # TYPE "-": none; META "-": none, else name=value,...
        "delete": ("KEY",),
    }
)
VOLUME_VERBS: Mapping[str, tuple[str, ...]] = MappingProxyType({"remount": (), "wait": ("SECONDS",)})


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that somebody does. words: the arguments as text, in the order of `VERBS`."""

    actor: str
    verb: str
    words: tuple[str, ...] = ()

    def text(self) -> str:
        """As `parse` reads it."""
        return shlex.join((self.actor, self.verb, *self.words))

    @classmethod
    def parse(cls, text: str) -> Step:
        """Raises UsageError, which names the mistake."""
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise UsageError(f"step {text!r}: {error}") from error
        if len(words) < 2:
            raise UsageError(f"step {text!r}: it needs an actor and a verb")
        actor, verb, *arguments = words
        table = {"cloud": CLOUD_VERBS, "volume": VOLUME_VERBS}.get(actor, VERBS if actor in ACTORS else None)
        if table is None:
            raise UsageError(f"step {text!r}: nobody is called {actor!r}; there are {', '.join(ACTORS)}, cloud, volume")
        if verb not in table:
            raise UsageError(f"step {text!r}: {actor} knows no {verb!r}; it knows {', '.join(table)}")
        if len(arguments) != len(table[verb]):
            raise UsageError(f"step {text!r}: the arguments of {verb} are {' '.join(table[verb]) or 'none'}")
        return cls(actor, verb, tuple(arguments))


@dataclass(frozen=True, slots=True)
class Sequence:
    """Steps on one mount. options: as on ossfs's command line; seed: what it was generated from, -1 for none; inside:
    it works in a directory of the volume, not in the root."""

    options: str
    steps: tuple[Step, ...]
    seed: int = -1
    inside: bool = False

    def text(self) -> str:
        """As `parse` reads it."""
        place = "mount inside" if self.inside else "mount"
        return "; ".join([f"{place} {self.options}", *(step.text() for step in self.steps)])

    @classmethod
    def parse(cls, text: str) -> Sequence:
        """Raises UsageError."""
        head, *rest = (part.strip() for part in text.split(";"))
        word, _, options = head.partition(" ")
        if word != "mount":
            raise UsageError(f'a sequence begins with "mount OPTIONS;", not with {head!r}')
        inside = options.startswith("inside ")
        steps = tuple(Step.parse(part) for part in rest if part)
        return cls(options.removeprefix("inside ").strip(), steps, inside=inside)

    def without(self, indices: frozenset[int]) -> Sequence:
        """The same without the steps at these indices."""
        kept = tuple(step for index, step in enumerate(self.steps) if index not in indices)
        return replace(self, steps=kept)
