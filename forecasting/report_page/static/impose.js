"use strict";
// Assumptions imposed on sample paths in the browser, step by step as forecasting/impose.py does it; the names are the
// same. A series is a Float64Array of paths × months, one path after another.

const Impose = (() => {
  const DUST = 1e-9;

  function decode(text) {
    const raw = atob(text), bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
    return bytes.buffer;
  }

  // Months by months: 16 bits between the least and the most of each, and no bits where both are the same.
  function unpack(packed, paths, months) {
    const cells = new Float64Array(paths * months);
    let codes = null, at = 0;
    if (packed.codes) codes = new Uint16Array(decode(packed.codes));
    for (let t = 0; t < months; t++) {
      const low = packed.low[t], span = packed.high[t] - low;
      for (let p = 0; p < paths; p++) cells[p * months + t] = span > 0 ? low + span * codes[at++] / 65535 : low;
    }
    return cells;
  }

  function desk(live, base) {
    const P = live.paths, H = live.months, N = P * H, catalogue = live.catalogue;
    const old = base, cells = Object.assign({}, base), ahead = {};

    const make = (f) => { const a = new Float64Array(N); for (let i = 0; i < N; i++) a[i] = f(i, i % H); return a; };
    const same = (a, b) => { for (let i = 0; i < N; i++) if (a[i] !== b[i]) return false; return true; };
    const means = (a) => {
      const m = new Float64Array(H);
      for (let i = 0; i < N; i++) m[i % H] += a[i];
      return m.map((one) => one / P);
    };
    const relation = (series) => live.relations[series] || { above: {}, below: [], partner: "", family: [series],
      fillings: [] };

    // Months that are not published; of a derived series, in none of its terms.
    function isAhead(series) {
      if (!(series in ahead)) {
        const last = live.cutoff[series];
        ahead[series] = series in old ? live.ordinals.map((one) => one > last)
          : catalogue[series].terms.map(isAhead).reduce((a, b) => a.map((one, t) => one && b[t]));
      }
      return ahead[series];
    }

    function published(series, after) {
      const open = isAhead(series);
      return open.every(Boolean) ? after : make((i, t) => open[t] ? after[i] : cells[series][i]);
    }

    function values(series, from = cells) {
      if (series in from) return from[series];
      const entry = catalogue[series], terms = entry.terms;
      if (entry.formula === "ratio") {
        const value = values(terms[0], from), quantity = values(terms[1], from), price = perUnit(terms[0], terms[1]);
        return make((i, t) => quantity[i] > 0 ? value[i] / quantity[i] : price[t]);
      }
      const first = values(terms[0], from);
      if (entry.formula === "rest") {
        const parts = entry.children.filter((one) => one in from).map((one) => from[one]);
        const least = grain(series);
        return make((i, t) => {
          const rest = first[i] - parts.reduce((sum, one) => sum + one[i], 0);
          return rest > least[t] ? rest : 0;
        });
      }
      const others = terms.slice(1).map((one) => values(one, from));
      if (entry.formula === "sum") return make((i) => others.reduce((sum, one) => sum + one[i], first[i]));
      const least = grain(series);
      return make((i, t) => {
        const rest = first[i] - others[0][i] * entry.second;
        return Math.abs(rest) > least[t] ? rest : 0;
      });
    }

    // What the 16 bits of its terms may leave of nothing, by month.
    function grain(series) {
      if (series in live.grain) return live.grain[series];
      const entry = catalogue[series], terms = [...entry.terms, ...(entry.children || [])];
      const parts = terms.map((one, k) => grain(one).map((by) => by * (k === 1 && entry.second ? entry.second : 1)));
      return parts[0].map((_, t) => parts.reduce((sum, one) => sum + one[t], 0));
    }

    // Mean of one per mean of the other, by month.
    function perUnit(value, quantity) {
      const of = (from) => [means(values(value, from)), means(values(quantity, from))];
      const before = of(old), now = of(cells);
      return now[1].map((one, t) => one > 0 ? now[0][t] / one : before[1][t] > 0 ? before[0][t] / before[1][t] : 0);
    }

    // One by the other on every path; the mean rate where one of them is nothing.
    function rate(partner, series, from = cells) {
      const top = values(partner, from), under = values(series, from), usual = perUnit(partner, series);
      return make((i, t) => top[i] > 0 && under[i] > 0 ? top[i] / under[i] : usual[t]);
    }

    function intensity(one) {
      return live.ordinals.map((month) => {
        const reached = one.end === null ? month : Math.min(month, one.end);
        let strength = Math.min(Math.max((reached - one.start + 1) / (one.ramp + 1), 0), 1);
        if (one.end !== null) {
          const after = Math.max(month - one.end, 0);
          strength *= Math.min(Math.max(1 - after / (one.recovery + 1), 0), 1);
        }
        return strength;
      });
    }

    // One size a path; the order of the draws is that of the command for the same start.
    function drawn(one, what) {
      const size = one.sizes[what], by = what === "size" ? one.scale : 1;
      if (!size.table || by === 0) return new Float64Array(P).fill(size.value * by);
      const table = live.tables[size.table], ranks = live.ranks[size.ranks[one.start]];
      return Float64Array.from(ranks, (rank) => table[rank] * by);
    }

    const path = (i) => Math.floor(i / H);
    const towards = (before, goal, strength) =>
      make((i, t) => strength[t] >= 1 ? goal[i] : before[i] + strength[t] * (goal[i] - before[i]));
    const notBelowZero = (before, after) =>
      before.every((one) => one >= 0) ? after.map((one) => Math.max(one, 0)) : after;
    const given = (one) => live.ordinals.map((month) =>
      one.levels[Math.min(Math.max(month - one.start, 0), one.levels.length - 1)]);

    // --- What the target becomes

    function assumed(one, target, before) {
      const open = isAhead(target), strength = intensity(one).map((by, t) => open[t] ? by : 0);
      const size = drawn(one, "size");
      if (one.kind === "ban") {
        const residual = drawn(one, "residual");
        return make((i, t) => before[i] * (1 - strength[t] * size[path(i)] * (1 - residual[path(i)])));
      }
      if (one.kind === "scale") return make((i, t) => before[i] * (1 + strength[t] * size[path(i)]));
      if (one.kind === "shift") return notBelowZero(before, make((i, t) => before[i] + strength[t] * size[path(i)]));
      if (one.kind === "growth") return grown(one, target, before, strength, size);
      if (one.kind === "cap") {
        const most = one.per === "month" ? make((i) => size[path(i)]) : left(one, before, strength, size);
        return towards(before, make((i) => Math.min(before[i], most[i])), strength);
      }
      if (one.kind === "floor") return towards(before, make((i) => Math.max(before[i], size[path(i)])), strength);
      if (one.kind === "path") {
        const level = given(one);
        return towards(before, make((i, t) => level[t] * (1 + size[path(i)])), strength);
      }
      const normal = one.normal[target], gap = make((i, t) => normal[t] - before[i]), mean = means(gap);
      const goal = make((i, t) => before[i] + size[path(i)] * (gap[i] * mean[t] > 0 ? gap[i] : 0));
      return towards(before, notBelowZero(before, goal), strength);
    }

    function grown(one, target, before, strength, size) {
      const after = before.slice(), ago = one.ago[target];
      for (let t = 0; t < H; t++) {
        if (!(strength[t] > 0)) continue;
        for (let p = 0; p < P; p++) {
          const i = p * H + t, known = t >= 12 ? after[i - 12] : ago[t], goal = known * (1 + size[p]);
          after[i] = strength[t] >= 1 ? goal : before[i] + strength[t] * (goal - before[i]);
        }
      }
      return after;
    }

    // What is left of a quota in each month, first come first served.
    function left(one, before, strength, quota) {
      const span = { quarter: (m) => Math.floor(m / 3), fiscal_year: (m) => Math.floor((m - 3) / 12),
        year: (m) => Math.floor(m / 12) }[one.per];
      const found = new Float64Array(N).fill(Infinity);
      for (let p = 0; p < P; p++) {
        let used = 0;
        for (let t = 0; t < H; t++) {
          if (t && span(live.ordinals[t]) !== span(live.ordinals[t - 1])) used = 0;
          if (strength[t] > 0) {
            const i = p * H + t;
            found[i] = Math.max(quota[p] - used, 0);
            used += Math.min(before[i], found[i]);
          }
        }
      }
      return found;
    }

    const later = (cell, lag, first) => make((i, t) => t >= lag ? cell[i - lag] : first);

    function covariateFactor(one) {
      const strength = intensity(one), size = drawn(one, "size");
      if (one.kind === "scale") return make((i, t) => 1 + strength[t] * size[path(i)]);
      const now = make((i, t) => one.covariate[t]), level = one.kind === "path" ? given(one) : null;
      const goal = make((i, t) => level ? level[t] * (1 + size[path(i)]) : now[i] + size[path(i)]);
      const after = towards(now, goal, strength);
      return make((i) => after[i] / now[i]);
    }

    // --- How others follow

    function set(target, after) {
      const before = values(target);
      if (same(after, before)) return;
      const usual = means(values(target, old).map(Math.abs));
      const there = Array.from(before, (one, i) => Math.abs(one) > DUST * usual[i % H]);
      const factor = make((i) => there[i] ? after[i] / before[i] : 1);
      const formula = catalogue[target].formula;
      if (formula === "ratio") reprice(target, factor);
      else if (formula === "sum") shareOut(target, after, factor, there);
      else if (formula) add(target, make((i) => after[i] - before[i]), null);
      else {
        const moved = {};
        for (const one of relation(target).family) if (one in cells) moved[one] = make((i) => cells[one][i] * factor[i]);
        moved[target] = after;
        const partner = relation(target).partner;
        if (partner && !there.every(Boolean)) {
          const price = perUnit(partner, target), was = moved[partner];
          moved[partner] = make((i, t) => there[i] || after[i] === before[i] ? was[i] : after[i] * price[t]);
        }
        put(moved);
      }
    }

    function reprice(price, factor) {
      const value = catalogue[price].terms[0];
      if (value in cells) {
        const moved = {};
        for (const one of [value, ...relation(value).below]) moved[one] = make((i) => cells[one][i] * factor[i]);
        put(moved);
      } else {
        const whole = catalogue[value].terms[0], now = values(value);
        put({ [whole]: raised(whole, make((i) => now[i] * (factor[i] - 1))) });
      }
    }

    function shareOut(total, after, factor, there) {
      const terms = catalogue[total].terms;
      const usual = terms.map((one) => means(values(one, old)));
      const whole = Array.from({ length: H }, (_, t) => usual.reduce((sum, one) => sum + one[t], 0));
      const parts = terms.map((one) => values(one));
      const now = make((i) => parts.reduce((sum, one) => sum + one[i], 0));
      const by = make((i) => now[i] > 0 ? after[i] / now[i] : factor[i]);
      terms.forEach((one, k) => {
        const held = values(one), share = (t) => whole[t] > 0 ? usual[k][t] / whole[t] : 1 / terms.length;
        set(one, make((i, t) => there[i] ? held[i] * by[i] : share(t) * after[i]));
      });
      if (total in cells) cells[total] = published(total, after);
    }

    function add(series, change, worth) {
      const root = rootOf(series), moved = { [root]: raised(root, change) };
      const partner = relation(series).partner;
      if (partner) {
        const held = rootOf(partner), price = worth ? null : rate(partner, series);
        const by = worth || make((i) => (moved[root][i] - cells[root][i]) * price[i]);
        moved[held] = raised(held, by);
      }
      put(moved);
    }

    const rootOf = (series) => series in cells ? series : catalogue[series].terms[0];

    // A series with this added; it does not fall below its parts by it.
    function raised(series, change) {
      const now = cells[series];
      const groups = relation(series).fillings.map((group) => Object.entries(group));
      const least = make((i) => groups.reduce((most, group) =>
        Math.max(most, group.reduce((sum, [one, by]) => sum + cells[one][i] * by, 0)), groups.length ? -Infinity : 0));
      return make((i) => Math.max(now[i] + change[i], Math.min(least[i], now[i])));
    }

    function put(given) {
      const moved = {};
      for (const [one, after] of Object.entries(given)) {
        const told = published(one, after);
        if (!same(told, cells[one])) moved[one] = told;
      }
      const names = Object.keys(moved), above = (one) => relation(one).above;
      const wholes = new Set(names.flatMap((one) => Object.keys(above(one)).filter((upper) => !(upper in moved))));
      for (const whole of wholes) {
        const inside = names.filter((one) => whole in above(one));
        const top = inside.filter((one) => !inside.some((other) => other in above(one)));
        const before = cells[whole], parts = top.map((one) => [moved[one], cells[one], above(one)[whole]]);
        const after = make((i) => {
          const sum = before[i] + parts.reduce((all, [now, was, by]) => all + (now[i] - was[i]) * by, 0);
          return sum < 0 && before[i] >= 0 ? 0 : sum;
        });
        cells[whole] = published(whole, after);
      }
      Object.assign(cells, moved);
    }

    function send(one, way, target, lost) {
      const share = drawn(one, "reroute " + way.to), late = later(lost, way.lag, 0);
      const goes = make((i) => late[i] * share[path(i)] * way.conversion[target]);
      if (!goes.some((cell) => cell !== 0)) return;
      let worth = null;
      if (way.at_origin) {
        const partner = relation(target).partner, price = partner ? rate(partner, target, old) : new Float64Array(N);
        const dear = later(make((i) => lost[i] * price[i]), way.lag, 0);
        worth = make((i) => dear[i] * share[path(i)]);
      }
      add(way.to, goes, worth);
    }

    function act(one) {
      if (one.pass_through.length) {
        const moves = one.pass_through.flatMap((through) => {
          const late = later(covariateFactor(one), through.lag, 1);
          const power = drawn(one, "elasticity " + through.target);
          const factor = make((i) => Math.pow(late[i], power[path(i)]));
          return through.targets.map((target) => [target, factor]);
        });
        for (const [target, factor] of moves) {
          const now = values(target);
          set(target, make((i) => now[i] * factor[i]));
        }
        return;
      }
      for (const target of one.targets) {
        const before = values(target);
        set(target, assumed(one, target, before));
        const now = values(target), lost = make((i) => before[i] - now[i]);
        for (const way of one.reroute) send(one, way, target, lost);
      }
    }

    return { act, cells, values };
  }

  // Paths of every series after these assumptions, acting one after another.
  function impose(live, base, assumptions) {
    const made = desk(live, base);
    assumptions.forEach(made.act);
    return made.cells;
  }

  // --- Totals

  // Totals of a stored series over a span, as one number a path; months before the horizon are what was published.
  function added(live, cells, series, span) {
    const P = live.paths, H = live.months, past = live.past[series], sums = new Float64Array(P);
    const known = past.length;
    for (let p = 0; p < P; p++) {
      let sum = 0;
      for (let m = span.start; m < span.stop; m++) sum += m < known ? past[m] : cells[series][p * H + m - known];
      sums[p] = sum;
    }
    return sums;
  }

  // Totals (one a path) of a shown series, which may be computed from others.
  function total(live, cells, series, span) {
    if (series in live.past) return added(live, cells, series, span);
    const entry = live.catalogue[series];
    const terms = entry.formula === "rest" ? [...entry.terms, ...entry.children] : entry.terms;
    const [first, ...others] = terms.map((one) => total(live, cells, one, span));
    if (entry.formula === "sum") return first.map((one, p) => others.reduce((sum, other) => sum + other[p], one));
    if (entry.formula === "difference") return first.map((one, p) => one - others[0][p] * entry.second);
    if (entry.formula === "ratio") {
      return first.map((one, p) => one !== 0 && others[0][p] !== 0 ? one / others[0][p] : NaN);
    }
    return first.map((one, p) => Math.max(one - others.reduce((sum, other) => sum + other[p], 0), 0));
  }

  // Quantiles with linear interpolation between paths, of those that are known.
  function quantiles(paths, levels) {
    const known = paths.filter((one) => !Number.isNaN(one)).sort();
    return levels.map((q) => {
      const at = q * (known.length - 1), low = Math.floor(at), high = Math.min(low + 1, known.length - 1);
      return known.length ? known[low] + (known[high] - known[low]) * (at - low) : NaN;
    });
  }

  function load(packed) {
    const live = Object.assign({}, packed, { ranks: {}, tables: {} });
    for (const [name, text] of Object.entries(packed.ranks)) live.ranks[name] = new Uint16Array(decode(text));
    for (const [name, text] of Object.entries(packed.tables)) live.tables[name] = new Float32Array(decode(text));
    const base = {};
    live.grain = {};
    for (const [name, one] of Object.entries(packed.cells)) {
      base[name] = unpack(one, live.paths, live.months);
      live.grain[name] = one.low.map((low, t) => (one.high[t] - low) / 65535);
    }
    return { live, base };
  }

  return { load, impose, total, quantiles };
})();
