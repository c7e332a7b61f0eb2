"""Requests over aiobotocore, which only this, ``_http`` and ``_loader`` import, or botocore.

It is imported when a client is opened and not before, since that takes half a second.

What is done to aiobotocore here goes through its configuration, its events and its session's
components, which are public; nothing of it is patched, so whatever else hangs on its events
(tracing, say) sees every call:

- Parameter validation is off: our models have done it.
- Retries are off: ``_calls`` repeats, because only it knows what may be repeated.
- Handlers that botocore runs for every service, and that do nothing for this one, are taken off.
- The user agent is built once per client, and headers are written into plain dicts.
- ``_http.HttpSession`` stands where aiobotocore has its own, and signs and sends.
- ``_loader`` has the service's model, for all clients, and no rules for its endpoint.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore import UNSIGNED, exceptions
from botocore.awsrequest import AWSRequest
from botocore.handlers import BUILTIN_HANDLERS

from aiodatapipeline import errors
from aiodatapipeline._config import CONNECT_TIMEOUT, SERVICE, ConnectionSettings
from aiodatapipeline._http import NOT_HTTP, Attempt, HttpSession, Signing, attempt_now
from aiodatapipeline._loader import read_service_model, shared_loader
from aiodatapipeline._seam import AiobotocoreSession, Reply
from aiodatapipeline._secrets import MASK
from aiodatapipeline._version import __version__

_EVENTS = "data-pipeline"  # the service's id, as botocore hyphenates it in names of events
_POLL = "PollForTask"

# botocore's own handlers that every call would run for nothing, for 8 % of its CPU.
_IDLE_HANDLERS = {
    "add_retry_headers",  # would say attempt 1 of 1, since botocore does not repeat here
    "generate_idempotent_uuid",  # for idempotency tokens, which this service does not have
    "_handle_request_validation_mode_member",  # for checksums of answers, neither
    "inject_api_version_header_if_needed",  # for endpoint discovery, neither
}
# Copies Lambda's trace id into a header. A process is in Lambda from its start or never.
_LAMBDA_HANDLER, _IN_LAMBDA = "add_recursion_detection_header", "AWS_LAMBDA_FUNCTION_NAME"


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
            raise _translate(error, "", Attempt()) from error

    async def _open(self) -> None:
        settings = self._settings
        session = cast("AioSession | None", self._given_session)
        if session is None:
            session = AioSession(profile=settings.profile_name)
            session.register_component("data_loader", shared_loader(session))
        await asyncio.to_thread(read_service_model, session)
        _check_ca_bundle(settings, session)
        signing = Signing(await self._find_credentials(session))
        self.max_attempts = _max_attempts(session)
        adaptive = _is_adaptive(session)
        client = await self._stack.enter_async_context(
            session.create_client(
                SERVICE,
                region_name=settings.region_name,
                endpoint_url=settings.endpoint_url,
                verify=settings.verify,
                aws_access_key_id=settings.aws_access_key_id,
                aws_secret_access_key=settings.aws_secret_access_key,
                aws_session_token=settings.aws_session_token,
                config=AioConfig(
                    http_session_cls=partial(HttpSession, signing, _chosen_class(session)),
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
        _check_endpoint(client.meta.endpoint_url)
        events = client.meta.events
        events.register(f"choose-signer.{_EVENTS}", _choose_no_signer)
        # After all others, an application's too, which find what they are used to.
        events.register_last("before-call", _note_attempt)
        events.register_last("request-created", _write_headers)
        idle = _IDLE_HANDLERS if _IN_LAMBDA in os.environ else _IDLE_HANDLERS | {_LAMBDA_HANDLER}
        for event, handler, *_ in BUILTIN_HANDLERS:
            if getattr(handler, "__name__", "") in idle:
                events.unregister(event, handler)
        # It is there to say that the first attempt was the last, for 2 % of a call's CPU.
        events.unregister(f"needs-retry.{_EVENTS}", unique_id=f"retry-config-{_EVENTS}")
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
        try:
            found = await session.get_credentials()
        except (ValueError, exceptions.CredentialRetrievalError) as error:
            # Of the profile's program, say: its words do not tell what they are about.
            raise errors.ConfigurationError(
                f"AWS credentials could not be had: {_words(error)}: mend what the profile or "
                "the AWS_* variables say of them"
            ) from error
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
        attempt = Attempt()
        token = attempt_now.set(attempt)
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
                raise _closed(maybe_applied=attempt.maybe_sent) from error
            raise _translate(error, operation, attempt) from error
        finally:
            attempt_now.reset(token)
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
    attempt = attempt_now.get()
    attempt.context = context
    # botocore would write it into the slow headers of a request, look for it there, and write it
    # once more.
    attempt.user_agent = params["headers"].pop("User-Agent", "")
    # Bodies are in botocore's debug log, encrypted values and all.
    params["body"] = _Unprinted(params["body"])


def _write_headers(request: AWSRequest, **_: object) -> None:
    # In bytes, as botocore wants them: it would keep its own headers twice, as text and as bytes.
    headers = {
        name: value.encode() if isinstance(value, str) else value
        for name, value in request.headers.items()
    }
    headers["User-Agent"] = attempt_now.get().user_agent.encode()
    request.headers = headers


class _Unprinted(bytes):
    """A body that stays out of botocore's debug log."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"

    __str__ = __repr__


def _choose_no_signer(**_: object) -> object:
    return UNSIGNED  # Signing.sign does it


