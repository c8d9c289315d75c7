"""CPR numbers are read by the register's rules and shown to no one who did not ask."""

from __future__ import annotations

import io
import logging
import re
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpro_graph.cpr import MASK, CprInvalid, CprKind, CprReason, CprRedaction, Sex, find, parse, redact
from kpro_graph.errors import Rejected

TODAY = date(2026, 11, 23)


@pytest.mark.parametrize(
    ("text", "born"),
    [
        ("2512489996", date(1948, 12, 25)),  # fails modulus 11
        ("0501792275", date(1979, 1, 5)),  # fails modulus 11
        ("1107744882", date(1974, 7, 11)),
        ("0101370000", date(1937, 1, 1)),
        ("0101374000", date(1937, 1, 1)),
        ("0101364000", date(2036, 1, 1)),
        ("0101379000", date(1937, 1, 1)),
        ("0101363999", date(1936, 1, 1)),
        ("311299-4008", date(1999, 12, 31)),
        ("0101584000", date(1958, 1, 1)),
        ("0101585000", date(1858, 1, 1)),
        ("0101575000", date(2057, 1, 1)),
        ("290200-4001", date(2000, 2, 29)),
    ],
)
def test_the_seventh_digit_tells_the_century(text: str, born: date) -> None:
    cpr = parse(text, today=date(2060, 1, 1))
    assert (cpr.birth_date, cpr.kind) == (born, CprKind.CPR)


@pytest.mark.parametrize(
    ("text", "kind", "born", "sex"),
    [
        ("6112489996", CprKind.SUBSTITUTE, date(1948, 12, 1), Sex.FEMALE),
        ("910160-4001", CprKind.SUBSTITUTE, date(1960, 1, 31), Sex.MALE),
        ("0703921VJ4", CprKind.X_ECPR, date(1992, 3, 7), Sex.FEMALE),
        ("310105-7JC9", CprKind.X_ECPR, date(2005, 1, 31), Sex.MALE),
        ("1206550VK9", CprKind.D_ECPR, date(1955, 6, 12), Sex.MALE),
        ("1206995vk8", CprKind.D_ECPR, date(1899, 6, 12), Sex.FEMALE),
        ("1206106VK8", CprKind.D_ECPR, date(2010, 6, 12), Sex.FEMALE),
    ],
)
def test_substitutes_and_ecpr_numbers_are_told_apart(text: str, kind: CprKind, born: date, sex: Sex) -> None:
    cpr = parse(text, today=TODAY)
    assert (cpr.kind, cpr.birth_date, cpr.sex) == (kind, born, sex)
    assert cpr.digits == text.replace("-", "").upper()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", CprReason.FORM),
        ("12345", CprReason.FORM),
        ("010170 1234", CprReason.FORM),
        ("010170--1234", CprReason.FORM),
        ("01-0170-1234", CprReason.FORM),
        ("01017012345", CprReason.FORM),
        ("x0101701234", CprReason.FORM),
        ("0101701234\n0101701234", CprReason.FORM),
        ("٠١٠١٧٠١٢٣٤", CprReason.FORM),
        ("0703922VJ4", CprReason.FORM),  # no such seventh character in either eCPR format
        ("0703921ſı4", CprReason.FORM),
        ("3002701234", CprReason.DATE),
        ("2902701234", CprReason.DATE),
        ("0013701234", CprReason.DATE),
        ("3201701234", CprReason.DATE),
        ("6001701234", CprReason.DATE),  # day 60: neither a day nor a substitute
        ("9201701234", CprReason.DATE),
        ("9102701234", CprReason.DATE),
        ("6703921VJ4", CprReason.DATE),  # an eCPR day is not raised
        ("2411264000", CprReason.FUTURE),
        ("8411264000", CprReason.FUTURE),
        ("2411267JC9", CprReason.FUTURE),
    ],
)
def test_what_is_no_cpr_number_is_rejected_with_the_reason_and_without_the_text(text: str, reason: CprReason) -> None:
    with pytest.raises(CprInvalid) as caught:
        parse(text, today=TODAY)
    error = caught.value
    assert (error.reason, error.code) == (reason, "INVALID_CPR")
    assert isinstance(error, Rejected)
    assert (error.path, str(error)) == ("cpr", error.en)
    assert "CPR-numme" in error.da
    assert error.__cause__ is None
    assert not text or text not in f"{error!r} {error} {vars(error)}"


@pytest.mark.parametrize(
    ("text", "kind", "born"),
    [
        ("2512489996", CprKind.CPR, date(1948, 12, 25)),
        ("0501792275", CprKind.CPR, date(1979, 1, 5)),
        ("1107744882", CprKind.CPR, date(1974, 7, 11)),
        ("0101370000", CprKind.CPR, date(1937, 1, 1)),
        ("0101374000", CprKind.CPR, date(1937, 1, 1)),
        ("311299-4008", CprKind.CPR, date(1999, 12, 31)),
        ("0101584000", CprKind.CPR, date(1958, 1, 1)),
        ("0101585000", CprKind.CPR, date(1858, 1, 1)),
        ("0101575000", None, None),  # the seventh digit says 2057
        ("6112489996", CprKind.SUBSTITUTE, date(1948, 12, 1)),
        ("0703921VJ4", CprKind.X_ECPR, date(1992, 3, 7)),
        ("1206550VK9", CprKind.D_ECPR, date(1955, 6, 12)),
    ],
)
def test_the_examples_that_are_known_are_judged_as_they_should_be(
    text: str, kind: CprKind | None, born: date | None
) -> None:
    if kind is None:
        with pytest.raises(CprInvalid) as caught:
            parse(text, today=TODAY)
        assert caught.value.reason is CprReason.FUTURE
    else:
        read = parse(text, today=TODAY)
        assert (read.kind, read.birth_date) == (kind, born)


def test_born_today_is_not_the_future() -> None:
    assert parse("2311264000", today=TODAY).birth_date == TODAY


def test_denmarks_date_is_the_default_bound() -> None:
    with pytest.raises(CprInvalid):
        parse("0101574999".replace("4999", "5999"))
    assert parse("0101264000").birth_date == date(2026, 1, 1)


def test_writing_does_not_change_the_number() -> None:
    assert parse(" 010170-1234 ") == parse("0101701234")
    assert hash(parse("010170-1234")) == hash(parse("0101701234"))
    assert parse("0101701234").hyphenated == "010170-1234"
    assert parse("0101701234") != parse("0101701236")


def test_a_cpr_number_shows_nothing_unless_asked_by_name() -> None:
    cpr = parse("0101701234")
    for shown in (str(cpr), repr(cpr), f"{cpr}", f"{cpr!s}", str([cpr]), str({"cpr": cpr})):
        assert MASK in shown
        assert "0101" not in shown
    with pytest.raises(AttributeError):
        cpr.digits = "0202701234"  # type: ignore[misc]


@st.composite
def cprs(draw: st.DrawFn) -> str:
    """Canonical texts of all four kinds."""
    born = draw(st.dates(date(1900, 1, 1), date(1999, 12, 31)))
    stem = born.strftime("%m%y")
    kind = draw(st.sampled_from(CprKind))
    if kind in (CprKind.X_ECPR, CprKind.D_ECPR):
        letters = draw(st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=2, max_size=2))
        seventh = "1" if kind is CprKind.X_ECPR else "0"
        return f"{born.day:02}{stem}{seventh}{letters}{draw(st.integers(0, 9))}"
    day = born.day + (60 if kind is CprKind.SUBSTITUTE else 0)
    return f"{day:02}{stem}{draw(st.integers(0, 3999)):04}"


SEPARATORS = ("", "-", " ", "\u00a0", "\u2011", "\u2013", " - ", "+", "%2D", "%20", "\\u2011", "\\xa0", "\\n")
before = st.text().filter(lambda text: not re.search(r"[0-9A-Fa-fT.,]$", text))
after = st.text().filter(lambda text: not re.match(r"[0-9A-Fa-f]", text))


@given(cprs())
def test_every_kind_is_read_back(cpr: str) -> None:
    assert parse(cpr).digits == cpr
    assert parse(f"{cpr[:6]}-{cpr[6:]}").digits == cpr


@given(before, cprs(), st.sampled_from(SEPARATORS), after)
def test_a_cpr_number_anywhere_in_a_text_is_hidden(start: str, cpr: str, separator: str, end: str) -> None:
    written = f"{cpr[:6]}{separator}{cpr[6:]}"
    hidden = redact(f"{start}{written}{end}")
    assert written not in hidden
    assert MASK in hidden
    assert list(find(f"{start}{written}{end}"))


@given(st.text())
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    assert redact(redact(text)) == redact(text)


@given(st.text())
def test_a_text_without_digits_is_left_alone(text: str) -> None:
    text = re.sub(r"\d", "", text)
    assert redact(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "cpr=0101701234&x=1",
        "borger0101701234",
        "'\\n0101701234'",
        "%200101701234",
        "\\x200101701234",
        "01.01.70-1234",
        "01 01 70 1234",
        "01/01/70-1234",
        '{"cpr": 101701234}',  # a JSON number has lost its first zero
        "CPR-nr.: 101701234",
        "010170 1234 0202801234",
        "T0101701234",
        "993470-1234",  # a typing mistake is still someone's number
    ],
)
def test_ways_of_writing_a_cpr_number_are_hidden(text: str) -> None:
    hidden = redact(text)
    assert MASK in hidden
    assert "1234" not in hidden


@pytest.mark.parametrize(
    "text",
    [
        "01017012-1203-4701-8123-010170123456",
        "ab120370-1234-4abc-8def-aa0101701234",
        "urn:uuid:0b0101701234".replace("0b0101701234", "01017012-3401-4170-8234-0b0101701234"),
        "4bf92f0101701234aabb577b34da6a3c",  # a trace id
        "1732392720123",  # milliseconds since 1970
        "2026-11-23T20:12:03.120312+0100",
        "20261123T120312+0100",
        "I1123 20:12:03.120312 1234 app.py:10]",
        "2026-11-23 20:12:03,123 INFO listening on 127.0.0.1:8000",
        "20241203 1203",
        "+45 20 10 12 34",
        "0.1012031234567",
    ],
)
def test_identifiers_and_timestamps_survive(text: str) -> None:
    assert redact(text) == text


