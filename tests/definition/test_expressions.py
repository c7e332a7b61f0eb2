"""The expression language, from the guide's own examples to what it must refuse."""

from __future__ import annotations

import pickle
import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodatapipeline.definition import expressions
from aiodatapipeline.definition.expressions import (
    Call,
    ExpressionError,
    Found,
    Limits,
    MappingScope,
    Name,
    Scope,
    UnknownNameError,
    Value,
    parse,
)

NOTHING = MappingScope({})

# The guide's table of functions is about May 24, 2011 @ 5:10 pm GMT.
GUIDE = MappingScope(
    {
        "myDateTime": "2011-05-24T17:10:00",
        "@scheduledStartTime": "2013-05-01T00:00:00",
        "@scheduledEndTime": "2013-05-02T00:00:00",
        "name": "ExampleDataNode",
        "myList": ("one", "two"),
        "myList1": (1, 2),
        "myList2": (3, 4),
        "myShellCmd": "grep -rc GET",
        "*myPassword": "hush",
        "parent": MappingScope({"@id": "ExampleDataNode"}),
        "input": MappingScope({"id": "In", "tableName": "adEvents"}),
        "node": MappingScope(
            {
                "@scheduledStartTime": "2013-05-01T00:00:00",
                "output": MappingScope({"id": "Out", "directoryPath": "s3://my-bucket/out"}),
            }
        ),
    }
)

DOCUMENTED = [
    # Mathematical and string functions
    ("#{1 + 2}", "3"),
    ("#{1 - 2}", "-1"),
    ("#{1 * 2}", "2"),
    ("#{1 / 2}", "0"),
    ("#{1.0 / 2}", "0.5"),  # the guide prints .5
    ("#{2 ^ 2}", "4.0"),
    ('#{"hel" + "lo"}', "hello"),
    # Date and time functions; the guide prints a z behind a DateTime, EvaluateExpression none
    ("#{day(myDateTime)}", "24"),
    ("#{dayOfYear(myDateTime)}", "144"),
    ("#{firstOfMonth(myDateTime)}", "2011-05-01T17:10:00"),
    ("#{format(myDateTime,'YYYY-MM-dd HH:mm:ss z')}", "2011-05-24 17:10:00 UTC"),
    ("#{hour(myDateTime)}", "17"),
    ("#{makeDate(2011,5,24)}", "2011-05-24T00:00:00"),
    ("#{makeDateTime(2011,5,24,14,21)}", "2011-05-24T14:21:00"),
    ("#{midnight(myDateTime)}", "2011-05-24T00:00:00"),
    ("#{minusDays(myDateTime,1)}", "2011-05-23T17:10:00"),
    ("#{minusHours(myDateTime,1)}", "2011-05-24T16:10:00"),
    ("#{minusMinutes(myDateTime,1)}", "2011-05-24T17:09:00"),
    ("#{minusMonths(myDateTime,1)}", "2011-04-24T17:10:00"),
    ("#{minusWeeks(myDateTime,1)}", "2011-05-17T17:10:00"),
    ("#{minusYears(myDateTime,1)}", "2010-05-24T17:10:00"),
    ("#{minute(myDateTime)}", "10"),
    ("#{month(myDateTime)}", "5"),
    ("#{plusDays(myDateTime,1)}", "2011-05-25T17:10:00"),
    ("#{plusHours(myDateTime,1)}", "2011-05-24T18:10:00"),
    ("#{plusMinutes(myDateTime,1)}", "2011-05-24T17:11:00"),
    ("#{plusMonths(myDateTime,1)}", "2011-06-24T17:10:00"),
    ("#{plusWeeks(myDateTime,1)}", "2011-05-31T17:10:00"),
    ("#{plusYears(myDateTime,1)}", "2012-05-24T17:10:00"),
    ("#{sunday(myDateTime)}", "2011-05-22T17:10:00"),
    ("#{sunday(sunday(myDateTime))}", "2011-05-22T17:10:00"),
    ("#{year(myDateTime)}", "2011"),
    ("#{yesterday(myDateTime)}", "2011-05-23T17:10:00"),
    # Fields, references, nesting, lists
    ("s3://mybucket/#{parent.@id}.csv", "s3://mybucket/ExampleDataNode.csv"),
    ("s3://myBucket/#{name}.csv", "s3://myBucket/ExampleDataNode.csv"),
    ("#{myShellCmd}", "grep -rc GET"),
    ("#{*myPassword}", "hush"),
    ("select * from #{input.tableName}", "select * from adEvents"),
    ("bucket '#{node.output.directoryPath}' succeeded", "bucket 's3://my-bucket/out' succeeded"),
    ("to #{node.output}.", "to Out."),
    ("/tmp/stderr:#{@scheduledStartTime}", "/tmp/stderr:2013-05-01T00:00:00"),
    (
        "#{@scheduledStartTime}..#{@scheduledEndTime}",
        "2013-05-01T00:00:00..2013-05-02T00:00:00",
    ),
    (
        "#{format(minusMinutes(@scheduledStartTime,30),'YYYY-MM-dd hh:mm:ss')}",
        "2013-04-30 11:30:00",
    ),
    (
        "#{format(minusMinutes(node.@scheduledStartTime,30),'YYYY-MM-dd hh:mm:ss')}",
        "2013-04-30 11:30:00",
    ),
    ("#{@scheduledStartTime.format('YYYY-MM-dd-hh:mm')}", "2013-05-01-12:00"),
    ("#{node.@scheduledStartTime.format('MM-dd-YYYY_hh-mm')}", "05-01-2013_12-00"),
    ("#{'this is ' + myList}", '["this is one", "this is two"]'),
]


