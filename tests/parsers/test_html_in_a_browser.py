"""What we show of strangers' HTML, opened in a real browser: no script runs, and nothing is asked for."""

from typing import Any

import pytest
from peers.browser import browse, served
from peers.htmlattacks import VECTORS, numbered
from peers.processes import need

from postroom.outbound.samples import SAMPLES
from postroom.outbound.templates import Templates
from postroom.parsers.email import parse
from postroom.parsers.sanitise import sanitise_words

pytestmark = pytest.mark.servers

# Everything that a person might do with a page: pointing, focusing and clicking, but no link that leads elsewhere; then
# the page is written into itself, as a viewer does with what it keeps, and all of that again.
VISITOR = """<!DOCTYPE html><title>visitor</title><link rel=icon href="data:,"><body>FRAMES<script>
const visit = frame => {
  let page;
  try { page = frame.contentDocument.body } catch { return }
  if (!page) return;
  if (frame.contentWindow.clobbered || frame.contentDocument.clobbered) new Image().src = '/hit/' + frame.name;
  for (const one of page.querySelectorAll('*')) {
    if (/^(https?|mailto|tel|sip):/i.test(one.getAttribute('href') || '')) continue;
    for (const kind of ['pointerover', 'mouseover']) one.dispatchEvent(new Event(kind, {bubbles: true}));
    if (one.focus) one.focus();
    one.dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true}));
  }
  try { page.innerHTML = page.innerHTML } catch { }
};
const all = () => document.querySelectorAll('iframe').forEach(visit);
addEventListener('load', () => {
  setTimeout(all, 300);
  setTimeout(all, 900);
  setTimeout(() => document.body.dataset.done = 'yes', 1800);
});
</script></body>"""
UNSAFE = "unsafe-"  # begins the names of vectors that are shown as they came


def page(html: str | None) -> str:
    return f'<!DOCTYPE html><html><head><meta charset="utf-8"></head><body>{html or ""}</body></html>'


def mail_of(html: str) -> bytes:
    head = "From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
    return head.encode() + html.encode("utf-8", "replace")


def poisoned(value: Any, poison: str) -> Any:
    """Sample data in which every text ends with an attack."""
    if isinstance(value, dict):
        return {key: poisoned(inner, poison) for key, inner in value.items()}
    if isinstance(value, list):
        return [poisoned(inner, poison) for inner in value]
    return f"{value} {poison}" if isinstance(value, str) else value


def test_no_known_attack_runs_a_script_or_asks_for_anything():
    need("chromium", "chromium")
    with served() as pages:
        vectors = numbered(pages.host)
        shown: dict[str, str] = {}
        for number, (_, vector) in enumerate(vectors):
            shown[str(number)] = page(f"{parse(mail_of(vector)).html}<hr>{sanitise_words(vector)}")
        for language in Templates().languages:
            for purpose, data in SAMPLES.items():
                name = f"{language}-{purpose}"
                poison = f'"\'></title></style><img src="http://{pages.host}/hit/{name}">{{{{ 7 * 7 }}}}'
                shown[name] = Templates().render(purpose, poisoned(data, poison), language).html
        # what proves that the others could have been seen: one of each class, as it came
        first = {kind: number for number, (kind, _) in reversed(list(enumerate(vectors)))}
        unsafe = {kind: number for kind, number in first.items() if kind != "character sets"}  # no browser reads UTF-7
        for number in unsafe.values():
            shown[f"{UNSAFE}{number}"] = page(vectors[number][1].replace(f"/hit/{number}", f"/hit/{UNSAFE}{number}"))

        pages.pages |= {f"/shown/{name}": html for name, html in shown.items()}
        frames = "".join(f'<iframe name="{name}" src="/shown/{name}"></iframe>' for name in shown)
        pages.pages["/"] = VISITOR.replace("FRAMES", frames)
        seen = browse(f"http://{pages.host}/")

        assert 'data-done="yes"' in seen
        assert {f"/shown/{name}" for name in shown} <= set(pages.asked)
        assert {name for name in shown if name.startswith(UNSAFE)} <= pages.hits()
        # whatever was asked for besides, under whatever address, came from what we show
        mine = ("/shown/", f"/hit/{UNSAFE}")
        assert [path for path in pages.asked if path != "/" and not path.startswith(mine)] == []


def test_there_are_attacks_of_every_class():
    assert len(VECTORS) >= 12
    assert sum(map(len, VECTORS.values())) >= 150
