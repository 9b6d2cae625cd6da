"""HTML that may be shown in the desk: by an allow-list, nothing fetched from elsewhere, pictures of the mail kept.

The cleaning itself is nh3's (ammonia, an HTML5 parser). It is quadratic in the depth of the nesting and slow with very many
attributes or character references, so these are counted beforehand. A remote picture keeps its address in `data-remote-src`, for the viewer to
load when a person asks for it; `cid:` stays for the viewer to resolve.
"""

from __future__ import annotations

import re

MAX_OCTETS = 2 * 1024 * 1024  # of HTML; more is shown as text (POLICIES, limits)
MAX_NESTED = 1_000  # elements within each other
MAX_TAG = 64 * 1024  # characters
MAX_TAGS = 200_000
MAX_REFERENCES = 50_000  # `&` in one stretch of text

_TAGS = frozenset({
    "a", "abbr", "address", "article", "aside", "b", "bdi", "bdo", "blockquote", "br", "caption", "center", "cite", "code", "col",
    "colgroup", "dd", "del", "details", "dfn", "div", "dl", "dt", "em", "figcaption", "figure", "font", "footer", "h1", "h2",
    "h3", "h4", "h5", "h6", "header", "hr", "i", "img", "ins", "kbd", "li", "main", "mark", "ol", "p", "pre", "q", "rp", "rt",
    "ruby", "s", "samp", "section", "small", "span", "strike", "strong", "sub", "summary", "sup", "table", "tbody", "td",
    "tfoot", "th", "thead", "time", "tr", "tt", "u", "ul", "var", "wbr",
})  # fmt: skip
_DROPPED_WHOLE = frozenset(
    {"script", "style", "title", "template", "iframe", "object", "embed", "svg", "math", "noscript", "select"}
)
_ATTRIBUTES = {
    "*": {"dir", "lang", "title", "align", "style"},
    "a": {"href", "name"},
    "blockquote": {"type", "cite"},
    "font": {"color", "face", "size"},
    "img": {"src", "alt", "width", "height"},
    "ol": {"start", "type", "reversed"},
    "table": {"width", "border", "cellpadding", "cellspacing", "bgcolor"},
    "td": {"width", "height", "colspan", "rowspan", "valign", "bgcolor", "nowrap"},
    "th": {"width", "height", "colspan", "rowspan", "valign", "bgcolor", "nowrap", "scope"},
    "tr": {"valign", "bgcolor"},
    "col": {"span", "width"},
    "colgroup": {"span", "width"},
}
_WORDS_TAGS = frozenset({
    "a", "b", "blockquote", "br", "code", "del", "div", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "ins", "kbd", "li",
    "ol", "p", "pre", "s", "span", "strike", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "u", "ul",
})  # fmt: skip
_WORDS_ATTRIBUTES = {
    "*": {"dir", "lang", "style"}, "a": {"href"}, "img": {"src", "width", "height"}, "ol": {"start", "type"},
    "td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan"},
}  # fmt: skip
_SHORT_VALUE = re.compile(r"[A-Za-z0-9%-]{1,12}")  # of a size, a direction, a language: nothing that is words
_STYLES = frozenset({
    "background-color", "border", "border-bottom", "border-collapse", "border-color", "border-left", "border-radius",
    "border-right", "border-spacing", "border-style", "border-top", "border-width", "color", "direction", "display", "font-family",
    "font-size", "font-style", "font-weight", "height", "letter-spacing", "line-height", "list-style-type", "margin",
    "margin-bottom", "margin-left", "margin-right", "margin-top", "max-width", "padding", "padding-bottom", "padding-left",
    "padding-right", "padding-top", "text-align", "text-decoration", "text-indent", "text-transform", "vertical-align",
    "white-space", "width", "word-break",
})  # fmt: skip
_SCHEMES = frozenset({"http", "https", "mailto", "tel", "sip", "cid", "data"})
_ANY_TAG = re.compile(r"<(/?)([A-Za-z][^\s/>]{0,99}+)[^<>]*+")
_PICTURE = re.compile(r"cid:|data:image/(?:png|gif|jpe?g|webp|bmp);base64,", re.IGNORECASE)
_REMOTE = re.compile(r'(<img (?:[^>"]*+"[^"]*+")*?[^>"]*?)\bsrc="(?=[hH][tT][tT][pP][sS]?:)')  # as nh3 writes it
_UNCLOSED = frozenset(
    {"p", "li", "td", "th", "tr", "dd", "dt", "option", "tbody", "thead", "tfoot", "colgroup", "html", "body", "head"}
)
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
)


