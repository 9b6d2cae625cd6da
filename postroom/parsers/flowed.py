"""Text of `format=flowed`, its lines put together again (RFC 3676)."""

from __future__ import annotations


def unflow(text: str, *, delsp: bool) -> str:
    """Paragraphs on one line each; quotes keep their marks, a signature's `-- ` stays alone (§4.3), stuffing goes (§4.4)."""
    lines: list[str] = []
    paragraph: list[str] = []
    depth_of_paragraph = 0
    for line in text.split("\n"):
        depth, content = _unquote(line)
        is_signature = content == "-- "
        if paragraph and (depth != depth_of_paragraph or is_signature):
            lines.append(_quote(depth_of_paragraph, paragraph))
            paragraph = []
        flows = content.endswith(" ") and not is_signature
        paragraph.append(content[:-1] if flows and delsp else content)
        depth_of_paragraph = depth
        if not flows:
            lines.append(_quote(depth, paragraph))
            paragraph = []
    if paragraph:
        lines.append(_quote(depth_of_paragraph, paragraph))
    return "\n".join(lines)


def _unquote(line: str) -> tuple[int, str]:
    content = line.lstrip(">")
    depth = len(line) - len(content)
    return depth, content.removeprefix(" ")


def _quote(depth: int, paragraph: list[str]) -> str:
    content = "".join(paragraph)
    return f"{'>' * depth} {content}" if depth else content
