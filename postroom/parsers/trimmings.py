"""What did programs and habits add to an author's text: banners above it, signatures below it, rules between?"""

from __future__ import annotations

from postroom.parsers.device_lines import is_device_line, may_hold_device_line
from postroom.parsers.parting import Part, Parting, runs_of
from postroom.parsers.separators import is_rule
from postroom.parsers.signatures import find_signatures, is_banner, is_own_after_signature

_BEGIN = "-----BEGIN PGP "
_SIGNATURE = "-----BEGIN PGP SIGNATURE-----"
_ARMOUR = ("-----BEGIN PGP SIGNED MESSAGE-----", _SIGNATURE)


def fold_banner(text: Parting, parts: list[Part]) -> None:
    """Folds a gateway's warning above the author's text."""
    first = text.next_nonblank[0]
    if first == text.size or parts[first] is not Part.TEXT or not is_banner(text.views[first]):
        return
    end = first
    while end < text.size and text.views[end] and parts[end] is Part.TEXT:
        end += 1
    if any(parts[n] is Part.TEXT and text.views[n] for n in range(end, text.size)):
        parts[first:end] = [Part.HISTORY] * (end - first)


def fold_pgp_armour(text: Parting, parts: list[Part]) -> None:
    """Folds what a clear-signed message has around the words: its first lines and its signature (RFC 9580 §7)."""
    if _BEGIN not in "\n".join(text.views):
        return
    number = next((n for n, line in enumerate(text.views) if _BEGIN in line), text.size)
    while number < text.size:
        line = text.views[number].strip()
        if parts[number] is Part.TEXT and line in _ARMOUR:
            signature = line == _SIGNATURE
            while number < text.size and parts[number] is Part.TEXT:
                line = text.views[number].strip()
                if not line and not signature:
                    break  # a blank line ends the armour's headers
                parts[number] = Part.SIGNATURE
                number += 1
                if line.startswith("-----END "):
                    break
        else:
            number += 1


def fold_below_device(text: Parting, parts: list[Part]) -> None:
    """Folds what stands without a mark below "Sent from my …": that line is put right above older mail."""
    blank = text.blank
    first = next((n for n in range(text.size) if parts[n] is Part.TEXT and not blank[n]), text.size)
    for number in range(first + 1, text.size):
        if parts[number] is not Part.TEXT:
            return
        alone = not blank[number] and blank[number - 1] and (number + 1 == text.size or blank[number + 1])
        if alone and is_device_line(text.views[number]):
            break
    else:
        return
    below = text.next_nonblank[number + 1]
    if below >= text.size or parts[below] is not Part.TEXT or is_own_after_signature(text.views[below]):
        return
    parts[number] = Part.SIGNATURE
    while below < text.size and parts[below] is Part.TEXT:
        parts[below] = Part.HISTORY
        below += 1


def fold_rules_above_history(text: Parting, parts: list[Part]) -> None:
    """Folds the rule that a program draws above older mail, or above the intro of a quote."""
    if Part.HISTORY not in parts and Part.INTRO not in parts:
        return
    for number in range(1, text.size):
        part = parts[number]
        if parts[number - 1] is part or part not in (Part.HISTORY, Part.INTRO):
            continue
        above = number - 1
        while above > 0 and text.blank[above] and parts[above] is Part.TEXT:
            above -= 1
        if parts[above] is Part.TEXT and is_rule(text.views[above]):
            parts[above:number] = [Part.HISTORY] * (number - above)


def may_have_device_lines(text: Parting, parts: list[Part]) -> bool:
    """Whether a line of the author's text may be "Sent from my …": of nearly all mail one look says that none is."""
    return may_hold_device_line([seen for seen, part in zip(text.views, parts, strict=True) if part is Part.TEXT])


def fold_signatures(text: Parting, parts: list[Part], *, devices: bool) -> None:
    """Takes the signature off each stretch of text that a folded part or the end follows.

    `devices`: what `may_have_device_lines` says of it.
    """
    for part, start, end in runs_of(parts):
        if part is Part.TEXT:
            _fold_signature(text, parts, start, end, devices=devices)


def _fold_signature(text: Parting, parts: list[Part], start: int, end: int, *, devices: bool) -> None:
    begin = end
    while begin > start and not text.quoted[begin - 1]:
        begin -= 1
    above = any(not text.blank[n] and parts[n] in (Part.TEXT, Part.QUOTE) for n in range(begin))
    found = find_signatures(text.views[begin:end], text.lines[begin:end], anything_above=above, devices=devices)
    for first, last in found:
        parts[begin + first : begin + last] = [Part.SIGNATURE] * (last - first)
