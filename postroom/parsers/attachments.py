"""What hangs on a message: each leaf that is no body, under a name that can be shown, found again by its path.

A path is that of `mime.Part`, with `!` and a number for a file inside a part: one that was uuencoded in a text, or one of
`winmail.dat`. The octets stay in the raw message; `read_part` gets them.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from postroom.parsers import headers, mime, tnef, transfer
from postroom.parsers.bodies import TNEF, Bodies, read_bodies
from postroom.parsers.parsed import Attachment

FILENAME_LENGTH = 255  # characters
WHOLE = "*"  # a part that is all of the mail, as it came
INSIDE = "!"  # between the path of a part and the number of a file inside it

_UNSHOWABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u206f\ufdd0-\ufdef\ufeff\ufff9-\ufffb]"
)
_CID = re.compile(r"cid:([^\s\"'<>)]{1,998}+)", re.IGNORECASE)
_USUAL_NAMES = {
    "text/calendar": "invite.ics",
    "application/pkcs7-mime": "smime.p7m",
    "application/x-pkcs7-mime": "smime.p7m",
    "application/pgp-signature": "signature.asc",
    "application/pkcs7-signature": "smime.p7s",
    "application/x-pkcs7-signature": "smime.p7s",
}
_EXTENSIONS = {
    "text/plain": "txt", "text/html": "html", "text/calendar": "ics", "text/vcard": "vcf", "text/x-vcard": "vcf",
    "text/csv": "csv", "text/xml": "xml", "application/xml": "xml", "text/rfc822-headers": "txt", "image/jpeg": "jpg",
    "image/pjpeg": "jpg", "image/jpg": "jpg", "image/png": "png", "image/gif": "gif", "image/bmp": "bmp", "image/tiff": "tif",
    "image/webp": "webp", "image/heic": "heic", "image/svg+xml": "svg", "application/pdf": "pdf", "application/zip": "zip",
    "application/x-zip-compressed": "zip", "application/gzip": "gz", "application/msword": "doc", "application/rtf": "rtf",
    "text/rtf": "rtf", "application/vnd.ms-excel": "xls", "application/vnd.ms-powerpoint": "ppt",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/vnd.oasis.opendocument.text": "odt", "application/json": "json", "audio/mpeg": "mp3", "audio/wav": "wav",
    "audio/x-wav": "wav", "audio/basic": "au", "video/mp4": "mp4", "video/mpeg": "mpg", "video/quicktime": "mov",
    "message/rfc822": "eml", "message/global": "eml", "message/delivery-status": "txt", "message/feedback-report": "txt",
    "message/disposition-notification": "txt", "application/pgp-encrypted": "asc", "application/pgp-keys": "asc",
    "application/pkcs7-mime": "p7m", "application/x-pkcs7-mime": "p7m", "application/ms-tnef": "dat",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _File:
    """Something with octets and a name. A part's own are decoded when they are asked for."""

    path: str
    octets: bytes | mime.Part
    filename: str
    content_type: str
    inline: bool = False
    content_id: str | None = None

    def measure(self, *, brief: bool) -> tuple[int, str]:
        """Size in octets and SHA-256 in hex, "" where `brief` asks for the size alone."""
        if brief:
            return (len(self.octets) if isinstance(self.octets, bytes) else self.octets.decoded_size()), ""
        octets = self.octets if isinstance(self.octets, bytes) else self.octets.decoded()
        return len(octets), hashlib.sha256(octets).hexdigest()


class _Shown:
    """The pictures that the HTML of the body shows, by Content-ID in lower case; looked for when one is asked about."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self._ids: set[str] | None = None

    def __contains__(self, content_id: str) -> bool:
        if self._ids is None:
            self._ids = {found.strip("<>").lower() for found in _CID.findall(self._bodies.html or "")}
        return content_id in self._ids


def list_attachments(tree: mime.Tree, bodies: Bodies, *, brief: bool = False) -> tuple[Attachment, ...]:
    """The attachments in the order in which they stand in the message. What none of them and no body holds is a defect.

    `brief`: without their digests, for which each has to be decoded.
    """
    shown = _Shown(bodies)
    found = []
    for file in _files(tree, bodies, shown):
        size, digest = file.measure(brief=brief)
        found.append(
            Attachment(file.path, file.filename, file.content_type, size, digest, file.inline, file.content_id)
        )
    return tuple(found)


def read_part(raw: bytes, part: str) -> bytes:
    """The octets of an attachment, by its `part`; of an attached message all of it. Raises KeyError where there is none."""
    if part == WHOLE:
        return raw
    path, inside, number = part.partition(INSIDE)
    found = next((candidate for candidate in mime.read_tree(raw).root.walk() if candidate.path == path), None)
    if found is None:
        raise KeyError(part)
    if not inside:
        return found.decoded()
    index = int(number) - 1 if number.isdecimal() else -1
    files = _files_inside(found)
    if not 0 <= index < len(files):
        raise KeyError(part)
    octets = files[index].octets
    assert isinstance(octets, bytes)
    return octets


def body_html(raw: bytes) -> str | None:
    """The HTML of a mail's body as it was written, not sanitised; None where it has none, or none that can be read."""
    try:
        return read_bodies(mime.read_tree(raw)).html
    except Exception:  # as in `email.parse`: reading degrades, it does not fail
        return None


