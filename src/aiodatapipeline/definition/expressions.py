"""The expression language of pipeline definitions: ``#{...}`` inside a field's text.

``parse`` makes a ``Template`` of a text; a template tells what it uses, and gives its value
when a ``Scope`` supplies the fields::

    template = parse("s3://my-bucket/#{format(@scheduledStartTime, 'YYYY-MM-dd')}")
    template.names      # (Name(path=('@scheduledStartTime',), ...),)
    template.render(MappingScope({"@scheduledStartTime": "2013-05-01T00:00:00"}))

Nothing of Python can be reached from an expression: there is what the scope gives, and a fixed
table of functions. What an evaluation may cost is bounded by ``Limits``.

Source: "Pipeline Expressions and Functions" in the developer guide. It leaves much open; the
page "Expressions" of our documentation marks what is our choice.
"""

from __future__ import annotations

import difflib
import itertools
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import partial
from types import NoneType
from typing import NoReturn, Protocol, TypeAlias, TypeVar

from aiodatapipeline._secrets import is_secret
from aiodatapipeline.definition import _joda
from aiodatapipeline.definition._functions import (
    FUNCTIONS,
    LARGEST,
    OPERATORS,
    Refused,
    Scalar,
    as_text,
    as_utc,
)

__all__ = [
    "Call",
    "ExpressionError",
    "Found",
    "Limits",
    "MappingScope",
    "Name",
    "Scalar",
    "Scope",
    "Template",
    "UnknownNameError",
    "Value",
    "parse",
]

Value: TypeAlias = Scalar | tuple[Scalar, ...]
"""What an expression gives: a text, a number, a DateTime, nothing, or a flat list of these."""


class Scope(Protocol):
    """Where names get their values from: an object of a pipeline, with its parameters."""

    def lookup(self, name: str, /) -> Found:
        """Say what a name stands for.

        Args:
            name: As it is written, with its ``@`` or ``*``. A dotted path is asked for name by
                name: ``input.directoryPath`` asks for ``input`` here, and then what came back
                for ``directoryPath``. A reference that is printed is asked for its ``id``.

        Returns:
            A value; a Scope for a referenced object; a tuple for a list of either. A field that
            holds expressions is best given as its parsed Template: it is evaluated in this
            scope, within the limits of the evaluation that asked, and one that leads back to
            itself is found.

        Raises:
            UnknownNameError: There is no such field or parameter.
            ExpressionError: There is, and its expressions cannot be read.
        """
        ...


Found: TypeAlias = "Scalar | Scope | Template | tuple[Found, ...]"
"""What a Scope may answer. A datetime without a zone is taken for UTC."""


