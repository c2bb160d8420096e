"""The network as a strip: one cell a layer, coloured by precision, its height the layer's share of the size."""
from __future__ import annotations

import math
from collections import Counter
from html import escape

from engine.report import precision, svg, words
from engine.report.facts import Facts
from engine.report.story import effective
from engine.report.values import Row, number_in, text_in

WIDTH, CELLS, NOISE, NAMES = 680.0, 104.0, 60.0, 66.0
NAMED = 48  # layers whose names fit under the strip
NOISE_TITLE = "SIGNAL TO NOISE AT THE LAYER'S OUTPUT, dB (measured with the whole mix on; longer is better)"
LOW_DB, HIGH_DB = 10.0, 60.0


def strip(facts: Facts) -> str:
    """The drawing, its legend and the table of precisions; empty without layers."""
    layers = facts.layers
    if not layers:
        return ""
    return f"{_drawing(layers)}{_legend(layers)}{_table(layers)}"


def _drawing(layers: list[Row]) -> str:
    room = WIDTH / len(layers)
    gap = 2.0 if room > 12 else 1.0 if room > 5 else 0.0
    noise = any(number_in(layer, "sqnr_db") is not None for layer in layers)
    height = 14 + CELLS + (NOISE + 22 if noise else 0) + (NAMES if len(layers) <= NAMED else 14)
    parts = [svg.label(0, 9, "SHARE OF THE SIZE (square-root scale)", 8.5, svg.INK3, weight=600)]
    most = max((_bytes(layer) for layer in layers), default=1.0) or 1.0
    for i, layer in enumerate(layers):
        parts += _cell(layer, i * room, room - gap, math.sqrt(_bytes(layer) / most))
    base = 14 + CELLS
    parts.append(svg.line(0, base, WIDTH, base, svg.LINE))
    if noise:
        parts += _noise(layers, room, gap, base + 22)
    parts += _names(layers, room, base + (NOISE + 22 if noise else 0) + 10)
    return svg.svg(WIDTH, height, parts, f"{len(layers)} layers in the order of execution, coloured by precision")


def _bytes(layer: Row) -> float:
    return max(number_in(layer, "size_bytes") or number_in(layer, "params") or 0.0, 0.0)


def _cell(layer: Row, x: float, width: float, share: float) -> list[str]:
    name = effective(layer)
    tall = 10 + (CELLS - 12) * share
    asked = text_in(layer, "requested")
    tip = f"{text_in(layer, 'name')}: {name}{f' (asked for {asked})' if asked and asked != name else ''}, {words.size(_bytes(layer))}"
    out = [svg.rect(x, 14 + CELLS - tall, width, tall, precision.color(name), tip, 1.5 if width > 6 else 0)]
    if width >= 15:
        out.append(svg.label(x + width / 2, 14 + CELLS - 3.5, str(precision.bits(name)), 8.5, "#FFFFFF", "middle", 600))
    return out


def _noise(layers: list[Row], room: float, gap: float, top: float) -> list[str]:
    """Signal to noise at each layer's output: short bars are noisy layers."""
    out = [svg.label(0, top - 6, NOISE_TITLE, 8.5, svg.INK3, weight=600)]
    for db in (20, 40):
        y = top + NOISE * (1 - _level(db))
        out += [svg.line(0, y, WIDTH, y, svg.SOFT), svg.label(WIDTH, y - 2, str(db), 8, svg.INK3, "end")]
    for i, layer in enumerate(layers):
        found = number_in(layer, "sqnr_db")
        if found is not None:
            tall = NOISE * _level(found)
            hue = svg.HOT if found < 20 else svg.MID if found < 30 else svg.OK
            out.append(svg.rect(i * room, top + NOISE - tall, room - gap, tall, hue, f"{text_in(layer, 'name')}: {found:.1f} dB"))
    return [*out, svg.line(0, top + NOISE, WIDTH, top + NOISE, svg.LINE)]


def _level(db: float) -> float:
    return min(max((db - LOW_DB + 4) / (HIGH_DB - LOW_DB + 4), 0.02), 1.0)


def _names(layers: list[Row], room: float, y: float) -> list[str]:
    if len(layers) > NAMED:
        return [svg.label(0, y, svg.clipped(text_in(layers[0], "name"), 40), 8.5, svg.INK3),
                svg.label(WIDTH, y, svg.clipped(text_in(layers[-1], "name"), 40), 8.5, svg.INK3, "end")]
    return [svg.label(i * room + room / 2 + 3, y - 4, svg.clipped(name, 18), 8, svg.INK2, "end", turn=-52)
            for i, name in enumerate(short_names([text_in(layer, "name") for layer in layers]))]


def short_names(names: list[str]) -> list[str]:
    """Names without the first and the last word that most of them share: `features.3.expand.conv` is `3.expand`."""
    out = names
    for place in (0, -1):
        parts = [name.split(".") for name in out]
        word, times = Counter(p[place] for p in parts if len(p) > 1).most_common(1)[0] if any(len(p) > 1 for p in parts) else ("", 0)
        shorter = [".".join(p[1:] if place == 0 else p[:-1]) if len(p) > 1 and p[place] == word else ".".join(p) for p in parts]
        if times > 0.6 * len(names) and len(set(shorter)) == len(set(out)):
            out = shorter
    return out


def _legend(layers: list[Row]) -> str:
    seen = dict.fromkeys(effective(layer) for layer in layers)
    keys = "".join(f"<span><i style='background:{precision.color(p)}'></i>{escape(p.upper())}</span>"
                   for p in sorted(seen, key=lambda p: (-precision.bits(p), p)))
    tones = "".join(f"<span><i style='background:{hue}'></i>{escape(said)}</span>"
                    for hue, said in ((svg.OK, "30 dB and more"), (svg.MID, "20 to 30 dB"), (svg.HOT, "under 20 dB")))
    return f"<div class=legend><b>Precision</b>{keys}<b>Noise</b>{tones}</div>"


def _table(layers: list[Row]) -> str:
    totals = {key: sum(number_in(layer, key) or 0.0 for layer in layers) or 1.0 for key in ("size_bytes", "macs")}
    body = []
    for name in sorted({effective(layer) for layer in layers}, key=lambda p: (-precision.bits(p), p)):
        mine = [layer for layer in layers if effective(layer) == name]
        share = {key: sum(number_in(layer, key) or 0.0 for layer in mine) / total for key, total in totals.items()}
        body.append(f"<tr><td>{escape(name.upper())}</td><td class=dim>{escape(precision.words(name))}</td><td class=n>{len(mine)}</td>"
                    f"<td class=n>{words.percent(share['size_bytes'])}</td><td class=n>{words.percent(share['macs'])}</td></tr>")
    return ("<table><thead><tr><th>Precision</th><th></th><th class=n>Layers</th><th class=n>Share of the size</th>"
            f"<th class=n>Share of the multiplications</th></tr></thead><tbody>{''.join(body)}</tbody></table>")
