"""What was proven about the files, and what was not."""
from __future__ import annotations

from html import escape

from engine.report import words
from engine.report.facts import Facts
from engine.report.markup import paragraph
from engine.report.values import Row, number_in, rows, text_in, texts, value_in

COLUMNS = ("Samples", "Same answer", "SQNR, file to simulation", "Mean error", "Greatest error")


def parity(facts: Facts) -> str:
    """The certificate's sentence, its table, its checks and remarks; or that nothing was proven yet."""
    proof = facts.certificate
    if proof is None:
        return ("<p class=box>Nothing is proven about files yet: this mix was measured in simulation. <code>python -m engine "
                "quantize</code> writes the files, reads them back and compares them with the simulation, sample by sample.</p>")
    passed = value_in(proof, "passed") is True
    changed = [file.name for file in facts.files if file.changed]
    sentence = text_in(proof, "sentence") or ("The files do what was measured." if passed else "The files were not proven.")
    tone = "ok" if passed and not changed else "hot"
    later = f"<br>Changed since the export: {escape(', '.join(changed))}. The proof does not hold for these files." if changed else ""
    return f"<p class='box {tone}'><b>{escape(sentence)}</b>{later}</p>{_table(proof)}{_checks(proof)}{_remarks(proof)}"


def _table(proof: Row) -> str:
    found = rows(value_in(proof, "parity"))
    if not found:
        return ""
    kinds = ["all" if value_in(row, "optimizations") in (True, "on") else "none: the file as written" for row in found]
    body = "".join(f"<tr><td>{kind}</td>{_figures(row)}</tr>" for kind, row in zip(kinds, found, strict=True))
    head = "".join(f"<th class=n>{name}</th>" for name in COLUMNS)
    return (f"<table><thead><tr><th>ONNX Runtime's optimizations</th>{head}</tr></thead><tbody>{body}</tbody></table>"
            "<p class=dim>Errors in steps of the output's grid (LSB); SQNR in dB, higher is better, bit-equal files reach 350.</p>")


def _figures(row: Row) -> str:
    samples, agreement, db = number_in(row, "samples"), number_in(row, "agreement"), number_in(row, "sqnr_db")
    cells = [f"{samples:,.0f}" if samples is not None else "–", words.percent(agreement, 2), "–" if db is None else f"{db:.1f} dB"]
    cells += ["–" if (v := number_in(row, key)) is None else f"{v:.3g} LSB" for key in ("mean_lsb", "max_lsb")]
    return "".join(f"<td class=n>{cell}</td>" for cell in cells)


def _checks(proof: Row) -> str:
    found = rows(value_in(proof, "checks"))
    if not found:
        return ""
    lines = "".join(f"<li class={'ok' if value_in(c, 'passed') is True else 'hot'}><b>{escape(text_in(c, 'name'))}</b> "
                    f"{escape(text_in(c, 'detail'))}</li>" for c in found)
    return f"<ul class=checks>{lines}</ul>"


def _remarks(proof: Row) -> str:
    return "".join(paragraph(said, "dim") for said in texts(value_in(proof, "statements"))[:6])
