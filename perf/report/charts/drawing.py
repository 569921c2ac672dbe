"""Scales, axes and plots as SVG, without a word of what is drawn.

Across, everything is in percent and nothing is scaled, so that a plot fills a telephone as well as a page and its text
keeps its size. Down, everything is in pixels. A line is the exception: it stands in an SVG of its own that is
stretched.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from perf.report.markup import Markup, join, paragraph, tag, text

STEPS = (1, 2, 5)
TICKS = 5
MOST_TICKS = 10
FOOT = 22
ROW = 14
TWO_DIGITS = 10
# Where a text on its mark would be cut off by the edge of the plot.
EDGE = 0.06
LABEL_EDGE = 0.72
LINE_WIDTH = 1000


@dataclass(frozen=True, kw_only=True)
class Scale:
    """From values to shares of a length."""

    low: float
    high: float
    is_logarithmic: bool = False

    def share(self, value: float) -> float:
        """Where a value lies between `low` (0) and `high` (1); what lies outside is put on the edge."""
        value = min(max(value, self.low), self.high)
        if self.is_logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Round values along the scale."""
        if not self.is_logarithmic:
            step = rounded((self.high - self.low) / TICKS, up=True)
            return [step * n for n in range(math.ceil(self.low / step), math.floor(self.high / step + 1e-9) + 1)]
        decades = range(_decade(self.low), _decade(self.high) + 1)
        fine = [step * 10.0**decade for decade in decades for step in STEPS]
        within = [value for value in fine if self.low * 0.999 <= value <= self.high * 1.001]
        return within if len(within) <= MOST_TICKS else [value for value in within if math.log10(value) % 1 == 0]


def rounded(value: float, *, up: bool) -> float:
    """The next of 1, 2, 5, 10, 20, 50 and so on, above or below a positive value."""
    found = [step * 10.0 ** (_decade(value) + above) for above in (0, 1) for step in STEPS]
    if up:
        return next(step for step in found if step >= value * 0.999)
    return next(step for step in reversed(found) if step <= value * 1.001)


def _decade(value: float) -> int:
    return math.floor(math.log10(value) + 1e-9)


def linear(values: Iterable[float]) -> Scale:
    """From zero to a round value above all."""
    highest = max(values, default=0.0)
    step = rounded(highest / TICKS, up=True) if highest > 0 else 1.0
    return Scale(low=0.0, high=step * max(1, math.ceil(highest / step - 1e-9)))


def logarithmic(values: Iterable[float]) -> Scale:
    """A decade at least, between round values; what is not above zero has no place of its own."""
    positive = [value for value in values if value > 0] or [1.0, 1000.0]
    low = rounded(min(positive), up=False)
    return Scale(low=low, high=max(rounded(max(positive), up=True), low * 10), is_logarithmic=True)


def tick_label(value: float) -> str:
    """A round value for an axis."""
    return f"{value:,.0f}" if value >= TWO_DIGITS or value == int(value) else f"{value:g}"


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A plot: points are (x, y); `head` is the room above for labels, in pixels like `height`."""

    x: Scale
    y: Scale
    height: int = 170
    head: int = 16

    def left(self, value: float) -> str:
        """The place of an x."""
        return percent(self.x.share(value))

    def top(self, value: float) -> float:
        """The place of a y."""
        return round(self.head + self.height * (1 - self.y.share(value)), 1)

    def line(self, points: Sequence[tuple[float, float | None]], *, class_: str) -> Markup:
        """A line through the points, broken where there is no y."""
        pieces: list[str] = []
        is_begun = False
        for x, y in points:
            if y is not None:
                place = f"{LINE_WIDTH * self.x.share(x):.1f} {self.top(y)}"
                # A piece of one point is drawn as a dot, because its ends are round.
                pieces.append(f"L{place}" if is_begun else f"M{place}L{place}")
            is_begun = y is not None
        if not pieces:
            return Markup("")
        height = self.head + self.height
        return tag(
            "svg",
            tag("path", d="".join(pieces), class_=f"line {class_}"),
            x="0",
            y="0",
            width="100%",
            height=height,
            viewBox=f"0 0 {LINE_WIDTH} {height}",
            preserveAspectRatio="none",
            overflow="visible",
        )

    def bar(self, start: float, end: float, y: float, *, class_: str) -> Markup:
        """A bar from the bottom; one above zero can be seen, however small it is."""
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
        """An invisible strip that tells what is there when it is pointed at."""
        return tag(
            "rect",
            tag("title", text(title)),
            x=self.left(start),
            width=percent(self.x.share(end) - self.x.share(start)),
            y=self.head,
            height=self.height,
            class_="band",
        )

    def level(self, value: float, words: str, *, class_: str) -> Markup:
        """A line across at a y, with its name at the left, where a line that rises is still low."""
        top = self.top(value)
        line = tag("line", x1="0", x2="100%", y1=top, y2=top, class_=class_)
        name = tag("text", text(words), x="0", dx=4, y=top - 4, class_="name")
        return join((line, name))

    def upright(self, value: float, words: str, *, class_: str, row: int = 0) -> Markup:
        """A line down at an x, with its name in a row of the head, on the side where there is room."""
        left, bottom = self.left(value), self.head + self.height
        is_right = self.x.share(value) > LABEL_EDGE
        line = tag("line", x1=left, x2=left, y1=row * ROW, y2=bottom, class_=class_)
        anchor, shift = ("end", -4) if is_right else ("start", 4)
        y = row * ROW + 11
        name = tag("text", text(words), x=left, dx=shift, y=y, text_anchor=anchor, class_="name")
        return join((line, name))

    def dot(self, x: float, y: float, title: str, *, is_ok: bool, class_: str) -> Markup:
        """A point: a disc, or a cross for one that is not well."""
        left, top, words = self.left(x), self.top(y), tag("title", text(title))
        if is_ok:
            return tag("circle", words, cx=left, cy=top, r=4, class_=f"dot {class_}")
        cross = tag("path", words, d="M-5-5L5 5M-5 5L5-5", class_=f"cross {class_}")
        return tag("svg", cross, x=left, y=top, width=1, height=1, overflow="visible")

    def draw(self, parts: Iterable[Markup], *, title: str) -> Markup:
        """The plot with its axes."""
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
    """A share as a length."""
    return f"{100 * share:.2f}%"


def axis_label(scale: Scale, value: float, *, y: float) -> Markup:
    """The name of a tick on an axis across, within the edges."""
    share = scale.share(value)
    anchor = "start" if share < EDGE else "end" if share > 1 - EDGE else "middle"
    return tag("text", text(tick_label(value)), x=percent(share), y=y, text_anchor=anchor)


def axis_name(words: str, class_: str = "down") -> Markup:
    """What an axis counts; `across` puts it below the plot."""
    return paragraph(words, f"axis-name {class_}")


def legend(*entries: tuple[str, str]) -> Markup:
    """The kinds of lines in a plot, as (class, name)."""
    items = [
        tag("li", tag("svg", tag("line", x1=1, x2=27, y1=6, y2=6, class_=f"line {class_}"), class_="key"), text(name))
        for class_, name in entries
    ]
    return tag("ul", *items, class_="legend")