@pytest.mark.parametrize(("text", "rendered"), DOCUMENTED)
def test_a_documented_expression_gives_its_documented_result(text: str, rendered: str) -> None:
    assert parse(text).render(GUIDE) == rendered


def test_a_field_of_two_lists_is_one_list() -> None:
    """The guide: [#{myList1}, #{myList2}] is [1,2,3,4]."""
    both: Found = (parse("#{myList1}"), parse("#{myList2}"))
    scope = MappingScope({"both": both, "myList1": (1, 2), "myList2": (3, 4)})

    assert parse("#{both}").evaluate(scope) == (1, 2, 3, 4)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("8 - 4 - 2", 2),
        ("16 / 4 / 2", 2),
        ("7 / 2 * 2", 6),
        ("2 ^ 3 ^ 2", 512.0),
        ("2 * 3 ^ 2", 18.0),
        ("-2 ^ 2", -4.0),
        ("2 ^ -1 * 3", 1.5),
        ("-2 * -3", 6),
        ("--2", 2),
        ("1 - -1", 2),
        (".5 + 1", 1.5),
        ("2*3", 6),
        ("1 + 2 + 'a' + 1 + 2", "3a12"),
        ("\n\t 1\n+\t1 ", 2),
    ],
)
def test_operators_bind_as_usual(expression: str, value: Value) -> None:
    given_value = parse(f"#{{{expression}}}").evaluate(NOTHING)

    assert (type(given_value), given_value) == (type(value), value)


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("'single'", "single"),
        ('"double"', "double"),
        ("''", ""),
        ("'say \"x\"'", 'say "x"'),
        (r"'it\'s'", "it's"),
        (r'"\"x\""', '"x"'),
        (r"'a\\'", "a\\"),
        (r"'\d+\n'", r"\d+\n"),
        ("'}'", "}"),
        ("'#{1}'", "#{1}"),
        ("'two\nlines'", "two\nlines"),
    ],
)
def test_a_text_is_written_in_either_quotes(literal: str, value: str) -> None:
    assert parse(f"#{{{literal}}}").evaluate(NOTHING) == value


