"""elastix in a separate process, because two ITK libraries in one process crash.

`python -m samereg.baselines.elastix_program FOLDER` takes `fixed.mha`, `moving.mha` and `parameters.json`, a list of
parameter maps, and leaves `found.json`, those of the transform, and `field.mha`, its displacements on the fixed grid.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from samereg.baselines.method import needed_package

DISTRIBUTION = "itk-elastix"


def main() -> None:
    """Registers the scans in the folder of the command line."""
    folder = Path(sys.argv[1]).resolve()
    itk = needed_package("itk", "elastix")
    # transformix also writes its field to the working directory.
    os.chdir(folder)
    run(folder, itk)


def run(folder: Path, itk: Any) -> None:
    """Registers the scans in a folder.

    Args:
        folder: as above.
        itk: the package.
    """
    fixed, moving = (itk.imread(str(folder / name), itk.F) for name in ("fixed.mha", "moving.mha"))
    parameters = itk.ParameterObject.New()
    for each in json.loads((folder / "parameters.json").read_text(encoding="utf-8")):
        defaults = parameters.GetDefaultParameterMap(each.pop("defaults")) if "defaults" in each else {}
        parameters.AddParameterMap({**{key: tuple(defaults[key]) for key in defaults}, **each})
    _, found = itk.elastix_registration_method(fixed, moving, parameter_object=parameters)
    maps = [found.GetParameterMap(n) for n in range(found.GetNumberOfParameterMaps())]
    plain = [{key: list(each[key]) for key in each} for each in maps]
    (folder / "found.json").write_text(json.dumps(plain), encoding="utf-8")
    itk.imwrite(itk.transformix_deformation_field(moving, found), str(folder / "field.mha"))


if __name__ == "__main__":
    main()
