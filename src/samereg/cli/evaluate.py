"""`samereg evaluate`: flags and output."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from samereg.app.settings import OptionalPath, OptionalTexts, TransformFormatOrAuto
from samereg.cli.options import MessageFlags, Messages


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluate:
    """Evaluate transforms of any tool.

    For every pair of the dataset, RESULTS contains one transform from fixed to moving points: in the folder
    FIXED__MOVING, under any name used by its tool (transform.h5, 0GenericAffine.mat with 1Warp.nii.gz,
    TransformParameters.0.txt), or directly as FIXED__MOVING.h5 or disp_FIXED_MOVING.nii.gz. Every format
    that `samereg convert` reads is supported. Labels are evaluated where both scans exist; distances are in mm.
    """

    dataset: Annotated[Path, arg(metavar="DIR|phantom")]
    """Folder with manifest.csv and pairs.csv, or with dataset.json of Learn2Reg; or the synthetic dataset."""

    results: Annotated[Path, arg(metavar="DIR")]
    """Folder of the transforms."""

    transform_format: Annotated[TransformFormatOrAuto, arg(name="format", metavar="FORMAT")] = "auto"
    """Format of the transforms, if it cannot be detected."""

    scans: Annotated[OptionalPath, arg(metavar="DIR")] = None
    """For the synthetic dataset: folder of the `bench` run with its scans, or in which to generate them."""

    small: bool = False
    """Use the small synthetic dataset, as in `bench --small`."""

    sets: Annotated[OptionalTexts, arg(metavar="NAME [NAME ...]")] = None
    """Sets of pairs to evaluate; all of the dataset by default."""

    output: Annotated[OptionalPath, arg(aliases=["-o"], metavar="JSON")] = None
    """Also write all scores, per label, as JSON."""

    learn2reg_compat: bool = False
    """Also show the measures as computed by the Learn2Reg challenge."""

    overwrite: bool = False
    """Overwrite an existing output."""

    messages: MessageFlags = field(default_factory=Messages)

    def run(self) -> int:
        """Evaluate, print a table, return the exit code."""
        from samereg.app.overwriting import claimed_outputs
        from samereg.app.plain import to_plain
        from samereg.bench.benchmark import open_dataset
        from samereg.bench.evaluate import evaluate_dataset, write_evaluation
        from samereg.bench.evaluation_table import evaluation_table
        from samereg.cli.console import naming_flags, print_json, print_table, progress, start_logging
        from samereg.optional import require_packages

        start_logging(self.messages)
        if self.learn2reg_compat:
            require_packages("surface_distance", purpose="--learn2reg-compat")
        outputs = () if self.output is None else (self.output,)
        with claimed_outputs(*outputs, overwrite=self.overwrite), naming_flags(format="--format FORMAT"):
            with progress(self.messages) as on_progress:
                dataset = open_dataset(str(self.dataset), self.scans, small=self.small, on_progress=on_progress)
            found = evaluate_dataset(
                dataset.only(self.sets or ()),
                self.results,
                format=None if self.transform_format == "auto" else self.transform_format,
                learn2reg_compat=self.learn2reg_compat,
            )
            if self.output is not None:
                write_evaluation(found, self.output)
        if self.messages.json:
            print_json(to_plain(found))
        else:
            print_table(*evaluation_table(found))
        return 0