@pytest.mark.parametrize(
    "text", ["", "plain", "#", "# {x}", "${x}", "{x}", "a } b", "'quoted", "\\#", "x" * 20_000]
)
def test_a_text_without_an_expression_stays_what_it_is(text: str) -> None:
    template = parse(text)

    assert template.is_constant
    assert template.evaluate(NOTHING) == text


def test_expressions_and_texts_alternate() -> None:
    template = parse("a#{1}#{2}b##{3}}#{4}")

    assert not template.is_constant
    assert template.render(NOTHING) == "a12b#3}4"


def test_a_lone_expression_keeps_the_type_of_its_value() -> None:
    assert parse("#{1}").evaluate(NOTHING) == 1
    assert parse(" #{1}").evaluate(NOTHING) == " 1"
    assert parse("#{makeDate(2011,5,24)}").evaluate(NOTHING) == datetime(2011, 5, 24, tzinfo=UTC)


def test_what_is_empty_prints_as_nothing() -> None:
    scope = MappingScope({"myOptional": None})

    assert parse("#{myOptional}").evaluate(scope) is None
    assert parse("[#{myOptional}#{'a' + myOptional}]").render(scope) == "[a]"


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("#{'2011-05-24'.plusDays(1)}", "2011-05-25T00:00:00"),
        ("#{myDateTime.plusDays(1).midnight().format('yyyyMMdd')}", "20110525"),
        ("#{(myDateTime).year()}", "2011"),
        ("#{makeDate(2011, 5, 24).minusDays(-1 + 2).day() + 1}", "24"),
        ("#{myDateTime . year ( )}", "2011"),
        ("#{myDateTime.inTimeZone('America/Los_Angeles').hour()}", "10"),
        ("#{inTimeZone(myDateTime, 'America/Los_Angeles')}", "2011-05-24T10:10:00"),
        ("#{format(myDateTime, \"yyyy-MM-dd'T'HH\")}", "2011-05-24T17"),
        (r"#{format(myDateTime, 'yyyy-MM-dd\'T\'HH')}", "2011-05-24T17"),
    ],
)
def test_a_function_can_be_called_as_a_method(text: str, rendered: str) -> None:
    assert parse(text).render(GUIDE) == rendered


def test_a_star_before_a_name_is_part_of_it_and_between_values_an_operator() -> None:
    scope = MappingScope({"*a": 2, "a": 3, "b": MappingScope({"*c": 5})})

    assert parse("#{*a}").evaluate(scope) == 2
    assert parse("#{a*a}").evaluate(scope) == 9
    assert parse("#{a**a}").evaluate(scope) == 6
    assert parse("#{a * *a}").evaluate(scope) == 6
    assert parse("#{b.*c *a}").evaluate(scope) == 15


# Lists and references


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("#{myList}", ("one", "two")),
        ("s3://x/#{myList}.csv", ("s3://x/one.csv", "s3://x/two.csv")),
        ("#{myList1 + myList2}", (4, 5, 5, 6)),
        ("#{myList1}-#{myList2}", ("1-3", "1-4", "2-3", "2-4")),
        ("#{-myList1}", (-1, -2)),
        ("#{plusDays('2011-05-24', myList1).day()}", (25, 26)),
        ("#{nested}", (1, 2, 3, 4)),
        ("#{none}", ()),
        ("a#{none}", ()),
        ("#{one}", ("single",)),
        ("#{inputs.filePath}", ("s3://a", "s3://b", "s3://c")),
        ("#{inputs}", ("A", "B")),
        ("run #{inputs}", ("run A", "run B")),
    ],
)
def test_a_list_stands_for_each_of_its_items(text: str, value: Value) -> None:
    scope = MappingScope(
        {
            "myList": ("one", "two"),
            "myList1": (1, 2),
            "myList2": (3, 4),
            "nested": ((1, (2,)), (), (((3,),), 4)),
            "none": (),
            "one": ("single",),
            "inputs": (
                MappingScope({"id": "A", "filePath": "s3://a"}),
                MappingScope({"id": "B", "filePath": ("s3://b", "s3://c")}),
            ),
        }
    )

    assert parse(text).evaluate(scope) == value


