"""Mails side by side in headless Chromium: how they look, and what a reader's eye would stumble over.

Each mail is a frame of one page, as wide as it is told and light or dark, which the frame's `color-scheme` decides for the mail
inside (CSS Color Adjustment 1 §2.3). Images are off.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape, unescape
from pathlib import Path

from peers.browser import browse

SCHEMES = ("light", "dark")
COLUMN_GAP = 24  # pixels
SHEET_HEIGHT = 16_000  # pixels: Chromium draws no higher picture

# What is wrong with a mail: text that can't be read for its colour, that leaves the mail's width, or that isn't shown at all.
INSPECT = """
const parse = colour => { const n = colour.match(/[\\d.]+/g).map(Number); return n.length > 3 ? n : [...n, 1] };
const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
const light = c => { const [r, g, b] = c.slice(0, 3).map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b };
const contrast = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05) };
const inspect = frame => {
  const page = frame.contentDocument, found = [], view = frame.contentWindow, style = one => view.getComputedStyle(one);
  const probe = page.createElement('i'); probe.style.backgroundColor = 'Canvas'; page.body.append(probe);
  const canvas = parse(style(probe).backgroundColor); probe.remove();
  const say = (what, node, more) => found.push(`${what}: ${node.textContent.trim().slice(0, 60)} ${more}`);
  if (page.documentElement.scrollWidth > frame.clientWidth) {
    const wide = [...page.body.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > frame.clientWidth + 1).pop();
    say('too wide', wide || page.body, `${page.documentElement.scrollWidth} px`);
  }
  const walker = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
  let dimmest = 99;
  while (walker.nextNode()) {
    const node = walker.currentNode, above = [];
    if (!node.textContent.trim()) continue;
    for (let one = node.parentElement; one; one = one.parentElement) above.push(one);
    const range = page.createRange(); range.selectNodeContents(node);
    const box = range.getBoundingClientRect(), own = style(node.parentElement);
    if (!box.width || !box.height || own.visibility !== 'visible' || parseFloat(own.fontSize) < 11) say('not shown', node, own.fontSize);
    let ground = canvas, opacity = 1;
    for (const one of above.reverse()) {
      ground = over(parse(style(one).backgroundColor), ground);
      opacity *= parseFloat(style(one).opacity);
    }
    const ink = parse(own.color); ink[3] *= opacity;
    const ratio = contrast(over(ink, ground), ground);
    dimmest = Math.min(dimmest, ratio);
    if (ratio < 4.5) say('too dim', node, ratio.toFixed(2));
  }
  return {found, dimmest, text: page.body.innerText.length};
};
addEventListener('load', () => {
  const frames = [...document.querySelectorAll('iframe')];
  for (const frame of frames) frame.style.height = frame.contentDocument.documentElement.scrollHeight + 'px';
  const seen = Object.fromEntries(frames.map(frame => [frame.name, inspect(frame)]));
  document.getElementById('seen').textContent = JSON.stringify(seen);
});
"""
PAGE = """<!DOCTYPE html><html><head><meta charset="utf-8"><link rel="icon" href="data:,"><style>
body {{ margin: {gap}px; font: 12px sans-serif; background: #777; color: #fff }}
main {{ columns: {columns}; column-gap: {gap}px }}
figure {{ margin: 0 0 {gap}px; break-inside: avoid }}
iframe {{ display: block; border: 0; background: #fff }} iframe[style*=dark] {{ background: #121212 }}
</style></head><body><main>{frames}</main><pre id="seen" hidden></pre><script>{script}</script></body></html>"""


@dataclass(frozen=True, slots=True)
class Frame:
    """One mail on a sheet."""

    name: str
    html: str
    scheme: str  # light, dark
    width: int  # pixels


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of one mail."""

    wrong: tuple[str, ...]  # in words
    contrast: float  # of the text that is the hardest to read
    characters: int  # that are shown


def look(frames: Sequence[Frame], folder: Path, picture: Path | None = None, columns: int = 3) -> dict[str, Seen]:
    """What is seen of each frame, by its name; `picture` is drawn of all. Raises PeerMissing without Chromium."""
    sheet = folder / "sheet.html"
    sheet.write_text(
        PAGE.format(gap=COLUMN_GAP, columns=columns, frames="\n".join(_figures(frames)), script=INSPECT), "utf-8"
    )
    width = (max(frame.width for frame in frames) + COLUMN_GAP) * columns + COLUMN_GAP
    options = ["--blink-settings=imagesEnabled=false", "--hide-scrollbars", f"--window-size={width},{SHEET_HEIGHT}"]
    shown = browse(sheet.as_uri(), *options, *([f"--screenshot={picture}"] if picture else []))
    found = re.search(r'<pre id="seen" hidden="">(.*?)</pre>', shown, re.DOTALL)
    seen = json.loads(unescape(found[1])) if found and found[1] else {}
    return {name: Seen(tuple(one["found"]), one["dimmest"], one["text"]) for name, one in seen.items()}


def _figures(frames: Iterable[Frame]) -> Iterable[str]:
    for frame in frames:
        style = f"color-scheme: {frame.scheme}; width: {frame.width}px"
        name = escape(frame.name)
        yield f'<figure><figcaption>{name}</figcaption><iframe name="{name}" style="{style}" srcdoc="{escape(frame.html)}"></iframe></figure>'
