"""The page's web application: what each address answers; every request has to know the token."""

import json
from collections.abc import Awaitable, Callable
from functools import wraps
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from samereg.app.plain import to_plain
from samereg.errors import InputError, SameregError, UsageError
from samereg.page.answers import Side
from samereg.page.desk import Desk
from samereg.page.landmark_files import FORMATS, file_bytes, landmarks_of, pairs_of_files, parsed_pairs
from samereg.pipeline.guidance import Guidance

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page loads nothing and talks to nobody but its own server, and no other page shows it in a frame."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

ASSETS = {
    "": ("page.html", "text/html"),
    "view.js": ("view.js", "text/javascript"),
    "view.css": ("view.css", "text/css"),
}

LARGEST_BODY_BYTES = 4 * 2**20

Handler = Callable[[Request], Awaitable[Response]]


def make_app(desk: Desk, *, token: str, hosts: tuple[str, ...] = ("127.0.0.1", "localhost")) -> Starlette:
    """The application of one desk.

    Args:
        desk: what is asked about.
        token: first part of every path; whoever does not know it finds nothing.
        hosts: names by which browsers may call this server, against pages elsewhere that resolve to it.
    """
    address = _Addresses(desk)
    routes = [
        *(Route(f"/{name}", _asset(*asset)) for name, asset in ASSETS.items()),
        Route("/state", _told(address.state)),
        Route("/volume/{name}", _told(address.volume)),
        Route("/match", _told(address.match)),
        Route("/register", _told(address.register), methods=["POST"]),
        Route("/save", _told(address.save), methods=["POST"]),
        Route("/points/read", _told(address.read_points), methods=["POST"]),
        Route("/points/{side}/{format}", _told(address.write_points), methods=["POST"]),
    ]
    middleware = [
        Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts)),
        Middleware(_SafeHeaders),
        Middleware(GZipMiddleware, minimum_size=1024, compresslevel=1),
    ]
    return Starlette(routes=[Mount(f"/{token}", routes=routes)], middleware=middleware)


class _Addresses:
    """What the addresses answer, of one desk."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    async def state(self, _request: Request) -> Response:
        state = to_plain(self.desk.state)
        return JSONResponse(
            {
                **(state if isinstance(state, dict) else {}),
                "registered": self.desk.is_registered,
                "output": None if self.desk.output is None else str(self.desk.output),
                "scans": {name: scan.about() for name, scan in self.desk.scans.items()},
            }
        )

    async def volume(self, request: Request) -> Response:
        scan = self.desk.scans.get(request.path_params["name"])
        if scan is None:
            raise UsageError("There is no such scan yet.")
        return Response(scan.voxels, media_type="application/octet-stream")

    async def match(self, request: Request) -> Response:
        side = _side(request.query_params.get("side"))
        try:
            x, y, z = (float(request.query_params[axis]) for axis in "xyz")
        except (KeyError, ValueError) as error:
            raise InputError("A place is three numbers in mm: x, y and z.") from error
        answer = await run_in_threadpool(self.desk.answer, side, (x, y, z))
        return JSONResponse(to_plain(answer))

    async def register(self, request: Request) -> Response:
        pairs = parsed_pairs((await _body(request)).get("pairs"))
        self.desk.register(Guidance(landmarks=landmarks_of(pairs)))
        return JSONResponse({})

    async def save(self, _request: Request) -> Response:
        folder = await run_in_threadpool(self.desk.save)
        return JSONResponse({"folder": str(folder)})

    async def write_points(self, request: Request) -> Response:
        pairs = parsed_pairs((await _body(request)).get("pairs"))
        side, format_name = _side(request.path_params["side"]), request.path_params["format"]
        if format_name not in FORMATS or not pairs:
            raise InputError(f"Need landmarks, and one of the formats {', '.join(FORMATS)}.")
        content = await run_in_threadpool(file_bytes, pairs, side, format_name)
        return Response(content, media_type="application/octet-stream")

    async def read_points(self, request: Request) -> Response:
        body = await _body(request)
        pairs = await run_in_threadpool(pairs_of_files, _file(body.get("fixed")), _file(body.get("moving")))
        return JSONResponse({"pairs": to_plain(pairs)})


def _asset(name: str, media_type: str) -> Handler:
    content = files("samereg.page").joinpath("assets", name).read_bytes()

    async def answer(_request: Request) -> Response:
        return Response(content, media_type=f"{media_type}; charset=utf-8")

    return answer


def _told(handler: Handler) -> Handler:
    """The same, errors raised on purpose told as a sentence."""

    @wraps(handler)
    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except SameregError as error:
            return JSONResponse({"error": str(error)}, status_code=409)

    return answer


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object of a request.

    Raises:
        InputError: none, or too large a one.
    """
    parts, size = [], 0
    async for part in request.stream():
        parts.append(part)
        size += len(part)
        if size > LARGEST_BODY_BYTES:
            raise InputError("That is more than the page ever sends.")
    try:
        found = json.loads(b"".join(parts))
    except ValueError as error:
        raise InputError("Need a JSON object.") from error
    if not isinstance(found, dict):
        raise InputError("Need a JSON object.")
    return found


def _side(value: str | None) -> Side:
    if value == "fixed":
        return "fixed"
    if value == "moving":
        return "moving"
    raise InputError("Need one of the sides fixed, moving.")


def _file(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str) or not isinstance(value.get("text"), str):
        raise InputError("Need the name and the text of two files.")
    return {"name": value["name"], "text": value["text"]}


class _SafeHeaders:
    """Puts `HEADERS` on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        await self.app(scope, receive, with_headers)