def test_a_list_renders_as_json() -> None:
    moment = datetime(2011, 5, 24, tzinfo=UTC)
    scope = MappingScope({"list": (1, 0.5, 'say "é"', moment, None)})

    rendered = parse("#{list}").render(scope)

    assert rendered == r'[1, 0.5, "say \"é\"", "2011-05-24T00:00:00", ""]'


def test_a_datetime_of_another_zone_is_taken_to_utc_and_one_of_none_is_utc() -> None:
    paris = timezone(timedelta(hours=2))
    scope = MappingScope(
        {"aware": datetime(2011, 5, 24, 1, tzinfo=paris), "naive": datetime(2011, 5, 24)}  # noqa: DTZ001
    )

    assert parse("#{aware} #{naive}").render(scope) == "2011-05-23T23:00:00 2011-05-24T00:00:00"


class Chain:
    """An object whose field ``next`` leads to another, and whose ``id`` is its place."""

    def __init__(self, place: int = 0) -> None:
        self.place = place

    def lookup(self, name: str, /) -> Found:
        match name:
            case "next":
                return Chain(self.place + 1)
            case "id":
                return self.place
            case "deep":
                return parse("#{next.deep}")
            case "wide":
                return parse("#{next.wide}#{next.wide}")
            case _:
                raise UnknownNameError(name)


def test_a_path_goes_through_as_many_references_as_it_has() -> None:
    assert parse("#{next.next.next}").evaluate(Chain()) == 3


# Fields made of expressions


def test_a_template_from_a_scope_is_evaluated_where_it_was_found() -> None:
    other = MappingScope({"myName": "theirs", "path": parse("s3://#{myName}/#{@day}"), "@day": 24})
    scope = MappingScope({"myName": "ours", "input": other})

    assert parse("#{myName} #{input.path}").render(scope) == "ours s3://theirs/24"


def test_a_field_that_leads_back_to_itself_is_refused() -> None:
    scope = MappingScope({"a": parse("#{b}"), "b": parse("x#{c}"), "c": parse("#{a}")})

    error = refusal("to #{a}", scope)

    assert (error.column, error.reason) == (5, "in 'a': in 'b': in 'c': 'a' is made of itself")


class Unread:
    """An object whose fields are parsed when they are asked for, as a scope may do."""

    def lookup(self, name: str, /) -> Found:
        return parse({"broken": "#{1 +}", "whole": "#{1}/#{broken}"}[name])


def test_a_field_that_cannot_be_read_is_told_where_it_is_used() -> None:
    error = refusal("a #{whole}", Unread())

    assert (error.column, error.reason) == (4, "in 'whole': in 'broken': a value is expected here")


def test_a_field_may_be_used_twice() -> None:
    scope = MappingScope({"a": parse("#{b}#{b}"), "b": parse("x")})

    assert parse("#{a}#{a}").render(scope) == "xxxx"


def test_the_same_field_of_another_object_is_not_the_same_field() -> None:
    child = MappingScope({"path": "p"})
    scope = MappingScope({"path": parse("#{child.path}/q"), "child": child})

    assert parse("#{path}").render(scope) == "p/q"


# What cannot be read


