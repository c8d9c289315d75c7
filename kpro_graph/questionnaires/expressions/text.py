"""Functions over text. Patterns run in linear time, whoever wrote them."""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import re2

from .nodes import Collection, ExpressionFailed
from .registry import Environment, function, one_integer, one_text

__all__: list[str] = []


def _texts(name: str, items: Collection, arguments: tuple[Collection, ...]) -> list[str] | None:
    """Give the input and the arguments as text; None where one of them is empty."""
    values = [one_text(items, f"{name}()"), *(one_text(argument, f"an argument of {name}()") for argument in arguments)]
    return None if None in values else [value for value in values if value is not None]


def _declare(name: str, arguments: int, gives: str, run: Callable[..., Any]) -> None:
    """Declare a function of one text and some texts that is empty where one of them is."""

    @function(name, takes=("value",) * arguments, gives=gives)
    def _run(env: Environment, items: Collection, *given: Collection) -> Collection:
        texts = _texts(name, items, given)
        if texts is None:
            return []
        env.spend(1 + (len(texts[0]) >> 8))
        found = run(*texts)
        return [env.text(found) if isinstance(found, str) else found]


_declare("startsWith", 1, "System.Boolean", str.startswith)
_declare("endsWith", 1, "System.Boolean", str.endswith)
_declare("contains", 1, "System.Boolean", str.__contains__)
_declare("indexOf", 1, "System.Integer", str.find)
_declare("lastIndexOf", 1, "System.Integer", str.rfind)
_declare("upper", 0, "System.String", str.upper)
_declare("lower", 0, "System.String", str.lower)
_declare("trim", 0, "System.String", lambda text: text.strip(" \t\n\r"))
_declare("length", 0, "System.Integer", len)


@function("replace", takes=("value", "value"), gives="System.String")
def _replace(env: Environment, items: Collection, pattern: Collection, substitute: Collection) -> Collection:
    texts = _texts("replace", items, (pattern, substitute))
    if texts is None:
        return []
    text, old, new = texts
    times = text.count(old)
    env.room(len(text) + times * (len(new) - len(old)))
    return [text.replace(old, new)]


@function("substring", takes=("value", "value"), required=1, gives="System.String")
def _substring(env: Environment, items: Collection, start: Collection, length: Collection | None = None) -> Collection:
    text, begin = one_text(items, "substring()"), one_integer(start, "substring()")
    size = one_integer(length or [], "substring()")
    if text is None or begin is None or not 0 <= begin < len(text):
        return []
    return [text[begin:] if size is None else text[begin : begin + max(0, size)]]


@function("toChars", gives="System.String")
def _to_chars(env: Environment, items: Collection) -> Collection:
    text = one_text(items, "toChars()") or ""
    env.spend(len(text))
    return list(text)


@function("split", takes=("value",), gives="System.String")
def _split(env: Environment, items: Collection, separator: Collection) -> Collection:
    texts = _texts("split", items, (separator,))
    if texts is None:
        return []
    parts = texts[0].split(texts[1]) if texts[1] else list(texts[0])
    env.spend(len(parts))
    return list(parts)


@function("join", takes=("value",), required=0, gives="System.String")
def _join(env: Environment, items: Collection, separator: Collection | None = None) -> Collection:
    between = one_text(separator or [], "join()") or ""
    texts = [one_text([item], "join()") or "" for item in items]
    env.spend(len(texts))
    env.room(sum(map(len, texts)) + len(between) * len(texts))
    return [between.join(texts)] if texts else []


@lru_cache(maxsize=512)
def _pattern(pattern: str, flags: str) -> Any:
    if set(flags) - {"i", "m"}:
        raise ExpressionFailed("the flags of a pattern are i and m, and no others")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 4 << 20
    try:
        return re2.compile(f"(?s{flags}:{pattern})" if flags else f"(?s:{pattern})", options)
    except re2.error:
        raise ExpressionFailed("the pattern is no valid regular expression that runs in linear time") from None


