"""Requests over aiobotocore: the only module that imports it, or botocore.

It is imported when a client is opened and not before, since that takes half a second.

What is done to aiobotocore here goes through its configuration, its events and its session's
components, which are public; nothing of it is patched, so whatever else hangs on its events
(tracing, say) sees every call:

- Parameter validation is off: our models have done it.
- Retries are off: ``_calls`` repeats, because only it knows what may be repeated.
- Handlers that botocore runs for every service, and that do nothing for this one, are taken off.
- The user agent is built once per client.
- ``_HttpSession`` stands where aiobotocore has its own. It signs a request when it is sent, and
  keeps the raw answer from botocore, which reads a proxy's page as an empty answer and writes
  bodies, encrypted values included, into its debug log.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import AsyncExitStack, nullcontext
from contextvars import ContextVar
from functools import lru_cache, partial
from io import BytesIO
from pathlib import Path
from typing import Any, Self, cast
from urllib.parse import quote, urlsplit

from aiobotocore.awsrequest import AioAWSResponse
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from aiohttp import (
    ClientConnectionError,
    ClientConnectorError,
    ClientPayloadError,
    ClientResponse,
    ClientResponseError,
    ClientSession,
    ClientSSLError,
    ClientTimeout,
    ConnectionTimeoutError,
    DummyCookieJar,
    InvalidURL,
    NonHttpUrlClientError,
    ServerDisconnectedError,
    TCPConnector,
)
from botocore import UNSIGNED, exceptions
from botocore.awsrequest import AWSPreparedRequest
from botocore.handlers import BUILTIN_HANDLERS
from botocore.httpsession import create_urllib3_context, get_cert_path
from botocore.loaders import JSONFileLoader, Loader
from botocore.utils import normalize_url_path
from yarl import URL

from aiodatapipeline import errors
from aiodatapipeline._answers import error_body, read_error
from aiodatapipeline._config import CONNECT_TIMEOUT, ConnectionSettings
from aiodatapipeline._seam import AiobotocoreSession, Reply
from aiodatapipeline._sigv4 import SigningKey
from aiodatapipeline._version import __version__

_SERVICE = "datapipeline"
_EVENTS = "data-pipeline"  # the service's id, as botocore hyphenates it in names of events
_POLL = "PollForTask"
_DEFAULT_PORTS = {"http": 80, "https": 443}

# Service models never change while a process runs, and reading them takes a fifth of a
# second: clients share them. By the value of AWS_DATA_PATH, which says where they are.
_loaders: dict[object, Loader] = {}

# botocore's own handlers that every call would run for nothing, for 5 % of its CPU.
_IDLE_HANDLERS = {
    "add_retry_headers",  # would say attempt 1 of 1, since botocore does not repeat here
    "generate_idempotent_uuid",  # for idempotency tokens, which this service does not have
    "inject_api_version_header_if_needed",  # for endpoint discovery, neither
}

# aiohttp warns of more in one piece, since writing it could block the event loop.
_LARGEST_PIECE = 2**20


class _Attempt:
    """What is known of one attempt."""

    context: Mapping[str, Any]  # botocore's
    signed = False  # the last step before it is sent
    reply: Reply | None = None


_attempt: ContextVar[_Attempt] = ContextVar("aiodatapipeline_attempt")


class AiobotocoreTransport:
    """Carries requests with an aiobotocore client that is made for it."""

    def __init__(
        self, settings: ConnectionSettings, session: AiobotocoreSession | None = None
    ) -> None:
        self._settings = settings
        self._given_session = session
        self._stack = AsyncExitStack()
        self._methods: dict[str, Callable[..., Awaitable[object]]] = {}
        # Waiting for a connection happens here and not in aiohttp, where a request would
        # already carry the time of its signature.
        self._slots = asyncio.Semaphore(settings.max_pool_connections)
        # A poll is held for up to 90 s: polls have connections of their own, without limit,
        # so that no other call waits for one to end.
        self._poll_slots = nullcontext()
        self.max_attempts: int | None = None
        """How often a call is tried, if the environment or the shared files say so."""

    async def open(self) -> None:
        """Look up settings and credentials; connections are made by the first calls.

        Raises:
            ConfigurationError: They do not make a client.
        """
        try:
            await self._open()
        except errors.DataPipelineError:
            raise
        except Exception as error:
            raise _translate(error, "", _Attempt()) from error

    async def _open(self) -> None:
        settings = self._settings
        session = cast("AioSession | None", self._given_session)
        if session is None:
            session = AioSession(profile=settings.profile_name)
            session.register_component("data_loader", _shared_loader(session))
        await asyncio.to_thread(_read_service_model, session)
        _check_ca_bundle(settings, session)
        signing = _Signing(await self._find_credentials(session))
        self.max_attempts = _whole_number(session.get_config_variable("max_attempts"))
        adaptive = session.get_config_variable("retry_mode") == "adaptive"
        client = await self._stack.enter_async_context(
            session.create_client(
                _SERVICE,
                region_name=settings.region_name,
                endpoint_url=settings.endpoint_url,
                verify=settings.verify,
                aws_access_key_id=settings.aws_access_key_id,
                aws_secret_access_key=settings.aws_secret_access_key,
                aws_session_token=settings.aws_session_token,
                config=AioConfig(
                    http_session_cls=partial(_HttpSession, signing, _chosen_class(session)),
                    connect_timeout=CONNECT_TIMEOUT,
                    read_timeout=None,  # send() has the time for each attempt
                    max_pool_connections=0,  # no limit: send() has the slots
                    parameter_validation=False,
                    # Adaptive mode also slows down what is sent, which is worth keeping. Of the
                    # others, which do nothing here, legacy has the least to take off.
                    retries={
                        "mode": "adaptive" if adaptive else "legacy",
                        "total_max_attempts": 1,
                    },
                    user_agent=f"aiodatapipeline/{__version__} {session.user_agent()}",
                ),
            )
        )
        for event, handler in (
            ("before-call", _note_attempt),
            ("choose-signer", _choose_no_signer),
        ):
            client.meta.events.register(f"{event}.{_EVENTS}", handler)
        for event, handler, *_ in BUILTIN_HANDLERS:
            if getattr(handler, "__name__", "") in _IDLE_HANDLERS:
                client.meta.events.unregister(event, handler)
        # It is there to say that the first attempt was the last, for 2 % of a call's CPU.
        client.meta.events.unregister(f"needs-retry.{_EVENTS}", unique_id=f"retry-config-{_EVENTS}")
        self._methods = {
            operation: getattr(client, method)
            for method, operation in client.meta.method_to_api_mapping.items()
        }

    async def _find_credentials(self, session: AioSession) -> AioCredentials:
        key, secret = self._settings.aws_access_key_id, self._settings.aws_secret_access_key
        if key is not None and secret is not None:
            return AioCredentials(key, secret, self._settings.aws_session_token)
        if key is not None or secret is not None:
            raise errors.MissingCredentialsError(
                "aws_access_key_id and aws_secret_access_key belong together: "
                f"{'the first' if key is None else 'the second'} is missing"
            )
        found = await session.get_credentials()
        if found is None:
            raise errors.MissingCredentialsError(
                "no AWS credentials found: pass aws_access_key_id and aws_secret_access_key, "
                "or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE or a role"
            )
        return found

    async def aclose(self) -> None:
        """Close the connections. Calls under way end with ClientClosedError."""
        self._methods = {}
        await self._stack.aclose()

    async def send(self, operation: str, body: Mapping[str, object], timeout: float) -> Reply:
        """Send a request once. See ``Transport.send``."""
        attempt = _Attempt()
        token = _attempt.set(attempt)
        try:
            slots = self._poll_slots if operation == _POLL else self._slots
            async with asyncio.timeout(timeout), slots:
                await self._method(operation)(**body)
        except (errors.DataPipelineError, asyncio.CancelledError):
            raise
        except Exception as error:
            if isinstance(error, exceptions.ClientError) and attempt.reply is not None:
                return Reply(
                    attempt.reply.status, attempt.reply.body, attempt.reply.headers, cause=error
                )
            if not self._methods:
                raise _closed(maybe_applied=attempt.signed) from error
            raise _translate(error, operation, attempt) from error
        finally:
            _attempt.reset(token)
        if attempt.reply is None:
            raise errors.ResponseError(
                "something on aiobotocore's events answered in the service's place",
                operation=operation,
            )
        return attempt.reply

    def _method(self, operation: str) -> Callable[..., Awaitable[object]]:
        if not self._methods:
            raise _closed()
        return self._methods[operation]


def _note_attempt(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
    _attempt.get().context = context
    # Bodies are in botocore's debug log, encrypted values and all.
    params["body"] = _Unprinted(params["body"])


class _Unprinted(bytes):
    """A body that stays out of botocore's debug log."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"

    __str__ = __repr__


