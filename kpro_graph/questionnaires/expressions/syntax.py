"""From the text of an expression to its tree: strict, limited, and with the place of every fault.

The grammar is the one fhirpathpy carries, read with its own generated parser. What that parser would mend
or skip is refused here. The tree is flat where the grammar recurses to the left, so that a long expression
is not a deep one.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any, NoReturn

from antlr4 import CommonTokenStream, InputStream, PredictionMode, Token
from antlr4.error.ErrorListener import ErrorListener
from fhirpathpy.parser.generated.FHIRPathLexer import FHIRPathLexer
from fhirpathpy.parser.generated.FHIRPathParser import FHIRPathParser

from kpro_graph.errors import Rejected

from .quantities import Quantity
from .temporal import parse_literal
from .units import CALENDAR_SINGULAR

__all__ = [
    "Call",
    "Chain",
    "ExpressionInvalid",
    "Index",
    "Literal",
    "Member",
    "Path",
    "Place",
    "Sign",
    "Special",
    "Tree",
    "TypeName",
    "Variable",
    "parse",
    "walk",
]

#: Limits that keep the parse of a hostile text under a second; the longest of a thousand real expressions
#: has fewer than 900 characters.
MAX_CHARACTERS = 20_000
MAX_TOKENS = 2_500
MAX_NESTING = 40


class ExpressionInvalid(Rejected):
    """The text is no expression that can be evaluated; ``line`` and ``column`` (both from 1) name the place."""

    code = "EXPRESSION_INVALID"

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(f"{message} (line {line}, column {column})")
        self.message = message
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the text a part begins, both from 1."""

    line: int
    column: int

    def refusal(self, message: str) -> ExpressionInvalid:
        """Make the error that names this place."""
        return ExpressionInvalid(message, self.line, self.column)


@dataclass(frozen=True, slots=True)
class Literal:
    """A value written in the text; ``{}`` has none."""

    place: Place
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """``%name``."""

    place: Place
    name: str


@dataclass(frozen=True, slots=True)
class Special:
    """``$this``, ``$index`` or ``$total``."""

    place: Place
    name: str


