"""`samereg bench`: flags, and what it prints."""

from dataclasses import dataclass, field
from typing import Annotated

from tyro.conf import arg

from samereg.app.settings import OptionalPath, OptionalTexts
from samereg.cli.options import MessageFlags, Messages, OutputFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """Compare registration methods on labelled pairs; write the paper's tables and figures.

    Each method registers each pair and is scored; every result is a JSON file of its own, so that a run can be
    stopped at any moment and started again. A method that is not installed is named as such. Open index.html in the
    output folder afterwards.
    """

    output: OutputFolder
    """Folder of the run; an earlier run in it goes on."""

    dataset: Annotated[str, arg(metavar="DIR|phantom")] = "phantom"
    """Folder with manifest.csv and pairs.csv, or with dataset.json of Learn2Reg; or the synthetic dataset."""

    methods: Annotated[OptionalTexts, arg(metavar="NAME [NAME ...]")] = None
    """Some methods, or all, which is the default; a wrong name lists them."""

    sets: Annotated[OptionalTexts, arg(metavar="NAME [NAME ...]")] = None
    """Sets of pairs to run on; all of the dataset by default."""

    small: bool = False
    """A phantom of three subjects at 3 mm instead of the paper's ten at 2 mm."""

    networks: Annotated[OptionalPath, arg(metavar="DIR")] = None
    """Folder of the deformation networks that the paper's other rows need: recipes/networks of the repository."""

    workers: int = 1
    """Registrations at a time on this computer; processor cores are shared out among them."""

    scheduler: Annotated[str, arg(metavar="ADDRESS")] = ""
    """Run on a Dask cluster instead, as tcp://host:8786."""

    time_limit: float = 1800.0
    """Seconds after which a registration has failed."""

    retry_failed: bool = False
    """Try again what failed before."""

    tables_only: bool = False
    """Register nothing: write tables and figures from the results that are there, as of a run that still goes on."""

    device: str = "auto"
    """auto, cpu, cuda or cuda:N. auto takes the first NVIDIA GPU if there is one."""

    threads: int = 0
    """CPU threads of all workers together; 0 takes as many as there are cores."""

    messages: MessageFlags = field(default_factory=Messages)

    def run(self) -> int:
        """Run what is left, write tables and figures, say where, return the exit code."""
        from samereg.app.plain import to_plain
        from samereg.bench.benchmark import BenchSettings, open_dataset, run_benchmark
        from samereg.bench.methods import find_methods
        from samereg.cli.console import print_facts, print_json, progress, start_logging
        from samereg.optional import require_packages

        start_logging(self.messages)
        needed = ("matplotlib", "distributed") if self.scheduler else ("matplotlib",)
        require_packages(*needed, purpose="samereg bench")
        settings = BenchSettings(
            workers=self.workers,
            scheduler=self.scheduler,
            device=self.device,
            threads=self.threads,
            networks=self.networks,
            limit_s=self.time_limit,
            retry_failed=self.retry_failed,
            tables_only=self.tables_only,
        )
        methods = find_methods(self.methods or ("all",))
        with progress(self.messages) as on_progress:
            dataset = open_dataset(self.dataset, self.output, small=self.small, on_progress=on_progress)
            chosen = dataset.only(self.sets or ())
            tally = run_benchmark(chosen, methods, self.output, settings=settings, on_progress=on_progress)
        if self.messages.json:
            print_json(to_plain(tally))
            return 0
        facts = {
            "registrations": f"{tally.made} made now, {tally.kept} kept from before, {tally.left} left to do",
            "failed": str(tally.failed),
            **{name: reason for name, reason in tally.unavailable.items()},
            "written": f"{self.output / 'index.html'}, tables/, figures/, cases/, transforms/",
        }
        print_facts(f"{len(methods)} methods on {len(chosen.cases)} pairs of {chosen.name}", facts)
        return 0