def _choose_no_signer(**_: object) -> object:
    return UNSIGNED  # _Signing.sign does it


def _chosen_class(session: AioSession) -> type[AIOHTTPSession]:
    """Give the class that sends if ours does not: an application may have its own."""
    return getattr(session.get_default_client_config(), "http_session_cls", AIOHTTPSession)


class _HttpSession:
    """Signs and sends what botocore has prepared, and gives it an answer without contents.

    For a proxy, or with a certificate of the client's, aiobotocore's own class sends. It looks
    for such things, and copies headers to and fro, for every request: 8 % of a call's CPU. It
    also follows redirects, credentials and body in hand, and keeps cookies; this does neither.
    Exceptions are the same, for whoever watches the events.
    """

    def __init__(self, signing: _Signing, other: type[AIOHTTPSession], **settings: Any) -> None:
        self._signing, self._settings = signing, settings
        self._other: AIOHTTPSession | None = None
        if other is not AIOHTTPSession or settings["proxies"] or settings["client_cert"]:
            self._other = other(**settings)
        self._stack = AsyncExitStack()
        self._tls: ssl.SSLContext | None = None

    async def __aenter__(self) -> Self:
        if self._other is not None:
            await self._stack.enter_async_context(self._other)
            return self
        connect_timeout, read_timeout = self._settings["timeout"]
        self._session = await self._stack.enter_async_context(
            ClientSession(
                connector=TCPConnector(
                    limit=self._settings["max_pool_connections"],
                    **self._settings["connector_args"],
                ),
                timeout=ClientTimeout(sock_connect=connect_timeout, sock_read=read_timeout),
                auto_decompress=False,
                cookie_jar=DummyCookieJar(),
            )
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def send(self, request: AWSPreparedRequest) -> _EmptiedResponse:
        if self._other is None:
            reply = await self._send(request)
        else:
            await self._signing.sign(request)
            answer = await self._other.send(request)
            _refuse_redirect(answer)
            # aiobotocore has the names in lower case.
            reply = Reply(answer.status_code, await answer.content, dict(answer.headers.items()))
        _attempt.get().reply = reply
        return _EmptiedResponse(request.url, reply)

    async def _send(self, request: AWSPreparedRequest) -> Reply:
        url = URL(request.url, encoded=True)
        if self._tls is None and url.scheme == "https":
            self._tls = await asyncio.to_thread(_tls, self._settings["verify"])
        await self._signing.sign(request)
        failure: exceptions.BotoCoreError
        try:
            response = await self._session.request(
                request.method,
                url,
                headers=request.headers,
                data=request.body,
                allow_redirects=False,
                ssl=self._tls or True,
            )
            return Reply(response.status, await response.read(), _headers(response))
        except ClientPayloadError:
            failure = exceptions.ConnectionClosedError(endpoint_url=request.url)
        except ClientResponseError:
            failure = exceptions.HTTPClientError(error=_NOT_HTTP)
        except Exception as error:
            raise _as_botocore(error, request.url) from error
        # Without aiohttp's exception, which shows what came, encrypted values and all.
        raise failure


def _headers(response: ClientResponse) -> dict[str, str]:
    return {
        name.decode(errors="replace").lower(): value.decode(errors="replace")
        for name, value in response.raw_headers
    }


def _refuse_redirect(answer: AioAWSResponse) -> None:
    # It was followed, as a GET without a body for most: its answer would pass for ours.
    redirects = getattr(answer.raw, "history", ())
    if redirects:
        raise errors.ResponseError(
            f"redirected to {answer.url}, as the service never does: check endpoint_url",
            status=redirects[0].status,
            retryable=False,
        )


class _EmptiedResponse:
    """What botocore gets to parse.

    Nothing of a good answer; of a bad one what makes its ClientError, in a form that it cannot
    stumble over.
    """

    def __init__(self, url: str, reply: Reply) -> None:
        self.url, self.status_code, self.headers = url, reply.status, reply.headers
        self._body = b"{}"
        if reply.status >= 300:
            code, message = read_error(reply.body, reply.headers) or (str(reply.status), "")
            self._body = error_body(code, message)

    @property
    def content(self) -> Awaitable[bytes]:
        return self._read()

    async def _read(self) -> bytes:
        return self._body


def _tls(verify: str | bool) -> ssl.SSLContext:  # noqa: FBT001  # botocore's type
    bundle = get_cert_path(verify) if verify else None
    return _tls_of(bundle, Path(bundle).stat().st_mtime_ns if bundle else 0)


@lru_cache(maxsize=8)
def _tls_of(bundle: str | None, _written: int) -> ssl.SSLContext:
    """Read a file of CAs, for 20 ms, once for all clients, as long as it stays as it is."""
    context = create_urllib3_context()
    if bundle is not None:
        context.check_hostname = True
        context.load_verify_locations(bundle)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


# In aiobotocore's order: some of aiohttp's are of several kinds.
_AS_BOTOCORE: tuple[tuple[type[Exception], type[exceptions.BotoCoreError]], ...] = (
    (ClientSSLError, exceptions.SSLError),
    (ServerDisconnectedError, exceptions.ConnectionClosedError),
    (ConnectionTimeoutError, exceptions.ConnectTimeoutError),
    (TimeoutError, exceptions.ReadTimeoutError),
    (ClientConnectionError, exceptions.EndpointConnectionError),
    (socket.gaierror, exceptions.EndpointConnectionError),
    (Exception, exceptions.HTTPClientError),
)


def _as_botocore(error: Exception, url: str) -> exceptions.BotoCoreError:
    kind = next(ours for theirs, ours in _AS_BOTOCORE if isinstance(error, theirs))
    return kind(endpoint_url=url, error=error)


class _Signing:
    """Signs each request when it is sent; derives the key once per day, credentials and region."""

    def __init__(self, credentials: AioCredentials) -> None:
        self._credentials = credentials
        self._key: SigningKey | None = None
        self._key_is_for: tuple[object, ...] = ()

    async def sign(self, request: AWSPreparedRequest) -> None:
        """Complete the headers of a request, which is sent as it is then."""
        attempt = _attempt.get()
        found = attempt.context.get("signing", {})
        region = found.get("region") or attempt.context["client_region"]
        service = found.get("signing_name") or _SERVICE
        credentials = await self._credentials.get_frozen_credentials()
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        wanted = (credentials, now[:8], region, service)
        if self._key is None or self._key_is_for != wanted:
            self._key = SigningKey.derive(
                credentials.access_key, credentials.secret_key, now[:8], region, service
            )
            self._key_is_for = wanted
        host, path = _host_and_path(request.url)
        headers = {
            name: value if isinstance(value, str) else value.decode()
            for name, value in request.headers.items()
        }
        signed = {"content-type": headers["Content-Type"], "host": host, "x-amz-date": now}
        headers["X-Amz-Date"] = now
        if credentials.token:
            headers["X-Amz-Security-Token"] = signed["x-amz-security-token"] = credentials.token
        signed["x-amz-target"] = headers["X-Amz-Target"]
        headers["Authorization"] = self._key.authorization(path, signed, request.body)
        headers["Accept-Encoding"] = "identity"
        request.headers = headers
        if len(request.body) > _LARGEST_PIECE:
            request.body = BytesIO(request.body)
        attempt.signed = True


@lru_cache(maxsize=16)
def _host_and_path(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    port = parts.port if parts.port != _DEFAULT_PORTS.get(parts.scheme) else None
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    return host if port is None else f"{host}:{port}", quote(
        normalize_url_path(parts.path), safe="/~"
    )


def _shared_loader(session: AioSession) -> Loader:
    where = session.get_config_variable("data_path")
    if where not in _loaders:
        paths = cast("Loader", session.get_component("data_loader")).search_paths
        _loaders[where] = _Loader(paths, include_default_search_paths=False)
    return _loaders[where]


class _Files(JSONFileLoader):
    """Reads JSON into plain dicts, which keep their order as well, in half the time."""

    def load_file(self, file_path: str) -> object:
        for ending, opened in ((".json", open), (".json.gz", gzip.open)):
            path = Path(f"{file_path}{ending}")
            if path.is_file():
                with opened(path, "rb") as file:
                    return json.load(file)
        return None


class _Loader(Loader):
    """Finds the model of a service without looking into the directories of 400 others."""

    FILE_LOADER_CLASS = _Files

    def list_available_services(self, type_name: str) -> Collection[str]:
        return _Services(self, type_name)


class _Services(Collection[str]):
    """All services that there are models of; whether one is among them is asked for itself."""

    def __init__(self, loader: Loader, type_name: str) -> None:
        self._loader, self._type_name = loader, type_name

    def __contains__(self, name: object) -> bool:
        try:
            return bool(self._loader.list_api_versions(str(name), self._type_name))
        except exceptions.DataNotFoundError:
            return False

    def __iter__(self) -> Iterator[str]:
        return iter(Loader.list_available_services(self._loader, self._type_name))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _read_service_model(session: AioSession) -> None:
    # create_client() reads these files too, on the event loop, unless they were read before.
    loader = cast("Loader", session.get_component("data_loader"))
    for name in ("_retry", "endpoints", "partitions"):
        loader.load_data(name)
    for name in ("service-2", "endpoint-rule-set-1"):
        loader.load_service_model(_SERVICE, name)


def _check_ca_bundle(settings: ConnectionSettings, session: AioSession) -> None:
    # aiobotocore opens it for the first call, and then does not say which file is missing.
    bundle: object = settings.verify
    if bundle is None:
        bundle = session.get_config_variable("ca_bundle")
    if isinstance(bundle, str) and not Path(bundle).is_file():
        raise errors.ConfigurationError(
            f"no file of CA certificates at {bundle!r}: mend verify, AWS_CA_BUNDLE or the "
            "profile's ca_bundle"
        )


def _whole_number(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def _closed(*, maybe_applied: bool = False) -> errors.ClientClosedError:
    return errors.ClientClosedError(
        "the client was closed during the call", maybe_applied=maybe_applied
    )


_NO_REGION = (
    "no AWS region found: pass region_name, or set AWS_DEFAULT_REGION or a profile's region"
)

_NOT_HTTP = "what came is not HTTP"
_NO_ANSWER = (exceptions.HTTPClientError, exceptions.ConnectionError, TimeoutError)
_NOT_SENT = (exceptions.SSLError, exceptions.ProxyConnectionError)


def _translate(  # noqa: PLR0911  # one for each kind of exception
    error: Exception, operation: str, attempt: _Attempt
) -> errors.DataPipelineError:
    """Find our exception for one of botocore's, aiohttp's or the time limit's."""
    text = str(error) or type(error).__name__
    if isinstance(error, exceptions.ClientError):
        # Not ours: a call that looks up credentials (STS, SSO) was refused.
        refused = error.response.get("Error", {})
        return errors.ServiceError.from_code(
            str(refused.get("Code", "")),
            str(refused.get("Message", "")),
            operation=error.operation_name,
            status=error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0),
        )
    if isinstance(error, exceptions.NoRegionError):
        return errors.MissingRegionError(_NO_REGION)
    if isinstance(error, exceptions.NoCredentialsError | exceptions.PartialCredentialsError):
        return errors.MissingCredentialsError(text)
    if isinstance(error.__context__, InvalidURL | NonHttpUrlClientError):
        return errors.ConfigurationError(f"no address to send to: {text}", operation=operation)
    if isinstance(error, _NO_ANSWER):
        return _no_answer(error, text, operation, attempt)
    if attempt.signed:
        return errors.ResponseLostError(text, operation=operation)
    if operation and isinstance(error, exceptions.BotoCoreError):
        # Credentials were found when the client was opened; getting new ones failed just now.
        return errors.RequestNotSentError(text, operation=operation)
    return errors.ConfigurationError(text)


def _no_answer(
    error: Exception, text: str, operation: str, attempt: _Attempt
) -> errors.TransportError:
    if isinstance(error, exceptions.ConnectTimeoutError):
        return errors.ConnectTimeoutError(text, operation=operation)
    if isinstance(error, exceptions.ReadTimeoutError):
        return errors.ReadTimeoutError(text, operation=operation)
    if isinstance(error, TimeoutError):
        if attempt.signed:
            return errors.ReadTimeoutError("no answer in the time for it", operation=operation)
        return errors.ConnectTimeoutError("not sent in the time for it", operation=operation)
    # EndpointConnectionError stands for a connection that was refused and for one that broke.
    refused = _is_about(error.__context__, error)
    if refused or isinstance(error, _NOT_SENT) or not attempt.signed:
        return errors.RequestNotSentError(text, operation=operation)
    if isinstance(error, exceptions.EndpointConnectionError):
        text = f"the connection broke: {error.__context__}"  # botocore: "Could not connect"
    if isinstance(error, exceptions.HTTPClientError) and error.kwargs.get("error") == _NOT_HTTP:
        text = _NOT_HTTP
    if isinstance(error.__context__, ClientResponseError):
        text = _NOT_HTTP  # aiohttp shows it, encrypted values and all
    return errors.ResponseLostError(text, operation=operation)


def _is_about(cause: BaseException | None, error: Exception) -> bool:
    """Whether no connection could be made to the service: to it, and not where it redirected."""
    if not isinstance(cause, ClientConnectorError):
        return False
    url = URL(getattr(error, "kwargs", {}).get("endpoint_url", ""))
    return (cause.host, cause.port) == (url.host, url.port)
