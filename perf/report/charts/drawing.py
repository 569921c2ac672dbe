"""Scales, axes and plots as SVG. Nothing here knows what is drawn.

Horizontal positions are percentages and nothing is scaled, so a plot fills a phone as well as a page, and its text
keeps its size. Vertical positions are pixels. A line is the exception: it is in an SVG of its own that is stretched.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from perf.report.markup import join, paragraph, tag, text

STEPS = (1, 2, 5)
TICKS = 5
MAX_TICKS = 10
FOOT = 22
ROW = 14
TWO_DIGITS = 10
# Shares of the width. A label within EDGE of the border is aligned with it. A name is left of a mark beyond LABEL_EDGE.
EDGE = 0.06
LABEL_EDGE = 0.72
LINE_WIDTH = 1000


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Maps values to shares of a length."""

    low: float
    high: float
    is_logarithmic: bool = False

    def share(self, value: float) -> float:
        """Return the position of a value between `low` (0) and `high` (1). A value outside is clipped."""
        value = min(max(value, self.low), self.high)
        if self.is_logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Return round values along the scale."""
        if not self.is_logarithmic:
            step = rounded((self.high - self.low) / TICKS, up=True)
            return [step * n for n in range(math.ceil(self.low / step), math.floor(self.high / step + 1e-9) + 1)]
        decades = range(_decade(self.low), _decade(self.high) + 1)
        fine = [step * 10.0**decade for decade in decades for step in STEPS]
        within = [value for value in fine if self.low * 0.999 <= value <= self.high * 1.001]
        return within if len(within) <= MAX_TICKS else [value for value in within if math.log10(value) % 1 == 0]


def rounded(value: float, *, up: bool) -> float:
    """Round a positive value up or down to one of 1, 2, 5, 10, 20, 50 and so on."""
    found = [step * 10.0 ** (_decade(value) + above) for above in (0, 1) for step in STEPS]
    if up:
        return next(step for step in found if step >= value * 0.999)
    return next(step for step in reversed(found) if step <= value * 1.001)


def _decade(value: float) -> int:
    return math.floor(math.log10(value) + 1e-9)


def linear(values: Iterable[float]) -> Scale:
    """Return a scale from zero to a round value that is at least the maximum."""
    highest = max(values, default=0.0)
    step = rounded(highest / TICKS, up=True) if highest > 0 else 1.0
    return Scale(low=0.0, high=step * max(1, math.ceil(highest / step - 1e-9)))


def logarithmic(values: Iterable[float]) -> Scale:
    """Return a scale between round values, at least a decade. Values of zero and below are clipped."""
    positive = [value for value in values if value > 0] or [1.0, 1000.0]
    low = rounded(min(positive), up=False)
    return Scale(low=low, high=max(rounded(max(positive), up=True), low * 10), is_logarithmic=True)


def tick_label(value: float) -> str:
    """Format a round value for an axis."""
    return f"{value:,.0f}" if value >= TWO_DIGITS or value == int(value) else f"{value:g}"


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A plot of points (x, y). `head` is the space above it for labels, in pixels like `height`."""

    x: Scale
    y: Scale
    height: int = 170
    head: int = 16

    def left(self, value: float) -> str:
        """Return the horizontal position of an x."""
        return percent(self.x.share(value))

    def top(self, value: float) -> float:
        """Return the vertical position of a y."""
        return round(self.head + self.height * (1 - self.y.share(value)), 1)

    def line(self, points: Sequence[tuple[float, float | None]], *, class_: str) -> Markup:
        """Draw a line through the points, with a gap where y is None."""
        segments: list[str] = []
        is_begun = False
        for x, y in points:
            if y is not None:
                position = f"{LINE_WIDTH * self.x.share(x):.1f} {self.top(y)}"
                # A segment of one point becomes a dot, because line ends are round.
                segments.append(f"L{position}" if is_begun else f"M{position}L{position}")
            is_begun = y is not None
        if not segments:
            return Markup("")
        height = self.head + self.height
        return tag(
            "svg",
            tag("path", d="".join(segments), class_=f"line {class_}"),
            x="0",
            y="0",
            width="100%",
            height=height,
            viewBox=f"0 0 {LINE_WIDTH} {height}",
            preserveAspectRatio="none",
            overflow="visible",
        )

    def bar(self, start: float, end: float, y: float, *, class_: str) -> Markup:
        """Draw a bar from the bottom. A value above zero is visible, however small."""
        if y <= 0:
            return Markup("")
        top = min(self.top(y), self.head + self.height - 2)
        return tag(
            "rect",
            x=self.left(start),
            width=percent(self.x.share(end) - self.x.share(start)),
            y=top,
            height=round(self.head + self.height - top, 1),
            class_=class_,
        )

    def band(self, start: float, end: float, title: str) -> Markup:
        """Draw an invisible strip that shows `title` when the pointer is on it."""
        return tag(
            "rect",
            tag("title", text(title)),
            x=self.left(start),
            width=percent(self.x.share(end) - self.x.share(start)),
            y=self.head,
            height=self.height,
            class_="band",
        )

    def horizontal(self, value: float, words: str, *, class_: str) -> Markup:
        """Draw a horizontal line at a y, with its name at the left."""
        top = self.top(value)
        line = tag("line", x1="0", x2="100%", y1=top, y2=top, class_=class_)
        name = tag("text", text(words), x="0", dx=4, y=top - 4, class_="name")
        return join((line, name))

    def vertical(self, value: float, words: str, *, class_: str, row: int = 0) -> Markup:
        """Draw a vertical line at an x, with its name in a row of the head, on the side with more space."""
        left, bottom = self.left(value), self.head + self.height
        is_right = self.x.share(value) > LABEL_EDGE
        line = tag("line", x1=left, x2=left, y1=row * ROW, y2=bottom, class_=class_)
        anchor, shift = ("end", -4) if is_right else ("start", 4)
        y = row * ROW + 11
        name = tag("text", text(words), x=left, dx=shift, y=y, text_anchor=anchor, class_="name")
        return join((line, name))

    def dot(self, x: float, y: float, title: str, *, is_ok: bool, class_: str) -> Markup:
        """Draw a point: a disc, or a cross if it is not ok."""
        left, top, words = self.left(x), self.top(y), tag("title", text(title))
        if is_ok:
            return tag("circle", words, cx=left, cy=top, r=4, class_=f"dot {class_}")
        cross = tag("path", words, d="M-5-5L5 5M-5 5L5-5", class_=f"cross {class_}")
        return tag("svg", cross, x=left, y=top, width=1, height=1, overflow="visible")

    def draw(self, parts: Iterable[Markup], *, title: str) -> Markup:
        """Draw the plot with its axes."""
        bottom = self.head + self.height
        levels = [(value, self.top(value)) for value in self.y.ticks()]
        names = [
            tag("text", text(tick_label(value)), x="100%", dx=-6, y=top + 4, text_anchor="end") for value, top in levels
        ]
        grid = [tag("line", x1="0", x2="100%", y1=top, y2=top, class_="grid") for _, top in levels]
        feet = [axis_label(self.x, value, y=bottom + 16) for value in self.x.ticks()]
        return tag(
            "div",
            tag("svg", *names, height=bottom + FOOT, aria_hidden="true", class_="levels"),
            tag("svg", *grid, *parts, *feet, height=bottom + FOOT, role="img", aria_label=title, class_="area"),
            class_="plot",
        )


def percent(share: float) -> str:
    """Return a share as a CSS length."""
    return f"{100 * share:.2f}%"


def axis_label(scale: Scale, value: float, *, y: float) -> Markup:
    """Draw the label of a tick on the horizontal axis, within the edges."""
    share = scale.share(value)
    anchor = "start" if share < EDGE else "end" if share > 1 - EDGE else "middle"
    return tag("text", text(tick_label(value)), x=percent(share), y=y, text_anchor=anchor)


def axis_name(words: str, class_: str = "down") -> Markup:
    """Return the name of an axis; the class `across` puts it below the plot."""
    return paragraph(words, f"axis-name {class_}")


def legend(*entries: tuple[str, str]) -> Markup:
    """Return the legend of a plot; an entry is (class, name)."""
    items = [
        tag("li", tag("svg", tag("line", x1=1, x2=27, y1=6, y2=6, class_=f"line {class_}"), class_="key"), text(name))
        for class_, name in entries
    ]
    return tag("ul", *items, class_="legend")
