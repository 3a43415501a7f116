"""The REST side of the reference server: TF Serving's JSON interface, on Starlette."""

import functools
from collections.abc import Callable

import prometheus_client
from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from tfbind.serving._answers import signature_def_map, status_of, to_json
from tfbind.serving._http import Bodies
from tfbind.serving._json import dumps
from tfbind.serving._layout import METRICS
from tfbind.serving._limits import Refusal
from tfbind.serving._rest_predict import predict
from tfbind.serving._service import Service

_MODEL = "/v1/models/{model:model_name}"
_VERSIONS = ("", "/versions/{version:int}", "/labels/{label:model_name}")
_URLS = (
    "GET /v1/models/NAME[/versions/N|/labels/LABEL], the same with /metadata at its end, "
    "POST /v1/models/NAME[/versions/N|/labels/LABEL]:predict, "
    f"GET /healthz, GET /readyz, GET {METRICS}"
)
_INTERFACE = "REST"


class _NameConvertor(Convertor[str]):
    regex = "[^/:]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("model_name", _NameConvertor())


def make_app(service: Service) -> Starlette:
    """Returns the ASGI application that answers for `service`."""
    bodies = Bodies(service.limits.body, service.limits.deadline)
    methods = {
        ":predict": (_predict, "POST"),
        "/metadata": (_metadata, "GET"),
        "": (_status, "GET"),
    }
    routes = [
        Route(
            f"{_MODEL}{version}{suffix}",
            functools.partial(_answer, service, bodies, function),
            methods=[verb],
        )
        for version in _VERSIONS
        for suffix, (function, verb) in methods.items()
    ]
    routes += [
        Route("/healthz", _alive),
        Route("/readyz", functools.partial(_ready, service)),
        Route(METRICS, functools.partial(_metrics, service)),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _unknown})
    app.router.redirect_slashes = False
    return app


async def _answer(
    service: Service, bodies: Bodies, function: Callable, request: Request
) -> Response:
    """Answers a request to a model, or says in one sentence why not."""
    method = function.__name__.removeprefix("_").title()
    try:
        with service.observed(_INTERFACE, method) as record:
            record["model"] = request.path_params["model"]
            return _json(200, await function(service, bodies, request, record))
    except Refusal as refusal:
        return _refuse(refusal.status, refusal.sentence)


async def _predict(service, bodies, request, record):
    try:
        body = await bodies.read(request)
    except ClientDisconnect as error:
        raise Refusal("UNAVAILABLE", "The client has gone.", 499) from error
    ask = functools.partial(predict, service.models, service.limits, _spec(request), body, record)
    return await service.run(ask)


async def _metadata(service, bodies, request, record):
    number, version = service.models[record["model"]].find(*_spec(request))
    spec = {"name": record["model"], "signature_name": "", "version": str(number)}
    signatures = {"signature_def": to_json(signature_def_map(version))}
    return dumps({"model_spec": spec, "metadata": signatures})


async def _status(service, bodies, request, record):
    return dumps(to_json(status_of(service.models, record["model"], *_spec(request))))


def _spec(request):
    return request.path_params.get("version"), request.path_params.get("label")


async def _alive(request):
    return _json(200, dumps({"status": "alive"}))


async def _ready(service, request):
    if service.draining:
        return _refuse(503, "The server is shutting down; ask another.")
    return _json(200, dumps({"status": "ready"}))


async def _metrics(service, request):
    text = prometheus_client.generate_latest(service.registry)
    return Response(text, media_type=prometheus_client.CONTENT_TYPE_LATEST)


async def _unknown(request, error):
    if error.status_code == 405:
        allowed = error.headers["Allow"]
        sentence = f"The method must be one of {allowed} here. Received: {request.method}."
        return _refuse(405, sentence, error.headers)
    received = f"{request.method} {request.url.path[:200]}"
    return _refuse(error.status_code, f"The URL must be one of {_URLS}. Received: {received}.")


def _refuse(status, sentence, headers=None):
    headers = {"Retry-After": "1"} if status == 503 else headers
    return _json(status, dumps({"error": sentence}), headers)


def _json(status, body, headers=None):
    return Response(body, status, headers, media_type="application/json")