def refusal(text: str, scope: Scope = NOTHING, limits: Limits | None = None) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        parse(text, limits=limits or Limits()).render(scope, limits=limits or Limits())
    assert caught.value.text == text
    return caught.value


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ("a #{} b", 2, "an expression cannot be empty"),
        ("#{ }", 0, "an expression cannot be empty"),
        ("a #{1", 2, "this #{ is never closed"),
        ("#{1}#{", 4, "this #{ is never closed"),
        ("#{(1", 0, "this #{ is never closed"),
        ("#{'}", 2, "this text is never closed: there is no other '"),
        ('#{1 + "}', 6, 'this text is never closed: there is no other "'),
        ("#{1 2}", 4, "an operator or '}' is expected here"),
        ("#{'it''s'}", 6, "an operator or '}' is expected here"),
        ("#{a b}", 4, "an operator or '}' is expected here"),
        ("#{1)}", 3, "an operator or '}' is expected here"),
        ("#{my-1@x}", 6, "an operator or '}' is expected here"),
        ("#{1 +}", 5, "a value is expected here"),
        ("#{+1}", 2, "a value is expected here"),
        ("#{$x}", 2, "a value is expected here"),
        ("#{#{x}}", 2, "a value is expected here"),
        ("#{(1}", 4, "')' is expected here"),
        ("#{day(1 2)}", 8, "')' is expected here"),
        ("#{day(1,)}", 8, "a value is expected here"),
        ("#{@}", 2, "a value is expected here"),
        ("#{a.}", 4, "a name is expected here"),
        ("#{a..b}", 4, "a name is expected here"),
        ("#{node.*}", 8, "a name is expected here"),
        ("#{* a}", 2, "a name is expected right behind this *"),
        ("#{'a'.b}", 7, "'(' after the name of a function is expected here"),
        ("#{(a).1}", 5, "an operator or '}' is expected here"),
        ("#{(a).+}", 6, "the name of a function is expected here"),
        ("#{1234567890123456789}", 2, "a number can have up to 18 digits"),
        ("#{nope()}", 2, "there is no function 'nope'"),
        ("#{a.formt('x')}", 4, "there is no function 'formt'; did you mean 'format'?"),
        ("#{Year(a)}", 2, "there is no function 'Year'; did you mean 'year'?"),
        ("#{@day(a)}", 2, "there is no function '@day'; did you mean 'day'?"),
        ("#{day()}", 2, "day takes 1 argument, not 0"),
        ("#{a.plusDays()}", 4, "plusDays takes 2 arguments, not 1"),
        ("#{a.day(1, 2)}", 4, "day takes 1 argument, not 3"),
    ],
)
def test_what_is_no_expression_is_refused_where_it_goes_wrong(
    text: str, column: int, reason: str
) -> None:
    error = refusal(text)

    assert (error.column, error.reason) == (column, reason)


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("#{format(a, 'yyyy-b')}", "b"),
        ("#{a.format('dd:T')}", "T"),
        (r"#{format(a, '\'o\' yyyy n')}", "n"),
        ("#{format(a, ('n'))}", "n"),
    ],
)
def test_a_written_out_pattern_is_refused_at_its_letter(text: str, letter: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)

    assert caught.value.column == text.rindex(letter)
    assert caught.value.reason.startswith(f"a date pattern has no letter {letter!r}")


def test_an_empty_pattern_is_refused() -> None:
    with pytest.raises(ExpressionError, match="a pattern cannot be empty") as caught:
        parse("#{format(a, '')}")

    assert caught.value.column == 13


@pytest.mark.parametrize("pattern", ["'y' + 'b'", "myPattern", "3"])
def test_a_pattern_that_is_not_written_out_is_checked_at_evaluation(pattern: str) -> None:
    text = f"#{{format('2011-05-24', {pattern})}}"
    template = parse(text)

    with pytest.raises(ExpressionError) as caught:
        template.evaluate(MappingScope({"myPattern": "b"}))

    assert caught.value.column == text.index(pattern)


