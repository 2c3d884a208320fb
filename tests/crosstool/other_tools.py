"""Where other tools take points through a transform file: each tool run on the file itself. LPS mm in, LPS mm out."""

import importlib.metadata
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy.ndimage import map_coordinates

from samereg.geometry.grid import Grid
from samereg.io.itk import place_on_grid

RAS = torch.tensor([-1.0, -1.0, 1.0], dtype=torch.float64)


def save_image(grid: Grid, path: Path, data: np.ndarray | None = None) -> Path:
    """An image on a grid, written by ITK."""
    image = sitk.GetImageFromArray(np.zeros(grid.shape, np.float32) if data is None else data.astype(np.float32))
    place_on_grid(image, grid)
    sitk.WriteImage(image, str(path))
    return path


def through_itk(path: Path, points: torch.Tensor) -> torch.Tensor:
    """SimpleITK on a transform file, or on an image of vectors."""
    if path.name.endswith((".h5", ".tfm", ".mat", ".txt")):
        transform = sitk.ReadTransform(str(path))
    else:
        transform = sitk.DisplacementFieldTransform(sitk.ReadImage(str(path), sitk.sitkVectorFloat64))
    return torch.tensor([transform.TransformPoint(point) for point in points.tolist()], dtype=torch.float64)


# ANTs, elastix and greedy each bring an ITK of their own: loaded into one process, they crash it.

_ANTS = """
import json, sys
import ants, pandas
answers = []
for job in json.load(open(sys.argv[1])):
    points = pandas.DataFrame(job["points"], columns=["x", "y", "z"])
    moved = ants.apply_transforms_to_points(3, points, job["files"])
    answers.append(moved[["x", "y", "z"]].values.tolist())
json.dump(answers, open(sys.argv[2], "w"))
"""

_TRANSFORMIX = """
import json, re, sys
from pathlib import Path
import itk
folder = Path(sys.argv[1]).parent
answers = []
for job in json.load(open(sys.argv[1])):
    rows = "\\n".join(" ".join(repr(value) for value in row) for row in job["points"])
    (folder / "points.txt").write_text(f"point\\n{len(job['points'])}\\n{rows}\\n")
    parameters = itk.ParameterObject.New()
    parameters.ReadParameterFile(job["files"][0])
    image = itk.imread(job["image"], itk.F)
    itk.transformix_pointset(
        image, parameters, fixed_point_set_file_name=str(folder / "points.txt"), output_directory=str(folder)
    )
    found = re.findall(r"OutputPoint = \\[ ([^\\]]*) \\]", (folder / "outputpoints.txt").read_text())
    answers.append([[float(value) for value in row.split()] for row in found])
json.dump(answers, open(sys.argv[2], "w"))
"""


@dataclass(frozen=True, kw_only=True)
class Job:
    """Points and the files of one transform, in the order of the tool's command line."""

    points: torch.Tensor
    files: list[Path]
    grid: Grid


def through_ants(jobs: list[Job], folder: Path) -> list[torch.Tensor]:
    """ANTs on its files: the warp, then the affine map."""
    require("antspyx")
    return _in_own_process(_ANTS, jobs, folder)


def through_elastix(jobs: list[Job], folder: Path) -> list[torch.Tensor]:
    """transformix on a parameter file for each job."""
    require("itk-elastix")
    return _in_own_process(_TRANSFORMIX, jobs, folder)


def require(package: str) -> None:
    """Skip, by name, where another tool is not installed."""
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed")


def _in_own_process(program: str, jobs: list[Job], folder: Path) -> list[torch.Tensor]:
    described = [
        {
            "points": job.points.tolist(),
            "files": [str(file) for file in job.files],
            "image": str(save_image(job.grid, folder / f"image{number}.nii.gz")),
        }
        for number, job in enumerate(jobs)
    ]
    asked, answer = folder / "jobs.json", folder / "answers.json"
    asked.write_text(json.dumps(described))
    subprocess.run([sys.executable, "-c", program, str(asked), str(answer)], check=True, capture_output=True)
    return [torch.tensor(moved, dtype=torch.float64) for moved in json.loads(answer.read_text())]


def through_greedy(files: list[Path], points: torch.Tensor, image: Path) -> torch.Tensor:
    """Greedy, run as a program of its own, on its files; its meshes are in RAS."""
    run_greedy(
        f"-d 3 -threads 1 -rf {image} -rs {_ras_mesh(points, image.parent / 'points.vtk')} "
        f"{image.parent / 'moved.vtk'} -r {' '.join(map(str, files))}"
    )
    body = (image.parent / "moved.vtk").read_text().split("POINTS", 1)[1].split("\n", 1)[1]
    numbers = []
    for word in body.split():
        if not re.fullmatch(r"[-+0-9.e]+", word):
            break
        numbers.append(float(word))
    return torch.tensor(numbers, dtype=torch.float64).reshape(-1, 3) * RAS


