"""Errors as problem+json (RFC 9457), translated in one place."""

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from bcce.kit.errors import BcceError, InvalidInput, NotFound, Unexpected
from bcce.observability.correlation import current_correlation

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
_RETRY_AFTER_S = "1"


class MethodNotAllowed(InvalidInput):
    """The path exists, but not with this method."""

    code = "method-not-allowed"
    status = 405


class BodyStalled(InvalidInput):
    """The request's body stopped coming."""

    code = "body-stalled"
    status = 408


def problem(error: BcceError) -> JSONResponse:
    """The error as a response; a retryable one tells when to come back."""
    body: dict[str, Any] = {
        "type": f"urn:bcce:problem:{error.code}",
        "title": (type(error).__doc__ or error.code).strip().splitlines()[0],
        "status": error.status,
        "code": error.code,
        "detail": error.message,
        "correlationId": current_correlation(),
        **{key: value for key, value in error.details.items() if key not in ("type", "title", "status", "code", "detail")},
    }
    if error.hint is not None:
        body["hint"] = error.hint
    headers = {"Retry-After": _RETRY_AFTER_S} if error.retryable else {}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(body, status_code=error.status, media_type=MEDIA_TYPE, headers=headers)


def install(app: FastAPI) -> None:
    """Makes every error that leaves a route a problem."""

    async def foreseen(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, BcceError)  # noqa: S101 - registered for this type only
        return problem(error)

    async def malformed(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this type only
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        is_whole = first["loc"] == ("body",)
        hint = "send a JSON object with `Content-Type: application/json`" if is_whole else "see /docs for what belongs there"
        return problem(InvalidInput(f"{place}: {first['msg']}", hint=hint, details={"field": place}))

    async def routed(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type only
        if isinstance(error.detail, BcceError):  # from below the route, where only this exception gets through
            return problem(error.detail)
        if error.status_code == 404:
            return problem(NotFound("there is no such path", hint="see /docs for the paths that there are"))
        if error.status_code == 405:
            response = problem(MethodNotAllowed(hint="see /docs for the methods that there are"))
            response.headers.update(error.headers or {})
            return response
        response = problem(InvalidInput(str(error.detail)))
        response.status_code = error.status_code
        return response

    async def failed(_request: Request, error: Exception) -> JSONResponse:
        return await unforeseen(error)

    app.add_exception_handler(BcceError, foreseen)
    app.add_exception_handler(Exception, failed)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, routed)


async def unforeseen(error: Exception) -> JSONResponse:
    """The answer to a bug: it tells nothing, the log tells all under the same correlation id."""
    log.error("request.failed", exc_info=error)
    return problem(Unexpected())