class UnknownNameError(LookupError):
    """A scope's answer: there is no such field or parameter.

    Attributes:
        name: The name in question.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"there is no field or parameter {_quoted(self.name)}"


class ExpressionError(ValueError):
    """An expression that cannot be read, or has no value here.

    Its text shows the place; neither it nor ``reason`` shows a field's value.

    Attributes:
        text: The whole text of the template.
        column: Where in it, as an index from 0.
        reason: What is wrong there. The cause of an unknown name is its UnknownNameError.
    """

    text: str
    column: int
    reason: str

    def __init__(self, text: str, column: int, reason: str) -> None:
        super().__init__(text, column, reason)
        self.text, self.column, self.reason = text, column, reason

    def __str__(self) -> str:
        start, stop = max(0, self.column - 40), self.column + 40
        lead, tail = "..." if start else "", "..." if stop < len(self.text) else ""
        # One line, one column a character, or the caret would stand elsewhere.
        shown = "".join(c if c.isprintable() else " " for c in self.text[start:stop])
        indent = " " * (len(lead) + self.column - start)
        return f"{_shortened(self.reason, 200)}\n  {lead}{shown}{tail}\n  {indent}^"


# Fields within fields take eight frames of Python's stack a level, out of a thousand.
_DEEPEST = 64


@dataclass(frozen=True, slots=True)
class Limits:
    """What reading a text and evaluating it may cost.

    Attributes:
        text: Characters of a text. The default is all that EvaluateExpression takes.
        expressions: Characters in the ``#{...}`` of a text, all of them together. The default
            is more than a field can hold, which is 10,240.
        depth: Parentheses, calls, minus signs and powers within each other; also fields whose
            expressions use fields, and so on. At most 64.
        steps: Values that an evaluation handles: each argument of each operation counts, and
            of lists every combination. So do 256 characters that are made, and 4 characters
            that a function reads.
        size: Characters of a result, all items of a list together. The default is all that
            EvaluateExpression gives.
    """

    text: int = 20_971_520
    expressions: int = 20_000
    depth: int = 32
    steps: int = 250_000
    size: int = 20_971_520

    def __post_init__(self) -> None:
        for limit in fields(self):
            if getattr(self, limit.name) < 1:
                raise ValueError(f"the limit of {limit.name} must be 1 or more")
        if self.depth > _DEEPEST:
            raise ValueError(f"the limit of depth must be {_DEEPEST} or less")


_LIMITS = Limits()


class MappingScope:
    """A scope of fixed values, such as a test has, or a form that somebody filled in."""

    def __init__(self, values: Mapping[str, Found]) -> None:
        self._values = values

    def lookup(self, name: str, /) -> Found:
        """Give the value of that name."""
        try:
            return self._values[name]
        except KeyError:
            raise UnknownNameError(name) from None


@dataclass(frozen=True, slots=True)
class Name:
    """A use of a field or parameter.

    Attributes:
        path: ``("input", "directoryPath")`` for ``input.directoryPath``.
        columns: Where each of them stands in the text.
    """

    path: tuple[str, ...]
    columns: tuple[int, ...]

    @property
    def column(self) -> int:
        """Where the path begins in the text."""
        return self.columns[0]

    def __str__(self) -> str:
        return ".".join(self.path)


@dataclass(frozen=True, slots=True)
class Call:
    """A use of a function; in method form, what stands before the point is its first argument.

    Attributes:
        function: Its name, which is one that exists.
        column: Where that stands in the text.
        arguments: Where each argument begins in the text.
    """

    function: str
    column: int
    arguments: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Constant:
    value: Scalar
    column: int


@dataclass(frozen=True, slots=True)
class _Operation:
    operator: str
    column: int
    arguments: tuple[int, ...]


_Step: TypeAlias = _Constant | Name | Call | _Operation


@dataclass(frozen=True, slots=True)
class _Expression:
    """One ``#{...}``, in postfix: what a step needs, the steps before have left on a stack.

    So a sum of thousands is a loop, where a tree would be thousands deep.
    """

    steps: tuple[_Step, ...]


_StepT = TypeVar("_StepT", Name, Call)


@dataclass(frozen=True, slots=True)
class Template:
    """A text whose expressions have been read. Templates of equal texts are equal."""

    text: str
    _parts: tuple[str | _Expression, ...] = field(repr=False, compare=False)

    @property
    def is_constant(self) -> bool:
        """Whether the text holds no expression."""
        return not any(isinstance(part, _Expression) for part in self._parts)

    @property
    def names(self) -> tuple[Name, ...]:
        """Every use of a field or parameter, in the order of the text."""
        return tuple(self._steps(Name))

    @property
    def calls(self) -> tuple[Call, ...]:
        """Every use of a function, in the order of the text."""
        return tuple(sorted(self._steps(Call), key=lambda call: call.column))

    def _steps(self, kind: type[_StepT]) -> Iterator[_StepT]:
        for part in self._parts:
            if isinstance(part, _Expression):
                yield from (step for step in part.steps if isinstance(step, kind))

    def evaluate(self, scope: Scope, *, limits: Limits = _LIMITS) -> Value:
        """Give the value: of a lone expression as it is, else a text with the values in it.

        A list around which there is text gives a list of texts, one an item.

        Raises:
            ExpressionError: A name is unknown, a value does not fit, or it costs too much.
        """
        return _Evaluation(limits).value(self, scope)

    def render(self, scope: Scope, *, limits: Limits = _LIMITS) -> str:
        """Give the value as a text, as EvaluateExpression does. A list is printed as JSON.

        Raises:
            ExpressionError: As for ``evaluate``.
        """
        return _Evaluation(limits).text(self, scope)


def parse(text: str, *, limits: Limits = _LIMITS) -> Template:
    """Read a field's text with any number of ``#{...}`` in it.

    Function names, the number of their arguments and a pattern that is written out are checked
    here; what a name stands for is found out at evaluation.

    Raises:
        ExpressionError: It cannot be read, or is longer or deeper than ``limits``.
    """
    return Template(text, tuple(_Parser(text, limits).parts()))


# Reading.

_TOKEN = re.compile(
    r"""\s*+(?:
        (?P<name> @?[^\W\d]\w*+)
      | (?P<number> (?:[0-9]++(?:\.[0-9]++)?|\.[0-9]++))
      | (?P<text> '[^'\\]*+(?:\\.[^'\\]*+)*+' | "[^"\\]*+(?:\\.[^"\\]*+)*+" )
      | (?P<sign> [-+*/^().,}])
      | (?P<end> \Z)
      | (?P<other> .)
    )""",
    re.VERBOSE | re.DOTALL,
)
# Our choice: in a text, a backslash takes its meaning from a quote or another backslash, and
# any other stays what it is.
_ESCAPE = re.compile(r"\\(['\"\\])")
_CHARACTER = re.compile(r"\\['\"\\]|.", re.DOTALL)

# How tightly an operator holds its operands.
_STRENGTH = {"+": 1, "-": 1, "*": 2, "/": 2, "^": 4}
_STRENGTH_OF_MINUS = 3  # -2 ^ 2 is -(2 ^ 2), and -2 * 3 is (-2) * 3


class _Parser:
    """Read a text from left to right, one token ahead; each expression by operator strength."""

    def __init__(self, text: str, limits: Limits) -> None:
        self._text, self._limits = text, limits
        self._end = 0  # of the token at hand
        self._start = 0  # of the expression at hand
        self._read = self._depth = 0
        self._steps: list[_Step] = []

    def parts(self) -> Iterator[str | _Expression]:
        text, limit = self._text, self._limits.text
        if len(text) > limit:
            self._fail(f"the text is longer than {limit:,} characters", limit)
        while (start := text.find("#{", self._end)) >= 0:
            if start > self._end:
                yield text[self._end : start]
            yield self._expression(start)
        if self._end < len(text):
            yield text[self._end :]

    def _expression(self, start: int) -> _Expression:
        self._start, self._found = start, _TOKEN.finditer(self._text, start + 2)
        self._steps = []
        self._advance()
        if self._at("}"):
            self._fail("an expression cannot be empty", self._start)
        self._operation(0)
        if not self._at("}"):
            self._unexpected("an operator or '}'")
        return _Expression(tuple(self._steps))

    def _operation(self, strength: int) -> None:
        """Read operands with operators between them that are stronger than ``strength``."""
        left = self._column
        self._operand()
        while (stronger := _STRENGTH.get(self._token, 0)) > strength:
            sign, column = self._take()
            right = self._column
            if sign == "^":
                self._within(stronger - 1)  # 2 ^ 3 ^ 4 is 2 ^ (3 ^ 4)
            else:
                self._operation(stronger)
            self._steps.append(_Operation(sign, column, (left, right)))

    def _within(self, strength: int = 0) -> None:
        """Read an operation inside of another, as deep as the limit says."""
        self._depth += 1
        if self._depth > self._limits.depth:
            limit = _count(self._limits.depth, "level")
            self._fail(f"more than {limit} within each other")
        self._operation(strength)
        self._depth -= 1

    def _operand(self) -> None:
        start = self._column
        if self._at("-"):
            self._take()
            self._within(_STRENGTH_OF_MINUS)
            self._steps.append(_Operation("negate", start, (start,)))
            return
        if self._at("("):
            self._take()
            self._within()
            self._expect(")")
        elif self._kind == "number":
            self._number()
        elif self._kind == "text":
            self._steps.append(_Constant(_ESCAPE.sub(r"\1", self._token[1:-1]), start))
            self._advance()
        elif self._kind == "name" or self._at("*"):
            self._name()
        else:
            self._unexpected("a value")
        while self._at("."):
            self._take()
            column, function = self._column, self._word("the name of a function")
            if not self._at("("):
                self._unexpected("'(' after the name of a function")
            self._call(function, column, start)

    def _number(self) -> None:
        digits, column = self._take()
        if len(digits) > 18:
            self._fail("a number can have up to 18 digits", column)
        value = int(digits) if digits.isdigit() else float(digits)
        self._steps.append(_Constant(value, column))

    def _name(self) -> None:
        """Read a path; if a parenthesis follows its last name, that one is a function."""
        path: list[str] = []
        columns: list[int] = []
        while True:
            column, name = self._column, self._word("a name")
            if self._at("("):
                break
            path.append(name)
            columns.append(column)
            if not self._at("."):
                self._steps.append(Name(tuple(path), tuple(columns)))
                return
            self._take()
        if path:
            self._steps.append(Name(tuple(path), tuple(columns)))
        self._call(name, column, *columns[:1])

    def _word(self, expected: str) -> str:
        """Take a name, with the ``*`` of an encrypted field if it has one."""
        star = ""
        if self._at("*"):
            star, column = self._take()
            if self._column != column + 1:
                self._fail("a name is expected right behind this *", column)
        if self._kind != "name":
            self._unexpected(expected)
        return star + self._take()[0]

    def _call(self, name: str, column: int, *arguments: int) -> None:
        """Read what is in the parentheses. ``arguments`` tells of one before the point."""
        function = FUNCTIONS.get(name)
        if function is None:
            near = difflib.get_close_matches(name[:40], FUNCTIONS, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            self._fail(f"there is no function {_quoted(name)}{hint}", column)
        starts = list(arguments)
        self._expect("(")
        if not self._at(")"):
            starts.append(self._column)
            self._within()
        while self._at(","):
            self._take()
            starts.append(self._column)
            self._within()
        self._expect(")")
        if len(starts) != len(function.takes):
            needed, given = len(function.takes), len(starts)
            self._fail(f"{name} takes {_count(needed, 'argument')}, not {given}", column)
        if name == "format":
            self._check_pattern()
        self._steps.append(Call(name, column, tuple(starts)))

    def _check_pattern(self) -> None:
        """Tell of a wrong pattern now, if the argument just read is one written out."""
        last = self._steps[-1]
        if isinstance(last, _Constant) and isinstance(last.value, str):
            try:
                _joda.check(last.value)
            except _joda.PatternError as error:
                written = _CHARACTER.finditer(self._text, last.column + 1)
                at = next(itertools.islice(written, error.index, None))
                self._fail(error.reason, at.start())

    def _expect(self, sign: str) -> None:
        if not self._at(sign):
            self._unexpected(f"{sign!r}")
        self._take()

    def _at(self, sign: str) -> bool:
        return self._token == sign

    def _take(self) -> tuple[str, int]:
        """Go on to the next token, and give the one that was at hand, with its place."""
        taken = self._token, self._column
        self._advance()
        return taken

    def _advance(self) -> None:
        found = next(self._found)
        self._read += found.end() - found.start()
        self._kind, self._token, self._end = found.lastgroup, found[0].lstrip(), found.end()
        self._column = self._end - len(self._token)
        if self._read > self._limits.expressions:
            limit = self._limits.expressions
            self._fail(f"the expressions of the text have more than {limit:,} characters")

    def _unexpected(self, expected: str) -> NoReturn:
        if self._kind == "end":
            self._fail("this #{ is never closed", self._start)
        if self._token in ("'", '"') and self._kind == "other":
            self._fail(f"this text is never closed: there is no other {self._token}")
        self._fail(f"{expected} is expected here")

    def _fail(self, reason: str, column: int | None = None) -> NoReturn:
        raise ExpressionError(self._text, self._column if column is None else column, reason)


# Evaluating.

_Item: TypeAlias = Scalar | Scope
_Operand: TypeAlias = _Item | tuple[_Item, ...]
_SCALARS = (str, int, float, datetime, NoneType)


class _Evaluation:
    """The value of one template, with those of the fields that it uses."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._steps = limits.steps  # that are left
        self._within: list[tuple[Scope, str]] = []  # the fields whose templates are at work
        # What templates came to, or fields that use each other twice would double the work level
        # by level. The scope is kept, so that no other has its identity.
        self._known: dict[tuple[int, str], tuple[Scope, _Operand]] = {}

    def value(self, template: Template, scope: Scope) -> Value:
        try:
            operand = self._template(template, scope)
            if not isinstance(operand, tuple):
                value = self._plain(operand)
                self._made(_length(value))
                return value
            values = tuple(map(self._plain, operand))
            self._made(sum(map(_length, values)))
        except Refused as refused:
            column = max(0, template.text.find("#{"))
            raise ExpressionError(template.text, column, refused.reason) from refused.__cause__
        return values

    def text(self, template: Template, scope: Scope) -> str:
        value = self.value(template, scope)
        if not isinstance(value, tuple):
            return as_text(value)
        items = [item if isinstance(item, int | float) else as_text(item) for item in value]
        return json.dumps(items, ensure_ascii=False)

    def _template(self, template: Template, scope: Scope) -> _Operand:
        parts: list[_Operand] = []
        # The parts are an affair of this module.
        for part in template._parts:  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            if isinstance(part, _Expression):
                parts.append(self._expression(part, template.text, scope))
            else:
                parts.append(part)
        return parts[0] if len(parts) == 1 else self._each(self._join, *parts)

    def _join(self, *items: _Item) -> str:
        texts = [as_text(self._plain(item)) for item in items]
        self._made(sum(map(len, texts)))
        return "".join(texts)

    def _expression(self, expression: _Expression, text: str, scope: Scope) -> _Operand:
        stack: list[_Operand] = []
        for step in expression.steps:
            try:
                match step:
                    case _Constant():
                        stack.append(step.value)
                    case Name():
                        stack.append(self._path(step.path, scope))
                    case _:
                        first = len(stack) - len(step.arguments)
                        stack[first:] = [self._each(partial(self._apply, step), *stack[first:])]
            except Refused as refused:
                raise ExpressionError(
                    text, _blamed(step, refused.place), refused.reason
                ) from refused.__cause__
        return stack.pop()

    def _apply(self, step: Call | _Operation, *items: _Item) -> Scalar:
        values = [self._plain(item) for item in items]
        if isinstance(step, Call):
            self._spend(sum(map(_length, values)) // 4)
            result = FUNCTIONS[step.function](*values)
        else:
            result = OPERATORS[step.operator](*values)
        self._made(_length(result))
        return result

    def _path(self, path: tuple[str, ...], scope: Scope) -> _Operand:
        operand: _Operand = scope
        for place, name in enumerate(path):
            try:
                operand = self._each(partial(self._field, name), operand)
            except Refused as refused:
                raise Refused(refused.reason, place) from refused.__cause__
        return operand

    def _field(self, name: str, owner: _Item) -> _Operand:
        if isinstance(owner, _SCALARS):
            hint = "; a function needs parentheses" if name in FUNCTIONS else ""
            raise Refused(f"what is before the point is no object with fields{hint}")
        try:
            waiting = [owner.lookup(name)]
        except UnknownNameError as unknown:
            raise Refused(str(unknown)) from unknown
        except ExpressionError as error:
            raise _inside(name, error) from error.__cause__
        if not isinstance(waiting[0], tuple):
            return self._found(waiting[0], owner, name)
        items: list[_Item] = []
        while waiting:  # lists in lists become one
            found = waiting.pop()
            if isinstance(found, tuple):
                self._spend(len(found))
                waiting.extend(reversed(found))
            else:
                items.extend(_items(self._found(found, owner, name)))
        return tuple(items)

    def _found(self, found: Scalar | Scope | Template, owner: Scope, name: str) -> _Operand:
        if isinstance(found, datetime):
            try:
                return as_utc(found)
            except OverflowError:
                raise Refused("the time is outside of the years 1 to 9999") from None
        if isinstance(found, int) and abs(found) > LARGEST:
            raise Refused("the number is too large")
        if not isinstance(found, Template):
            return found
        at = id(owner), found.text
        if at in self._known:
            return self._known[at][1]
        if any(scope is owner and field == name for scope, field in self._within):
            raise Refused(f"{_quoted(name)} is made of itself")
        if len(self._within) == self._limits.depth:
            raise Refused(f"more than {_count(self._limits.depth, 'field')} within each other")
        self._within.append((owner, name))
        try:
            operand = self._template(found, owner)
        except ExpressionError as error:
            raise _inside(name, error) from error.__cause__
        finally:
            self._within.pop()
        self._known[at] = owner, operand
        return operand

    def _plain(self, item: _Item) -> Scalar:
        """Give a value; of a referenced object, its id."""
        if isinstance(item, _SCALARS):
            return item
        found = self._field("id", item)
        if not isinstance(found, _SCALARS):
            raise Refused("the object here has no plain id")
        return found

    def _each(self, function: Callable[..., _Operand], *operands: _Operand) -> _Operand:
        """Apply a function to single items: with lists, to every combination of their items."""
        lists = [_items(operand) for operand in operands]
        self._spend(math.prod(map(len, lists)) * len(lists))
        results = [function(*items) for items in itertools.product(*lists)]
        if not any(isinstance(operand, tuple) for operand in operands):
            return results[0]
        return tuple(itertools.chain.from_iterable(map(_items, results)))

    def _made(self, characters: int) -> None:
        if characters > self._limits.size:
            raise Refused(f"the result has more than {self._limits.size:,} characters")
        self._spend(characters // 256)

    def _spend(self, steps: int) -> None:
        self._steps -= steps
        if self._steps < 0:
            raise Refused(f"the evaluation takes more than {self._limits.steps:,} steps")


def _inside(name: str, error: ExpressionError) -> Refused:
    """Tell of an error in a field's text to whoever used the field."""
    # A reason has words of the text in it, and an encrypted field's are secret.
    reason = "it cannot be evaluated" if is_secret(name) else error.reason
    return Refused(f"in {_quoted(name)}: {reason}")


def _items(operand: _Operand) -> tuple[_Item, ...]:
    return operand if isinstance(operand, tuple) else (operand,)


def _length(value: Scalar) -> int:
    return len(value) if isinstance(value, str) else 0


def _blamed(step: _Step, place: int | None) -> int:
    """Say where a step's fault is: at one of its names or arguments, or at the step itself."""
    if place is None or isinstance(step, _Constant):
        return step.column
    return (step.columns if isinstance(step, Name) else step.arguments)[place]


def _quoted(text: str) -> str:
    return repr(_shortened(text, 40))


def _shortened(text: str, limit: int) -> str:
    half = limit // 2
    return text if len(text) <= limit else f"{text[:half]}...{text[-half:]}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
