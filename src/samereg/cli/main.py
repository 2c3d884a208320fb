"""The `samereg` command: finds and runs a subcommand; errors become a sentence and an exit code."""

import io
import mmap
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, runtime_checkable

from samereg._version import __version__
from samereg.cli.streams import (
    clean_termination,
    interrupted,
    prepare_streams,
    print_error,
    print_output,
)
from samereg.errors import MemoryLimitError, SameregError, UsageError, is_out_of_memory

if sys.platform != "win32":
    import resource

SLEEPING_THREADS = ("OMP_WAIT_POLICY", "PASSIVE")
"""Read when torch is imported: waiting threads sleep. Spinning gains nothing on an idle computer, and
makes everything five times slower on a busy one."""

LOADED_BYTES = 640 * 2**20
"""Address space needed to import torch and the image libraries (measured); with less they fail in ways
that cannot be caught."""
LOADED_BYTES_PER_CORE = 40 * 2**20
"""Address space of the stack and buffers of each OpenBLAS thread."""

EXIT_UNEXPECTED = 1
EXIT_USAGE = 2
EXIT_INPUT = 3
EXIT_MEMORY = 5

USAGE = """\
usage: samereg COMMAND [flags]

Registers CT scans by self-supervised anatomical embeddings.

commands:
{commands}

`samereg COMMAND --help` describes a command and its flags; `samereg --version` prints the version.
exit codes: 0 ok, 1 unexpected, 2 usage, 3 bad input or geometry, 4 weights missing, 5 out of memory,
10 finished but the result failed a quality check, 130 interrupted, 143 terminated (SIGTERM).
"""


@runtime_checkable
class Messages(Protocol):
    """The common flag of all commands that is used here."""

    @property
    def verbose(self) -> bool:
        """Show tracebacks of errors."""


@runtime_checkable
class Command(Protocol):
    """One command with its flags."""

    @property
    def messages(self) -> Messages:
        """Flags of the output."""

    def run(self) -> int:
        """Run the command, print the result, return the exit code."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """Location of a command, whose module is imported only when it is called.

    Attributes:
        words: words after `samereg`.
        summary: one line for `samereg --help`, the same as the first line of the command's docstring.
        home: module and class.
    """

    words: tuple[str, ...]
    summary: str
    home: tuple[str, str]


COMMANDS = (
    Entry(
        words=("register",),
        summary="Register a moving CT scan to a fixed one.",
        home=("samereg.cli.register", "Register"),
    ),
    Entry(
        words=("cohort",),
        summary="Register many pairs of scans, and go on after a stop.",
        home=("samereg.cli.cohort", "Cohort"),
    ),
    Entry(
        words=("fuse",),
        summary="Label a scan by labelled scans of other subjects.",
        home=("samereg.cli.fuse", "Fuse"),
    ),
    Entry(
        words=("follow",),
        summary="Follow lesions from a baseline scan to later ones.",
        home=("samereg.cli.follow", "Follow"),
    ),
    Entry(
        words=("affine",),
        summary="Compute an initial affine transform for another registration tool.",
        home=("samereg.cli.affine", "AffineStart"),
    ),
    Entry(
        words=("list",),
        summary="List the DICOM series of a folder, and say which one is taken.",
        home=("samereg.cli.list", "ListSeries"),
    ),
    Entry(
        words=("apply",),
        summary="Resample images and label maps through a transform.",
        home=("samereg.cli.apply", "Apply"),
    ),
    Entry(
        words=("points",),
        summary="Map points, markups or a mesh from one scan's space to the other's.",
        home=("samereg.cli.points", "Points"),
    ),
    Entry(
        words=("jacobian",),
        summary="Write the Jacobian determinant of a transform as an image.",
        home=("samereg.cli.jacobian", "Jacobian"),
    ),
    Entry(
        words=("invert",),
        summary="Write the inverse of a transform: moving to fixed.",
        home=("samereg.cli.invert", "Invert"),
    ),
    Entry(
        words=("compose",),
        summary="Compose several transforms into one.",
        home=("samereg.cli.compose", "Compose"),
    ),
    Entry(
        words=("inspect",),
        summary="Describe a transform file and how certain each fact is.",
        home=("samereg.cli.inspect", "Inspect"),
    ),
    Entry(
        words=("convert",),
        summary="Write a transform in another tool's format.",
        home=("samereg.cli.convert", "Convert"),
    ),
    Entry(
        words=("report",),
        summary="Show a registration on one page, with a verdict.",
        home=("samereg.cli.report", "Report"),
    ),
    Entry(
        words=("view",),
        summary="Look at two scans in the browser: click in one, see it in the other, and mend a registration.",
        home=("samereg.cli.view", "View"),
    ),
    Entry(
        words=("match",),
        summary="Find points of one CT scan in another.",
        home=("samereg.cli.match", "Match"),
    ),
    Entry(
        words=("train", "embedding"),
        summary="Train an anatomical embedding on unlabelled CT scans.",
        home=("samereg.cli.train_embedding", "TrainEmbedding"),
    ),
    Entry(
        words=("train", "deform"),
        summary="Train a deformation network on unlabelled CT scans.",
        home=("samereg.cli.train_deform", "TrainDeform"),
    ),
    Entry(
        words=("bench",),
        summary="Compare registration methods on labelled pairs; write the paper's tables and figures.",
        home=("samereg.cli.bench", "Bench"),
    ),
    Entry(
        words=("evaluate",),
        summary="Evaluate transforms of any tool.",
        home=("samereg.cli.evaluate", "Evaluate"),
    ),
    Entry(
        words=("phantom",),
        summary="Generate labelled synthetic chest CT scans.",
        home=("samereg.cli.phantom", "Phantom"),
    ),
    Entry(
        words=("demo",),
        summary="Register a generated synthetic pair.",
        home=("samereg.cli.demo", "Demo"),
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `samereg` and returns its exit code.

    Args:
        arguments: words after `samereg`; by default those of the process.
    """
    os.environ.setdefault(*SLEEPING_THREADS)
    prepare_streams()
    with clean_termination():
        try:
            return _answer(tuple(sys.argv[1:] if arguments is None else arguments))
        except KeyboardInterrupt as error:
            return interrupted(error)


