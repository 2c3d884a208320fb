"""What `import samereg` promises. A name that changes here changes for users: say so in CHANGELOG.md."""

import subprocess
import sys

import pytest

import samereg
from design.source import SOURCE, name_of, parsed
from samereg import errors
from samereg.geometry import affine

PUBLIC = {
    "Affine",
    "Chain",
    "Displacement",
    "Grid",
    "LabelMap",
    "MatchSettings",
    "PairTransform",
    "RegisterSettings",
    "Registered",
    "RegisteredPair",
    "Registration",
    "SameregError",
    "ScanStore",
    "Session",
    "Transform",
    "Velocity",
    "Volume",
    "__version__",
    "affine_only",
    "chain",
    "fast",
    "load_deformer",
    "load_embedder",
    "read_labels",
    "read_transform",
    "read_volume",
    "register",
    "resample_labels",
    "resample_volume",
    "run_stages",
    "same",
    "same_plus",
    "write_labels",
    "write_transform",
    "write_volume",
}

SLOW_MODULES = ("torch", "numpy", "scipy", "SimpleITK", "nibabel", "pydicom", "tyro", "rich")


def test_public_names_are_frozen() -> None:
    assert set(samereg.__all__) == PUBLIC
    assert set(dir(samereg)) >= PUBLIC


def test_every_name_is_one_of_its_home() -> None:
    """Looked up in the sources: loading all of them takes longer than everything else here."""
    homes = {name: SOURCE.joinpath(*home.split(".")[1:]).with_suffix(".py") for name, home in samereg._HOMES.items()}
    assert set(homes) == PUBLIC - {"__version__"}
    assert {name: name_of(home) for name, home in homes.items() if name not in parsed(home).bound} == {}


def test_a_name_is_loaded_from_its_home_when_it_is_asked_for() -> None:
    assert samereg.SameregError is errors.SameregError
    assert samereg.Affine is affine.Affine


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        samereg.no_such_name  # noqa: B018


def test_importing_loads_nothing_slow() -> None:
    assert loaded_after("import samereg") == []


def test_help_loads_nothing_slow() -> None:
    assert loaded_after("from samereg.cli.main import main; main(['--help'])") == []


def test_help_of_a_command_does_not_load_torch() -> None:
    program = """
import sys
from samereg.cli.main import main
try:
    main(["register", "--help"])
except SystemExit:
    pass
"""
    assert not {"torch", "numpy", "SimpleITK"} & set(loaded_after(program))


def test_help_of_commands_loads_neither_typeguard_nor_asyncio() -> None:
    program = """
import sys
from samereg.cli.main import COMMANDS, main
for entry in COMMANDS:
    if entry.words[0] not in {"apply", "compose", "follow", "phantom"}:  # their tuples are checked by typeguard
        try:
            main([*entry.words, "--help"])
        except SystemExit:
            pass
print("LOADED", *({"asyncio", "typeguard", "rich", "torch", "numpy"} & set(sys.modules)))
"""
    assert run(program).rpartition("LOADED")[2].split() == []


@pytest.mark.parametrize("program", ["import samereg", "from samereg.cli.main import main; main(['--help'])"])
def test_start_loads_samereg_and_the_standard_library_alone(program: str) -> None:
    counted = f"import sys; before = set(sys.modules)\n{program}\nprint('LOADED', *sorted(set(sys.modules) - before))"
    loaded = run(counted).rpartition("LOADED")[2].split()
    foreign = {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names) - {"samereg"}
    assert foreign == set()
    # what the standard library needs for dataclasses and typing is about forty modules; each more costs a file
    assert len(loaded) < 80


def loaded_after(program: str) -> list[str]:
    listing = f"\nimport sys; print('LOADED', *[name for name in {SLOW_MODULES} if name in sys.modules])"
    return run(program + listing).rpartition("LOADED")[2].split()


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout
