"""What a check finds, and what the API says of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from aiodatapipeline._text import clean
from aiodatapipeline.definition._json import Position
from aiodatapipeline.models import ValidationError, ValidationWarning
from aiodatapipeline.operations import ValidatePipelineDefinitionResponse

__all__ = ["Finding", "FindingId", "Report", "Severity"]

# The service model's limit of a validation message.
_LONGEST_MESSAGE = 10_000


class Severity(StrEnum):
    """What a finding means for a put."""

    FATAL = "fatal"
    """The service refuses the request and saves nothing."""
    ERROR = "error"
    """The definition is saved and cannot be activated."""
    WARNING = "warning"
    """The definition can be activated."""


class FindingId(StrEnum):
    """What is wrong, in a word to look up or to filter by."""

    BACKFILL = "BACKFILL"
    """A start in the past: every interval since then will run."""
    CONFLICTING_FIELDS = "CONFLICTING_FIELDS"
    """Fields that exclude each other."""
    CONFLICTING_SCHEDULE = "CONFLICTING_SCHEDULE"
    """On demand and by a schedule at once."""
    DEPENDENCY_CYCLE = "DEPENDENCY_CYCLE"
    """Objects that wait for each other by ``dependsOn``."""
    DUPLICATE_ID = "DUPLICATE_ID"
    """Two objects, or two parameters, with one id. Fatal."""
    EMPTY_FIELD = "EMPTY_FIELD"
    """A field without a text or a reference. Fatal."""
    INVALID_EXPRESSION = "INVALID_EXPRESSION"
    """A ``#{...}`` that cannot be read."""
    INVALID_FIELD_VALUE = "INVALID_FIELD_VALUE"
    """A value that is no period, date, number, known word, reference or text where one must be."""
    INVALID_PARAMETER = "INVALID_PARAMETER"
    """A parameter whose attributes make no sense."""
    INVALID_PARAMETER_VALUE = "INVALID_PARAMETER_VALUE"
    """A value that the parameter does not allow."""
    MISSING_FIELD = "MISSING_FIELD"
    """A required field that is neither there nor inherited."""
    MISSING_LOG_URI = "MISSING_LOG_URI"
    """Resources that leave no logs. A warning."""
    MISSING_PARAMETER_VALUE = "MISSING_PARAMETER_VALUE"
    """A parameter with neither value nor default. A warning, since it can come later."""
    MISSING_RUNNER = "MISSING_RUNNER"
    """An activity that nobody will run. A warning, as the service takes it."""
    MISSING_TERMINATE_AFTER = "MISSING_TERMINATE_AFTER"
    """A resource that may run, and cost, without an end. A warning."""
    PARENT_CYCLE = "PARENT_CYCLE"
    """Objects that inherit from each other."""
    REFUSED_FIELD = "REFUSED_FIELD"
    """A field that is not allowed on this type."""
    RESERVED_NAME = "RESERVED_NAME"
    """An id or a field that only the service may use."""
    TOO_DEEP = "TOO_DEEP"
    """Parents of parents of parents, too many to look into the objects. A warning."""
    TOO_LONG = "TOO_LONG"
    """An id, a field, an object or the values with more bytes than the service takes."""
    TOO_MANY_FIELDS = "TOO_MANY_FIELDS"
    """An object with more fields than the service takes."""
    TOO_MANY_OBJECTS = "TOO_MANY_OBJECTS"
    """More objects than the account may have in a pipeline. Fatal."""
    TOO_MANY_PARAMETERS = "TOO_MANY_PARAMETERS"
    """More parameters than a definition may have."""
    UNDECLARED_PARAMETER = "UNDECLARED_PARAMETER"
    """A value for a parameter that nobody declares or uses. A warning."""
    UNKNOWN_FIELD = "UNKNOWN_FIELD"
    """A field that the guide does not list for this type. A warning: the set is open."""
    UNKNOWN_NAME = "UNKNOWN_NAME"
    """An expression uses a name that stands for nothing."""
    UNKNOWN_TYPE = "UNKNOWN_TYPE"
    """A type that the guide does not list. A warning: the set is open."""
    UNRESOLVED_REFERENCE = "UNRESOLVED_REFERENCE"
    """A reference to an object that is not there."""
    WRONG_REFERENCE = "WRONG_REFERENCE"
    """A reference to an object of a kind that the field cannot use."""


_FATAL = frozenset({FindingId.DUPLICATE_ID, FindingId.EMPTY_FIELD, FindingId.TOO_MANY_OBJECTS})
_WARNINGS = frozenset(
    {
        FindingId.BACKFILL,
        FindingId.MISSING_LOG_URI,
        FindingId.MISSING_PARAMETER_VALUE,
        FindingId.MISSING_RUNNER,
        FindingId.MISSING_TERMINATE_AFTER,
        FindingId.TOO_DEEP,
        FindingId.UNDECLARED_PARAMETER,
        FindingId.UNKNOWN_FIELD,
        FindingId.UNKNOWN_TYPE,
    }
)


def usual_severity(finding_id: FindingId) -> Severity:
    """Give the severity that findings of an id have unless something is special."""
    if finding_id in _FATAL:
        return Severity.FATAL
    return Severity.WARNING if finding_id in _WARNINGS else Severity.ERROR


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong or doubtful. No secret value is in it."""

    id: FindingId
    severity: Severity
    object_id: str
    """The object or parameter; empty if it is about the whole definition."""
    field: str
    """The field or attribute; empty if it is about the whole object."""
    message: str
    """What the API would say."""
    advice: str
    """What to do."""
    position: Position | None = dataclasses.field(default=None, compare=False)
    """Where in the text, if the definition was read from one."""

    def __str__(self) -> str:
        place = f"{self.object_id}: " if self.object_id else ""
        return f"{self.severity}: {place}{self.message.rstrip('.')}. {self.advice}"


@dataclass(frozen=True, slots=True)
class Report:
    """All that a check found: what is about the whole first, then in the objects' order."""

    findings: tuple[Finding, ...] = ()

    @property
    def fatal(self) -> tuple[Finding, ...]:
        """What makes the service refuse to save the definition."""
        return self._of(Severity.FATAL)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What stands in the way of an activation, fatal or not."""
        return self._of(Severity.FATAL, Severity.ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What is doubtful, and no obstacle."""
        return self._of(Severity.WARNING)

    def _of(self, *severities: Severity) -> tuple[Finding, ...]:
        return tuple(each for each in self.findings if each.severity in severities)

    def to_validation(self) -> ValidatePipelineDefinitionResponse:
        """Give what ValidatePipelineDefinition and PutPipelineDefinition answer."""
        return ValidatePipelineDefinitionResponse(
            errored=bool(self.errors),
            validation_errors=tuple(
                ValidationError(id=object_id, errors=messages)
                for object_id, messages in _messages(self.errors)
            ),
            validation_warnings=tuple(
                ValidationWarning(id=object_id, warnings=messages)
                for object_id, messages in _messages(self.warnings)
            ),
        )


def _messages(findings: Iterable[Finding]) -> list[tuple[str | None, tuple[str, ...]]]:
    """Group by object; what is about the whole definition has no id."""
    grouped: dict[str, list[str]] = {}
    for each in findings:
        grouped.setdefault(each.object_id, []).append(clean(each.message)[:_LONGEST_MESSAGE])
    return [(object_id or None, tuple(messages)) for object_id, messages in grouped.items()]