def sanitise(source: str) -> tuple[str | None, str | None]:
    """The HTML to show, or None with the reason why it can only be shown as text."""
    if len(source) > MAX_OCTETS:
        return None, "the HTML is larger than 2 MiB and is shown as text"
    reason = _too_costly(source)
    if reason is not None:
        return None, reason
    import nh3  # noqa: PLC0415 - only HTML mail pays for it

    cleaned = nh3.clean(
        source,
        tags=set(_TAGS),
        clean_content_tags=set(_DROPPED_WHOLE),
        attributes=_ATTRIBUTES,
        attribute_filter=_filter,
        url_schemes=set(_SCHEMES),
        link_rel="noopener noreferrer nofollow",
        filter_style_properties=set(_STYLES),
        strip_comments=True,
    )
    return _hold_back(cleaned), None


def sanitise_words(source: str) -> str | None:
    """HTML that holds words, how they are set, links, and pictures of the mail itself; None where it would cost too much.

    Nothing in it can be hidden: no style but a word's own, no attribute that holds words, nothing from elsewhere.
    """
    if len(source) > MAX_OCTETS or _too_costly(source) is not None:
        return None
    import nh3  # noqa: PLC0415 - only HTML mail pays for it

    return nh3.clean(
        source,
        tags=set(_WORDS_TAGS),
        clean_content_tags=set(_DROPPED_WHOLE),
        attributes=_WORDS_ATTRIBUTES,
        attribute_filter=_words_filter,
        url_schemes={"http", "https", "mailto", "tel", "cid"},
        link_rel="noopener noreferrer nofollow",
        filter_style_properties={"font-weight", "font-style", "text-decoration", "text-align"},
        strip_comments=True,
    )


def _words_filter(tag: str, attribute: str, value: str) -> str | None:
    if attribute == "style":
        return value  # nh3 has filtered it, or will
    if attribute == "src":
        return value if value[:4].lower() == "cid:" else None
    if attribute == "href":
        return value if value[:8].lower().startswith(("http://", "https://", "mailto:", "tel:")) else None
    return value if _SHORT_VALUE.fullmatch(value) else None


def _too_costly(source: str) -> str | None:
    if source.count("&") > MAX_REFERENCES and any(text.count("&") > MAX_REFERENCES for text in source.split("<")):
        return "the HTML has too many character references and is shown as text"
    if source.count("<") > MAX_TAGS:
        return f"the HTML has more than {MAX_TAGS} tags and is shown as text"
    if source.count("<") <= MAX_NESTED and len(source) <= MAX_TAG:
        return None
    depth = 0
    for match in _ANY_TAG.finditer(source):
        if match.end() - match.start() > MAX_TAG:
            return "the HTML has a tag of more than 64 KiB and is shown as text"
        closes, name = match.groups()
        name = name.lower()
        if name in _UNCLOSED or name in _VOID:
            continue
        depth = max(depth - 1, 0) if closes else depth + 1
        if depth > MAX_NESTED:
            return f"the HTML is nested deeper than {MAX_NESTED} elements and is shown as text"
    return None


def _filter(tag: str, attribute: str, value: str) -> str | None:
    if tag == "img" and attribute == "src":
        return value if _PICTURE.match(value) or value[:6].lower().startswith(("http:", "https:")) else None
    if attribute in ("href", "cite") and value[:5].lower() in ("data:", "cid:"):
        return None
    return value


def _hold_back(cleaned: str) -> str:
    return _REMOTE.sub(r'\1data-remote-src="', cleaned)