@dataclass(frozen=True, slots=True)
class Member:
    """A step to the members of that name."""

    place: Place
    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function applied to what stands before it; ``descending`` marks the sort keys written with ``desc``."""

    place: Place
    name: str
    arguments: tuple[Tree, ...]
    descending: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Index:
    """``[position]``."""

    place: Place
    position: Tree


@dataclass(frozen=True, slots=True)
class Path:
    """Steps from a start; where the start is None the first step applies to ``$this``."""

    place: Place
    start: Tree | None
    steps: tuple[Member | Call | Index | Special, ...]


@dataclass(frozen=True, slots=True)
class TypeName:
    """The name behind ``is`` and ``as``."""

    place: Place
    namespace: str | None
    name: str


@dataclass(frozen=True, slots=True)
class Sign:
    """A plus or minus before its operand."""

    place: Place
    operator: str
    operand: Tree


@dataclass(frozen=True, slots=True)
class Chain:
    """Binary operators applied from the left to the right."""

    place: Place
    first: Tree
    rest: tuple[tuple[str, Tree], ...]


Tree = Literal | Variable | Special | Path | TypeName | Sign | Chain

_parsing = threading.Lock()  # the generated parser shares its prediction tables between threads


def parse(text: str) -> Tree:
    """Read an expression, or raise :class:`ExpressionInvalid` with the place of the first fault."""
    if len(text) > MAX_CHARACTERS:
        raise ExpressionInvalid(f"the expression is longer than {MAX_CHARACTERS} characters")
    try:
        with _parsing:
            return _parse(text)
    except RecursionError:
        raise ExpressionInvalid("the expression is nested too deeply") from None


def walk(tree: Tree) -> Iterator[Tree | Member | Call | Index]:
    """Give every part of the tree, each before its own parts."""
    waiting: list[Tree | Member | Call | Index | Special] = [tree]
    while waiting:
        part = waiting.pop()
        yield part
        match part:
            case Path():
                waiting.extend(reversed(part.steps))
                if part.start is not None:
                    waiting.append(part.start)
            case Call():
                waiting.extend(reversed(part.arguments))
            case Index():
                waiting.append(part.position)
            case Sign():
                waiting.append(part.operand)
            case Chain():
                waiting.extend(operand for _, operand in reversed(part.rest))
                waiting.append(part.first)


class _Strict(ErrorListener):  # type: ignore[misc]
    def syntaxError(self, recognizer: Any, symbol: Any, line: int, column: int, message: str, error: Any) -> NoReturn:  # noqa: N802
        if symbol is None:
            raise ExpressionInvalid("a character that begins nothing in the language", line, column + 1)
        if symbol.type == Token.EOF:
            raise ExpressionInvalid("the expression ends where more is expected", line, column + 1)
        raise ExpressionInvalid("the expression is not well-formed here", line, column + 1)


_STRICT = _Strict()


def _parse(text: str) -> Tree:
    lexer = FHIRPathLexer(InputStream(text))
    lexer.removeErrorListeners()
    lexer.addErrorListener(_STRICT)
    stream = CommonTokenStream(lexer)
    stream.fill()
    ordered = _mend_tokens(stream)
    _limit(stream.tokens)
    # The fast prediction accepts nothing the full one refuses, but may refuse a little more.
    try:
        tree = _entire(stream, PredictionMode.SLL)
    except ExpressionInvalid:
        stream.seek(0)
        tree = _entire(stream, PredictionMode.LL)
    reading = _Reading(ordered)
    found = reading.tree(tree)
    for at in ordered.keys() - reading.sorted_by:
        raise _at(stream.tokens[at]).refusal("only the keys of sort() may be followed by asc or desc")
    return found


def _entire(stream: CommonTokenStream, mode: Any) -> Any:
    parser = FHIRPathParser(stream)
    parser.removeErrorListeners()
    parser.addErrorListener(_STRICT)
    parser._interp.predictionMode = mode
    entire: Any = parser.entireExpression
    return entire().expression()


def _limit(tokens: list[Any]) -> None:
    if len(tokens) > MAX_TOKENS:
        raise ExpressionInvalid(f"the expression has more than {MAX_TOKENS} words and signs")
    depth = signs = 0
    for token in tokens:
        if token.channel != Token.DEFAULT_CHANNEL:
            continue
        if token.text in ("(", "[", "{"):
            depth += 1
        elif token.text in (")", "]", "}"):
            depth -= 1
        signs = signs + 1 if token.text in ("+", "-") else 0
        if depth > MAX_NESTING or signs > MAX_NESTING:
            raise _at(token).refusal(f"the expression is nested deeper than {MAX_NESTING} levels")


def _mend_tokens(stream: CommonTokenStream) -> dict[int, bool]:
    """Put right two things the grammar's lexer misses; tell behind which tokens ``desc`` (True) or ``asc`` stood.

    ``@2015-02T`` is one literal, and a sort key may end in ``asc`` or ``desc``.
    """
    tokens = stream.tokens
    for token, following in pairwise(tokens):
        if token.type == FHIRPathLexer.DATETIME and "T" not in token.text and following.text == "T":
            token.text = token.text + "T"
            following.channel = Token.HIDDEN_CHANNEL
    visible = [token for token in tokens if token.channel == Token.DEFAULT_CHANNEL]
    ordered: dict[int, bool] = {}
    for before, word, after in zip(visible, visible[1:], visible[2:], strict=False):
        ends_a_key = before.type in _OPERAND_ENDS or before.text in (")", "]", "}", "$this", "true", "false")
        if word.text in ("asc", "desc") and after.text in (",", ")") and ends_a_key:
            word.channel = Token.HIDDEN_CHANNEL
            ordered[before.tokenIndex] = word.text == "desc"
    return ordered


_OPERAND_ENDS = frozenset(
    {
        FHIRPathLexer.IDENTIFIER,
        FHIRPathLexer.DELIMITEDIDENTIFIER,
        FHIRPathLexer.STRING,
        FHIRPathLexer.NUMBER,
        FHIRPathLexer.DATETIME,
        FHIRPathLexer.TIME,
    }
)


def _at(token: Any) -> Place:
    return Place(token.line, token.column + 1)


class _Reading:
    """One pass over the parser's tree."""

    def __init__(self, ordered: dict[int, bool]) -> None:
        self.ordered = ordered
        self.sorted_by: set[int] = set()

    def tree(self, context: Any) -> Tree:
        """Read an expression; what recurses to the left is walked in a loop."""
        kind = type(context).__name__
        place = _at(context.start)
        if kind == "TermExpressionContext":
            return self._term(context.term())
        if kind in ("InvocationExpressionContext", "IndexerExpressionContext"):
            return self._path(context)
        if kind == "PolarityExpressionContext":
            return Sign(place, context.getChild(0).getText(), self.tree(context.expression()))
        rest: list[tuple[str, Tree]] = []
        while context.getChildCount() == 3 and type(context).__name__ not in (
            "InvocationExpressionContext",
            "TermExpressionContext",
        ):
            operator = context.getChild(1).getText()
            if type(context).__name__ == "TypeExpressionContext":
                rest.append((operator, self._type_name(context.typeSpecifier().qualifiedIdentifier())))
                context = context.expression()
            else:
                rest.append((operator, self.tree(context.expression(1))))
                context = context.expression(0)
        return Chain(place, self.tree(context), tuple(reversed(rest)))

    def _path(self, context: Any) -> Tree:
        place = _at(context.start)
        steps: list[Member | Call | Index | Special] = []
        while True:
            kind = type(context).__name__
            if kind == "InvocationExpressionContext":
                steps.append(self._step(context.invocation()))
                context = context.expression()
            elif kind == "IndexerExpressionContext":
                position = context.expression(1)
                steps.append(Index(_at(position.start), self.tree(position)))
                context = context.expression(0)
            else:
                break
        steps.reverse()
        start = self.tree(context)
        # A start that is itself a path from $this, written without parentheses, is the same path.
        if (
            isinstance(start, Path)
            and start.start is None
            and type(context.getChild(0)).__name__ == "InvocationTermContext"
        ):
            return Path(place, None, start.steps + tuple(steps))
        return Path(place, start, tuple(steps))

    def _step(self, context: Any) -> Member | Call | Special:
        place = _at(context.start)
        kind = type(context).__name__
        if kind == "MemberInvocationContext":
            return Member(place, _identifier(context.identifier()))
        if kind == "FunctionInvocationContext":
            function = context.functn()
            parameters = function.paramList()
            arguments = parameters.expression() if parameters is not None else []
            name = _identifier(function.identifier())
            ends = [argument.stop.tokenIndex for argument in arguments] if name == "sort" else []
            self.sorted_by.update(ends)
            down = frozenset(position for position, end in enumerate(ends) if self.ordered.get(end))
            return Call(place, name, tuple(self.tree(argument) for argument in arguments), down)
        return Special(place, context.getText())

    def _term(self, context: Any) -> Tree:
        place = _at(context.start)
        kind = type(context).__name__
        if kind == "ParenthesizedTermContext":
            return self.tree(context.expression())
        if kind == "ExternalConstantTermContext":
            constant = context.externalConstant()
            name = constant.identifier()
            return Variable(place, _identifier(name) if name is not None else _unescape(constant.STRING(), place))
        if kind == "LiteralTermContext":
            return Literal(place, _literal(context.literal(), place))
        step = self._step(context.invocation())
        return step if isinstance(step, Special) else Path(place, None, (step,))

    @staticmethod
    def _type_name(context: Any) -> TypeName:
        parts = [_identifier(part) for part in context.identifier()]
        place = _at(context.start)
        if len(parts) > 2:
            raise place.refusal("a type name has at most a namespace and a name")
        return TypeName(place, parts[0] if len(parts) == 2 else None, parts[-1])


