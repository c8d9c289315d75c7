"""Value sets of FHIR R4 itself that questionnaires name without containing them.

Only sets that are small and settled are here, so that an answer can be judged without asking a terminology server.
Source: FHIR R4 (4.0.1), and ISO 3166-1 for the countries. A set handed in or contained in a questionnaire comes first.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from types import MappingProxyType

from kpro_graph.questionnaires.model import Concept, ValueSet

__all__ = ["core_value_sets"]

_BASE = "http://hl7.org/fhir/ValueSet/"
_TERMS = "http://terminology.hl7.org/CodeSystem/"

_GENDERS = "male Male;female Female;other Other;unknown Unknown"
_ITEM_TYPES = (
    "group Group;display Display;question Question;boolean Boolean;decimal Decimal;integer Integer;date Date;"
    "dateTime Date Time;time Time;string String;text Text;url Url;choice Choice;open-choice Open Choice;"
    "attachment Attachment;reference Reference;quantity Quantity"
)
_YES_NO = "Y Yes;N No"
_COUNTRIES = (
    "AF Afghanistan;AX Åland Islands;AL Albania;DZ Algeria;AS American Samoa;AD Andorra;AO Angola;AI Anguilla;"
    "AQ Antarctica;AG Antigua and Barbuda;AR Argentina;AM Armenia;AW Aruba;AU Australia;AT Austria;AZ Azerbaijan;"
    "BS Bahamas;BH Bahrain;BD Bangladesh;BB Barbados;BY Belarus;BE Belgium;BZ Belize;BJ Benin;BM Bermuda;BT Bhutan;"
    "BO Bolivia;BQ Bonaire, Sint Eustatius and Saba;BA Bosnia and Herzegovina;BW Botswana;BV Bouvet Island;BR Brazil;"
    "IO British Indian Ocean Territory;BN Brunei Darussalam;BG Bulgaria;BF Burkina Faso;BI Burundi;CV Cabo Verde;"
    "KH Cambodia;CM Cameroon;CA Canada;KY Cayman Islands;CF Central African Republic;TD Chad;CL Chile;CN China;"
    "CX Christmas Island;CC Cocos (Keeling) Islands;CO Colombia;KM Comoros;CG Congo;"
    "CD Congo, Democratic Republic of the;CK Cook Islands;CR Costa Rica;CI Côte d'Ivoire;HR Croatia;CU Cuba;"
    "CW Curaçao;CY Cyprus;CZ Czechia;DK Denmark;DJ Djibouti;DM Dominica;DO Dominican Republic;EC Ecuador;EG Egypt;"
    "SV El Salvador;GQ Equatorial Guinea;ER Eritrea;EE Estonia;SZ Eswatini;ET Ethiopia;FK Falkland Islands (Malvinas);"
    "FO Faroe Islands;FJ Fiji;FI Finland;FR France;GF French Guiana;PF French Polynesia;"
    "TF French Southern Territories;GA Gabon;GM Gambia;GE Georgia;DE Germany;GH Ghana;GI Gibraltar;GR Greece;"
    "GL Greenland;GD Grenada;GP Guadeloupe;GU Guam;GT Guatemala;GG Guernsey;GN Guinea;GW Guinea-Bissau;GY Guyana;"
    "HT Haiti;HM Heard Island and McDonald Islands;VA Holy See;HN Honduras;HK Hong Kong;HU Hungary;IS Iceland;"
    "IN India;ID Indonesia;IR Iran;IQ Iraq;IE Ireland;IM Isle of Man;IL Israel;IT Italy;JM Jamaica;JP Japan;"
    "JE Jersey;JO Jordan;KZ Kazakhstan;KE Kenya;KI Kiribati;KP Korea, Democratic People's Republic of;"
    "KR Korea, Republic of;KW Kuwait;KG Kyrgyzstan;LA Lao People's Democratic Republic;LV Latvia;LB Lebanon;"
    "LS Lesotho;LR Liberia;LY Libya;LI Liechtenstein;LT Lithuania;LU Luxembourg;MO Macao;MG Madagascar;MW Malawi;"
    "MY Malaysia;MV Maldives;ML Mali;MT Malta;MH Marshall Islands;MQ Martinique;MR Mauritania;MU Mauritius;"
    "YT Mayotte;MX Mexico;FM Micronesia;MD Moldova;MC Monaco;MN Mongolia;ME Montenegro;MS Montserrat;MA Morocco;"
    "MZ Mozambique;MM Myanmar;NA Namibia;NR Nauru;NP Nepal;NL Netherlands;NC New Caledonia;NZ New Zealand;"
    "NI Nicaragua;NE Niger;NG Nigeria;NU Niue;NF Norfolk Island;MK North Macedonia;MP Northern Mariana Islands;"
    "NO Norway;OM Oman;PK Pakistan;PW Palau;PS Palestine, State of;PA Panama;PG Papua New Guinea;PY Paraguay;"
    "PE Peru;PH Philippines;PN Pitcairn;PL Poland;PT Portugal;PR Puerto Rico;QA Qatar;RE Réunion;RO Romania;"
    "RU Russian Federation;RW Rwanda;BL Saint Barthélemy;SH Saint Helena, Ascension and Tristan da Cunha;"
    "KN Saint Kitts and Nevis;LC Saint Lucia;MF Saint Martin (French part);PM Saint Pierre and Miquelon;"
    "VC Saint Vincent and the Grenadines;WS Samoa;SM San Marino;ST Sao Tome and Principe;SA Saudi Arabia;SN Senegal;"
    "RS Serbia;SC Seychelles;SL Sierra Leone;SG Singapore;SX Sint Maarten (Dutch part);SK Slovakia;SI Slovenia;"
    "SB Solomon Islands;SO Somalia;ZA South Africa;GS South Georgia and the South Sandwich Islands;SS South Sudan;"
    "ES Spain;LK Sri Lanka;SD Sudan;SR Suriname;SJ Svalbard and Jan Mayen;SE Sweden;CH Switzerland;"
    "SY Syrian Arab Republic;TW Taiwan;TJ Tajikistan;TZ Tanzania;TH Thailand;TL Timor-Leste;TG Togo;TK Tokelau;"
    "TO Tonga;TT Trinidad and Tobago;TN Tunisia;TR Türkiye;TM Turkmenistan;TC Turks and Caicos Islands;TV Tuvalu;"
    "UG Uganda;UA Ukraine;AE United Arab Emirates;GB United Kingdom;UM United States Minor Outlying Islands;"
    "US United States of America;UY Uruguay;UZ Uzbekistan;VU Vanuatu;VE Venezuela;VN Viet Nam;"
    "VG Virgin Islands (British);VI Virgin Islands (U.S.);WF Wallis and Futuna;EH Western Sahara;YE Yemen;ZM Zambia;"
    "ZW Zimbabwe"
)


@cache
def core_value_sets() -> MappingProxyType[str, ValueSet]:
    """Return the value sets by their url."""
    countries = _concepts("urn:iso:std:iso:3166", _COUNTRIES)
    # A country's parts and the United Nations' regions belong to the jurisdictions too, but are not listed here.
    parts = frozenset({"urn:iso:std:iso:3166:-2", "http://unstats.un.org/unsd/methods/m49/m49.htm"})
    answers = [
        *_concepts(f"{_TERMS}v2-0136", _YES_NO),
        *_concepts(f"{_TERMS}data-absent-reason", "asked-unknown Don't know"),
    ]
    sets = (
        _set("jurisdiction", countries, parts),
        _set("item-type", _concepts("http://hl7.org/fhir/item-type", _ITEM_TYPES)),
        _set("administrative-gender", _concepts("http://hl7.org/fhir/administrative-gender", _GENDERS)),
        _set("yesnodontknow", answers),
    )
    return MappingProxyType({each.url: each for each in sets})


def _set(name: str, concepts: Iterable[Concept], parts: frozenset[str | None] = frozenset()) -> ValueSet:
    by_code = {(each.system, each.code): each for each in concepts}
    return ValueSet(_BASE + name, name, by_code, not parts, parts)


def _concepts(system: str, listed: str) -> list[Concept]:
    pairs = (each.partition(" ") for each in listed.split(";"))
    return [Concept(system, code, display) for code, _, display in pairs]
