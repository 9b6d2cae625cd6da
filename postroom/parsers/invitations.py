"""A calendar invitation in words: what, when, where, who (RFC 5545, RFC 5546)."""

from __future__ import annotations

import re

CALENDAR_CHARACTERS = 256 * 1024  # read of a calendar
PEOPLE_NAMED = 20

_METHODS = {
    "REQUEST": "Invitation", "CANCEL": "Cancelled", "REPLY": "Answer to an invitation", "COUNTER": "Another time proposed",
    "ADD": "Invitation", "REFRESH": "Invitation", "DECLINECOUNTER": "Proposed time declined",
}  # fmt: skip
_STATES = {"ACCEPTED": "accepted", "DECLINED": "declined", "TENTATIVE": "tentative"}
_UNFOLD = re.compile(r"\r?\n[ \t]")
_HEAD = re.compile(r'\s*+([A-Za-z0-9-]++)((?:"[^"]*+"|[^":])*+):')
_PARAMETER = re.compile(r';([A-Za-z0-9-]++)=((?:"[^"]*+"|[^";])*+)')
_STAMP = re.compile(r"(\d{4})(\d{2})(\d{2})(?:T(\d{2})(\d{2})\d{0,2}(Z)?)?")


def describe(calendar: str) -> str:
    """The first event of a calendar in a few lines, or "" where it holds none."""
    text = _UNFOLD.sub("", calendar[:CALENDAR_CHARACTERS].replace("\r\n", "\n"))
    method = ""
    fields: dict[str, tuple[str, dict[str, str]]] = {}
    people: list[str] = []
    inside: list[str] = []
    for line in text.split("\n"):
        name, parameters, value = _split(line)
        if name == "BEGIN":
            inside.append(value.upper())
        elif name == "END":
            inside = inside[:-1]
            if value.upper() in ("VEVENT", "VTODO"):
                break
        elif name == "METHOD" and len(inside) <= 1:
            method = value.upper()
        elif inside and inside[-1] in ("VEVENT", "VTODO"):
            if name == "ATTENDEE" and len(people) < PEOPLE_NAMED:
                people.append(_person(parameters, value, with_state=method == "REPLY"))
            fields.setdefault(name, (value, parameters))
    if not fields:
        return ""
    return "\n".join(_lines(method, fields, people))


def _lines(method: str, fields: dict[str, tuple[str, dict[str, str]]], people: list[str]) -> list[str]:
    summary = _plain(fields.get("SUMMARY", ("", {}))[0])
    lines = [f"{_METHODS.get(method, 'Event')}: {summary}".rstrip(": ")]
    when = " – ".join(_when(*fields[name]) for name in ("DTSTART", "DTEND", "DUE") if name in fields)
    if when:
        lines.append(f"When: {when}")
    location = _plain(fields.get("LOCATION", ("", {}))[0])
    if location:
        lines.append(f"Where: {location}")
    if "RRULE" in fields:
        lines.append("Repeats: " + fields["RRULE"][0][:200])
    if "ORGANIZER" in fields:
        value, parameters = fields["ORGANIZER"]
        lines.append(f"Organizer: {_person(parameters, value, with_state=False)}")
    if people:
        lines.append("Attendees: " + ", ".join(people))
    description = _plain(fields.get("DESCRIPTION", ("", {}))[0]).strip()
    return lines + (["", description] if description else [])


def _split(line: str) -> tuple[str, dict[str, str], str]:
    """`NAME;PARAM="a:b";X=y:value` in its three parts."""
    head = _HEAD.match(line)
    if head is None:
        return "", {}, ""
    parameters = {name.upper(): value.strip('"') for name, value in _PARAMETER.findall(head[2])}
    return head[1].upper(), parameters, line[head.end() :].strip()


def _when(value: str, parameters: dict[str, str]) -> str:
    stamp = _STAMP.match(value)
    if stamp is None:
        return value[:100]
    year, month, day, hour, minute, utc = stamp.groups()
    if hour is None:
        return f"{year}-{month}-{day}"
    zone = " UTC" if utc else f" {parameters['TZID'][:60]}" if "TZID" in parameters else ""
    return f"{year}-{month}-{day} {hour}:{minute}{zone}"


def _person(parameters: dict[str, str], value: str, *, with_state: bool) -> str:
    address = value[7:] if value[:7].lower() == "mailto:" else value
    name = parameters.get("CN", "").strip()
    shown = f"{name} <{address}>" if name and name != address else address
    state = _STATES.get(parameters.get("PARTSTAT", "").upper())
    return f"{shown} ({state})" if with_state and state else shown


def _plain(value: str) -> str:
    """RFC 5545 §3.3.11."""
    return re.sub(r"\\(.)", lambda match: "\n" if match[1] in "nN" else match[1], value)
