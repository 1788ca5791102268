"""Log lines as JSON with the ids of request and job. No query string and no content is ever logged."""

import logging

import structlog
from django.http import HttpRequest
from django_structlog import middlewares

from webapp.common.client import client_address


def formatter() -> logging.Formatter:
    """The formatter of every handler, for our lines and those of libraries."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=SHARED,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
    )


_process: dict[str, object] = {}


def process_works_on(**ids: object) -> None:
    """Ids that every line of this process carries from now on, whichever thread writes it; none: no longer."""
    _process.clear()
    _process.update(ids)


def _add_process(_logger: object, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    return {**_process, **event}


SHARED: list[structlog.types.Processor] = [
    structlog.contextvars.merge_contextvars,
    _add_process,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure() -> None:
    """Send our own lines through the standard library's handlers. Called once, when the settings are ready."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED,
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


class RequestMiddleware(middlewares.RequestMiddleware):
    """A line for each request: method, path, status, request id, user id, address. Never the query string."""

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        """Method and path alone: a query string may hold what somebody searched for."""
        return f"{request.method} {request.path}"

    @classmethod
    def bind_ip(cls, request: HttpRequest) -> None:
        """The address behind the configured number of proxies, which a client cannot choose."""
        structlog.contextvars.bind_contextvars(ip=client_address(request))
