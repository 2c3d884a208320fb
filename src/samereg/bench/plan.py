"""What is left to do of a comparison: records whose method, version, settings and files still hold are kept."""

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
    """What a run has to do.

    Attributes:
        jobs: to do, in order: SAME's recipes first, pair by pair, so that embedded scans serve again.
        kept: how many records of an earlier run still hold.
        records: where the record of every method and pair lies or will lie.
    """

    jobs: tuple[Job, ...]
    kept: int
    records: tuple[Path, ...]

    def all_records(self) -> list[CaseRecord]:
        """Records of every method and pair, once all is done."""
        return [read_record(path) for path in self.records]

    def kept_records(self) -> list[CaseRecord]:
        """Records that hold while nothing has been done."""
        due = {job.path for job in self.jobs}
        return [read_record(path) for path in self.records if path not in due]


def make_plan(
    dataset: Dataset, described: Mapping[BenchMethod, Description], run: Path, *, retry_failed: bool = False
) -> Plan:
    """Jobs for every method and pair whose record is missing or does not hold any more.

    A method that cannot run here gets its records at once, with the reason; they are never kept.

    Args:
        dataset: labelled pairs.
        described: methods as they are on this computer.
        run: folder of the run.
        retry_failed: do again what failed.

    Raises:
        FileError: an earlier record that is damaged.
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
        elif not _holds(job, retry_failed=retry_failed):
            due.append(job)
    due.sort(key=lambda job: isinstance(job.method, BaselineMethod) and job.method.alone)
    runnable = sum(not job.described.missing for job in every)
    return Plan(jobs=tuple(due), kept=runnable - len(due), records=tuple(job.path for job in every))


def _holds(job: Job, *, retry_failed: bool) -> bool:
    if not job.path.is_file():
        return False
    record = read_record(job.path)
    if record.scores is not None and any(_renamed(label, job.dataset) for label in record.scores.labels):
        return False
    wanted: Sequence[str] = ("done",) if retry_failed else ("done", "failed")
    return record.key == job.key and record.status in wanted


def _renamed(label: LabelScore, dataset: Dataset) -> bool:
    """Whether the dataset calls a label otherwise than when it was scored; whether it is partial goes by its name."""
    structure = dataset.structure(label.value)
    return (label.name, label.group) != (structure.name, structure.group)
