"""Whatever is read and evaluated: a value or an ExpressionError, and soon.

Three sources: texts out of the language's own pieces in any order, expressions made by the
grammar, and those with a character changed. A last test knows what must come out.
"""

from __future__ import annotations

import random
import time
from datetime import datetime, timedelta, timezone

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiodatapipeline.definition.expressions import (
    ExpressionError,
    Found,
    Limits,
    MappingScope,
    Template,
    UnknownNameError,
    parse,
)

# Seconds for one case: a hundred times what the slowest needs, for machines that do much else.
PATIENCE = 20.0
fuzz = settings(deadline=timedelta(seconds=PATIENCE), suppress_health_check=[HealthCheck.too_slow])

# Each is as large as a text may be.
large = settings(max_examples=settings().max_examples // 5)

NAMES = ("x", "list", "@scheduledStartTime", "*secret", "input", "node", "nope", "self", "day")
FUNCTIONS = (
    *("day", "dayOfYear", "hour", "minute", "month", "year", "firstOfMonth", "midnight", "sunday"),
    *("yesterday", "makeDate", "makeDateTime", "format", "inTimeZone", "nope"),
    *(f"{way}{unit}" for way in ("plus", "minus") for unit in ("Minutes", "Days", "Months")),
)
LITERALS = (
    *("0", "1", "7", ".5", "1.25", "999999999999999999", "''", "'a'", '"b c"', r"'\''"),
    *("'2011-05-24T17:10:00'", "'2012-02-29'", "'YYYY-MM-dd HH:mm:ss z'", "\"ww 'T' ZZZ\""),
    *("'Europe/Berlin'", "'../../etc/passwd'"),
)
PIECES = (*NAMES, *FUNCTIONS, *LITERALS, *"+-*/^().,'\"\\ #{}@\n", "#{", "é", "\0", "\ud800")

texts = st.lists(st.sampled_from(PIECES) | st.characters(), max_size=30).map("".join)
paths = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(".".join)


def _within(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    arguments = st.lists(inner, max_size=3).map(", ".join)
    functions = st.sampled_from(FUNCTIONS)
    return st.one_of(
        st.tuples(inner, st.sampled_from("+-*/^"), inner).map(" ".join),
        st.builds("({})".format, inner),
        st.builds("-{}".format, inner),
        st.builds("{}({})".format, functions, arguments),
        st.builds("{}.{}({})".format, inner, functions, arguments),
    )


grammar = st.recursive(paths | st.sampled_from(LITERALS), _within, max_leaves=12)
templates = st.lists(
    st.builds("#{{{}}}".format, grammar) | st.text("a/:#{}", max_size=3), min_size=1, max_size=3
).map("".join)

values: st.SearchStrategy[Found] = st.recursive(
    st.one_of(
        st.none(),
        st.integers(),
        st.floats(),
        st.text(max_size=8),
        st.sampled_from(("5", "-1.5", "2011-05-24T17:10:00", "2012-02-30", "1" * 5000)),
        st.datetimes(timezones=st.none() | st.timezones()),
        st.just(datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))),
    ),
    lambda inner: st.lists(inner, max_size=4).map(tuple),
    max_leaves=8,
)


class Anything:
    """An object that has some fields, and others that are objects like it."""

    def __init__(self, fields: dict[str, Found], made: Template) -> None:
        self.fields, self.made = fields, made

    def lookup(self, name: str, /) -> Found:
        match name:
            case "input" | "node":
                return self
            case "self":
                return (self, self.made)
            case _ if name in self.fields:
                return self.fields[name]
            case _:
                raise UnknownNameError(name)


scopes = st.builds(
    Anything,
    st.dictionaries(st.sampled_from((*NAMES, "id")), values),
    st.just(parse("#{x}#{input.self}")),
)


def check_reading(text: str) -> Template | None:
    """Read a text: what must be true of the template, or of the error."""
    try:
        template = parse(text)
    except ExpressionError as error:
        check_error(error, text)
        return None
    assert template.is_constant == ("#{" not in text)
    for name in template.names:
        for part, column in zip(name.path, name.columns, strict=True):
            assert text[column:].startswith(part)
    for call in template.calls:
        assert text[call.column :].startswith(call.function)
    return template


def check_error(error: ExpressionError, text: str) -> None:
    assert error.text == text
    assert 0 <= error.column <= len(text)
    assert len(str(error)) < 400
    assert str(error).count("\n") == 2


