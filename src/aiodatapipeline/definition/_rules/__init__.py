"""What is looked for in a definition, one function for each thing that can be wrong.

A definition that is free of mistakes gives no findings at all, and one mistake gives one: where
something is missing or not understood, the rules that build on it keep quiet.
"""

from aiodatapipeline.definition._rules._expressions import expressions
from aiodatapipeline.definition._rules._objects import (
    deep_parents,
    fields,
    parent_cycles,
    parents,
    required_fields,
    reserved_names,
    resources,
    types,
)
from aiodatapipeline.definition._rules._parameters import parameter_values, parameters
from aiodatapipeline.definition._rules._quotas import (
    duplicate_ids,
    empty_fields,
    sizes,
    too_many_objects,
)
from aiodatapipeline.definition._rules._references import dependency_cycles, references
from aiodatapipeline.definition._rules._schedules import backfills, schedule_types, schedules
from aiodatapipeline.definition._rules._subject import Rule, Subject
from aiodatapipeline.definition._rules._values import values

__all__ = ["FIRST", "THEN", "Rule", "Subject"]

# These look at everything there is, in one pass.
FIRST: tuple[Rule, ...] = (
    too_many_objects,
    duplicate_ids,
    empty_fields,
    sizes,
    parent_cycles,
    deep_parents,
)
# These look things up, so they need a definition that is not far too large.
THEN: tuple[Rule, ...] = (
    reserved_names,
    parents,
    types,
    fields,
    required_fields,
    resources,
    values,
    references,
    dependency_cycles,
    schedule_types,
    schedules,
    backfills,
    expressions,
    parameters,
    parameter_values,
)