def _chosen_class(session: AioSession) -> type[AIOHTTPSession]:
    """Give the class that sends if ours does not: an application may have its own."""
    return getattr(session.get_default_client_config(), "http_session_cls", AIOHTTPSession)


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


def _check_endpoint(url: str) -> None:
    # botocore lets a few pass, and would tell at each call.
    try:
        parts = urlsplit(url)
        found = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        user = parts.username
    except ValueError:
        found = user = None  # a port beyond 65535
    if not found:
        raise ValueError(f"{_NO_ENDPOINT}: {url}")
    if user is not None:
        shown = _USER.sub(f"{MASK}@", url)  # for whoever reads the traceback, too
        raise ValueError(f"{_NO_ENDPOINT}: {shown} has a user in it, and requests are signed")


def _max_attempts(session: AioSession) -> int | None:
    told = "AWS_MAX_ATTEMPTS, or the profile's max_attempts, is a whole number of 1 or more"
    try:
        found = session.get_config_variable("max_attempts")
    except ValueError as error:
        raise errors.ConfigurationError(f"{told}: {error}") from error
    if found is None or (isinstance(found, int) and found >= 1):
        return found
    raise errors.ConfigurationError(f"{told}, not {found!r}")


def _is_adaptive(session: AioSession) -> bool:
    mode = session.get_config_variable("retry_mode")
    if mode not in _RETRY_MODES:
        raise errors.ConfigurationError(
            f"AWS_RETRY_MODE, or the profile's retry_mode, is {', '.join(_RETRY_MODES)} or left "
            f"out, not {mode!r}"
        )
    return mode == "adaptive"


def _closed(*, maybe_applied: bool = False) -> errors.ClientClosedError:
    return errors.ClientClosedError(
        "the client was closed during the call", maybe_applied=maybe_applied
    )


_RETRY_MODES = "legacy", "standard", "adaptive"
_NO_REGION = (
    "no AWS region found: pass region_name, or set AWS_DEFAULT_REGION or a profile's region"
)
_NO_ENDPOINT = "Invalid endpoint"  # as botocore says it
_MEND_ENDPOINT = (
    "mend endpoint_url, AWS_ENDPOINT_URL_DATA_PIPELINE, AWS_ENDPOINT_URL or the profile's, such as "
    "http://127.0.0.1:4180"
)
# Of the user that is before the host in a URL: nobody shows a password.
_USER = re.compile(r"[^\s/@]*@")
# What aiohttp tells of how it was told to connect.
_TLS = re.compile(r" ssl:(<[^>]*>|\w+)")
# What to do about botocore's own words, which say what is wrong and not where to look.
_MEND: tuple[tuple[type[Exception], str], ...] = (
    (exceptions.InvalidRegionError, "mend region_name, AWS_DEFAULT_REGION or the profile's region"),
    (
        exceptions.ProfileNotFound,
        "name another in profile_name or AWS_PROFILE, or add it to the shared files",
    ),
    (exceptions.ConfigParseError, "mend the file"),
)
_MEND_SOMETHING = "mend the arguments, the AWS_* variables or the shared files"

_NO_ANSWER = (exceptions.HTTPClientError, exceptions.ConnectionError, TimeoutError)
_NOT_SENT = (exceptions.SSLError, exceptions.ProxyConnectionError)


def _translate(  # noqa: PLR0911  # one for each kind of exception
    error: Exception, operation: str, attempt: Attempt
) -> errors.DataPipelineError:
    """Find our exception for one of botocore's, aiohttp's or the time limit's."""
    text = _words(error)
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
    if isinstance(error, _NO_ANSWER):
        return _no_answer(error, text, operation, attempt)
    if attempt.maybe_sent:
        return errors.ResponseLostError(text, operation=operation)
    if not operation:
        mend = next((words for kind, words in _MEND if isinstance(error, kind)), _MEND_SOMETHING)
        if text.startswith(_NO_ENDPOINT):
            text, mend = _USER.sub(f"{MASK}@", text), _MEND_ENDPOINT
        return errors.ConfigurationError(f"{text.rstrip('.')}; {mend}")
    if isinstance(error, exceptions.BotoCoreError):
        # Credentials were found when the client was opened; getting new ones failed just now.
        return errors.RequestNotSentError(text, operation=operation)
    return errors.ConfigurationError(
        f"what prepares the request failed with {type(error).__name__}: {text}; see its cause",
        operation=operation,
    )


def _words(error: Exception) -> str:
    return _TLS.sub("", str(error)) or type(error).__name__


def _no_answer(
    error: Exception, text: str, operation: str, attempt: Attempt
) -> errors.TransportError:
    if isinstance(error, exceptions.ConnectTimeoutError):
        return errors.ConnectTimeoutError(text, operation=operation)
    if isinstance(error, exceptions.ReadTimeoutError):
        return errors.ReadTimeoutError(text, operation=operation)
    if isinstance(error, TimeoutError):
        if attempt.maybe_sent:
            return errors.ReadTimeoutError("no answer in the time for it", operation=operation)
        return errors.ConnectTimeoutError("not sent in the time for it", operation=operation)
    if isinstance(error, _NOT_SENT) or not attempt.maybe_sent:
        return errors.RequestNotSentError(text, operation=operation)
    if isinstance(error, exceptions.EndpointConnectionError):
        text = f"the connection broke: {error.__context__}"  # botocore: "Could not connect"
    if isinstance(error, exceptions.HTTPClientError) and error.kwargs.get("error") == NOT_HTTP:
        text = NOT_HTTP
    return errors.ResponseLostError(text, operation=operation)
