"""What has to be installed: what the code imports is what pyproject.toml names, each in its extra."""

import re
import tomllib
from pathlib import Path

from design.source import FILES, name_of, parsed
from samereg.optional import PACKAGES

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OF_EXTRAS = {
    "train": ("training/", "app/embedding_training.py"),
    "page": ("page/server.py", "page/serving.py"),
}
"""Files that only the commands of an extra import, once they have looked for its packages."""


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w.-]", requirement)[0] for requirement in requirements}


CORE = names(PROJECT["dependencies"])


def test_every_optional_package_is_in_the_extra_that_its_message_names() -> None:
    extras = {extra: names(requirements) for extra, requirements in PROJECT["optional-dependencies"].items()}
    assert {package for package, (name, extra) in PACKAGES.items() if name not in extras[extra]} == set()
    assert {name for name, _ in PACKAGES.values()} & CORE == set()


def test_files_import_core_packages_alone_and_training_and_the_page_their_extras_too() -> None:
    places = {module: OF_EXTRAS.get(extra, ()) for module, (_, extra) in PACKAGES.items()}
    foreign = {
        f"{name_of(path)}: {package}"
        for path in FILES
        for package in parsed(path).packages
        if package not in CORE and not name_of(path).startswith(places.get(package, ()))
    }
    assert foreign == set()


def test_every_core_package_is_imported() -> None:
    assert CORE - {package for path in FILES for package in parsed(path).packages} == set()


def test_what_the_tests_need_includes_what_training_and_the_page_need() -> None:
    extras = PROJECT["optional-dependencies"]
    assert names(extras["train"]) | names(extras["page"]) <= names(extras["test"])
