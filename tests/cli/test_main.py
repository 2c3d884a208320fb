"""Which command is run, and how errors end."""

from dataclasses import dataclass, field

import pytest

from samereg import __version__, errors
from samereg.cli.main import COMMANDS, main, run
from samereg.cli.options import Messages

ALL_ERRORS = [
    value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, errors.SameregError)
]


@dataclass(frozen=True)
class Failing:
    error: BaseException | None = None
    messages: Messages = field(default_factory=Messages)

    def run(self) -> int:
        if self.error is not None:
            raise self.error
        return 0


class OutOfMemoryError(RuntimeError):
    """Named like torch's."""


def test_help_lists_every_command_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    for entry in COMMANDS:
        assert f"{' '.join(entry.words)} " in captured.out
        assert entry.summary in captured.out


def test_help_of_a_group_lists_its_commands_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    out = capsys.readouterr().out
    assert "train embedding" in out
    assert "Align a moving" not in out


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize("words", [[], ["nonsense"], ["train"], ["train", "nonsense"], ["--nonsense"]])
def test_an_unknown_command_is_a_usage_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("samereg: error: Got ")
    assert len(captured.err.splitlines()) == 1


@pytest.mark.parametrize("words", [["register"], ["apply", "--nonsense"], ["register", "--preset", "nonsense"]])
def test_a_wrong_flag_is_a_usage_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("error", ALL_ERRORS)
def test_an_error_on_purpose_is_one_sentence_and_its_code(
    error: type[errors.SameregError], capsys: pytest.CaptureFixture[str]
) -> None:
    more = {"what": "format"} if error is errors.UnspecifiedError else {}
    assert run(Failing(error("scan.nii: is broken; need a whole one.", **more))) == error.exit_code
    captured = capsys.readouterr()
    assert captured.err == "samereg: error: scan.nii: is broken; need a whole one.\n"
    assert captured.out == ""


def test_verbose_shows_where_an_error_came_from(capsys: pytest.CaptureFixture[str]) -> None:
    run(Failing(errors.FileError("broken"), messages=Messages(verbose=True)))
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.splitlines()[-1] == "samereg: error: broken"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."),
    ],
)
def test_memory_that_runs_out_has_its_own_code(error: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Failing(error)) == errors.MemoryLimitError.exit_code
    assert capsys.readouterr().err.startswith("samereg: error: Out of memory")


def test_other_failures_of_torch_are_not_hidden() -> None:
    with pytest.raises(RuntimeError, match="shape mismatch"):
        run(Failing(RuntimeError("shape mismatch")))


def test_a_file_that_the_system_refuses_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Failing(PermissionError(13, "Permission denied", "/scans/scan.nii"))) == 3
    assert "/scans/scan.nii" in capsys.readouterr().err


def test_interruption_ends_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Failing(KeyboardInterrupt())) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_a_closed_pipe_in_the_work_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Failing(BrokenPipeError(32, "Broken pipe"))) == 3
    assert capsys.readouterr().err == "samereg: error: Broken pipe.\n"


@pytest.mark.parametrize(
    "error",
    [
        OSError(12, "Cannot allocate memory"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        RuntimeError("can't start new thread"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("ITK ERROR: Image: Failed to allocate memory for image."),
    ],
)
def test_short_memory_is_told_whoever_says_it(error: BaseException) -> None:
    assert run(Failing(error)) == errors.MemoryLimitError.exit_code


def test_a_package_that_cannot_be_loaded_is_not_hidden() -> None:
    with pytest.raises(ImportError, match="no such"):
        run(Failing(ImportError("no such symbol")))
