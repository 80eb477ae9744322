"""The files of the page, kept in memory: all that a browser gets comes from this server, and nothing else may run."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

_DIRECTORY = Path(__file__).parent / "page"
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
# Labels, names and identifiers come from models and callers: even if one became markup, nothing of it could run.
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def page_routes() -> list[web.RouteDef]:
    """A route for each file; `/` is index.html."""
    routes = []
    for path in sorted(_DIRECTORY.iterdir()):
        address = "/" if path.name == "index.html" else f"/{path.name}"
        routes.append(web.get(address, _file(path)))
    return routes


def _file(path: Path) -> Handler:
    body = path.read_bytes()
    tag = hashlib.sha256(body).hexdigest()[:16]
    kind = _TYPES[path.suffix]

    async def answer(request: web.Request) -> web.Response:
        headers = SECURITY_HEADERS | {"Cache-Control": "no-cache", "ETag": f'"{tag}"'}  # asked anew, seldom sent anew
        if request.if_none_match and any(known.value == tag for known in request.if_none_match):
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)

    return answer
