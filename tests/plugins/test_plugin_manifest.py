"""A manifest is read without running its plugin, and says exactly what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kpro_graph.plugins.manifest import FILE, Keeping, PluginRefused, read_manifest

WHOLE = """
id = "aarhus-forms"
version = "2.1.0-beta.1"
publisher = "0751"
title = "Aarhus' skemaer"
title_en = "Aarhus' forms"
hook_api = ">=1, <2"

[needs]
answers = "read"
cpr = "none"
network = ["https://example.org/api"]

[[personal_data]]
what = "Telefonnummer, for at sende en påmindelse"
kept_for = "P30D"

[interpretation]
intended_purpose = "Åbner samtalen."
medical_device_class = "I"
"""


def read(folder: Path, text: str) -> object:
    (folder / FILE).write_text(text, encoding="utf-8")
    return read_manifest(folder)


def test_a_whole_manifest_is_read(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(WHOLE, encoding="utf-8")
    manifest = read_manifest(tmp_path)
    assert (manifest.id, manifest.version, manifest.publisher) == ("aarhus-forms", "2.1.0-beta.1", "0751")
    assert (manifest.title, manifest.title_en) == ("Aarhus' skemaer", "Aarhus' forms")
    assert (manifest.answers, manifest.cpr, manifest.network) == ("read", "none", ("https://example.org/api",))
    assert manifest.personal_data == (Keeping("Telefonnummer, for at sende en påmindelse", "P30D"),)
    assert (manifest.intended_purpose, manifest.medical_device_class) == ("Åbner samtalen.", "I")
    assert manifest.municipality == "0751"


def test_what_is_not_declared_is_nothing(tmp_path: Path) -> None:
    short = "\n".join(WHOLE.splitlines()[:7]).replace("0751", "national")
    (tmp_path / FILE).write_text(short, encoding="utf-8")
    manifest = read_manifest(tmp_path)
    assert (manifest.answers, manifest.cpr, manifest.network, manifest.personal_data) == ("none", "none", (), ())
    assert (manifest.intended_purpose, manifest.medical_device_class) == ("", "")
    assert manifest.municipality is None


@pytest.mark.parametrize(
    ("was", "becomes", "complaint"),
    [
        ('id = "aarhus-forms"', "", "id is missing"),
        ('id = "aarhus-forms"', 'id = "Aarhus Forms"', "id is not lower case letters and digits joined by hyphens"),
        ('id = "aarhus-forms"', "id = 7", "id is not a text"),
        ('title = "Aarhus\' skemaer"', 'title = " "', "title is not a text"),
        ('version = "2.1.0-beta.1"', 'version = "2"', "version is not a version such as 1.0.0"),
        ('publisher = "0751"', 'publisher = "Aarhus"', 'publisher is not a four-digit municipality code or "national"'),
        ('publisher = "0751"', 'publisher = "751"', 'publisher is not a four-digit municipality code or "national"'),
        ('hook_api = ">=1, <2"', 'hook_api = ">=2"', "hook_api >=2 does not include 1.0"),
        ('hook_api = ">=1, <2"', 'hook_api = "<=0.9"', "hook_api <=0.9 does not include 1.0"),
        ('hook_api = ">=1, <2"', 'hook_api = "==1.1"', "hook_api ==1.1 does not include 1.0"),
        ('hook_api = ">=1, <2"', 'hook_api = ">1.0"', "hook_api >1.0 does not include 1.0"),
        ('hook_api = ">=1, <2"', 'hook_api = "1"', "hook_api is not a range such as >=1,<2"),
        ('answers = "read"', 'answers = "write"', "needs.answers is none of none, read"),
        ('cpr = "none"', 'crp = "none"', '"crp" is unknown; did you mean "cpr"?'),
        ('cpr = "none"', 'wholly_other = "none"', '"wholly_other" is unknown'),
        ("https://example.org", "http://example.org", "needs.network holds an address that does not begin with https"),
        ('["https://example.org/api"]', "[1]", "needs.network is not a list of addresses"),
        ('kept_for = "P30D"', 'kept_for = "30 days"', "personal_data[0].kept_for is not a duration such as P1Y"),
        ('kept_for = "P30D"', 'kept_for = "P"', "personal_data[0].kept_for is not a duration such as P1Y"),
        ('kept_for = "P30D"', "", "personal_data[0].kept_for is missing"),
        ('medical_device_class = "I"', "", "interpretation.medical_device_class is missing"),
        ('medical_device_class = "I"', 'medical_device_class = "IV"', "interpretation.medical_device_class is none of"),
        ('intended_purpose = "Åbner samtalen."', "", "interpretation.intended_purpose is missing"),
        ("[needs]", "needs = 1\n[need]", '"need" is unknown; did you mean "needs"?'),
        ("[[personal_data]]", "[personal_data]", "personal_data is not a list of tables"),
        ('id = "aarhus-forms"', 'id = "aarhus-forms', "is not TOML in UTF-8"),
    ],
)
def test_each_fault_is_named(tmp_path: Path, was: str, becomes: str, complaint: str) -> None:
    with pytest.raises(PluginRefused) as caught:
        read(tmp_path, WHOLE.replace(was, becomes, 1))
    assert str(caught.value).startswith(FILE)
    assert complaint in str(caught.value)


def test_a_table_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(PluginRefused, match="needs is not a table"):
        read(tmp_path, "needs = 1\n" + "\n".join(WHOLE.splitlines()[:7]))


def test_a_folder_without_a_manifest_is_no_plugin(tmp_path: Path) -> None:
    with pytest.raises(PluginRefused, match="the folder has no kpro-plugin"):
        read_manifest(tmp_path)


def test_a_manifest_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(PluginRefused, match="cannot be read"):
        read_manifest(tmp_path)


def test_a_manifest_in_another_encoding_says_so(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(WHOLE.encode("latin-1"))
    with pytest.raises(PluginRefused, match="is not TOML in UTF-8"):
        read_manifest(tmp_path)