def run_greedy(arguments: str) -> None:
    """One call of greedy; skips where it is not installed."""
    require("picsl-greedy")
    program = "import sys; from picsl_greedy import Greedy3D; Greedy3D().execute(sys.argv[1])"
    subprocess.run([sys.executable, "-c", program, arguments], check=True, capture_output=True)


def through_niftyreg(path: Path, points: torch.Tensor) -> torch.Tensor:
    """What NiftyReg's documentation says of a file: positions in RAS, linear between voxels. Read by nibabel."""
    if path.suffix == ".txt":
        matrix = torch.from_numpy(np.loadtxt(path))
        return ((points * RAS) @ matrix[:3, :3].T + matrix[:3, 3]) * RAS
    image = nib.load(path)
    assert image.header["intent_name"].item() == b"NREG_TRANS"
    index = nib.affines.apply_affine(np.linalg.inv(image.affine), (points * RAS).numpy()).T
    field = np.asarray(image.dataobj)[:, :, :, 0]
    return torch.from_numpy(np.stack([_linear(field[..., k], index) for k in range(3)], 1)) * RAS


def through_learn2reg(path: Path, points: torch.Tensor, images: tuple[Path, Path]) -> torch.Tensor:
    """What the challenge's evaluation does: voxels of the fixed image plus the field are voxels of the moving one."""
    from scipy.ndimage import zoom  # noqa: PLC0415

    fixed, moving = (nib.load(image) for image in images)
    index = nib.affines.apply_affine(np.linalg.inv(fixed.affine), (points * RAS).numpy()).T
    if path.suffix == ".npz":
        half = np.load(path)["arr_0"].astype(np.float32)
        factors = np.array(fixed.shape) / np.array(half.shape[1:])
        field = np.stack([zoom(component, factors, order=1) for component in half], -1)
    else:
        field = np.asarray(nib.load(path).dataobj)
    landed = index.T + np.stack([_linear(field[..., k], index) for k in range(3)], 1)
    return torch.from_numpy(nib.affines.apply_affine(moving.affine, landed)) * RAS


def through_flirt(path: Path, points: torch.Tensor, images: tuple[Path, Path]) -> torch.Tensor:
    """nitransforms on a matrix of FLIRT."""
    fsl = pytest.importorskip("nitransforms.io.fsl")
    fixed, moving = (nib.load(image) for image in images)
    matrix = torch.from_numpy(fsl.FSLLinearTransform.from_filename(path).to_ras(moving=moving, reference=fixed))
    return ((points * RAS) @ matrix[:3, :3].T + matrix[:3, 3]) * RAS


def _linear(component: np.ndarray, index: np.ndarray) -> np.ndarray:
    return map_coordinates(component.astype(np.float64), index, order=1, mode="nearest")


def _ras_mesh(points: torch.Tensor, path: Path) -> Path:
    rows = "\n".join(" ".join(f"{value:.9f}" for value in row) for row in (points * RAS).tolist())
    path.write_text(
        f"# vtk DataFile Version 3.0\npoints\nASCII\nDATASET POLYDATA\nPOINTS {len(points)} double\n{rows}\n"
    )
    return path


_REGISTER_ANTS = """
import sys
import ants
fixed, moving, start, prefix = sys.argv[1:]
ants.registration(
    ants.image_read(fixed), ants.image_read(moving), type_of_transform="SyNOnly", initial_transform=[start],
    outprefix=prefix, reg_iterations=(5, 2), syn_metric="meansquares", random_seed=1,
)
"""

_REGISTER_ELASTIX = """
import sys
import itk
fixed, moving, start, folder = sys.argv[1:]
parameters = itk.ParameterObject.New()
spline = parameters.GetDefaultParameterMap("bspline", 1, 30.0)
spline["MaximumNumberOfIterations"] = ["20"]
spline["WriteResultImage"] = ["false"]
spline["AutomaticScalesEstimation"] = ["true"]
parameters.AddParameterMap(spline)
itk.elastix_registration_method(
    itk.imread(fixed, itk.F), itk.imread(moving, itk.F), parameter_object=parameters,
    initial_transform_parameter_file_name=start, output_directory=folder, log_to_console=False,
)
"""


def register_with_ants(fixed: Path, moving: Path, start: Path, prefix: Path) -> None:
    """A short run of ANTs that begins with a file of its own kind."""
    require("antspyx")
    _run(_REGISTER_ANTS, fixed, moving, start, prefix)


def register_with_elastix(fixed: Path, moving: Path, start: Path, folder: Path) -> None:
    """A short run of elastix that begins with a file of its own kind."""
    require("itk-elastix")
    _run(_REGISTER_ELASTIX, fixed, moving, start, folder)


def _run(program: str, *paths: Path) -> None:
    subprocess.run([sys.executable, "-c", program, *map(str, paths)], check=True, capture_output=True)
