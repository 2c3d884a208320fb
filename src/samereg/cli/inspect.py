"""`samereg inspect`: flags and output."""

from dataclasses import dataclass, field

from samereg.cli.options import FixedImage, MessageFlags, Messages, MovingImage, SourceFormat, TransformFile


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspect:
    """Describe a transform file and how certain each fact is.

    Kind, frame, direction, units, domain, mean and maximum displacement, and folding.
    """

    transform: TransformFile
    """Transform file."""

    source: SourceFormat = "auto"
    """File format, if it cannot be detected."""

    fixed: FixedImage = None
    """Fixed image, for formats in voxels."""

    moving: MovingImage = None
    """Moving image, likewise."""

    messages: MessageFlags = field(default_factory=Messages)

    def run(self) -> int:
        """Inspect, print the facts, return the exit code."""
        from samereg.app.inspection import inspect_file
        from samereg.app.plain import to_plain
        from samereg.app.spaces import read_spaces
        from samereg.cli.console import naming_flags, print_facts, print_json, start_logging

        start_logging(self.messages)
        with naming_flags(format="--from FORMAT", fixed="-f FIXED", moving="-m MOVING"):
            found = inspect_file(
                self.transform,
                format=None if self.source == "auto" else self.source,
                spaces=read_spaces(self.fixed, self.moving),
            )
        if self.messages.json:
            print_json(to_plain(found))
        else:
            print_facts(str(self.transform), {fact.name: f"{fact.value}  [{fact.sure}]" for fact in found.facts})
        return 0
