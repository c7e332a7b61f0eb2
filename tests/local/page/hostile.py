"""A service full of texts that would be more than texts in a careless page."""

from __future__ import annotations

from aiodatapipeline.models import Field, PipelineObject, Ref, Tag
from tests.local.service import Pipe, Place

SCRIPT = "</script><script>document.title='pwned'</script>"
EVIL = f"{SCRIPT}<img src=x onerror=\"document.title='pwned'\">\"'&amp;\u202e"
EVIL_ID = "<script>document.title='pwned'</script>"


async def fill_with_hostile_texts(place: Place) -> Pipe:
    """Put them wherever a caller may put a text, and let all of it be shown."""
    client = place.client
    created = await client.create_pipeline(
        EVIL, EVIL, description=EVIL, tags=[Tag(key="<b>key", value=EVIL)]
    )
    pipe = Pipe(place, created.pipeline_id)
    answer = await client.put_pipeline_definition(
        pipe.id,
        [
            PipelineObject.of(
                "Default", {"scheduleType": "ondemand", "workerGroup": EVIL, "maximumRetries": "0"}
            ),
            PipelineObject.of(
                EVIL_ID,
                {
                    "type": "ShellCommandActivity",
                    "command": EVIL,
                    "onFail": Ref("'\"><svg onload=alert(1)>"),
                },
                name=EVIL,
            ),
            PipelineObject.of(
                '"', {"type": "ShellCommandActivity", "command": EVIL, "dependsOn": Ref(EVIL_ID)}
            ),
            PipelineObject.of(
                "'\"><svg onload=alert(1)>",
                {
                    "type": "SnsAlarm",
                    "role": "r",
                    "topicArn": "t",
                    "subject": EVIL,
                    "message": EVIL,
                },
            ),
        ],
    )
    assert not answer.errored, answer.validation_errors
    await pipe.activate()
    answered = await place.client.poll_for_task(EVIL, hostname=EVIL)
    task = answered.task_object
    assert task is not None
    await client.report_task_progress(task.task_id, fields=[Field.of("<s>key", EVIL)])
    await client.set_task_status(
        task.task_id,
        "FAILED",
        error_id=EVIL,
        error_message=EVIL,
        error_stack_trace=EVIL,
    )
    await place.passes(0)
    return pipe