def _identifier(context: Any) -> str:
    text: str = context.getText()
    return _unescape(text, _at(context.start)) if text.startswith("`") else text


_HEX = re.compile("[0-9a-fA-F]{4}")
_ESCAPES = {"r": "\r", "n": "\n", "t": "\t", "f": "\f"}


def _unescape(quoted: Any, place: Place) -> str:
    """Take off the quotes and resolve the escapes; a backslash before anything else is dropped."""
    text = str(quoted)[1:-1]
    if "\\" not in text:
        return text
    parts: list[str] = []
    position = 0
    while position < len(text):
        character = text[position]
        position += 1
        if character != "\\":
            parts.append(character)
            continue
        mark = text[position : position + 1]
        position += 1
        if mark == "u" and _HEX.match(text, position):
            parts.append(chr(int(text[position : position + 4], 16)))
            position += 4
        else:
            parts.append(_ESCAPES.get(mark, mark))
    joined = "".join(parts)
    try:
        return joined.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise place.refusal("half of a surrogate pair stands alone") from None


def _literal(context: Any, place: Place) -> tuple[Any, ...]:
    kind = type(context).__name__
    text: str = context.getText()
    if kind == "NullLiteralContext":
        return ()
    if kind == "BooleanLiteralContext":
        return (text == "true",)
    if kind == "StringLiteralContext":
        return (_unescape(text, place),)
    if kind == "NumberLiteralContext":
        return (_number(text, place),)
    if kind in ("DateTimeLiteralContext", "TimeLiteralContext"):
        value = parse_literal(text)
        if value is None:
            raise place.refusal("no such date or time")
        return (value,)
    quantity = context.quantity()
    amount = Decimal(_digits(quantity.NUMBER().getText(), place))
    unit = quantity.unit()
    if unit is None:
        return (amount,)
    word = unit.getText() if unit.STRING() is None else _unescape(unit.getText(), place)
    return (Quantity(amount, word, calendar=word in CALENDAR_SINGULAR),)


def _number(text: str, place: Place) -> int | Decimal:
    digits = _digits(text, place)
    return Decimal(digits) if "." in digits else int(digits)


def _digits(text: str, place: Place) -> str:
    if len(text) > 40:
        raise place.refusal("a number with more than 40 digits")
    return text