def safe_name(name: str) -> str:
    """A file name that may be shown: its last component, without control and bidi characters; "" where nothing is left."""
    name = _UNSHOWABLE.sub("", headers.one_line(name)).replace("\\", "/").rstrip("/ ")
    name = name[name.rfind("/") + 1 :].strip()
    if len(name) > FILENAME_LENGTH:
        stem, dot, extension = name.rpartition(".")
        kept = f".{extension}" if dot and len(extension) <= 10 else ""
        name = (stem if kept else name)[: FILENAME_LENGTH - len(kept)] + kept
    return "" if name in (".", "..") else unicodedata.normalize("NFC", name)


def _files(tree: mime.Tree, bodies: Bodies, shown: _Shown) -> Iterator[_File]:
    stack = [(tree.root, False)]
    while stack:
        part, is_related = stack.pop()
        if part.path in bodies.parts and not (part.children and "pkcs7" in part.content_type):
            yield from _uuencoded(
                part, bodies.uuencoded.get(part.path, []), part.decoded() if part.path in bodies.uuencoded else b""
            )
        elif part.children and not part.content_type.startswith("message/"):
            related = part.content_type == "multipart/related"
            stack.extend((child, related) for child in reversed(part.children))
        elif part.is_multipart:
            if part.body().strip():
                tree.note(f"{part.place}: a multipart without parts was left out")
        else:
            yield from _file_or_contents(part, tree, shown, is_related=is_related)


def _file_or_contents(part: mime.Part, tree: mime.Tree, shown: _Shown, *, is_related: bool) -> Iterator[_File]:
    if part.content_type in TNEF or (part.filename or "").lower() == "winmail.dat":
        inside = _files_inside(part)
        if inside:
            yield from inside
            return
        tree.note(f"{part.place}: winmail.dat could not be opened, or is empty")
    if not part.has_content():
        if not part.filename and part.path != "":
            tree.note(f"{part.place}: empty")
            return
        if part.path == "":
            return
    content_id = (part.header("content-id") or "").strip("<> ") or None
    inline = part.disposition != "attachment" and (
        part.disposition == "inline" or is_related or (content_id is not None and content_id.lower() in shown)
    )
    yield _File(part.path, part, _name(part), part.content_type, inline, content_id)


def _name(part: mime.Part) -> str:
    name = safe_name(part.filename or "")
    if name:
        return name
    if part.content_type in _USUAL_NAMES:
        return _USUAL_NAMES[part.content_type]
    extension = _EXTENSIONS.get(part.content_type)
    if part.content_type.startswith("message/") and part.children:
        subject = safe_name((part.children[0].header("subject") or "").replace("/", "-").replace("\\", "-")[:100])
        return f"{subject}.eml" if subject else f"message-{part.path or '0'}.eml"
    if extension is None:
        extension = "txt" if part.content_type.startswith("text/") else "bin"
    return f"part-{part.path or '0'}.{extension}"


def _files_inside(part: mime.Part) -> list[_File]:
    """The files that a part carries in a form of its own."""
    octets = part.decoded()
    if part.content_type.startswith("text/"):
        return list(_uuencoded(part, transfer.find_uuencoded(octets), octets))
    opened = tnef.open_tnef(octets)
    return [
        _File(
            f"{part.path}{INSIDE}{number}",
            file.octets,
            safe_name(file.filename) or f"part-{part.path or '0'}-{number}.{_EXTENSIONS.get(file.content_type, 'bin')}",
            file.content_type,
            bool(file.content_id),
            file.content_id,
        )
        for number, file in enumerate(opened.files, 1)
    ]


def _uuencoded(part: mime.Part, blocks: list[transfer.UuBlock], text: bytes) -> Iterator[_File]:
    for number, block in enumerate(blocks, 1):
        name = safe_name(headers.decode(block.filename)) or f"part-{part.path or '0'}-{number}.bin"
        extension = name.rpartition(".")[2].lower()
        kind = next((kind for kind, known in _EXTENSIONS.items() if known == extension), "application/octet-stream")
        yield _File(f"{part.path}{INSIDE}{number}", block.decoded(text), name, kind)
