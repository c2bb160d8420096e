// What a recipe comes to on its target, found in the browser: the rules of engine/targets/resolve.py over the data that
// engine/targets/foresight.py makes. A test holds the two equal. No DOM; layers are numbers, types are places in `types`.
const BASE = -1, FIXED = -2, NONE = -1, LEGAL = -1;
const SIDE = /^w(\d+|fp16|bf16|fp32)a(\d+|fp16|bf16|fp32)$/;

const type = (name) => ({ name, int: name.startsWith("int"), bits: name.startsWith("int") ? +name.slice(3) : name === "fp32" ? 32 : 16 });
const named = (side) => (/^\d/.test(side) ? `int${side}` : side);

// The data made ready for a rack's detents (precisions by name); null where one of them is not in the data.
export function ready(data, detents) {
  if (!data) return null;
  const sides = detents.map((id) => (SIDE.exec(id)?.slice(1) ?? [id, id]).map((s) => data.types.indexOf(named(s))));
  if (sides.some((pair) => pair.includes(-1))) return null;
  return { ...data, T: data.types.map(type), sides, float: data.types.indexOf("fp32") };
}

export function precisionName(F, w, a) {
  const W = F.T[w], A = F.T[a], side = (t) => (t.int ? t.bits : t.name);
  return W.int && A.int ? `w${W.bits}a${A.bits}` : w === a ? W.name : `w${side(W)}a${side(A)}`;
}

// `hand`: {prec: detent of each layer, mute: set of layers in float, base: detent}. Gives types of weights and activations as
// layers have them (`w`, `a`), those of the sets of tensors, what is illegal, what a raise made legal, changes of type, cost.
export function resolve(F, hand) {
  const ask = (who, side) => (who >= 0 ? (hand.mute.has(who) ? NONE : F.sides[hand.prec[who]][side]) : F.sides[hand.base][side]);
  const asks = (list, side) => list.map((who) => (who <= FIXED ? FIXED - who : ask(who, side))).filter((t) => t !== NONE);
  const tensors = tensorTypes(F, hand, asks), weights = weightTypes(F, asks, tensors);
  const out = { tensors, weights, w: [], a: [], illegal: [], raised: [] };
  raise(F, hand, out);
  F.layers.forEach((_, i) => ([out.w[i], out.a[i]] = effective(F, hand, out, i)));
  out.illegal = F.layers.flatMap(([k], i) => ((hand.mute.has(i) ? F.kinds[k][0] : F.kinds[k][1][out.w[i]][out.a[i]] === LEGAL) ? [] : [i]));
  return Object.assign(out, { boundaries: boundaries(F, ask, hand, tensors), size: size(F, out), bops: bops(F, out) });
}

// The most bits that anyone asks for, integers before floats; of equals the first.
function widest(F, list) {
  let best = NONE;
  for (const t of list) {
    const now = F.T[t], then = F.T[best];
    if (best === NONE || (now.int && !then.int) || (now.int === then.int && now.bits > then.bits)) best = t;
  }
  return best;
}

function tensorTypes(F, hand, asks) {
  const idle = (users) => (users.some((i) => hand.mute.has(i)) ? F.float : F.sides[hand.base][1]);
  const found = F.tensors.map(([set, who, users]) => (set !== NONE ? set : ((t) => (t === NONE ? idle(users) : t))(widest(F, asks(who, 1)))));
  for (let changed = true; changed; ) {
    changed = false;
    for (const [first, second] of F.pairs) {
      const a = F.T[found[first]], b = F.T[found[second]];
      if (b.int && b.bits >= F.wide && a.int && a.bits < b.bits && F.tensors[first][0] === NONE) (found[first] = found[second]), (changed = true);
    }
  }
  return found;
}

function weightTypes(F, asks, tensors) {
  const sets = F.sets.map(([set, who]) => (set !== NONE ? set : ((t) => (t === NONE ? F.float : t))(widest(F, asks(who, 0)))));
  return F.weights.map(([set, least, follows]) => {
    let t = sets[set];
    if (F.sets[set][0] !== NONE || t === F.float) return t;
    if (follows !== NONE) t = tensors[follows];
    return F.T[t].int && F.T[t].bits < least ? F.T.findIndex((k) => k.int && k.bits === least) : t;
  });
}

// The weight's type, and the widest type in which the layer reads a tensor: a float reader gets integers dequantized.
function effective(F, hand, out, i) {
  const [, , , reads, own] = F.layers[i], w = own.length ? out.weights[own[0]] : F.float;
  if (hand.mute.has(i)) return [w, F.float];
  const asked = F.sides[hand.prec[i]][1];
  let best = NONE;
  for (const c of reads) {
    const t = asRead(F, asked, out.tensors[c]);
    if (best === NONE || F.T[t].bits > F.T[best].bits) best = t;
  }
  return [w, best === NONE ? asked : best];
}
const asRead = (F, asked, t) => (!F.T[asked].int && F.T[t].int ? asked : t);

// Rule 4: what others made illegal goes up, until nothing changes. What was asked for and is not there stays.
function raise(F, hand, out) {
  for (let changed = true; changed; ) {
    changed = false;
    F.layers.forEach(([kind, , , , own], i) => {
      if (hand.mute.has(i) || !own.length) return;
      const rules = F.kinds[kind][1], [w, a] = effective(F, hand, out, i), [wantedW, wantedA] = F.sides[hand.prec[i]];
      if (rules[w][a] === LEGAL || rules[wantedW][wantedA] !== LEGAL) return;
      if (!out.raised.includes(i)) out.raised.push(i);
      if (rules[w][a] < 0) return;
      for (const k of own) out.weights[k] = rules[w][a];
      changed = true;
    });
  }
}

function boundaries(F, ask, hand, tensors) {
  let found = 0;
  for (const unit of F.units) {
    let works = NONE;
    for (const [who, reads] of unit)
      for (const c of reads) {
        const t = asRead(F, reader(F, ask, who), tensors[c]);
        if (works === NONE || F.T[t].bits > F.T[works].bits) works = t;
      }
    for (const [who, reads, makes] of unit) {
      if (!makes) continue;
      const asked = reader(F, ask, who);
      for (const c of reads) if (asRead(F, asked, tensors[c]) !== tensors[c]) found += 1;
      if (works !== NONE) for (const c of makes) if (tensors[c] !== works) found += 1;
    }
  }
  return found;
}
const reader = (F, ask, who) => (who <= FIXED ? FIXED - who : ((t) => (t === NONE ? F.float : t))(ask(who, 1)));

function size(F, out) {
  let total = F.bytes;
  F.layers.forEach(([, , values], i) => (total += Math.ceil((values * F.T[out.w[i]].bits) / 8)));
  F.weights.forEach(([, , , scales, zeros, values], k) => {
    const t = F.T[out.weights[k]];
    if (scales && t.int) total += 4 * scales + (zeros ? Math.ceil((scales * t.bits) / 8) : 0);
    total += Math.ceil((values * t.bits) / 8);
  });
  return total;
}
const bops = (F, out) => F.layers.reduce((sum, [, macs], i) => sum + macs * F.T[out.w[i]].bits * F.T[out.a[i]].bits, 0);
