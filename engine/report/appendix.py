"""The end of the page: the recipe, the layers, versions and hashes."""
from __future__ import annotations

import platform
from collections.abc import Mapping
from html import escape

from engine.report import words
from engine.report.facts import Facts
from engine.report.markup import paragraph
from engine.report.story import effective
from engine.report.values import Row, number_in, text, text_in, value_in, visible

MAX_RECIPE, MAX_LAYERS = 12_000, 60


def recipe(facts: Facts) -> str:
    """The recipe as text: with the model and the data it makes everything on the page again."""
    if not facts.recipe.strip():
        return ""
    shown = facts.recipe if len(facts.recipe) <= MAX_RECIPE else facts.recipe[:MAX_RECIPE] + "\n… (the rest is in recipe.yaml)"
    return f"<pre>{escape(visible(shown.strip()))}</pre>"


def layers(facts: Facts) -> str:
    """Every layer in a table; of many the noisiest, in network order."""
    found = facts.layers
    if not found:
        return ""
    noise = sorted(range(len(found)), key=lambda i: (number_in(found[i], "sqnr_db") is None, number_in(found[i], "sqnr_db") or 0.0))
    body = "".join(_layer(found[i]) for i in sorted(noise[:MAX_LAYERS]))
    rest = f"The {MAX_LAYERS} layers with the most noise, in network order; the other {len(found) - MAX_LAYERS:,} are in report.json."
    more = paragraph(rest, "dim") if len(found) > MAX_LAYERS else ""
    head = "<th>Layer</th><th>Op</th><th>Precision</th><th class=n>SQNR, dB</th><th class=n>Size</th><th class=n>MACs</th>"
    return f"<table class=tight><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _layer(layer: Row) -> str:
    db, asked, has = number_in(layer, "sqnr_db"), text_in(layer, "requested"), effective(layer)
    differs = f" <span class=dim>for {escape(asked)}</span>" if asked and asked != has else ""
    return (f"<tr><td>{escape(text_in(layer, 'name'))}</td><td class=dim>{escape(text_in(layer, 'op_type'))}</td>"
            f"<td>{escape(has)}{differs}</td><td class=n>{'–' if db is None else f'{db:.1f}'}</td>"
            f"<td class=n>{words.size(number_in(layer, 'size_bytes'))}</td><td class=n>{words.count(number_in(layer, 'macs'))}</td></tr>")


def hashes(facts: Facts) -> str:
    """The original model's hash, the files with theirs, and the versions that made and checked them."""
    found = [("original model", "", text_in(facts.report, "model", "sha256"), "")]
    found += [(f.name, words.size(f.bytes), f.sha256, "changed since the export" if f.changed else "") for f in facts.files]
    body = "".join(_hash(*row) for row in found if row[2])
    head = "<th>File</th><th class=n>Size</th><th class=hash>SHA-256</th>"
    table = f"<table class=tight><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if body else ""
    return table + paragraph(versions(facts), "dim")


def _hash(name: str, size: str, digest: str, said: str) -> str:
    warning = f"<br><b class=hot>{said}</b>" if said else ""
    return f"<tr><td>{escape(name)}</td><td class=n>{size}</td><td class=hash>{escape(digest)}{warning}</td></tr>"


def versions(facts: Facts) -> str:
    """What made and checked the files."""
    given = value_in(facts.certificate, "versions")
    found = [f"{text(k, 40)} {text(v, 40)}" for k, v in list(given.items())[:12]] if isinstance(given, Mapping) else []
    opset, fingerprint = number_in(facts.report, "model", "opset"), text_in(facts.report, "fingerprint")
    said = ([f"opset {opset:.0f}"] if opset is not None else []) + found + [f"Python {platform.python_version()} wrote this page"]
    return f"Recipe {fingerprint[:16]}. {', '.join(said)}." if fingerprint else f"{', '.join(said)}."
