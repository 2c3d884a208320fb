"""`samereg bench`: flags and output."""

from dataclasses import dataclass, field
from typing import Annotated

from tyro.conf import arg

from samereg.app.settings import OptionalPath, OptionalTexts
from samereg.cli.options import MessageFlags, Messages, OutputFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """Compare registration methods on labelled pairs; write the paper's tables and figures.

    Each method registers each pair and is evaluated; each result is a separate JSON file, so that a run can be
    stopped and resumed at any time. Methods that are not installed are marked. Open index.html in the
    output folder for the results.
    """

    output: OutputFolder
    """Output folder; an earlier run in it is resumed."""

    dataset: Annotated[str, arg(metavar="DIR|phantom")] = "phantom"
    """Folder with manifest.csv and pairs.csv, or with dataset.json of Learn2Reg; or the synthetic dataset."""

    methods: Annotated[OptionalTexts, arg(metavar="NAME [NAME ...]")] = None
    """Methods to run; all by default. An unknown name lists them."""

    sets: Annotated[OptionalTexts, arg(metavar="NAME [NAME ...]")] = None
    """Sets of pairs to run on; all of the dataset by default."""

    small: bool = False
    """A phantom of three subjects at 3 mm instead of the paper's ten at 2 mm."""

    networks: Annotated[OptionalPath, arg(metavar="DIR")] = None
    """Folder of the deformation networks of the paper's other rows: recipes/networks of the repository."""

    workers: int = 1
    """Number of concurrent registrations on this computer, which share its cores."""

    scheduler: Annotated[str, arg(metavar="ADDRESS")] = ""
    """Address of a Dask scheduler to run on instead, such as tcp://host:8786."""

    time_limit: float = 1800.0
    """Time limit per registration in seconds."""

    retry_failed: bool = False
    """Repeat registrations that failed before."""

    tables_only: bool = False
    """Only write tables and figures from the existing results, for example of a running comparison."""

    device: str = "auto"
    """auto, cpu, cuda or cuda:N. auto uses the first NVIDIA GPU if there is one."""

    threads: int = 0
    """Total CPU threads of all workers; 0 uses all cores."""

    messages: MessageFlags = field(default_factory=Messages)

    def run(self) -> int:
        """Run the remaining cases, write tables and figures, print a summary, return the exit code."""
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
            result = run_benchmark(chosen, methods, self.output, settings=settings, on_progress=on_progress)
        if self.messages.json:
            print_json(to_plain(result))
            return 0
        facts = {
            "registrations": f"{result.new} new, {result.reused} reused, {result.remaining} remaining",
            "failed": str(result.failed),
            **{name: reason for name, reason in result.unavailable.items()},
            "written": f"{self.output / 'index.html'}, tables/, figures/, cases/, transforms/",
        }
        print_facts(f"{len(methods)} methods on {len(chosen.cases)} pairs of {chosen.name}", facts)
        return 0
