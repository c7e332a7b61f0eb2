"""Where the settings come from: arguments, environment, shared files, an application's session."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme
from aiobotocore.session import AioSession
from botocore.exceptions import ConnectTimeoutError as ConnectTimeout
from botocore.exceptions import CredentialRetrievalError, NoCredentialsError, NoRegionError
from botocore.exceptions import ReadTimeoutError as ReadTimeout

from aiodatapipeline import (
    AccessDeniedException,
    ConfigurationError,
    ConnectTimeoutError,
    DataPipelineClient,
    DataPipelineError,
    MissingCredentialsError,
    MissingRegionError,
    ReadTimeoutError,
    RequestNotSentError,
    ResponseError,
    ResponseLostError,
    ServiceError,
    ThrottlingException,
)
from tests.integration.clients import ACCESS_KEY, REGION, SECRET_KEY, client_for
from tests.integration.server import (
    Answer,
    Received,
    Server,
    Then,
    always,
    http,
    refusal,
    refusing_port,
    tls_of,
)

KEYS: Mapping[str, Any] = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY}
KEY_VARIABLES = {name.upper(): value for name, value in KEYS.items()}
ALL_VARIABLES = {**KEY_VARIABLES, "AWS_DEFAULT_REGION": REGION}


@pytest.fixture
def set_env(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, str]], None]:
    def set_all(variables: Mapping[str, str]) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_all


SetEnv = Callable[[Mapping[str, str]], None]


@pytest.fixture
def write_config(tmp_path: Path, set_env: SetEnv) -> Callable[[str], None]:
    """Write the shared configuration file."""

    def write(text: str) -> None:
        path = tmp_path / "config"
        path.write_text(text)
        set_env({"AWS_CONFIG_FILE": str(path)})

    return write


WriteConfig = Callable[[str], None]


async def ask(server: Server, **settings: Any) -> Received:
    """Make one call with nothing but these settings, and give what the server saw."""
    async with DataPipelineClient(**settings) as client:
        await client.with_options(max_backoff=0).set_task_status("task", "FINISHED")
    return server.received[-1]


# -- where the service is ---------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DATA_PIPELINE"])
async def test_the_environment_can_name_the_endpoint(variable: str, set_env: SetEnv) -> None:
    async with Server() as server:
        set_env({**ALL_VARIABLES, variable: server.url})

        received = await ask(server)

    assert received.headers["host"] == f"127.0.0.1:{server.port}"


async def test_the_service_s_own_endpoint_comes_before_the_one_for_all(set_env: SetEnv) -> None:
    async with Server() as mine, Server() as everybodys:
        set_env({**ALL_VARIABLES, "AWS_ENDPOINT_URL": everybodys.url})
        set_env({"AWS_ENDPOINT_URL_DATA_PIPELINE": mine.url})

        await ask(mine)

    assert not everybodys.received


async def test_an_argument_comes_before_the_environment(set_env: SetEnv) -> None:
    async with Server() as argument, Server() as environment:
        set_env({**ALL_VARIABLES, "AWS_ENDPOINT_URL_DATA_PIPELINE": environment.url})

        received = await ask(
            argument,
            endpoint_url=argument.url,
            region_name="eu-west-1",
            aws_access_key_id="given",
            aws_secret_access_key="too",
        )

    assert received.credential[0] == "given"
    assert received.credential[2] == "eu-west-1"
    assert not environment.received


@pytest.mark.parametrize("by_variable", [True, False], ids=["AWS_PROFILE", "profile_name"])
async def test_a_profile_can_hold_everything(
    by_variable: bool, set_env: SetEnv, write_config: WriteConfig
) -> None:
    async with Server() as server:
        write_config(
            f"""
            [default]
            region = us-east-1
            [profile mine]
            region = ap-southeast-2
            services = local
            aws_access_key_id = of-the-profile
            aws_secret_access_key = secret
            [services local]
            data_pipeline =
                endpoint_url = {server.url}
        """.replace("            ", "")
        )
        if by_variable:
            set_env({"AWS_PROFILE": "mine"})

        received = await ask(server, **({} if by_variable else {"profile_name": "mine"}))

    assert received.credential[0] == "of-the-profile"
    assert received.credential[2:4] == ["ap-southeast-2", "datapipeline"]


@pytest.mark.parametrize(
    ("variables", "host"),
    [
        ({}, "datapipeline.eu-west-1.amazonaws.com"),
        ({"AWS_USE_FIPS_ENDPOINT": "true"}, "datapipeline-fips.eu-west-1.amazonaws.com"),
        ({"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "datapipeline.eu-west-1.api.aws"),
        (
            {
                "AWS_ENDPOINT_URL_DATA_PIPELINE": "http://127.0.0.1:1",
                "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
            },
            "datapipeline.eu-west-1.amazonaws.com",
        ),
    ],
    ids=["region", "fips", "dualstack", "ignored"],
)
async def test_the_endpoint_follows_from_the_region(
    variables: Mapping[str, str], host: str, set_env: SetEnv
) -> None:
    # Without an endpoint_url the service is in the internet, and a proxy can tell where.
    async with Server(handler=always(http(b"", 502))) as proxy:
        set_env({**ALL_VARIABLES, **variables, "HTTPS_PROXY": proxy.url})

        with pytest.raises(RequestNotSentError):
            await ask(proxy, region_name="eu-west-1")

    asked_for = [(each.method, each.url) for each in proxy.received]
    assert asked_for == [("CONNECT", f"{host}:443")] * 3


async def test_a_proxy_carries_the_requests(set_env: SetEnv) -> None:
    async with Server() as proxy:
        set_env({**ALL_VARIABLES, "HTTP_PROXY": proxy.url})

        received = await ask(proxy, endpoint_url="http://service.invalid/path")

    assert received.url == "http://service.invalid/path"
    assert received.headers["host"] == "service.invalid"


async def test_a_proxy_that_is_not_there_gets_no_request(set_env: SetEnv) -> None:
    with refusing_port() as port:
        set_env({"HTTP_PROXY": f"http://127.0.0.1:{port}"})
        async with client_for("http://service.invalid", max_attempts=1) as client:
            with pytest.raises(RequestNotSentError, match="proxy"):
                await client.list_pipelines()


async def test_a_proxy_that_breaks_off_may_have_passed_the_request_on(set_env: SetEnv) -> None:
    async with Server(handler=always(Answer(then=Then.RESET))) as proxy:
        set_env({"HTTP_PROXY": proxy.url})
        async with client_for("http://service.invalid", max_attempts=1) as client:
            with pytest.raises(ResponseLostError, match="the connection broke") as caught:
                await client.list_pipelines()

    assert caught.value.maybe_applied


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "answer",
    [http(b"", 407), Answer(b"\0no HTTP, and a secret\r\n\r\n"), Answer(then=Then.RESET)],
    ids=["refuses", "speaks otherwise", "breaks off"],
)
async def test_no_traceback_shows_a_proxy_s_password(
    scheme: str, answer: Answer, set_env: SetEnv
) -> None:
    async with Server(handler=always(answer)) as proxy:
        address = proxy.url.replace("://", "://user:a-secret@")
        set_env({"HTTP_PROXY": address, "HTTPS_PROXY": address})
        async with client_for(f"{scheme}://service.invalid", max_attempts=1) as client:
            with pytest.raises(DataPipelineError) as caught:
                await client.list_pipelines()

    assert proxy.received[0].headers["proxy-authorization"].startswith("Basic ")
    assert "secret" not in "".join(traceback.format_exception(caught.value))


async def test_a_proxy_whose_name_is_unknown_gets_no_request(
    set_env: SetEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    def know_nobody(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", know_nobody)
    set_env({"HTTP_PROXY": "proxy.invalid:3128"})
    async with client_for("http://service.invalid", max_attempts=1) as client:
        with pytest.raises(RequestNotSentError, match="connect") as caught:
            await client.list_pipelines()

    assert not caught.value.maybe_applied


@pytest.mark.parametrize("by_variable", [True, False], ids=["AWS_ENDPOINT_URL", "endpoint_url"])
@pytest.mark.parametrize(
    "endpoint_url",
    [
        "nonsense",
        "http://",
        "http://two words",
        "http://127.0.0.1:70000",
        "http://127.0.0.1:0",
        "ftp://127.0.0.1",
    ],
)
async def test_an_endpoint_that_is_none_is_told_with_where_to_mend_it(
    endpoint_url: str, by_variable: bool, set_env: SetEnv
) -> None:
    if by_variable:
        set_env({"AWS_ENDPOINT_URL": endpoint_url})
    client = DataPipelineClient(
        endpoint_url=None if by_variable else endpoint_url, region_name=REGION, **KEYS
    )

    with pytest.raises(ConfigurationError, match=r"mend endpoint_url.*AWS_ENDPOINT_URL") as caught:
        await client.open()

    assert endpoint_url in str(caught.value)
    assert not caught.value.retryable


@pytest.mark.parametrize("endpoint_url", ["http://me:hunter2@127.0.0.1:1", "me:hunter2@127.0.0.1"])
async def test_a_password_in_an_endpoint_is_refused_and_not_shown(endpoint_url: str) -> None:
    client = DataPipelineClient(endpoint_url=endpoint_url, region_name=REGION, **KEYS)

    with pytest.raises(ConfigurationError, match=r"\*\*\*@127.0.0.1.*mend endpoint_url") as caught:
        await client.open()

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("endpoint_url", [None, "http://127.0.0.1:1"])
async def test_a_missing_region_is_told_with_what_to_do(endpoint_url: str | None) -> None:
    client = DataPipelineClient(endpoint_url=endpoint_url, **KEYS)

    with pytest.raises(MissingRegionError, match=r"region_name.*AWS_DEFAULT_REGION"):
        await client.open()


async def test_a_region_that_cannot_be_one_is_told() -> None:
    client = DataPipelineClient(region_name="not a region", **KEYS)

    with pytest.raises(ConfigurationError, match=r"'not a region'.*mend region_name"):
        await client.open()


@pytest.mark.parametrize("by_variable", [True, False], ids=["AWS_PROFILE", "profile_name"])
async def test_an_unknown_profile_is_told(by_variable: bool, set_env: SetEnv) -> None:
    if by_variable:
        set_env({"AWS_PROFILE": "nobody"})
    client = DataPipelineClient(
        region_name=REGION, profile_name=None if by_variable else "nobody", **KEYS
    )

    with pytest.raises(ConfigurationError, match=r"nobody.*profile_name or AWS_PROFILE"):
        await client.open()


async def test_a_configuration_file_that_cannot_be_read_is_told(write_config: WriteConfig) -> None:
    write_config("nonsense [")

    with pytest.raises(ConfigurationError, match=r"/config; mend the file"):
        await DataPipelineClient(region_name=REGION).open()


async def test_other_nonsense_in_the_settings_is_told_with_where_to_look(set_env: SetEnv) -> None:
    set_env({"AWS_DEFAULTS_MODE": "nonsense"})

    with pytest.raises(ConfigurationError, match=r"nonsense.*mobile; mend the arguments"):
        await DataPipelineClient(region_name=REGION, **KEYS).open()


# -- who asks ---------------------------------------------------------------------------------


async def test_missing_credentials_are_told_with_what_to_do() -> None:
    client = DataPipelineClient(region_name=REGION)

    with pytest.raises(MissingCredentialsError, match=r"aws_access_key_id.*AWS_PROFILE"):
        await client.open()


@pytest.mark.parametrize(
    ("settings", "missing"),
    [({"aws_access_key_id": "key"}, "second"), ({"aws_secret_access_key": "key"}, "first")],
)
async def test_half_of_the_credentials_is_not_enough(
    settings: Mapping[str, Any], missing: str
) -> None:
    client = DataPipelineClient(region_name=REGION, **settings)

    with pytest.raises(MissingCredentialsError, match=f"the {missing} is missing"):
        await client.open()


async def test_half_of_the_credentials_in_the_environment_is_not_enough(set_env: SetEnv) -> None:
    set_env({"AWS_ACCESS_KEY_ID": "key"})

    with pytest.raises(MissingCredentialsError, match="AWS_SECRET_ACCESS_KEY"):
        await DataPipelineClient(region_name=REGION).open()


async def test_a_session_token_goes_along(set_env: SetEnv) -> None:
    async with Server() as server:
        set_env({**ALL_VARIABLES, "AWS_SESSION_TOKEN": "of the environment"})

        found = await ask(server, endpoint_url=server.url)
        given = await ask(server, endpoint_url=server.url, aws_session_token="given", **KEYS)
        none = await ask(server, endpoint_url=server.url, **KEYS)

    assert found.headers["x-amz-security-token"] == "of the environment"
    assert "x-amz-security-token" in found.headers["authorization"]
    assert given.headers["x-amz-security-token"] == "given"
    # Keys that are given stand for themselves: the environment's token is not theirs.
    assert "x-amz-security-token" not in none.headers


class Process:
    """A program that gives credentials, which a test can change while it is in use."""

    def __init__(self, directory: Path) -> None:
        self._output = directory / "credentials.json"
        script = directory / "credentials.py"
        script.write_text(
            "import pathlib, sys\nprint(pathlib.Path(sys.argv[1]).read_text(encoding='utf-8'))\n"
        )
        self.command = f'"{sys.executable}" -S "{script}" "{self._output}"'

    def gives(self, key: str) -> None:
        # So close to its end that botocore fetches the next for every request.
        soon = datetime.now(UTC) + timedelta(minutes=5)
        credentials = {
            "Version": 1,
            "AccessKeyId": key,
            "SecretAccessKey": f"secret of {key}",
            "SessionToken": f"token of {key}",
            "Expiration": soon.isoformat(),
        }
        self._output.write_text(json.dumps(credentials))


@pytest.fixture
def process(tmp_path: Path, write_config: WriteConfig) -> Process:
    process = Process(tmp_path)
    write_config(f"[default]\nregion = {REGION}\ncredential_process = {process.command}\n")
    return process


async def test_refreshed_credentials_are_used(process: Process) -> None:
    async with Server() as server:
        process.gives("first")
        async with DataPipelineClient(endpoint_url=server.url) as client:
            await client.set_task_status("task", "FINISHED")
            process.gives("second")
            await client.set_task_status("task", "FINISHED")

    assert [each.credential[0] for each in server.received] == ["first", "second"]
    assert [each.headers["x-amz-security-token"] for each in server.received] == [
        "token of first",
        "token of second",
    ]


async def test_each_attempt_is_signed_with_the_credentials_of_its_time(process: Process) -> None:
    async def handler(request: Received) -> Answer:
        process.gives("second")
        return refusal("ThrottlingException") if len(server.received) < 2 else http()

    async with Server(handler=handler) as server:
        process.gives("first")

        await ask(server, endpoint_url=server.url)

    assert [each.credential[0] for each in server.received] == ["first", "second"]


@pytest.mark.parametrize("program", ["raise SystemExit(1)", "print('a secret')"])
async def test_a_program_that_gives_no_credentials_is_told(
    program: str, write_config: WriteConfig
) -> None:
    write_config(f'[default]\ncredential_process = "{sys.executable}" -S -c "{program}"\n')

    with pytest.raises(ConfigurationError, match=r"credentials could not be had.*mend") as caught:
        await DataPipelineClient(region_name=REGION).open()

    assert "secret" not in str(caught.value)


async def test_a_role_that_may_not_be_assumed_is_told(
    set_env: SetEnv, write_config: WriteConfig
) -> None:
    write_config(
        "[default]\nregion = us-east-1\nrole_arn = arn:aws:iam::123456789012:role/runner\n"
        "source_profile = source\n"
        "[profile source]\naws_access_key_id = key\naws_secret_access_key = secret\n"
    )
    answer = http(
        b'<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>'
        b"<Code>AccessDenied</Code><Message>not you</Message></Error></ErrorResponse>",
        403,
        headers={"Content-Type": "text/xml"},
    )
    async with Server(answer) as sts, Server() as server:
        set_env({"AWS_ENDPOINT_URL_STS": sts.url})

        with pytest.raises(ServiceError) as caught:
            await ask(server, endpoint_url=server.url)

    error = caught.value
    assert isinstance(error, AccessDeniedException)
    assert (error.operation, error.message, error.status) == ("AssumeRole", "not you", 403)
    assert not error.maybe_applied
    assert not server.received


# -- how often --------------------------------------------------------------------------------


async def test_the_environment_can_set_how_often_a_call_is_tried(set_env: SetEnv) -> None:
    async with Server(handler=always(refusal("InternalServiceError", status=500))) as server:
        set_env({**ALL_VARIABLES, "AWS_MAX_ATTEMPTS": "2"})

        with pytest.raises(ServiceError) as caught:
            await ask(server, endpoint_url=server.url)

    assert caught.value.attempts == len(server.received) == 2


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
async def test_no_retry_mode_adds_attempts_to_ours(mode: str, set_env: SetEnv) -> None:
    async with Server(handler=always(refusal("InternalServiceError", status=500))) as server:
        set_env({**ALL_VARIABLES, "AWS_RETRY_MODE": mode})

        with pytest.raises(ServiceError) as caught:
            await ask(server, endpoint_url=server.url)

    assert caught.value.attempts == len(server.received) == 3


async def test_adaptive_mode_learns_from_a_throttle(
    set_env: SetEnv, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with Server(refusal("ThrottlingException")) as server:
        set_env({**ALL_VARIABLES, "AWS_RETRY_MODE": "adaptive", "AWS_MAX_ATTEMPTS": "1"})

        with pytest.raises(ThrottlingException):
            await ask(server, endpoint_url=server.url)

    assert "Throttling response received, new send rate" in caplog.text


@pytest.mark.parametrize("attempts", ["many", "-", "0", "-1"])
async def test_attempts_that_are_no_such_number_are_told(attempts: str, set_env: SetEnv) -> None:
    set_env({"AWS_MAX_ATTEMPTS": attempts})

    with pytest.raises(ConfigurationError, match=f"AWS_MAX_ATTEMPTS.* 1 or more.*{attempts}"):
        await DataPipelineClient(region_name=REGION, **KEYS).open()


@pytest.mark.parametrize("by_variable", [True, False], ids=["AWS_RETRY_MODE", "retry_mode"])
async def test_a_retry_mode_that_is_none_is_told(
    by_variable: bool, set_env: SetEnv, write_config: WriteConfig
) -> None:
    if by_variable:
        set_env({"AWS_RETRY_MODE": "nonsense"})
    else:
        write_config("[default]\nretry_mode = nonsense\n")

    with pytest.raises(ConfigurationError, match=r"AWS_RETRY_MODE.*standard.*'nonsense'"):
        await DataPipelineClient(region_name=REGION, **KEYS).open()


# -- TLS --------------------------------------------------------------------------------------


async def test_a_certificate_that_is_not_trusted_gets_no_request(authority: trustme.CA) -> None:
    async with Server(tls=tls_of(authority)) as server:
        with pytest.raises(RequestNotSentError, match=r"(?i)certificate") as caught:
            await ask(server, endpoint_url=server.url, region_name=REGION, **KEYS)

    assert caught.value.attempts == 3
    assert not caught.value.maybe_applied
    assert not server.received


async def test_a_service_without_tls_is_told_in_words_for_people() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        address = "127.0.0.1:{1}".format(*server.sockets[0].getsockname())
        async with client_for(f"https://{address}", max_attempts=1) as client:
            with pytest.raises(RequestNotSentError, match=address) as caught:
                await client.list_pipelines()

    assert "SSLContext" not in caught.value.message


async def test_verify_names_the_certificates_to_trust(authority: trustme.CA, bundle: str) -> None:
    async with Server(tls=tls_of(authority)) as server:
        received = await ask(
            server, endpoint_url=server.url, region_name=REGION, verify=bundle, **KEYS
        )

    assert received.operation == "SetTaskStatus"


async def test_the_environment_names_the_certificates_to_trust(
    authority: trustme.CA, bundle: str, set_env: SetEnv
) -> None:
    async with Server(tls=tls_of(authority)) as server:
        set_env({**ALL_VARIABLES, "AWS_CA_BUNDLE": bundle})

        received = await ask(server, endpoint_url=server.url)

    assert received.operation == "SetTaskStatus"


async def test_verify_can_be_turned_off(authority: trustme.CA) -> None:
    async with Server(tls=tls_of(authority)) as server:
        received = await ask(
            server, endpoint_url=server.url, region_name=REGION, verify=False, **KEYS
        )

    assert received.operation == "SetTaskStatus"


@pytest.mark.parametrize("by_variable", [True, False], ids=["AWS_CA_BUNDLE", "verify"])
async def test_a_missing_file_of_certificates_is_told_by_name(
    by_variable: bool, set_env: SetEnv, tmp_path: Path
) -> None:
    missing = str(tmp_path / "missing.pem")
    if by_variable:
        set_env({"AWS_CA_BUNDLE": missing})
    client = DataPipelineClient(region_name=REGION, verify=None if by_variable else missing, **KEYS)

    with pytest.raises(ConfigurationError, match=r"missing\.pem"):
        await client.open()


async def test_a_file_without_certificates_is_told_by_name(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nonsense")

    with pytest.raises(ConfigurationError, match=r"empty\.pem.*mend verify"):
        await ask(
            Server(),
            endpoint_url="https://127.0.0.1:1",
            region_name=REGION,
            verify=str(empty),
            **KEYS,
        )


# -- an application's own session -------------------------------------------------------------


async def own_session() -> Any:
    """A session as an application has it; what it can do is more than our stubs tell."""
    session: Any = AioSession()
    session.set_credentials("of-the-session", "secret")
    session.set_config_variable("region", "us-west-2")
    return session


async def test_a_session_s_settings_and_handlers_are_used() -> None:
    seen: list[str] = []
    session = await own_session()

    def see(event_name: str, **_: object) -> None:
        seen.append(event_name)

    session.register("before-send.data-pipeline", see)
    async with (
        Server() as server,
        DataPipelineClient(session=session, endpoint_url=server.url) as client,
    ):
        await client.set_task_status("task", "FINISHED")

    [received] = server.received
    assert received.credential[0] == "of-the-session"
    assert received.credential[2] == "us-west-2"
    assert seen == ["before-send.data-pipeline.SetTaskStatus"]


# What a role's or a machine's credentials raise when they cannot be renewed.
NO_NEW_ONES = CredentialRetrievalError(provider="iam-role", error_msg="out of reach")


@pytest.mark.parametrize(
    ("event", "raised", "kind"),
    [
        ("before-send", ReadTimeout(endpoint_url="http://x"), ReadTimeoutError),
        ("before-send", ConnectTimeout(endpoint_url="http://x"), ConnectTimeoutError),
        ("before-send", ValueError("a handler's bug"), ConfigurationError),
        ("response-received", ValueError("a handler's bug"), ResponseLostError),
        ("before-call", ValueError("a handler's bug"), ConfigurationError),
        ("before-call", NoCredentialsError(), MissingCredentialsError),
        ("before-call", NO_NEW_ONES, RequestNotSentError),
        ("before-call", NoRegionError(), MissingRegionError),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_what_a_session_s_handlers_raise_is_told_in_our_words(
    event: str, raised: Exception, kind: type[DataPipelineError]
) -> None:
    def handler(**_: object) -> None:
        raise raised

    session = await own_session()
    session.register(f"{event}.data-pipeline", handler)
    async with (
        Server() as server,
        DataPipelineClient(session=session, endpoint_url=server.url) as client,
    ):
        with pytest.raises(DataPipelineError) as caught:
            await client.with_options(max_attempts=1).set_task_status("task", "FINISHED")

    assert type(caught.value) is kind
    assert caught.value.__cause__ is raised


async def test_an_answer_that_a_handler_made_up_is_not_the_service_s() -> None:
    def answer(**_: object) -> tuple[object, Mapping[str, object]]:
        return SimpleNamespace(status_code=200), {}

    session = await own_session()
    session.register("before-call.data-pipeline", answer)
    async with DataPipelineClient(session=session, endpoint_url="http://127.0.0.1:1") as client:
        with pytest.raises(ResponseError, match="in the service's place"):
            await client.set_task_status("task", "FINISHED")
