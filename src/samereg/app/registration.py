"""Registers two scans in files and writes the result atomically."""

from pathlib import Path

from samereg.app.guiding import read_guidance
from samereg.app.machine import prepare_machine
from samereg.app.progress import OnProgress
from samereg.app.run_folder import RUN_FILES, RunFolder, require_dicom
from samereg.app.scans import read_scan, series_of_pair
from samereg.app.session import Registered, Session
from samereg.app.settings import RegisterSettings
from samereg.io.atomic import atomic_directory
from samereg.ops.ambient import own_torch


@own_torch()
def register_files(
    fixed_path: Path,
    moving_path: Path,
    output: Path,
    *,
    settings: RegisterSettings,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> Registered:
    """Registers two scans and writes `moved.nii.gz`, both transforms, the matches and the run record.

    A result with the verdict failed is still written; its record holds the faults and the exit status. If
    no registration can be computed, nothing is written.

    Args:
        fixed_path: fixed scan: a file, or a folder of DICOM slices.
        moving_path: scan to align with the fixed one.
        output: output folder.
        settings: all other settings.
        overwrite: write into a non-empty folder; files of an earlier registration are removed.
        on_progress: progress callback.

    Raises:
        UsageError: `output` exists, a setting is impossible on this computer, or `init` is given with the preset that
            computes only the affine stage.
        InputError: an invalid scan.
        NoOverlapError: too little common anatomy.
        MirroredError: one scan is a mirror image.
        WeightsError: the embedding is missing or damaged.
    """
    with atomic_directory(output, overwrite=overwrite, ours=RUN_FILES) as folder:
        prepare_machine(settings.machine, seed=settings.seed)
        series = series_of_pair(fixed_path, moving_path, settings.series or ())
        volumes = read_scan(fixed_path, series=series[0]), read_scan(moving_path, series=series[1])
        if settings.dicom:
            require_dicom(*(volume.source for volume in volumes))
        session = Session(device=settings.machine.device, embedding=settings.embedding)
        # Weights, landmarks and masks that do not fit are found before the scans are embedded.
        session.stages(settings)
        guidance = read_guidance(settings, *volumes)
        if on_progress is not None:
            on_progress("preparing and embedding both scans", 0, 0)
        fixed, moving = (session.prepare(volume) for volume in volumes)
        found = session.register(fixed, moving, settings, guidance=guidance, on_progress=on_progress)
        RunFolder(folder).write(found.files())
        if settings.dicom:
            RunFolder(folder).write_dicom(found.files(), fixed=fixed.volume.source, moving=moving.volume.source)
    return found
