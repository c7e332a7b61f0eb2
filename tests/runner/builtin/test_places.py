"""Files and objects, by their addresses: what is read from them, and written to them."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodatapipeline.runner.builtin import _places
from aiodatapipeline.runner.builtin._aside import opened
from aiodatapipeline.runner.builtin._places import (
    LocalPlace,
    Place,
    StorageError,
    each_of,
    fetch_all,
    files_below,
    inside,
    put_all,
)
from aiodatapipeline.runner.builtin._s3 import PART, S3, S3Place
from aiodatapipeline.runner.builtin._storage import Storage
from tests.integration.server import Answer, Server, Then, always, http
from tests.runner.builtin.conftest import Bucket


async def told() -> None:
    """Hear that one more file is there."""


async def names(place: Place) -> list[str]:
    return [name async for name in place.below()]


# -- addresses ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("/data/in.csv", "/data/in.csv"),
        ("data/in.csv", "data/in.csv"),
        ("file:///data/a%20b", "/data/a b"),
        ("FILE://localhost/data", "/data"),
        ("s3://bucket/a/b?c#d e%20", "s3://bucket/a/b?c#d e%20"),
        ("S3://bucket", "s3://bucket/"),
    ],
)
def test_an_address_leads_to_a_place(address: str, shown: str) -> None:
    assert str(Storage().place(address)) == shown


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("", "no path"),
        ("a\0b", "no path"),
        ("file://host/data", "no path"),
        ("file://", "no path"),
        ("s3:///key", "names no bucket"),
        ("https://host/data", "neither in S3 nor on this machine"),
    ],
)
def test_what_is_no_address_is_told(address: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Storage().place(address)


def test_no_part_of_s3_is_imported_for_paths(tmp_path: Path) -> None:
    code = (
        "import sys; from aiodatapipeline.runner.builtin._storage import Storage\n"
        f"Storage().place({str(tmp_path)!r})\n"
        "print('aiobotocore' in sys.modules)"
    )

    told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)

    assert told.stdout == b"False\n"


@pytest.mark.parametrize("name", ["../b", "a/../../b", "/etc/passwd", "a//b", "", ".", "a\0", "a/"])
def test_no_name_leads_out_of_a_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(StorageError, match="cannot be the name of a file"):
        inside(tmp_path, name)


@given(name=st.text("./a\0\\ ", max_size=12))
def test_whatever_a_name_is_it_stays_inside(name: str) -> None:
    directory = Path("/data")
    try:
        found = inside(directory, name)
    except StorageError:
        return

    assert Path(os.path.normpath(found)).is_relative_to(directory)
    assert str(found) == f"/data/{name}"


# -- files --------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "a").write_bytes(b"1")
    (tree / "sub" / "b c").write_bytes(b"2")
    return tree


async def test_a_directory_is_carried_as_it_is(tree: Path, tmp_path: Path) -> None:
    heard: list[str] = []

    async def hear() -> None:
        heard.append("one")

    there, back = tmp_path / "there", tmp_path / "back"
    assert await put_all(tree, LocalPlace(there), hear) == 2
    assert await fetch_all(LocalPlace(there), back, told) == 2

    assert [(name, file.read_bytes()) for name, file in files_below(back)] == [
        ("a", b"1"),
        ("sub/b c", b"2"),
    ]
    assert heard == ["one", "one"]


async def test_a_written_file_replaces_what_was_there_and_leaves_no_other(tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "new").chmod(0o640)
    target = tmp_path / "out" / "file"
    target.parent.mkdir()
    target.write_bytes(b"old")

    await LocalPlace(target).put(tmp_path / "new")

    assert [path.name for path in target.parent.iterdir()] == ["file"]
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o640


async def test_a_name_as_long_as_any_can_be_is_written(tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"new")
    place = LocalPlace(tmp_path) / ("n" * 255)

    await place.put(tmp_path / "new")

    assert await place.exists()


async def test_a_canceled_copy_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_places, "_CHUNK", 1)
    out = tmp_path / "out"
    copying = asyncio.create_task(LocalPlace(Path("/dev/zero")).fetch(out / "endless"))
    while not (out.exists() and any(out.iterdir())):  # a thread tells no event
        await asyncio.sleep(0.001)

    copying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await copying

    assert list(out.iterdir()) == []


async def test_what_is_missing_is_named(tmp_path: Path) -> None:
    place = LocalPlace(tmp_path / "gone")

    assert not await place.exists()
    with pytest.raises(StorageError, match=r"cannot read '.*gone': No such file"):
        await place.fetch(tmp_path / "file")
    with pytest.raises(StorageError, match=r"cannot list '.*gone': No such file"):
        await names(place)
    assert not (tmp_path / "file").exists()


async def test_a_link_inside_of_a_directory_is_the_file_it_leads_to(tree: Path) -> None:
    (tree / "link").symlink_to(tree / "sub" / "b c")

    assert [name for name, _ in files_below(tree)] == ["a", "link", "sub/b c"]


@pytest.mark.parametrize("target", ["/etc/passwd", "/etc", "/no/such/file", "../tree"])
async def test_a_link_that_leads_out_is_refused(tree: Path, tmp_path: Path, target: str) -> None:
    (tree / "link").symlink_to(target)

    with pytest.raises(StorageError, match="a link that leads out"):
        await put_all(tree, LocalPlace(tmp_path / "there"), told)


async def test_what_holds_no_data_is_refused(tree: Path, tmp_path: Path) -> None:
    os.mkfifo(tree / "pipe")

    with pytest.raises(StorageError, match="pipe' is no file"):
        await put_all(tree, LocalPlace(tmp_path / "there"), told)


async def test_a_directory_cannot_stand_where_a_file_is(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"")

    with pytest.raises(StorageError, match=r"cannot write '.*there/"):
        await put_all(tree, LocalPlace(tmp_path / "there"), told)


async def test_a_directory_of_many_files_is_carried_some_at_a_time(tmp_path: Path) -> None:
    under_way = most = 0

    async def carry(name: str, file: Path) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1

    async def many() -> AsyncGenerator[tuple[str, Path], None]:
        for number in range(1000):
            yield str(number), tmp_path

    assert await each_of(many(), carry, told) == 1000
    assert most == 8


# -- S3 -----------------------------------------------------------------------------------


async def test_what_is_in_s3_gets_into_a_directory(bucket: Bucket, tmp_path: Path) -> None:
    await bucket.fill_with(
        {"in/a": b"1", "in/sub/b c?#+": b"2", "in/": b"", "in/sub/": b"", "inside": b"3"}
    )
    place = S3Place(bucket.s3, bucket.name, "in")

    assert await fetch_all(place, tmp_path / "in", told) == 2

    assert [(name, file.read_bytes()) for name, file in files_below(tmp_path / "in")] == [
        ("a", b"1"),
        ("sub/b c?#+", b"2"),
    ]


async def test_a_whole_bucket_is_a_directory_too(bucket: Bucket) -> None:
    await bucket.fill(a=b"1", b=b"2")

    assert await names(S3Place(bucket.s3, bucket.name, "")) == ["a", "b"]


async def test_all_pages_of_a_list_are_read(bucket: Bucket) -> None:
    await bucket.fill(a=b"", b=b"", c=b"")

    class OneAPage(S3):
        async def call(self, method: str, **members: object) -> dict[str, object]:
            return await super().call(method, **members, MaxKeys=1)

    s3 = OneAPage()
    assert await names(S3Place(s3, bucket.name, "")) == ["a", "b", "c"]
    await s3.aclose()


async def test_a_directory_gets_into_s3(bucket: Bucket, tree: Path) -> None:
    assert await put_all(tree, S3Place(bucket.s3, bucket.name, "out/"), told) == 2

    assert await bucket.content() == {"out/a": b"1", "out/sub/b c": b"2"}


async def test_a_large_file_gets_into_s3_in_parts(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = os.urandom(PART * 2 + 5)
    (tmp_path / "large").write_bytes(content)
    place = S3Place(bucket.s3, bucket.name, "large")

    await place.put(tmp_path / "large")
    await place.fetch(tmp_path / "back")

    assert (tmp_path / "back").read_bytes() == content
    head = await bucket.s3.call("head_object", Bucket=bucket.name, Key="large")
    assert head["ETag"].endswith('-3"')


async def test_an_upload_that_fails_leaves_no_parts(bucket: Bucket, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(PART + 1))

    class Failing(S3):
        async def call(self, method: str, **members: object) -> dict[str, object]:
            if method == "complete_multipart_upload":
                raise OSError(28, "No space left on device")
            return await super().call(method, **members)

    s3 = Failing()
    with pytest.raises(StorageError, match=r"cannot write s3://.*/large: No space left"):
        await S3Place(s3, bucket.name, "large").put(large)
    await s3.aclose()

    left = await bucket.s3.call("list_multipart_uploads", Bucket=bucket.name)
    assert "Uploads" not in left


@pytest.mark.parametrize(("encrypted", "asked_for"), [(False, None), (True, "AES256")])
async def test_encryption_is_asked_for_if_the_node_does(
    bucket: Bucket, tree: Path, encrypted: bool, asked_for: str | None
) -> None:
    sent: list[object] = []

    class Watched(S3):
        async def call(self, method: str, **members: object) -> dict[str, object]:
            sent.append(members.get("ServerSideEncryption"))
            return await super().call(method, **members)

    s3 = Watched()
    await (S3Place(s3, bucket.name, "out", encrypted) / "a").put(tree / "a")
    await s3.aclose()

    assert sent == [asked_for]


async def test_the_name_of_a_place_is_its_last_part() -> None:
    assert Storage().place("s3://bucket/a/b.csv").name == "b.csv"
    assert Storage().place("/a/b.csv").name == "b.csv"


async def test_one_client_serves_all_places(bucket: Bucket) -> None:
    await bucket.fill(a=b"", b=b"")
    async with Storage() as storage:
        places = [storage.place(f"s3://{bucket.name}/{key}") for key in ("a", "b")]

        assert await asyncio.gather(*(place.exists() for place in places)) == [True, True]


async def test_a_storage_that_needed_no_s3_has_nothing_to_close() -> None:
    async with Storage() as storage:
        assert storage.place("/a").name == "a"


async def test_whether_an_object_exists_is_told_by_its_whole_key(bucket: Bucket) -> None:
    await bucket.fill(abc=b"")

    assert await S3Place(bucket.s3, bucket.name, "abc").exists()
    assert not await S3Place(bucket.s3, bucket.name, "ab").exists()


async def test_a_missing_object_or_bucket_is_named(bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot read s3://.*/gone: there is no such object"):
        await S3Place(bucket.s3, bucket.name, "gone").fetch(tmp_path / "file")
    with pytest.raises(StorageError, match=r"cannot list s3://gone/: .*bucket does not exist"):
        await names(S3Place(bucket.s3, "gone", ""))


async def test_a_key_that_no_file_can_have_stops_it_all(bucket: Bucket, tmp_path: Path) -> None:
    await bucket.fill_with({"in/../../etc/passwd": b""})

    with pytest.raises(StorageError, match="cannot be the name of a file"):
        await fetch_all(S3Place(bucket.s3, bucket.name, "in"), tmp_path / "in", told)

    assert not (tmp_path / "in").exists()


async def test_a_file_is_closed_although_the_wait_for_it_is_cancelled() -> None:
    begun, go = threading.Event(), threading.Event()
    file = io.BytesIO()

    def open_() -> BinaryIO:
        begun.set()
        go.wait()
        return file

    async def use() -> None:
        async with opened(open_):
            raise AssertionError("it was cancelled before")

    using = asyncio.create_task(use())
    await asyncio.to_thread(begun.wait)
    using.cancel()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await using

    assert file.closed


async def test_a_file_that_is_a_directory_too_is_told(bucket: Bucket, tmp_path: Path) -> None:
    await bucket.fill_with({"in/a": b"", "in/a/b": b""})

    with pytest.raises(StorageError, match=r"cannot read s3://"):
        await fetch_all(S3Place(bucket.s3, bucket.name, "in"), tmp_path / "in", told)


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (http(b"", 403), "access denied"),
        (Answer(then=Then.CLOSE), "cannot look for s3://bucket/key: "),
    ],
)
async def test_why_s3_did_not_answer_is_told(
    answer: Answer, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    async with (
        Server(handler=always(answer)) as server,
        Storage("us-east-1", server.url) as storage,
    ):
        with pytest.raises(StorageError, match=reason):
            await storage.place("s3://bucket/key").exists()


@pytest.mark.usefixtures("bucket")
async def test_an_object_that_breaks_off_is_an_error(tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nContent-Type: text/plain\r\n\r\nhalf"
    async with (
        Server(handler=always(Answer(head, Then.CLOSE))) as server,
        Storage("us-east-1", server.url) as storage,
    ):
        with pytest.raises(StorageError, match=r"cannot read s3://bucket/key: "):
            await storage.place("s3://bucket/key").fetch(tmp_path / "file")


async def test_an_object_that_finds_no_place_leaves_no_connection_open(
    bucket: Bucket, tmp_path: Path
) -> None:
    await bucket.fill(a=bytes(5_000_000))  # more than is read ahead
    (tmp_path / "a").mkdir()
    answers: list[dict[str, Any]] = []

    class Watched(S3):
        async def call(self, method: str, **members: object) -> dict[str, Any]:
            answers.append(await super().call(method, **members))
            return answers[-1]

    s3 = Watched()
    with pytest.raises(StorageError, match="Is a directory"):
        await S3Place(s3, bucket.name, "a").fetch(tmp_path / "a")

    assert answers[0]["Body"].raw_stream.closed
    await s3.aclose()
