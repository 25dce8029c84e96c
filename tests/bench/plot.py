"""The charts of all parts as one SVG, a panel each."""

import math
from html import escape

WIDTH, PANEL, MARGIN, HEAD, FOOT = 820, 250, 130, 46, 34
COLOURS = ["#2563a8", "#d9822b", "#3f8f5b", "#8a4f9e"]
STYLE = "text{font:12px system-ui,sans-serif;fill:#222}.title{font-size:15px;font-weight:600}" \
        ".small{font-size:11px;fill:#666}"


def text(x, y, words, anchor="start", kind=""):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">'
            f"{escape(words)}</text>")


def line(x1, y1, x2, y2, colour="#ddd", width=1):
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
            f'stroke-width="{width}"/>')


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def nice(top):
    """A round number that is no less than @top."""
    power = 10 ** math.floor(math.log10(top))
    return next(step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * power >= top)


def legend(names, top):
    parts, x = [], MARGIN
    for name, colour in zip(names, COLOURS):
        parts.append(f'<rect x="{x}" y="{top + 28}" width="10" height="10" fill="{colour}"/>')
        parts.append(text(x + 15, top + 37, name))
        x += 40 + 7 * len(name)
    return parts


def strips(chart, top):
    """Each measurement is a dot, the median a stroke."""
    series = chart["series"]
    most = nice(max(max(values) for values in series.values()))
    low, high = top + HEAD, top + PANEL - FOOT
    parts, wide = [], WIDTH - MARGIN - 30

    def x_of(value):
        return MARGIN + value / most * wide

    for tick in range(5):
        x = x_of(most * tick / 4)
        parts += [line(x, low, x, high),
                  text(x, high + 16, number(most * tick / 4), "middle", "small")]
    room = (high - low) / len(series)
    for row, ((name, values), colour) in enumerate(zip(series.items(), COLOURS)):
        y = low + room * (row + 0.5)
        parts.append(text(MARGIN - 10, y + 4, name, "end"))
        for index, value in enumerate(values):
            jitter = (index * 7 % 11 - 5) * room / 18
            parts.append(f'<circle cx="{x_of(value):.1f}" cy="{y + jitter:.1f}" r="3" '
                         f'fill="{colour}" fill-opacity="0.5"/>')
        middle = sorted(values)[len(values) // 2]
        parts += [line(x_of(middle), y - room / 2.6, x_of(middle), y + room / 2.6, colour, 3),
                  text(x_of(middle) + 6, y - room / 2.6 + 4, number(middle))]
    return parts


def bars(chart, top):
    """Groups of bars beside each other, each with its value."""
    groups = chart["groups"]
    names = list(next(iter(groups.values())))
    most = nice(max(max(group.values()) for group in groups.values()))
    low, high = top + HEAD + 10, top + PANEL - FOOT
    room = (WIDTH - MARGIN - 30) / len(groups)
    wide = min(60, room / (len(names) + 1))
    parts = legend(names, top)
    for tick in range(5):
        y = high - (high - low) * tick / 4
        parts += [line(MARGIN, y, WIDTH - 30, y),
                  text(MARGIN - 10, y + 4, number(most * tick / 4), "end", "small")]
    for index, (group, values) in enumerate(groups.items()):
        x = MARGIN + room * (index + 0.5) - wide * len(names) / 2
        parts.append(text(MARGIN + room * (index + 0.5), high + 17, group, "middle"))
        for place, (name, colour) in enumerate(zip(names, COLOURS)):
            tall = values[name] / most * (high - low)
            parts += [f'<rect x="{x + place * wide:.1f}" y="{high - tall:.1f}" '
                      f'width="{wide - 4:.1f}" height="{tall:.1f}" fill="{colour}"/>',
                      text(x + (place + 0.5) * wide - 2, high - tall - 4, number(values[name]),
                           "middle", "small")]
    return parts


def lines(chart, top):
    """Both axes logarithmic: what is linear rises as the dashed line does."""
    series = chart["series"]
    xs = [x for x, _ in next(iter(series.values()))]
    ys = [y for points in series.values() for _, y in points]
    bottom, most = math.log(min(ys) / 1.5), math.log(max(ys) * 1.5)
    low, high = top + HEAD + 10, top + PANEL - FOOT
    parts = legend(series, top)

    def x_of(x):
        return MARGIN + math.log(x / xs[0]) / math.log(xs[-1] / xs[0]) * (WIDTH - MARGIN - 60)

    def y_of(y):
        return high - (math.log(y) - bottom) / (most - bottom) * (high - low)

    for x in xs:
        parts += [line(x_of(x), low, x_of(x), high),
                  text(x_of(x), high + 16, number(x), "middle", "small")]
    for power in range(math.ceil(bottom / math.log(10)), math.floor(most / math.log(10)) + 1):
        y = y_of(10 ** power)
        parts += [line(MARGIN, y, WIDTH - 60, y),
                  text(MARGIN - 10, y + 4, number(10 ** power), "end", "small")]
    first = next(iter(series.values()))
    straight = f"{x_of(xs[0]):.1f},{y_of(first[-1][1] * xs[0] / xs[-1]):.1f} " \
               f"{x_of(xs[-1]):.1f},{y_of(first[-1][1]):.1f}"
    parts.append(f'<polyline points="{straight}" stroke="#999" stroke-dasharray="4 4"/>')
    for points, colour in zip(series.values(), COLOURS):
        path = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="3.5" fill="{colour}"/>'
                  for x, y in points]
        parts.append(text(x_of(points[-1][0]) + 8, y_of(points[-1][1]) + 4, number(points[-1][1])))
    return parts


KINDS = {"strips": strips, "bars": bars, "lines": lines}


def svg(outcomes):
    """The drawing, as text, of those outcomes that have a chart."""
    charted = [one for one in outcomes if one["chart"]]
    height = PANEL * len(charted) + 10
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
             f'viewBox="0 0 {WIDTH} {height}"><style>{STYLE}</style>',
             f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>']
    for place, outcome in enumerate(charted):
        top = place * PANEL + 5
        chart = outcome["chart"]
        unit = f"{chart['unit']} by {chart['axis']}" if "axis" in chart else chart["unit"]
        parts.append(text(20, top + 20, outcome["title"], kind="title"))
        parts.append(text(WIDTH - 30, top + 20, unit, "end", "small"))
        parts += KINDS[chart["kind"]](chart, top)
    return "\n".join([*parts, "</svg>\n"])