class Remembering:
    """A foreign object with a CPR number in its texts."""

    def __init__(self, cpr: str) -> None:
        self.cpr = cpr

    def __str__(self) -> str:
        return f"borger {self.cpr}"

    def __repr__(self) -> str:
        return f"Remembering({self.cpr!r})"


class Broken:
    def __repr__(self) -> str:
        raise ValueError("0101701234")


def fail(cpr: str) -> str:
    known: dict[str, str] = {}
    try:
        return known[cpr]
    except KeyError as error:
        raise RuntimeError(f"no citizen {cpr}") from error


def logged(message: object, *args: Any, **kwargs: Any) -> str:
    """Return what a handler with the filter writes, extra fields and all."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s %(extra)r", defaults={"extra": None}))
    handler.addFilter(CprRedaction())
    logger = logging.Logger("test.cpr")  # apart from the tree: its records reach this handler only
    logger.addHandler(handler)
    logger.error(message, *args, **kwargs)
    return stream.getvalue()


@given(cprs(), st.sampled_from(["", "-"]))
def test_no_log_record_holds_a_cpr_number(cpr: str, hyphen: str) -> None:
    written = f"{cpr[:6]}{hyphen}{cpr[6:]}"
    lines = [
        logged(f"citizen {written} is unknown"),
        logged("citizen %s", written),
        logged("citizen %r", [{"cpr": (written,)}]),
        logged("citizen %(cpr)s", {"cpr": written}),
        logged("citizen %s", Remembering(written)),
        logged("citizen %r", Remembering(written)),
        logged(Remembering(written)),
        logged("citizen %s", ValueError(written)),
        logged("citizen %s-%s", cpr[:6], cpr[6:]),
        logged("citizen %s", written.encode()),
        logged("citizen", extra={"extra": {"variables": {"cpr": [written]}}}),
        logged("citizen", extra={"extra": Remembering(written)}),
    ]
    try:
        fail(written)
    except RuntimeError:
        lines.append(logged("failed", exc_info=True))
        lines.append(logged("failed", exc_info=True, stack_info=True))
    for line in lines:
        assert cpr not in line
        assert written not in line
        assert MASK in line


def test_a_number_that_looks_like_a_cpr_number_is_hidden_and_still_formats() -> None:
    assert logged("%s", 1203701234) == f"ERROR {MASK} None\n"
    assert logged("%d", 1203701234) == "ERROR 0 None\n"
    assert logged("%d of %s", 3, 4.5) == "ERROR 3 of 4.5 None\n"
    assert logged("%s", True) == "ERROR True None\n"


def test_objects_without_a_cpr_number_keep_their_type() -> None:
    kept = object()
    record = logging.makeLogRecord({"msg": "%s %s", "args": (kept, {"a": [1]}), "extra": [kept]})
    assert CprRedaction().filter(record) is True
    assert isinstance(record.args, tuple)
    assert record.args[0] is kept
    assert vars(record)["extra"][0] is kept


def test_a_container_in_an_extra_field_keeps_its_shape() -> None:
    record = logging.makeLogRecord({"msg": "", "extra": {"cprs": ["0101701234"], "n": 1, "nested": {("0202801234",)}}})
    CprRedaction().filter(record)
    assert vars(record)["extra"] == {"cprs": [MASK], "n": 1, "nested": {(MASK,)}}


def test_a_container_that_holds_itself_ends() -> None:
    endless: list[object] = ["0101701234"]
    endless.append(endless)
    assert "0101701234" not in logged("%s", endless)


def test_an_object_that_cannot_be_written_is_named_by_type() -> None:
    assert logged("%s", Broken()) == "ERROR <Broken without text> None\n"


def test_a_faulty_log_call_is_reported_without_its_cpr_number(capsys: pytest.CaptureFixture[str]) -> None:
    logged("%d and %d", "0101701234")
    reported = capsys.readouterr().err
    assert "Logging error" in reported
    assert f"Arguments: ('{MASK}',)" in reported


def test_the_exception_itself_goes_no_further() -> None:
    try:
        fail("0101701234")
    except RuntimeError as error:
        record = logging.makeLogRecord({"msg": "failed", "exc_info": (RuntimeError, error, error.__traceback__)})
    CprRedaction().filter(record)
    assert record.exc_info is None
    assert record.exc_text is not None
    assert record.exc_text.endswith(f"RuntimeError: no citizen {MASK}")
    assert "0101701234" not in record.exc_text


def test_the_servers_access_line_keeps_its_arguments() -> None:
    path = "/citizens?cpr=010170%2D1234"
    record = logging.makeLogRecord({"msg": '%s - "%s %s" %d', "args": ("127.0.0.1:5000", "GET", path, 200)})
    CprRedaction().filter(record)
    assert record.args == ("127.0.0.1:5000", "GET", f"/citizens?cpr={MASK}", 200)
