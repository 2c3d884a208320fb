"""Plan of a comparison: records with unchanged method, version, settings and files are reused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from samereg.bench.dataset import Dataset
from samereg.bench.job import Description, Job, checksums, key_of
from samereg.bench.methods import BaselineMethod, BenchMethod
from samereg.bench.record import CaseRecord, read_record, write_record
from samereg.bench.scores import LabelScore


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Remaining jobs and reusable records.

    Attributes:
        jobs: in order: SAME's recipes first, pair by pair, so that embedded scans are reused.
        kept: number of reusable records of an earlier run.
        records: paths of the records of every method and pair.
    """

    jobs: tuple[Job, ...]
    kept: int
    records: tuple[Path, ...]

    def all_records(self) -> list[CaseRecord]:
        """Records of every method and pair, after the run."""
        return [read_record(path) for path in self.records]

    def kept_records(self) -> list[CaseRecord]:
        """Existing valid records, before the run."""
        due = {job.path for job in self.jobs}
        return [read_record(path) for path in self.records if path not in due]


def make_plan(
    dataset: Dataset, described: Mapping[BenchMethod, Description], run: Path, *, retry_failed: bool = False
) -> Plan:
    """Jobs for every method and pair whose record is missing or outdated.

    A method that cannot run here gets its records at once, with the reason; they are never reused.

    Args:
        dataset: labelled pairs.
        described: methods with their descriptions on this computer.
        run: folder of the run.
        retry_failed: repeat failed registrations.

    Raises:
        FileError: a damaged record.
    """
    sums = checksums(dataset.cases)
    names = replace(dataset, cases=())
    every = [
        Job(
            method=method,
            described=found,
            case=case,
            dataset=names,
            run=run,
            key=key_of(method, found, case, sums),
        )
        for case in dataset.cases
        for method, found in described.items()
    ]
    due: list[Job] = []
    for job in every:
        if job.described.missing:
            write_record(job.record("unavailable", job.described.missing), job.path)
        elif not _is_current(job, retry_failed=retry_failed):
            due.append(job)
    due.sort(key=lambda job: isinstance(job.method, BaselineMethod) and job.method.alone)
    runnable = sum(not job.described.missing for job in every)
    return Plan(jobs=tuple(due), kept=runnable - len(due), records=tuple(job.path for job in every))


def _is_current(job: Job, *, retry_failed: bool) -> bool:
    if not job.path.is_file():
        return False
    record = read_record(job.path)
    if record.scores is not None and any(_renamed(label, job.dataset) for label in record.scores.labels):
        return False
    wanted: Sequence[str] = ("done",) if retry_failed else ("done", "failed")
    return record.key == job.key and record.status in wanted


def _renamed(label: LabelScore, dataset: Dataset) -> bool:
    """Whether a label has been renamed since its evaluation; its name also determines whether it is partial."""
    structure = dataset.structure(label.value)
    return (label.name, label.group) != (structure.name, structure.group)
