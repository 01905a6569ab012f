"""A page of HTML that needs no other file and no network."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from altmin.files import write_text

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h2 { margin-top: 3rem; border-top: 1px solid #ccc; padding-top: 1rem; } img { max-width: 100%; }
table { border-collapse: collapse; font-size: 13px; } td, th { padding: 0 .8rem; text-align: right; }
td:first-child, th:first-child { text-align: left; } tr:nth-child(even) { background: #f5f5f5; }
.wide { overflow-x: auto; } details { margin: .5rem 0; }
"""


def write_page(path: Path, title: str, body: str, style: str = "", script: str = "") -> None:
    """Write a page, whole or not at all.

    Args:
        path: The file.
        title: What its tab says.
        body: HTML.
        style: CSS beside that of every page.
        script: JavaScript that runs once the page is there.
    """
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}{style}</style>'
    head += '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
    end = f"<script>{script}</script>" if script else ""
    write_text(path, f'<!doctype html><html lang="en"><head>{head}</head><body>{body}{end}</body></html>\n')


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts, in a frame of its own that scrolls where it is wider than the page."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def bullets(heading: str, items: Sequence[str]) -> str:
    """A list of texts under a line, if there is any."""
    first = f"<p>{escape(heading)}</p>" if heading else ""
    return f"{first}<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>" if items else ""