def _matching(name: str, search: Callable[[Any, str], Any]) -> None:
    @function(name, takes=("value", "value"), required=1, gives="System.Boolean")
    def _run(env: Environment, items: Collection, pattern: Collection, flags: Collection | None = None) -> Collection:
        texts = _texts(name, items, (pattern,))
        if texts is None:
            return []
        env.spend(10 + (len(texts[0]) >> 4))
        return [search(_pattern(texts[1], one_text(flags or [], f"{name}()") or ""), texts[0]) is not None]


_matching("matches", lambda pattern, text: pattern.search(text))
_matching("matchesFull", lambda pattern, text: pattern.fullmatch(text))

_REFERENCE = re2.compile(r"\$(?:(\d{1,2})|\{(\w+)\}|<(\w+)>|(\$))")


@function("replaceMatches", takes=("value", "value", "value"), required=2, gives="System.String")
def _replace_matches(
    env: Environment, items: Collection, pattern: Collection, substitute: Collection, flags: Collection | None = None
) -> Collection:
    """Replace each match, ``$1`` and ``${name}`` in the substitute being groups; an empty pattern changes nothing."""
    texts = _texts("replaceMatches", items, (pattern, substitute))
    if texts is None:
        return []
    text, sought, new = texts
    if not sought:
        return [text]
    compiled = _pattern(sought, one_text(flags or [], "replaceMatches()") or "")

    def group(match: Any, reference: Any) -> str:
        number, *names, dollar = reference.groups()
        if dollar:
            return "$"
        name = next((name for name in names if name), None)
        if name is not None and name not in compiled.groupindex:
            raise ExpressionFailed("the substitute names a group that the pattern does not have")
        at = compiled.groupindex[name] if name is not None else int(number)
        if at > compiled.groups:
            raise ExpressionFailed("the substitute names a group that the pattern does not have")
        return match.group(at) or ""

    parts: list[str] = []
    end = 0
    for match in compiled.finditer(text):
        put = _REFERENCE.sub(lambda reference, match=match: group(match, reference), new) if "$" in new else new
        parts += (text[end : match.start()], put)
        env.spend(2 + (len(put) >> 3))
        end = match.end()
    return [env.text("".join([*parts, text[end:]]))]


def _urlsafe(text: str) -> bytes:
    return base64.b64decode(text.encode(), altchars=b"-_", validate=True)


_ENCODERS: dict[str, Callable[[str], str]] = {
    "hex": lambda text: text.encode().hex(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "urlbase64": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
}
_DECODERS: dict[str, Callable[[str], bytes]] = {
    "hex": bytes.fromhex,
    "base64": lambda text: base64.b64decode(text.encode(), validate=True),
    "urlbase64": _urlsafe,
}
_ESCAPERS: dict[str, Callable[[str], str]] = {
    "html": lambda text: html.escape(text, quote=False).replace('"', "&quot;"),
    "json": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
}


_JSON_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_JSON_CHARACTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def _unescape_json(text: str) -> str:
    """Resolve the escapes of a JSON string; what is not escaped stays as it is."""

    def resolved(match: re.Match[str]) -> str:
        return chr(int(match[1], 16)) if match[1] else _JSON_CHARACTERS.get(match[2], match[2])

    return _JSON_ESCAPE.sub(resolved, text).encode("utf-16", "surrogatepass").decode("utf-16")


_UNESCAPERS: dict[str, Callable[[str], str]] = {"html": html.unescape, "json": _unescape_json}


def _coding(name: str, table: dict[str, Callable[[str], Any]]) -> None:
    @function(name, takes=("value",), gives="System.String")
    def _run(env: Environment, items: Collection, format_: Collection) -> Collection:
        texts = _texts(name, items, (format_,))
        if texts is None:
            return []
        text, wanted = texts
        if wanted not in table:
            raise ExpressionFailed(f"{name}() knows {', '.join(table)}, and no other format")
        try:
            found = table[wanted](text)
            return [env.text(found.decode() if isinstance(found, bytes) else found)]
        except (ValueError, TypeError, binascii.Error, UnicodeError):
            return []


_coding("encode", _ENCODERS)
_coding("decode", _DECODERS)
_coding("escape", _ESCAPERS)
_coding("unescape", _UNESCAPERS)
