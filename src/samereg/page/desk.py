"""Two scans on the page's desk: opened and registered in the background, asked about meanwhile; knows no web server."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from samereg.app.guiding import guidance_record, read_guidance
from samereg.app.run_folder import RUN_FILES, RunFolder
from samereg.app.scans import read_scan, series_of_pair
from samereg.app.session import Registered, Session
from samereg.app.settings import RegisterSettings
from samereg.errors import InputError, SameregError, UsageError
from samereg.io.atomic import atomic_directory
from samereg.page.answers import Place, PlaceAnswer, Side, answer_at
from samereg.page.shown import ShownScan, shown_moved, shown_scan
from samereg.pipeline.guidance import Guidance, LandmarkResidual
from samereg.pipeline.orientation import turned_pair
from samereg.pipeline.pair import Pair

_LOG = logging.getLogger(__name__)

Status = Literal["opening", "ready", "registering", "failed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DeskState:
    """How far the work is.

    Attributes:
        status: opening the scans, ready for questions, registering, or failed to open them.
        words: what is going on, or what the registration is worth.
        done: steps done.
        total: steps in all; 0 where nobody knows.
        error: what went wrong last; empty if nothing did.
        landmarks: how the last registration keeps its landmarks.
    """

    status: Status = "opening"
    words: str = "Reading both scans."
    done: int = 0
    total: int = 0
    error: str = ""
    landmarks: tuple[LandmarkResidual, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Opened:
    """Two scans that are ready, and what was found between them.

    Attributes:
        session: that made them ready.
        pair: as they lie, for questions.
        stored: as they are stored, for registering.
        guidance: landmarks and masks that were given at the start.
        found: the last registration.
    """

    session: Session
    pair: Pair
    stored: Pair
    guidance: Guidance
    found: Registered | None = None


class _Closed(Exception):  # noqa: N818 - not an error: what was computed is not wanted any more
    """The desk was closed."""


@dataclass(kw_only=True, eq=False)
class Desk:
    """Two scans on the page. Every method may be called from any thread; computations follow one another.

    Attributes:
        fixed: path of the fixed scan.
        moving: path of the moving scan.
        settings: of every registration.
        output: folder that a registration is saved to; None if it cannot be saved.
        overwrite: whether that folder may hold something already.
        scans: what the viewers show, by name.
        state: how far the work is.
    """

    fixed: Path
    moving: Path
    settings: RegisterSettings
    output: Path | None = None
    overwrite: bool = False
    scans: dict[str, ShownScan] = field(default_factory=dict)
    state: DeskState = field(default_factory=DeskState)
    _opened: Opened | None = None
    _working: threading.Lock = field(default_factory=threading.Lock)
    _closing: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def begin(self) -> threading.Thread:
        """Open both scans in the background."""
        return self._in_background(self.open, failed="failed")

    def open(self) -> None:
        """Read, show and embed both scans.

        Raises:
            SameregError: a scan, landmarks or a mask that cannot be used.
        """
        series = series_of_pair(self.fixed, self.moving, self.settings.series or ())
        first = read_scan(self.fixed, series=series[0])
        second = read_scan(self.moving, series=series[1])
        guidance = read_guidance(self.settings, first, second)
        self.scans = {
            "fixed": shown_scan(first, name=self.fixed.name),
            "moving": shown_scan(second, name=self.moving.name),
        }
        self._say("Loading the network.", done=1, total=4)
        session = Session(device=self.settings.machine.device, embedding=self.settings.embedding)
        session.stages(self.settings)
        self._say("Embedding the fixed scan.", done=2, total=4)
        fixed = session.prepare(first)
        self._say("Embedding the moving scan.", done=3, total=4)
        moving = session.prepare(second)
        pair = Pair(fixed=fixed, moving=moving, embedder=session.embedder)
        self._opened = Opened(session=session, pair=pair, stored=pair, guidance=guidance)
        self.state = DeskState(status="ready", words="Ready. Click in either scan, or register.")

    def register(self, guidance: Guidance) -> threading.Thread:
        """Register in the background.

        Args:
            guidance: landmarks of the page; without any, those that were given at the start. Masks are always those.

        Raises:
            UsageError: the scans are not open, or a registration is under way.
            InputError: a landmark outside its scan.
        """
        opened = self._ready()
        if len(guidance.landmarks):
            self._refuse_outside(guidance, opened)
            chosen = replace(opened.guidance, landmarks=guidance.landmarks)
        else:
            chosen = opened.guidance
        self.state = DeskState(status="registering", words="Registering.")
        return self._in_background(lambda: self._register(opened, chosen), failed="ready")

    def answer(self, side: Side, place_mm: Place) -> PlaceAnswer:
        """What is known about a place.

        Raises:
            UsageError: the scans are not open, or a registration is under way.
        """
        self._ready()
        with self._working:
            opened = self._ready()
            return answer_at(opened.pair, opened.found, side, place_mm)

    def save(self) -> Path:
        """Write the run folder of the last registration.

        Raises:
            UsageError: there is no registration, or no folder for it.
            FileError: it cannot be written.
        """
        found = self._ready().found
        if found is None or self.output is None:
            raise UsageError(
                "There is nothing to save; need a registration, and -o FOLDER when samereg view is started."
            )
        with self._working, atomic_directory(self.output, overwrite=self.overwrite, ours=RUN_FILES) as folder:
            RunFolder(folder).write(found.files())
        self.overwrite = True  # what stands there now is this desk's own
        self.state = replace(self.state, words=f"Saved to {self.output}.", error="")
        return self.output

    def close(self) -> None:
        """Stop what is computed at its next step, and wait for that."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    @property
    def is_registered(self) -> bool:
        """Whether there is a registration."""
        return self._opened is not None and self._opened.found is not None

    def _register(self, opened: Opened, guidance: Guidance) -> None:
        found = opened.session.register(
            opened.stored.fixed,
            opened.stored.moving,
            self.settings,
            guidance=guidance,
            on_progress=lambda words, done, total: self._say(f"Registering: {words}.", done=done, total=total),
        )
        version = self.scans["moved"].version + 1 if "moved" in self.scans else 1
        shown = shown_moved(found.moving.volume, found.transform, self.scans["fixed"], version=version)
        self.scans = {**self.scans, "moved": shown}
        pair = turned_pair(opened.stored, found.result.turns)
        self._opened = replace(opened, found=found, pair=pair)
        verdict = found.record.verdict
        record = guidance_record(guidance, found.result.landmarks)
        self.state = DeskState(
            status="ready",
            words=f"Registered, {verdict.level}: {verdict.headline}",
            landmarks=record.landmarks if record else (),
        )

    def _ready(self) -> Opened:
        if self._opened is None or self.state.status != "ready":
            raise UsageError("The scans are not ready; need the end of what is computed now.")
        return self._opened

    def _refuse_outside(self, guidance: Guidance, opened: Opened) -> None:
        landmarks = guidance.landmarks
        sides = (
            ("fixed", opened.stored.fixed, landmarks.fixed_mm),
            ("moving", opened.stored.moving, landmarks.moving_mm),
        )
        for side, scan, points_mm in sides:
            outside = (~scan.volume.grid.contains(points_mm)).nonzero().flatten().tolist()
            if outside:
                raise InputError(f"The landmark '{landmarks.names[outside[0]]}' lies outside the {side} scan.")

    def _say(self, words: str, *, done: int, total: int) -> None:
        if self._closing.is_set():
            raise _Closed
        self.state = replace(self.state, words=words, done=done, total=total)

    def _in_background(self, work: Callable[[], None], *, failed: Status) -> threading.Thread:
        def run() -> None:
            try:
                with self._working:
                    work()
            except _Closed:
                _LOG.info("stopped what was computed, as the page was closed")
            except SameregError as error:
                _LOG.warning("%s", error)
                self.state = DeskState(status=failed, words="", error=str(error))
            finally:
                if self.state.status in ("opening", "registering"):  # an error that nobody foresaw, raised on
                    self.state = DeskState(
                        status=failed, error="An unexpected error: see the terminal of samereg view."
                    )

        # Not a daemon: libraries abort when the interpreter ends under them.
        self._thread = threading.Thread(target=run)
        self._thread.start()
        return self._thread
