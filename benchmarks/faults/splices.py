"""A mutation of files as data: bytes put in the place of others, in a file or in what it holds compressed."""

import gzip
import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

Files = Mapping[str, bytes]
"""Contents by name, relative to one folder."""

RAW, GZIP, ZIP = "raw", "gzip", "zip"
"""Views: the bytes of a file; what a gzip file unpacks to; the first member of a zip file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Splice:
    """New bytes in the place of some of a file's.

    Attributes:
        kind: what the mutation is called in tables: flip, truncate, field, ...
        file: name of the file.
        view: which bytes are counted: `raw`, or those unpacked from `gzip` or `zip`.
        at: first byte that is replaced.
        size: how many are.
        new: what comes there instead, of any length, as hexadecimal digits.
    """

    kind: str
    file: str
    at: int
    size: int
    new: str
    view: str = RAW

    def apply(self, content: bytes) -> bytes:
        """The bytes of a view with the replacement made."""
        return content[: self.at] + bytes.fromhex(self.new) + content[self.at + self.size :]

    @property
    def keeps_length(self) -> bool:
        """Whether as many bytes come in as go out."""
        return 2 * self.size == len(self.new)


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """One damaged case: a base by the name of its format, and what is done to it.

    Attributes:
        format: name of the format, whose base is made anew each time.
        splices: one after another.
    """

    format: str
    splices: tuple[Splice, ...]

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {"format": self.format, "splices": [asdict(splice) for splice in self.splices]}


def recipe_of(plain: Mapping[str, Any]) -> Recipe:
    """A recipe from its JSON form."""
    return Recipe(format=plain["format"], splices=tuple(Splice(**each) for each in plain["splices"]))


def mutated(files: Files, splices: Sequence[Splice]) -> dict[str, bytes]:
    """Files after every splice, in order."""
    changed = dict(files)
    for splice in splices:
        content = view_of(changed[splice.file], splice.view)
        changed[splice.file] = _packed(changed[splice.file], splice.view, splice.apply(content))
    return changed


def view_of(content: bytes, view: str) -> bytes:
    """The bytes that a view counts."""
    if view == GZIP:
        return gzip.decompress(content)
    if view == ZIP:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return archive.read(archive.namelist()[0])
    return content


def _packed(before: bytes, view: str, content: bytes) -> bytes:
    if view == GZIP:
        return gzip.compress(content, mtime=0)
    if view == ZIP:
        with zipfile.ZipFile(io.BytesIO(before)) as archive:
            name = archive.namelist()[0]
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(zipfile.ZipInfo(name), content)
        return out.getvalue()
    return content