def _answer(words: tuple[str, ...]) -> int:
    for entry in COMMANDS:
        if words[: len(entry.words)] == entry.words:
            try:
                command = _parsed(entry, words[len(entry.words) :])
            except UsageError as error:  # a value out of bounds
                print(f"samereg: error: {error}", file=sys.stderr)
                return EXIT_USAGE
            return run(command)
    return _without_command(words)


def _parsed(entry: Entry, flags: Sequence[str]) -> Command:
    """As `parse`, with help in colours on a terminal, and in any encoding."""
    if sys.stdout.isatty():
        return parse(entry, flags)
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            return parse(entry, flags)
    except SystemExit as ended:
        ended.code = print_output(printed.getvalue(), ended.code if isinstance(ended.code, int) else EXIT_UNEXPECTED)
        raise


def parse(entry: Entry, flags: Sequence[str]) -> Command:
    """Parses the flags of a command; exits with 0 after `--help` and with 2 for an invalid flag."""
    import tyro

    module, name = entry.home
    command: Command = tyro.cli(
        getattr(import_module(module), name),
        prog=" ".join(("samereg", *entry.words)),
        args=list(flags),
        config=(tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes),
    )
    return command


def run(command: Command) -> int:
    """Runs a command and returns its exit code; deliberate errors are printed as one sentence to stderr.

    Its output is buffered until it has ended, so that a closed or full stdout does not abort it.
    """
    printed = io.StringIO()
    with redirect_stdout(printed):
        code = _run(command)
    return print_output(printed.getvalue(), code)


def _run(command: Command) -> int:
    try:
        _require_address_space()
        return command.run()
    except SameregError as error:
        return _report_error(error, command, code=error.exit_code)
    except KeyboardInterrupt as error:
        return interrupted(error)
    except (MemoryError, RuntimeError, ImportError, OSError, UnicodeEncodeError) as error:
        return _unexpected(error, command)


def _unexpected(error: Exception, command: Command) -> int:
    if is_out_of_memory(error):
        return _report_error("Out of memory: " + _first_line(error), command, code=EXIT_MEMORY)
    if isinstance(error, OSError):
        return _report_error(_of_system(error), command, code=EXIT_INPUT)
    if isinstance(error, UnicodeEncodeError):
        sentence = f"{error.object!a}: holds characters that this system's {error.encoding} names cannot have."
        return _report_error(sentence, command, code=EXIT_INPUT)
    raise error


def _require_address_space() -> None:
    """Checks that `ulimit -v` allows the imports, because some libraries crash otherwise.

    Raises:
        MemoryLimitError: the limit leaves too little.
    """
    if sys.platform == "win32" or resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        return
    needed = LOADED_BYTES + LOADED_BYTES_PER_CORE * (os.cpu_count() or 1)
    try:
        mmap.mmap(-1, needed).close()
    except OSError as error:
        megabytes = needed // 2**20
        sentence = f"Out of memory: the limit on address space (ulimit -v) leaves less than {megabytes} MB."
        raise MemoryLimitError(sentence) from error


def _of_system(error: OSError) -> str:
    """A system error as a sentence that begins with the file, if there is one."""
    if error.strerror is None:
        return str(error)
    return f"{error.filename}: {error.strerror}." if error.filename is not None else f"{error.strerror}."


def _report_error(error: object, command: Command, *, code: int) -> int:
    if command.messages.verbose:
        import traceback

        print_error(traceback.format_exc().rstrip())
    print_error(f"samereg: error: {error}")
    return code


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else "an array could not be made"


def _without_command(words: tuple[str, ...]) -> int:
    if words == ("--version",):
        return print_output(f"{__version__}\n", 0)
    asked_for_help = words[-1:] in {("--help",), ("-h",)}
    group = words[:-1] if asked_for_help else words
    entries = [entry for entry in COMMANDS if entry.words[: len(group)] == group]
    if asked_for_help and entries:
        return print_output(USAGE.format(commands=_listing(entries)), 0)
    return _unknown(words, entries or COMMANDS)


def _unknown(words: tuple[str, ...], entries: Sequence[Entry]) -> int:
    names = ", ".join(f"'{' '.join(entry.words)}'" for entry in entries)
    got = f"'{' '.join(words[:2])}'" if words else "no command"
    print_error(f"samereg: error: Got {got}; need one of {names}.")
    return EXIT_USAGE


def _listing(entries: Sequence[Entry]) -> str:
    return "\n".join(f"  {' '.join(entry.words):<18}{entry.summary}" for entry in entries)


if __name__ == "__main__":
    sys.exit(main())
