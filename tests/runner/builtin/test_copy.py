"""CopyActivity: what is copied where, packed and unpacked, and what is refused."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

import pytest

from aiodatapipeline.models import PipelineObject, Ref
from aiodatapipeline.runner import TaskFailed
from tests.runner.builtin.conftest import Bucket, Hand
from tests.runner.builtin.processes import names_in

CSV = b"a,b\n1,2\n"


def node(object_id: str, **fields: str | Ref) -> PipelineObject:
    return PipelineObject.of(object_id, {"type": "S3DataNode", **fields})


async def copied(
    hand: Hand, source: PipelineObject, target: PipelineObject, *more: PipelineObject
) -> None:
    await hand(
        "CopyActivity", {"input": Ref(source.id), "output": Ref(target.id)}, source, target, *more
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    (data / "sub").mkdir(parents=True)
    (data / "a.csv").write_bytes(CSV)
    (data / "sub" / "b.csv").write_bytes(b"3")
    return data


async def test_a_directory_is_copied_to_s3_and_back(
    bucket: Bucket, hand: Hand, data: Path, tmp_path: Path, scratch: Path
) -> None:
    there = f"s3://{bucket.name}/there"

    await copied(hand, node("From", directoryPath=str(data)), node("To", directoryPath=there))
    assert hand.progress[-1] == {"files_written": 2}
    await copied(
        hand, node("From", directoryPath=there), node("To", directoryPath=str(tmp_path / "back"))
    )

    assert await bucket.keys() == ["there/a.csv", "there/sub/b.csv"]
    assert (tmp_path / "back" / "a.csv").read_bytes() == CSV
    assert (tmp_path / "back" / "sub" / "b.csv").read_bytes() == b"3"
    assert names_in(scratch) == []


async def test_a_file_is_copied_under_the_name_it_is_to_have(
    hand: Hand, data: Path, tmp_path: Path
) -> None:
    source = node("From", filePath=str(data / "a.csv"))

    await copied(hand, source, node("To", filePath=str(tmp_path / "new.csv")))
    await copied(hand, source, node("To", directoryPath=str(tmp_path / "new")))

    assert (tmp_path / "new.csv").read_bytes() == CSV
    assert (tmp_path / "new" / "a.csv").read_bytes() == CSV


async def test_data_is_packed_and_unpacked(hand: Hand, data: Path, tmp_path: Path) -> None:
    packed, plain = tmp_path / "packed", tmp_path / "plain"

    await copied(
        hand,
        node("From", directoryPath=str(data)),
        node("To", directoryPath=str(packed), compression="gzip"),
    )
    await copied(
        hand,
        node("From", directoryPath=str(packed), compression="gzip"),
        node("To", directoryPath=str(plain)),
    )

    assert names_in(packed) == ["a.csv.gz", "sub"]
    assert gzip.decompress((packed / "a.csv.gz").read_bytes()) == CSV
    assert (plain / "a.csv").read_bytes() == CSV
    assert (plain / "sub" / "b.csv").read_bytes() == b"3"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"plain", id="not packed"),
        pytest.param(gzip.compress(b"x" * 100)[:-5], id="cut off"),
        pytest.param(gzip.compress(b"x")[:12] + b"\xff" * 20, id="garbled"),
    ],
)
async def test_what_cannot_be_unpacked_is_named(
    hand: Hand, data: Path, tmp_path: Path, content: bytes
) -> None:
    (data / "sub" / "b.csv.gz").write_bytes(content)

    with pytest.raises(TaskFailed, match=r"'b\.csv\.gz' cannot be read as gzip") as failed:
        await copied(
            hand,
            node("From", filePath=str(data / "sub" / "b.csv.gz"), compression="gzip"),
            node("To", filePath=str(tmp_path / "new")),
        )

    assert failed.value.error_id == "StagingFailed"
    assert not (tmp_path / "new").exists()


def attempts_in(scratch: Path) -> list[Path]:
    return [each for each in scratch.iterdir() if (each / "done").is_dir()]


async def test_a_canceled_copy_leaves_nothing_under_way(
    hand: Hand, tmp_path: Path, scratch: Path
) -> None:
    (tmp_path / "large").write_bytes(bytes(300_000_000))
    copying = asyncio.ensure_future(
        copied(
            hand,
            node("From", filePath=str(tmp_path / "large")),
            node("To", filePath=str(tmp_path / "new"), compression="gzip"),
        )
    )
    while not any(names_in(each / "done") for each in attempts_in(scratch)):
        await asyncio.sleep(0.001)

    copying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await copying

    assert names_in(scratch) == []
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("formats", "error"),
    [
        (("One", "Same"), None),
        (("One", None), None),
        (("One", "Other"), "From and To have different data formats"),
        (("One", "Gone"), "To, dataFormat: "),
    ],
)
async def test_formats_have_to_be_the_same(
    hand: Hand, data: Path, tmp_path: Path, formats: tuple[str, str | None], error: str | None
) -> None:
    made = [
        PipelineObject.of("One", {"type": "CSV", "column": ["a INT", "b INT"], "@sphere": "X"}),
        PipelineObject.of("Same", {"type": "CSV", "column": ["a INT", "b INT"]}, name="Else"),
        PipelineObject.of("Other", {"type": "TSV", "column": ["a INT", "b INT"]}),
    ]
    source, target = [
        node(name, filePath=path, **({"dataFormat": Ref(form)} if form else {}))
        for name, path, form in (
            ("From", str(data / "a.csv"), formats[0]),
            ("To", str(tmp_path / "new"), formats[1]),
        )
    ]

    if error is None:
        await copied(hand, source, target, *made)
    else:
        with pytest.raises(TaskFailed, match=error):
            await copied(hand, source, target, *made)

    assert (tmp_path / "new").exists() == (error is None)


async def test_a_directory_cannot_become_a_file(hand: Hand, data: Path) -> None:
    with pytest.raises(TaskFailed, match="cannot be copied into one"):
        await copied(hand, node("From", directoryPath=str(data)), node("To", filePath="/new"))


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({}, "it has 0 of input; one is copied"),
        ({"input": Ref("From")}, "it has 0 of output; one is copied"),
        ({"input": [Ref("From"), Ref("From")]}, "it has 2 of input; one is copied"),
    ],
)
async def test_one_is_copied_to_one(
    hand: Hand, fields: dict[str, Ref | list[Ref]], error: str
) -> None:
    with pytest.raises(TaskFailed, match=error):
        await hand("CopyActivity", fields, node("From", filePath="/a"))
