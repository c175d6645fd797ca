"""A FastAPI application behind each gate of the table, which asks for its user as a dependency."""

from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response

from sluicegate import Identity
from sluicegate.adapters.asgi import IDENTITY, SluicegateMiddleware
from tests.table.gates import GATES, Named
from tests.table.show import shown

_METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]


async def identity_of(request: Request) -> Identity | None:
    """The identity, as a dependency."""
    identity: Identity | None = request.scope[IDENTITY]
    return identity


def user_of(request: Request) -> str:
    """The user's name, as a dependency that FastAPI runs in a thread."""
    user: Any = request.user
    return str(user.display_name)


async def show(
    request: Request, identity: Annotated[Identity | None, Depends(identity_of)], user: Annotated[str, Depends(user_of)]
) -> Response:
    """Show what the dependencies say."""
    return Response(shown(identity, request.headers, user), media_type="application/json")


def _guarded(named: Named) -> FastAPI:
    guarded = FastAPI(openapi_url=None)
    guarded.add_middleware(
        SluicegateMiddleware, gate=named.engine(awaited=False), auth=named.auth, require=named.require
    )
    guarded.add_api_route("/{path:path}", show, methods=_METHODS)
    return guarded


app = FastAPI(openapi_url=None)
for name, named in GATES.items():
    app.mount(f"/{name}", _guarded(named))
