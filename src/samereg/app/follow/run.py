"""Follows lesions of a patient over several visits, everything given by path."""

from dataclasses import dataclass
from pathlib import Path

from samereg.app.follow.findings import Drawn, read_drawn
from samereg.app.follow.tables import LESIONS, VISITS, VisitRow, visit_rows, write_lesions, write_visits
from samereg.app.follow.visit import Known, LesionRow, Routes, Visit, rounded, rows_of_visit
from samereg.app.machine import prepare_machine
from samereg.app.progress import OnProgress
from samereg.app.scans import read_scan
from samereg.app.session import Registered, Session
from samereg.app.settings import FollowSettings
from samereg.errors import NoOverlapError, UsageError
from samereg.geometry.volume import Volume
from samereg.io.atomic import atomic_directory
from samereg.ops.ambient import own_torch
from samereg.pipeline.pair import PreparedScan

FOLLOW_FILES = (LESIONS, VISITS)


@dataclass(frozen=True, kw_only=True, slots=True)
class FollowPaths:
    """Scans and lesions of one patient.

    Attributes:
        baseline: first scan.
        followups: later scans, in their order.
        lesions: of the baseline: label map or points.
        followup_lesions: of the later scans; empty if nobody drew any there.
    """

    baseline: Path
    followups: tuple[Path, ...]
    lesions: Path
    followup_lesions: tuple[Path, ...] = ()

    @property
    def scans(self) -> tuple[Path, ...]:
        """All scans, the baseline first."""
        return (self.baseline, *self.followups)


@dataclass(frozen=True, kw_only=True, slots=True)
class Followed:
    """What was found.

    Attributes:
        lesions: one row for each lesion and visit.
        visits: one row for each visit.
    """

    lesions: tuple[LesionRow, ...]
    visits: tuple[VisitRow, ...]


@own_torch()
def follow_files(
    paths: FollowPaths,
    output: Path,
    *,
    settings: FollowSettings,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> Followed:
    """Where each lesion of a baseline scan is in later ones, and what became of it; written as tables.

    Args:
        paths: scans and lesions.
        output: folder to make.
        settings: of the registrations.
        overwrite: write into `output` even if it holds something.
        on_progress: told about each visit.

    Raises:
        UsageError: `output` exists, or another number of lesion files than of later scans.
        InputError: a file that cannot be used, or a baseline without lesions.
        NoOverlapError: a later scan has too little in common with the baseline, or its registration fails its check.
    """
    if paths.followup_lesions and len(paths.followup_lesions) != len(paths.followups):
        raise UsageError(
            f"Got {len(paths.followup_lesions)} files of --followup-lesions for {len(paths.followups)} later scans; "
            "need one for each, in their order, or none."
        )
    registration = settings.registration
    with atomic_directory(output, overwrite=overwrite, ours=FOLLOW_FILES) as folder:
        prepare_machine(registration.machine, seed=registration.seed)
        session = Session(device=registration.machine.device, embedding=registration.embedding)
        session.stages(registration)  # weights that do not fit are found before anything is read
        baseline = session.prepare(read_scan(paths.baseline))
        drawn = read_drawn(paths.lesions, baseline.volume.grid, may_be_empty=False)
        known = Known(lesions={each.number: each for each in drawn.lesions}, labels=drawn.labels)
        rows = baseline_rows(drawn)
        for number, path in enumerate(paths.followups, start=1):
            if on_progress is not None:
                on_progress(path.name, number - 1, len(paths.followups))
            volume = read_scan(path)
            later = None
            if paths.followup_lesions:
                later = read_drawn(paths.followup_lesions[number - 1], volume.grid, may_be_empty=True)
            found = _registered(session, baseline, volume, settings)
            visit = Visit(
                number=number,
                drawn=later,
                transform=found.transform,
                inverse=found.inverse,
                baseline=baseline.volume.grid,
            )
            new, known = rows_of_visit(visit, known, find_routes(session, found, known))
            rows += new
        followed = Followed(lesions=tuple(rows), visits=visit_rows(rows, [str(path) for path in paths.scans]))
        write_lesions(followed.lesions, folder / LESIONS)
        write_visits(followed.visits, folder / VISITS)
    return followed


def baseline_rows(drawn: Drawn) -> list[LesionRow]:
    """Rows of the lesions that are to be followed."""
    return [
        LesionRow(
            lesion=each.number,
            visit=0,
            status="baseline",
            place_mm=rounded(each.centre_mm),
            volume_ml=each.volume_ml,
            longest_mm=each.longest_mm,
            perpendicular_mm=each.perpendicular_mm,
        )
        for each in drawn.lesions
    ]


def find_routes(session: Session, found: Registered, known: Known) -> Routes:
    """Where known lesions are in a later scan, by its registration and by the embedding of each point itself."""
    centres_mm = known.centres_mm
    answers = session.match(found.fixed, found.moving, centres_mm)
    error_mm = session.expected_errors_mm(found, centres_mm)
    place_mm = found.transform.apply(centres_mm)
    apart_mm = (answers.candidates_mm[:, 0] - place_mm).norm(dim=1).float()
    in_view = ~answers.outside.cpu() & found.moving.volume.grid.contains(place_mm)
    return Routes(
        place_mm=place_mm,
        error_mm=error_mm,
        apart_mm=apart_mm,
        agree=apart_mm <= error_mm + answers.expected_mm.cpu(),
        in_view=in_view,
    )


def _registered(session: Session, baseline: PreparedScan, later: Volume, settings: FollowSettings) -> Registered:
    found = session.register(baseline, session.prepare(later, keep=False), settings.registration)
    if found.record.verdict.level == "failed":
        faults = "; ".join(found.record.faults)
        raise NoOverlapError(f"{later.source.label}: its registration with the baseline fails its check: {faults}.")
    return found