# What has no value


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ("a #{nope}", 4, "there is no field or parameter 'nope'"),
        ("#{input.nope}", 8, "there is no field or parameter 'nope'"),
        ("#{name.x}", 7, "what is before the point is no object with fields"),
        (
            "#{myDateTime.year}",
            13,
            "what is before the point is no object with fields; a function needs parentheses",
        ),
        ("#{1 + parent}", 4, "there is no field or parameter 'id'"),
        ("#{1 / 0}", 4, "division by zero"),
        ("#{-name}", 2, "a number is needed here, and this is a text"),
        ("#{2 * name}", 6, "a number is needed here, and this is a text"),
        ("#{name * 2}", 2, "a number is needed here, and this is a text"),
        ("#{day(1)}", 6, "a DateTime (YYYY-MM-DDTHH:MM:SS) is needed here, and this is a number"),
        ("#{myDateTime.plusDays(name)}", 22, "a number is needed here, and this is a text"),
        ("#{name.day()}", 2, "a DateTime (YYYY-MM-DDTHH:MM:SS) is needed here, and this is a text"),
        ("#{makeDate(2011, 13, 1)}", 2, "there is no such date and time"),
        ("#{inTimeZone(myDateTime, 'X')}", 25, "the time zone database has no zone of this name"),
        ("#{plusYears(myDateTime, 9999)}", 2, "the result is outside of the years 1 to 9999"),
    ],
)
def test_what_has_no_value_is_refused_where_it_stands(text: str, column: int, reason: str) -> None:
    error = refusal(text, GUIDE)

    assert (error.column, error.reason) == (column, reason)


@pytest.mark.parametrize("text", ["#{nope}", "#{input.nope}", "#{inner}"])
def test_the_cause_of_an_unknown_name_says_which(text: str) -> None:
    scope = MappingScope({"input": NOTHING, "inner": parse("a #{nope}")})

    cause = refusal(text, scope).__cause__

    assert isinstance(cause, UnknownNameError)
    assert cause.name == "nope"


def test_a_reference_without_a_plain_id_cannot_be_printed() -> None:
    scope = MappingScope(
        {"a": MappingScope({"id": ("x", "y")}), "b": MappingScope({"id": NOTHING})}
    )

    assert refusal("#{a}", scope).reason == "the object here has no plain id"
    assert refusal("_#{b}", scope).reason == "the object here has no plain id"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (2**63, "the number is too large"),
        (-(10**4000), "the number is too large"),
        (
            datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
            "the time is outside of the years 1 to 9999",
        ),
    ],
)
def test_a_value_that_the_language_does_not_have_is_refused(value: Found, reason: str) -> None:
    assert refusal("#{x}", MappingScope({"x": value})).reason == reason


@given(st.text(min_size=12))
def test_no_message_shows_a_value(secret: str) -> None:
    scope = MappingScope({"*x": f"s3cr3t{secret}"})

    for text in ("#{-*x}", "#{*x.day()}", "#{*x.y}", "#{inTimeZone('2011-05-24', *x)}"):
        assert "s3cr3t" not in str(refusal(text, scope))


# How a refusal looks


def test_an_error_shows_the_place() -> None:
    assert str(refusal("s3://x/#{formt(y)}")).splitlines() == [
        "there is no function 'formt'; did you mean 'format'?",
        "  s3://x/#{formt(y)}",
        "           ^",
    ]


def test_an_error_in_a_long_text_shows_the_part_around_it() -> None:
    assert str(refusal("-" * 5000 + "#{1 +}\n\t" + "." * 5000)).splitlines() == [
        "a value is expected here",
        "  ..." + "-" * 35 + "#{1 +}  " + "." * 37 + "...",
        " " * 45 + "^",
    ]


@pytest.mark.parametrize(
    "text", ["#{" + "x" * 9000 + "()}", "#{" + "x" * 9000 + "}", "é\r\n" * 3000 + "#{"]
)
def test_an_error_is_short_and_has_three_lines(text: str) -> None:
    message = str(refusal(text))

    assert len(message) < 400
    assert len(message.splitlines()) == 3


def test_an_error_can_be_pickled() -> None:
    error = refusal("#{nope}")

    copy = pickle.loads(pickle.dumps(error))

    assert str(copy) == str(error)
    assert (copy.text, copy.column, copy.reason) == (error.text, error.column, error.reason)


# What a template tells