def check_evaluation(template: Template, scope: Anything, limits: Limits) -> None:
    try:
        value = template.evaluate(scope, limits=limits)
        rendered = template.render(scope, limits=limits)
    except ExpressionError as error:
        check_error(error, template.text)
        return
    assert isinstance(rendered, str)
    for item in value if isinstance(value, tuple) else (value,):
        assert item is None or isinstance(item, str | int | float | datetime)
        assert not isinstance(item, datetime) or item.tzinfo is not None


@fuzz
@given(texts | templates, scopes)
def test_any_text_gives_a_value_or_an_error(text: str, scope: Anything) -> None:
    template = check_reading(text)

    if template is not None:
        check_evaluation(template, scope, Limits())


@fuzz
@given(templates, st.data())
def test_an_expression_with_a_character_changed_gives_a_value_or_an_error(
    text: str, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(text)))
    changed = text[:at] + data.draw(st.sampled_from(PIECES)) + text[at + data.draw(st.booleans()) :]

    template = check_reading(changed)

    if template is not None:
        check_evaluation(template, data.draw(scopes), Limits())


@fuzz
@given(templates, scopes, st.builds(Limits, *(st.integers(1, 30) for _ in range(5))))
def test_any_limits_are_kept(text: str, scope: Anything, limits: Limits) -> None:
    template = check_reading(text)

    if template is not None:
        check_evaluation(template, scope, limits)
        try:
            value = template.evaluate(scope, limits=limits)
        except ExpressionError:
            return
        items = value if isinstance(value, tuple) else (value,)
        assert sum(len(item) for item in items if isinstance(item, str)) <= limits.size
        assert len(items) <= limits.steps


@large
@given(st.integers(0))
def test_long_texts_of_random_pieces_are_read_in_time(seed: int) -> None:
    """Beyond what hypothesis makes: a full field, and a hundred times that."""
    chance = random.Random(seed)
    pieces = chance.choices(PIECES, k=5) if seed % 2 else PIECES
    size = 300_000 if seed % 4 else 3_000
    text = "#{" * (seed % 3) + "".join(chance.choices(pieces, k=size))
    scope = Anything({"x": "1", "list": (1, 2, 3)}, parse("x"))
    start = time.thread_time()

    template = check_reading(text)
    if template is not None:
        check_evaluation(template, scope, Limits())

    assert time.thread_time() - start < PATIENCE


@large
@given(st.integers(0))
def test_full_fields_of_good_expressions_are_evaluated_in_time(seed: int) -> None:
    chance = random.Random(seed)
    good = ("x", "list", "-x", "(x + 1)", "list * 2", "day('2011-05-24')", "x ^ 0.5")
    operators = chance.choices("+-*/", k=2)
    expression = "".join(f"{chance.choice(good)} {chance.choice(operators)} " for _ in range(600))
    template = parse(f"#{{{expression}1}}", limits=Limits(expressions=40_000))
    scope = Anything({"x": "1", "list": tuple(range(100))}, parse("x"))
    start = time.thread_time()

    check_evaluation(template, scope, Limits())

    assert time.thread_time() - start < PATIENCE


class Tree:
    """A sum or product with its value, worked out while it is made."""

    def __init__(self, text: str, value: int, strength: int) -> None:
        self.text, self.value, self.strength = text, value, strength

    def within(self, strength: int) -> str:
        return self.text if self.strength > strength else f"({self.text})"

    @classmethod
    def of(cls, left: Tree, operator: str, right: Tree) -> Tree:
        strength = 1 if operator in "+-" else 2
        text = f"{left.within(strength - 1)} {operator} {right.within(strength)}"
        match operator:
            case "+":
                value = left.value + right.value
            case "-":
                value = left.value - right.value
            case _:
                value = left.value * right.value
        return cls(text, value, strength)


trees = st.recursive(
    st.integers(0, 9).map(lambda number: Tree(str(number), number, 9)),
    lambda inner: st.one_of(
        st.builds(Tree.of, inner, st.sampled_from("+-*"), inner),
        inner.map(lambda tree: Tree(f"-{tree.within(2)}", -tree.value, 3)),
    ),
    max_leaves=16,
)


@fuzz
@given(trees)
def test_arithmetic_with_no_more_parentheses_than_needed_gives_the_value(tree: Tree) -> None:
    template = parse(f"#{{{tree.text}}}", limits=Limits(depth=64))

    assert template.evaluate(MappingScope({})) == tree.value
