"""The HTTP session that stands where aiobotocore has its own.

It signs a request when it is sent, and keeps the raw answer from botocore, which reads a proxy's
page as an empty answer and writes bodies, encrypted values included, into its debug log.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Iterable, Mapping
from contextlib import AsyncExitStack
from contextvars import ContextVar
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlsplit

from aiobotocore.awsrequest import AioAWSResponse
from aiobotocore.credentials import AioCredentials
from aiobotocore.httpsession import AIOHTTPSession
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
    ServerDisconnectedError,
    TCPConnector,
)
from aiohttp.connector import Connection
from botocore import exceptions
from botocore.awsrequest import AWSPreparedRequest
from botocore.httpsession import create_urllib3_context, get_cert_path
from botocore.utils import normalize_url_path
from yarl import URL

from aiodatapipeline import errors
from aiodatapipeline._answers import error_body, read_error
from aiodatapipeline._config import SERVICE
from aiodatapipeline._seam import Reply
from aiodatapipeline._sigv4 import SigningKey

NOT_HTTP = "what came is not HTTP"
_DEFAULT_PORTS = {"http": 80, "https": 443}
# aiohttp warns of more in one piece, since writing it could block the event loop.
_LARGEST_PIECE = 2**20


class Attempt:
    """What is known of one attempt."""

    context: Mapping[str, Any]  # botocore's
    user_agent = ""
    maybe_sent = False
    """Whether the request may have left: until there is a connection it has not."""
    reply: Reply | None = None


attempt_now: ContextVar[Attempt] = ContextVar("aiodatapipeline_attempt")


class HttpSession:
    """Signs and sends what botocore has prepared, and gives it an answer without contents.

    For a proxy, or with a certificate of the client's, aiobotocore's own class sends. It looks
    for such things, and copies headers to and fro, for every request: 8 % of a call's CPU. It
    also follows redirects, credentials and body in hand, and keeps cookies; this does neither.
    Exceptions are the same, for whoever watches the events.
    """

    def __init__(self, signing: Signing, other: type[AIOHTTPSession], **settings: Any) -> None:
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
                connector=_Connector(
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
            reply = await self._send_with(self._other, request)
        attempt_now.get().reply = reply
        return _EmptiedResponse(request.url, reply)

    async def _send_with(self, other: AIOHTTPSession, request: AWSPreparedRequest) -> Reply:
        attempt = attempt_now.get()
        attempt.maybe_sent = True  # it does not say
        failure: exceptions.BotoCoreError
        try:
            answer = await other.send(request)
        except exceptions.EndpointConnectionError as error:
            # It stands for a connection that could not be made and for one that broke.
            proxies: Mapping[str, str] = self._settings["proxies"] or {}
            attempt.maybe_sent = not _is_about(error.__context__, (request.url, *proxies.values()))
            raise
        except (exceptions.HTTPClientError, exceptions.ProxyConnectionError) as error:
            if not isinstance(error.__context__, ClientResponseError):
                raise
            failure = type(error)(**{**error.kwargs, "error": NOT_HTTP})
        else:
            _refuse_redirect(answer)
            # aiobotocore has the names in lower case.
            return Reply(answer.status_code, await answer.content, dict(answer.headers.items()))
        # Without aiohttp's exception, which shows what came, and the password of a proxy.
        raise failure

    async def _send(self, request: AWSPreparedRequest) -> Reply:
        url = _parsed(request.url)
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
            failure = exceptions.HTTPClientError(error=NOT_HTTP)
        except Exception as error:
            raise _as_botocore(error, request.url) from error
        # Without aiohttp's exception, which shows what came, encrypted values and all.
        raise failure


class _Connector(TCPConnector):
    """Notes that an attempt has got its connection."""

    async def connect(self, *args: Any, **settings: Any) -> Connection:
        connection = await super().connect(*args, **settings)
        attempt_now.get().maybe_sent = True
        return connection


@lru_cache(maxsize=16)
def _parsed(url: str) -> URL:
    return URL(url, encoded=True)


def _headers(response: ClientResponse) -> dict[str, str]:
    return {
        name.decode(errors="replace").lower(): value.decode(errors="replace")
        for name, value in response.raw_headers
    }


def _is_about(cause: BaseException | None, addresses: Iterable[str]) -> bool:
    """Whether one of these could not be connected: these, and not where the service redirected."""
    if not isinstance(cause, ClientConnectorError):
        return False
    # A proxy's address may go without its scheme.
    urls = [URL(url if url.startswith("http") else f"http://{url}") for url in addresses]
    return (cause.host, cause.port) in [(url.host, url.port) for url in urls]


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
        self._body = b""  # not even JSON to look through
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
        try:
            context.load_verify_locations(bundle)
        except ssl.SSLError as error:
            raise errors.ConfigurationError(
                f"no CA certificates can be read from {bundle!r}: mend verify, AWS_CA_BUNDLE or "
                "the profile's ca_bundle"
            ) from error
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


class Signing:
    """Signs each request when it is sent; derives the key once per day, credentials and region."""

    def __init__(self, credentials: AioCredentials) -> None:
        self._credentials = credentials
        self._key: SigningKey | None = None
        self._key_is_for: tuple[object, ...] = ()

    async def sign(self, request: AWSPreparedRequest) -> None:
        """Complete the headers of a request, which is sent as it is then."""
        attempt = attempt_now.get()
        found = attempt.context.get("signing", {})
        region = found.get("region") or attempt.context["client_region"]
        service = found.get("signing_name") or SERVICE
        credentials = await self._credentials.get_frozen_credentials()
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        wanted = (credentials, now[:8], region, service)
        if self._key is None or self._key_is_for != wanted:
            self._key = SigningKey.derive(
                credentials.access_key, credentials.secret_key, now[:8], region, service
            )
            self._key_is_for = wanted
        host, path = host_and_path(request.url)
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


@lru_cache(maxsize=16)
def host_and_path(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    port = parts.port if parts.port != _DEFAULT_PORTS.get(parts.scheme) else None
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    return host if port is None else f"{host}:{port}", quote(
        normalize_url_path(parts.path), safe="/~"
    )