def test_a_template_tells_the_names_that_it_uses() -> None:
    template = parse("a #{x + *y} #{node.@scheduledStartTime.format(b . c)} #{'z'} #{x}")

    assert template.names == (
        Name(("x",), (4,)),
        Name(("*y",), (8,)),
        Name(("node", "@scheduledStartTime"), (14, 19)),
        Name(("b", "c"), (46, 50)),
        Name(("x",), (63,)),
    )
    assert [(str(name), name.column) for name in template.names[2:4]] == [
        ("node.@scheduledStartTime", 14),
        ("b.c", 46),
    ]


def test_a_template_tells_the_functions_that_it_calls() -> None:
    template = parse("#{format(minusDays(x, 1), 'yyyy')} #{x.year()} #{makeDate(1, 2, 3)}")

    assert template.calls == (
        Call("format", 2, (9, 26)),
        Call("minusDays", 9, (19, 22)),
        Call("year", 39, (37,)),
        Call("makeDate", 49, (58, 61, 64)),
    )


def test_templates_of_equal_texts_are_equal_and_survive_pickling() -> None:
    template = parse("a#{1 + x}")

    copy = pickle.loads(pickle.dumps(template))

    assert copy == template == parse("a#{1 + x}")
    assert hash(copy) == hash(template)
    assert copy.render(MappingScope({"x": 2})) == "a3"
    assert repr(template) == "Template(text='a#{1 + x}')"


# What it may cost


@pytest.mark.parametrize(
    ("text", "limits", "column", "reason"),
    [
        ("12345", Limits(text=4), 4, "the text is longer than 4 characters"),
        (
            "12345#{1234}",
            Limits(expressions=4),
            11,
            "the expressions of the text have more than 4 characters",
        ),
        ("#{((1))}", Limits(depth=1), 4, "more than 1 level within each other"),
        ("#{-(1)}", Limits(depth=1), 4, "more than 1 level within each other"),
        ("#{1^1^1}", Limits(depth=1), 6, "more than 1 level within each other"),
        ("#{day(day(day(1)))}", Limits(depth=2), 14, "more than 2 levels within each other"),
        ("#{deep}", Limits(depth=2), 2, "more than 2 fields within each other"),
        ("#{1+2+3}", Limits(steps=3), 5, "the evaluation takes more than 3 steps"),
        ("_#{list}", Limits(steps=5), 1, "the evaluation takes more than 5 steps"),
        ("#{list}", Limits(steps=3), 2, "the evaluation takes more than 3 steps"),
        ("#{'a'+'bc'}", Limits(size=2), 5, "the result has more than 2 characters"),
        ("#{'abc'}", Limits(size=2), 0, "the result has more than 2 characters"),
        ("_#{'bc'}", Limits(size=2), 1, "the result has more than 2 characters"),
        ("#{texts}", Limits(size=5), 0, "the result has more than 5 characters"),
    ],
)
def test_what_exceeds_a_limit_is_refused(
    text: str, limits: Limits, column: int, reason: str
) -> None:
    fields: dict[str, Found] = {"list": (1, 2, 3, 4), "texts": ("abc", "def")}
    fields |= {"deep": parse("#{a}"), "a": parse("#{b}"), "b": parse("1")}
    scope = MappingScope(fields)

    error = refusal(text, scope, limits)

    assert (error.column, error.reason.rpartition(": ")[2]) == (column, reason)


def test_what_just_meets_its_limits_is_taken() -> None:
    text = "#{'a' + (x)}"
    limits = Limits(text=len(text), expressions=len(text) - 2, depth=1, steps=3, size=2)

    assert parse(text, limits=limits).render(MappingScope({"x": "b"}), limits=limits) == "ab"


@pytest.mark.parametrize("limits", [{"text": 0}, {"depth": -1}, {"size": 0}, {"depth": 65}])
def test_a_limit_that_cannot_be_is_refused(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"the limit of {next(iter(limits))} must be"):
        Limits(**limits)


