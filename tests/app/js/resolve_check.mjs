// Reads cases {data, detents, moves: [{prec, mute, base, want}]} from a file and prints where the browser's outcome is not `want`.
import { readFileSync } from "node:fs";
import * as Resolve from "../../../app/static/rack_resolve.js";

const wrong = [];
let count = 0;
for (const { name, data, detents, moves } of JSON.parse(readFileSync(process.argv[2], "utf8"))) {
  const F = Resolve.ready(data, detents);
  for (const { prec, mute, base, want } of moves) {
    const found = Resolve.resolve(F, { prec, mute: new Set(mute), base });
    const said = { layers: found.w.map((w, i) => Resolve.precisionName(F, w, found.a[i])), illegal: found.illegal, boundaries: found.boundaries, size: found.size, bops: found.bops, strict: found.raised.length + found.illegal.length > 0 };
    count += 1;
    if (JSON.stringify(said) !== JSON.stringify(want)) wrong.push({ name, prec, mute, base, want, said });
  }
}
console.log(JSON.stringify({ count, wrong: wrong.slice(0, 3), wrongs: wrong.length }));
