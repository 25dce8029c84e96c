"""The demonstration as a screen: what a person sees while it runs."""

import re
import shutil
import threading
import time

from service import milliseconds

FRAME_S = 0.1
WIDTH_MAX = 130
MARKS = {"waiting": "·", "running": "▸", "done": "✓", "failed": "✗"}
COLOURS = {"waiting": "dim", "running": "yellow", "done": "green", "failed": "red"}
STYLES = {"dim": "2", "bold": "1", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
BARS = " ▁▂▃▄▅▆▇█"
DIGITS = {
    "0": ("█▀▀█", "█  █", "█▄▄█"),
    "1": (" ▄█ ", "  █ ", " ▄█▄"),
    "2": ("▀▀▀█", "█▀▀▀", "█▄▄▄"),
    "3": ("▀▀▀█", " ▀▀█", "▄▄▄█"),
    "4": ("█  █", "▀▀▀█", "   █"),
    "5": ("█▀▀▀", "▀▀▀█", "▄▄▄█"),
    "6": ("█▀▀▀", "█▀▀█", "█▄▄█"),
    "7": ("▀▀▀█", "   █", "   █"),
    "8": ("█▀▀█", "█▀▀█", "█▄▄█"),
    "9": ("█▀▀█", "▀▀▀█", "▄▄▄█"),
}
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def visible(text):
    return len(ANSI.sub("", text))


def crop(line, width):
    """At most @width columns of it, with its colours."""
    taken, n = [], 0
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        if not ANSI.fullmatch(part):
            part = part[:width - n]
            n += len(part)
        taken.append(part)
    return "".join(taken)


def sparkline(values, width):
    """The last @width values as bars, the highest filling its cell."""
    values = values[-width:]
    top = max(values, default=0) or 1
    return "".join(BARS[max(1, round(value / top * 8)) if value > 0 else 0] for value in values)


def big(number):
    return ["  ".join(DIGITS[digit][row] for digit in str(number)) for row in range(3)]


class Screen:
    """Draws the story in place until it is closed, then gives the terminal back."""

    def __init__(self, story, stream, colours):
        self.story, self.stream, self.colours = story, stream, colours
        self.closing = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.drawn = False

    def __enter__(self):
        self.stream.write("\x1b[?1049h\x1b[?25l")
        self.drawn = True
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.closing.set()
        self.thread.join()
        if self.drawn:
            self.stream.write("\x1b[?25h\x1b[?1049l")
            self.stream.flush()

    def run(self):
        while not self.closing.wait(FRAME_S):
            self.draw()

    def draw(self):
        width, height = shutil.get_terminal_size()
        lines = self.lines(min(width - 1, WIDTH_MAX), height - 1)[:height - 1]
        lines = [crop(line, width - 1) for line in lines]
        self.stream.write("\x1b[H" + "".join(f"{line}\x1b[K\r\n" for line in lines) + "\x1b[J")
        self.stream.flush()

    def paint(self, text, *styles):
        if not self.colours:
            return text
        return f"\x1b[{';'.join(STYLES[style] for style in styles)}m{text}\x1b[0m"

    def lines(self, width, height):
        top = [*self.head(width), "", *self.numbers(), "", *self.curves(width), ""]
        return top + self.checklist(width, height - len(top))

    def head(self, width):
        clock = f"{time.monotonic() - self.story.begin_s:.1f} s"
        title = "handover: one service, one port, many generations"
        gap = " " * max(1, width - len(title) - len(clock) - 2)
        return [f" {self.paint(title, 'bold')}{gap}{self.paint(clock, 'dim')}",
                " " + self.paint("─" * (width - 2), "dim")]

    def numbers(self):
        """Three columns of big digits: what ticks, and what must not."""
        load, story = self.story.load, self.story
        lost = load.total("lost") if load else 0
        columns = [
            ("generation", story.generation, "cyan", 18),
            ("requests answered", load.total("ok") if load else 0, "bold", 36),
            ("LOST", lost, "red" if lost else "green", 12),
        ]
        rows = [" " + "".join(self.paint(name.ljust(size), "dim") for name, _, _, size in columns)]
        for row in range(3):
            rows.append(" " + "".join(self.paint(big(value)[row].ljust(size), style)
                                      for _, value, style, size in columns))
        return rows

    def curves(self, width):
        samples = list(self.story.load.samples) if self.story.load else []
        room = width - 33
        answers = [later["ok"] - sooner["ok"] for sooner, later in zip(samples, samples[1:])]
        waiting = [one["issued"] - one["ok"] - one["lost"] for one in samples]
        reloads = self.story.reload_s
        return [
            self.curve("answers/s", answers, room, f"{answers[-1] * 10:,}" if answers else ""),
            self.curve("under way", waiting, room, f"{waiting[-1]:,}" if waiting else ""),
            self.curve("reload takes", reloads, room,
                       milliseconds(reloads[-1]) if reloads else ""),
        ]

    def curve(self, name, values, room, last):
        return f" {self.paint(name.ljust(14), 'dim')}{last:>10}  " + \
            self.paint(sparkline(values, room), "cyan")

    def checklist(self, width, height):
        """As many details as there is room for, those of the last steps."""
        rows = []
        for step in self.story.steps:
            colour = COLOURS[step.state]
            title = step.title if step.state == "waiting" else self.paint(step.title, "bold")
            row = f" {self.paint(MARKS[step.state], colour)} {title}"
            if step.state == "running" and step.fraction is not None:
                row = self.with_bar(row, step, width)
            rows.append(("title", row))
            rows.extend(("detail", f"     {self.paint(line, 'red')}") for line in step.quotation)
            if step.detail and step.fraction is None or step.state == "done":
                rows.append(("detail", f"     {self.paint(step.detail, 'dim')}"))
        surplus = len(rows) - height
        for row in [row for row in rows if row[0] == "detail"][:max(0, surplus)]:
            rows.remove(row)
        return [text for _, text in rows]

    def with_bar(self, row, step, width):
        size = max(0, min(24, width - visible(row) - len(step.detail) - 5))
        full = round(step.fraction * size)
        bar = self.paint("━" * full, "green") + self.paint("─" * (size - full), "dim")
        return f"{row}  {bar}  {step.detail}"
