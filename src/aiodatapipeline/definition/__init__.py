"""Pipeline definitions: files, checks, expressions and drawings. Pure: no network."""

from aiodatapipeline.definition._check import Quotas, check
from aiodatapipeline.definition._compare import (
    Change,
    ChangeKind,
    Comparison,
    FieldChange,
    compare,
)
from aiodatapipeline.definition._drawing import Drawing
from aiodatapipeline.definition._file import Definition, DefinitionError, Position
from aiodatapipeline.definition._findings import Finding, FindingId, Report, Severity
from aiodatapipeline.definition._inherit import (
    EffectiveObject,
    EvaluatedObject,
    ObjectScope,
    Parameter,
    ParameterValues,
    ResolvedDefinition,
    RunTime,
    RunTimeValue,
    resolve,
)

__all__ = [
    "Change",
    "ChangeKind",
    "Comparison",
    "Definition",
    "DefinitionError",
    "Drawing",
    "EffectiveObject",
    "EvaluatedObject",
    "FieldChange",
    "Finding",
    "FindingId",
    "ObjectScope",
    "Parameter",
    "ParameterValues",
    "Position",
    "Quotas",
    "Report",
    "ResolvedDefinition",
    "RunTime",
    "RunTimeValue",
    "Severity",
    "check",
    "compare",
    "resolve",
]
