"""Pages of docs/how-to as programs, and the files that they speak of."""

import os
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from samereg.app.phantoms import PhantomSettings, write_phantoms

PAGES = Path(__file__).parents[2] / "docs" / "how-to"
SOURCE = Path(__file__).parents[2] / "src"

COHORT = PhantomSettings(subjects=2, seed=100, spacing_mm=(3.0, 3.0, 3.0), shape=(128, 96, 140))
SERIES = {"study1": "1.2.840.1.5", "study2": "1.2.840.7.5"}

SHORTENED = '''\
#!{python}
"""samereg, with trainings cut short: what they write is tested, not how good it is."""
import sys
from samereg.cli.main import main

SHORT = {{
    ("train", "embedding"): {{"--steps": "1", "--init": "compact"}},
    ("train", "deform"): {{"--steps": "1", "--pairs": "1"}},
    ("phantom",): {{"--subjects": "1", "--spacing": "6 6 6", "--shape": "64 48 70"}},
}}
words = sys.argv[1:]
for command, settings in SHORT.items():
    if tuple(words[: len(command)]) == command:
        for flag, value in settings.items():
            if flag in words:
                del words[words.index(flag) : words.index(flag) + 2]
            words += [flag, *value.split()]
if __name__ == "__main__":  # workers import this file again
    sys.exit(main(words))
'''


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """One fenced block of a page.

    Attributes:
        page: name of the page.
        number: of the block in the page, from 1.
        language: bash or python.
        text: the program.
    """

    page: str
    number: int
    language: str
    text: str

    @property
    def missing_program(self) -> str | None:
        """First program that a shell block calls and this computer lacks."""
        if self.language != "bash":
            return None
        lines = self.text.replace("\\\n", " ").splitlines()
        programs = [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]
        return next((name for name in programs if name != "samereg" and shutil.which(name) is None), None)


def blocks_of(page: Path) -> list[Block]:
    found = re.findall(r"^```(bash|python)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [
        Block(page=page.stem, number=number, language=language, text=text)
        for number, (language, text) in enumerate(found, start=1)
    ]


def every_block() -> list[Block]:
    return [block for page in sorted(PAGES.glob("*.md")) for block in blocks_of(page)]


def write_material(place: Path) -> None:
    """Everything that the pages name: two scans with labels, points, training scans, and two DICOM studies."""
    write_phantoms(place / "cohort", settings=COHORT)
    for name, subject, phase in (("fixed", 100, "CE"), ("moving", 101, "NC")):
        shutil.copy(place / "cohort" / "images" / f"phantom-{subject}-{phase}.nii.gz", place / f"{name}.nii.gz")
        shutil.copy(place / "cohort" / "labels" / f"phantom-{subject}.nii.gz", place / f"{name}_labels.nii.gz")
        shutil.copytree(place / "cohort" / "images", place / "scans", dirs_exist_ok=True)
    shutil.copy(place / "cohort" / "landmarks" / "phantom-100.csv", place / "points.csv")
    for scan, subject in (("fixed", 100), ("moving", 101)):
        header, *rows = (place / "cohort" / "landmarks" / f"phantom-{subject}.csv").read_text().splitlines()
        clicks = [row for row in rows if row.startswith(("carina", "left_diaphragm", "right_diaphragm"))]
        (place / f"{scan}_clicks.csv").write_text("\n".join([header, *clicks]) + "\n")
    shutil.copy(place / "cohort" / "labels.csv", place / "labels.csv")
    for study, scan in (("study1", "fixed"), ("study2", "moving")):
        write_dicom(sitk.ReadImage(str(place / f"{scan}.nii.gz")), place / study, series=SERIES[study])
    program = place / "bin" / "samereg"
    program.parent.mkdir()
    program.write_text(SHORTENED.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def write_dicom(image: sitk.Image, folder: Path, *, series: str) -> None:
    folder.mkdir()
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    across, down = np.array(image.GetDirection()).reshape(3, 3).T[:2]
    for number in range(image.GetDepth()):
        part = image[:, :, number]
        tags = {
            "0008|0008": "ORIGINAL\\PRIMARY\\AXIAL",
            "0008|0060": "CT",
            "0008|0018": f"{series}.{number + 1}",
            "0020|000d": f"{series}.9001",
            "0020|000e": series,
            "0020|0052": f"{series}.9002",
            "0020|0013": str(number + 1),
            "0020|0032": "\\".join(f"{v:.3f}" for v in image.TransformIndexToPhysicalPoint((0, 0, number))),
            "0020|0037": "\\".join(f"{v:g}" for v in (*across, *down)),
        }
        for tag, value in tags.items():
            part.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{number:04d}.dcm"))
        writer.Execute(part)


def run_block(block: Block, folder: Path) -> subprocess.CompletedProcess[str]:
    command = ["bash", "-euc", block.text] if block.language == "bash" else [sys.executable, "-c", block.text]
    path = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(SOURCE)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
