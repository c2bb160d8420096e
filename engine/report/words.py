"""Numbers as words, the same everywhere on the page."""
from __future__ import annotations

MINUS = "−"
SHARES = ("top1", "top5", "agreement", "accuracy", "miou")
METRICS = {
    "top1": "top-1 accuracy",
    "top5": "top-5 accuracy",
    "agreement": "agreement with the float model",
    "cosine": "cosine with the float model",
    "sqnr": "signal to noise",
    "miou": "mean IoU",
    "neg_mse": "negative squared error",
    "neg_kl": "negative KL divergence",
}


def metric_name(metric: str) -> str:
    """A metric in words."""
    return METRICS.get(metric, metric or "score")


def is_share(metric: str) -> bool:
    """Whether a metric's values are fractions, shown in percent and their differences in points."""
    return metric in SHARES


def minus(words: str) -> str:
    """True minus signs, as wide as a plus."""
    return words.replace("-", MINUS)


def figure(value: float | None, metric: str, sign: bool = False) -> str:
    """A metric's value or difference without its unit; what rounds to zero has no sign."""
    if value is None:
        return "–"
    digits, scale = (2, 100.0) if is_share(metric) else (2, 1.0) if metric == "sqnr" else (4, 1.0)
    shown = f"{value * scale:{'+' if sign else ''}.{digits}f}"
    return shown.lstrip("+-") if float(shown) == 0 else minus(shown)


def unit(metric: str, difference: bool = False) -> str:
    """`%`, `points`, `dB` or nothing."""
    if is_share(metric):
        return "points" if difference else "%"
    return "dB" if metric == "sqnr" else ""


def size(count: float | None) -> str:
    """Bytes in decimal units."""
    if count is None:
        return "–"
    for limit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= limit:
            return f"{count / limit:.2f} {name}" if count < 10 * limit else f"{count / limit:.1f} {name}"
    return f"{count:.0f} B"


def count(value: float | None) -> str:
    """A count with a prefix: 3.06 M."""
    if value is None:
        return "–"
    for limit, name in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.2f} {name}" if abs(value) < 10 * limit else f"{value / limit:.1f} {name}"
    return f"{value:,.0f}"


def times(ratio: float | None) -> str:
    """A factor: 2.53, 16.0, 128."""
    if ratio is None:
        return "–"
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.1f}" if ratio < 100 else f"{ratio:.0f}"


def percent(share: float | None, digits: int = 1) -> str:
    """A fraction in percent."""
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def plural(count: int, one: str, many: str = "") -> str:
    """`1 layer`, `3 layers`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listed(words: list[str], most: int = 4) -> str:
    """`a, b and c`, or the first few and how many more."""
    if len(words) > most:
        return f"{', '.join(words[:most])} and {len(words) - most} more"
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
