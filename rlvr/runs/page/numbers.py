"""How the page writes numbers."""

from collections.abc import Sequence

from rlvr.config.data import CHAT
from rlvr.statistics.intervals import Interval

NONE = "–"
MINUS = "\N{MINUS SIGN}"


def percent(rate: float | None) -> str:
    """Gives a rate in percent: 0.1025 is 10.3%."""
    return NONE if rate is None else f"{_tenths(100 * rate)}%"


def span(rate: Interval) -> str:
    """Gives the ends of a rate's interval in whole percent: 6 to 17."""
    return f"{100 * rate.low:.0f} to {100 * rate.high:.0f}"


def signed(gain: float) -> str:
    """Gives a difference of rates in points with its sign: +32.8."""
    text = _tenths(100 * abs(gain))
    return text if text == "0" else f"{MINUS if gain < 0 else '+'}{text}"


def signed_span(gain: Interval) -> str:
    """Gives the ends of a difference's interval in points: +20.2 to +43.5."""
    return f"{signed(gain.low)} to {signed(gain.high)}"


def fixed(value: float | None, digits: int) -> str:
    """Gives a number with that many digits after the point."""
    return NONE if value is None else f"{value:,.{digits}f}"


def amount(value: float | None) -> str:
    """Gives a count in a form that is read at a glance: 950, 12,300, 2.6 million."""
    if value is None:
        return NONE
    return f"{value / 1e6:,.1f} million" if value >= 1e6 else f"{value:,.0f}"


def duration(seconds: float) -> str:
    """Gives a duration in words: 12 s, 2 min 31 s, 1 h 5 min."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def asked(prompt: str, temperature: float) -> str:
    """Gives a way of asking in words: greedy, as a chat."""
    how = "greedy" if temperature == 0 else f"temperature {temperature:g}"
    return f"{how}, {where_asked(prompt)}"


def where_asked(prompt: str) -> str:
    """Gives a prompt in words: as a chat."""
    return "as a chat" if prompt == CHAT else f"as “{prompt}”".replace("\n", "↵")


def listed(parts: Sequence[str]) -> str:
    """Gives parts as a sentence lists them: a, b and c."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def _tenths(value: float) -> str:
    text = f"{value:.1f}"
    return text.removesuffix(".0") if text in ("0.0", "100.0") else text
