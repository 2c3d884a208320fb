"""`samereg view`: flags, and the server that it starts."""

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated

from tyro.conf import arg

from samereg.app.settings import OptionalPath, RegisterSettings
from samereg.cli.options import FixedScan, MessageFlags, Messages, MovingScan


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """Look at two scans in the browser: click in one, see it in the other, and mend a registration.

    Starts a server on this computer, which no other computer reaches, and opens its page. Ctrl-C ends it.
    """

    fixed: FixedScan
    """Scan that stays: NIfTI, NRRD or MetaImage file, or folder of DICOM slices."""

    moving: MovingScan
    """Scan to be aligned with it."""

    output: Annotated[OptionalPath, arg(aliases=["-o"], metavar="DIR")] = None
    """Folder that the page saves a registration to, when it is asked to."""

    settings: Annotated[RegisterSettings, arg(name="")] = field(default_factory=RegisterSettings)

    host: str = "127.0.0.1"
    """Address to listen on. Another one than this lets other computers in that know the page's address; what they ask
    and see goes over the network unencrypted."""

    port: int = 0
    """Port to listen on; 0 takes a free one."""

    no_browser: bool = False
    """Print the page's address and open no browser."""

    overwrite: bool = False
    """Save into the output folder even if it holds something; other files in it stay."""

    messages: MessageFlags = field(default_factory=Messages)

    def run(self) -> int:
        """Serve until Ctrl-C, return the exit code."""
        from samereg.optional import require_packages

        require_packages("starlette", "uvicorn", purpose="samereg view")
        from samereg.app.machine import prepare_machine
        from samereg.cli.console import print_facts, print_json, start_logging
        from samereg.cli.streams import printing_at_once
        from samereg.page.desk import Desk
        from samereg.page.serving import serve

        start_logging(self.messages)
        prepare_machine(self.settings.machine, seed=self.settings.seed)
        desk = Desk(
            fixed=self.fixed,
            moving=self.moving,
            settings=self.settings,
            output=self.output,
            overwrite=self.overwrite,
        )

        def told(address: str) -> None:
            with printing_at_once():
                if self.messages.json:
                    print_json({"address": address})
                else:
                    print_facts("The page is open until Ctrl-C.", {"address": address})

        with suppress(KeyboardInterrupt):  # the usual end
            serve(desk, host=self.host, port=self.port, open_browser=not self.no_browser, told=told)
        return 0