def test_the_deepest_expression_fits_onto_pythons_stack() -> None:
    limits = Limits(depth=64)
    nested = "#{" + "1+1*(" * 64 + "1" + ")" * 64 + "}"
    fields: dict[str, Found] = {f"f{i}": parse(f"#{{f{i + 1}}}") for i in range(64)}
    scope = MappingScope({**fields, "f64": parse(nested, limits=limits)})
    frames = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)

    try:
        assert parse("#{f1}").evaluate(scope, limits=limits) == 65
    finally:
        sys.setrecursionlimit(frames)


def test_fields_that_double_and_double_again_are_refused_when_they_are_too_much() -> None:
    assert "fields within each other" in refusal("#{wide}", Chain()).reason
    pairs: dict[str, Found] = {f"f{i}": parse(f"#{{f{i + 1}}}" * 2) for i in range(30)}
    sums: dict[str, Found] = {f"f{i}": parse(f"#{{f{i + 1} + f{i + 1}}}") for i in range(30)}

    text = refusal("#{f0}", MappingScope({**pairs, "f30": "x"}))
    items = refusal("#{f0}", MappingScope({**sums, "f30": ("x", "y")}))

    assert parse("#{f0}").evaluate(MappingScope({**pairs, "f30": ""})) == ""
    assert text.reason.endswith("the result has more than 20,971,520 characters")
    assert items.reason.endswith("the evaluation takes more than 250,000 steps")


def test_a_field_is_evaluated_once_for_each_object_that_has_it() -> None:
    asked: list[str] = []

    class Counting(MappingScope):
        def lookup(self, name: str, /) -> Found:
            asked.append(name)
            return super().lookup(name)

    one = Counting({"name": parse("#{part}"), "part": "1"})
    two = Counting({"name": parse("#{part}"), "part": "2"})
    scope = MappingScope({"all": (one, two, one)})

    assert parse("#{all.name}").evaluate(scope) == ("1", "2", "1")
    assert sorted(asked) == ["name"] * 3 + ["part"] * 2


TEN_MILLION = 10_000_000


@pytest.mark.parametrize(
    ("start", "repeated", "end"),
    [
        ("#{", "(", ""),
        ("#{", "-", "1}"),
        ("#{", " ", "1}"),
        ("#{", "1", "}"),
        ("#{", "1+", "1}"),
        ("#{", "2^", "1}"),
        ("#{a", ".a", "}"),
        ("#{a", ".day()", "}"),
        ("#{day(", "1,", "1)}"),
        ("#{", "a", "()}"),
        ("#{'", "\\'", ""),
        ("#{'", "\\'", "'}"),
        ("#{format(a,'", 'd"', "')}"),
        ("", "#{1}", ""),
        ("", "#{", ""),
        ("", "xyz", "x" * TEN_MILLION * 2),
    ],
    ids=lambda text: text[:12],
)
def test_ten_megabytes_of_anything_are_refused(start: str, repeated: str, end: str) -> None:
    text = start + repeated * (TEN_MILLION // len(repeated)) + end

    assert len(str(refusal(text))) < 400


def test_ten_megabytes_around_an_expression_are_nothing_special() -> None:
    text = "x" * TEN_MILLION + "#{1}" + "'" * TEN_MILLION

    rendered = parse(text).render(NOTHING)

    assert len(rendered) == 2 * TEN_MILLION + 1


@pytest.mark.parametrize(
    "text",
    [
        "#{big}" * 1000,
        "#{big" + "+big" * 1000 + "}",
        "#{list + list + list}",
        "#{list}" * 3,
        "#{format('2011-05-24', big)}",
        "#{inTimeZone('2011-05-24', big)}",
        "#{big.day()}",
        "#{big * 2}",
    ],
)
def test_large_values_do_not_multiply(text: str) -> None:
    scope = MappingScope({"big": "1" * TEN_MILLION, "list": tuple(range(1000))})

    assert len(str(refusal(text, scope))) < 400


def test_what_the_module_lists_is_there() -> None:
    assert all(hasattr(expressions, name) for name in expressions.__all__)
    assert expressions.__all__ == sorted(expressions.__all__)
