"""Pages of HTML as tests read them."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """Elements that are closed in their order, and what they refer to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = text
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def require_alone(self) -> None:
        """It refers to nothing but itself."""
        refers = [attrs[name] for _, attrs in self.found for name in ("src", "href") if name in attrs]
        assert all(str(target).startswith(("data:", "#")) for target in refers)
        assert re.findall(r"(https?:(?!//www.w3.org/2000/svg)|file:|url\(|@import)", self.text) == []

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.found if name == tag]
