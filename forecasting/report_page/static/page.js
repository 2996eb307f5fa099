"use strict";
// The page itself: charts drawn to the width there is, tables copied and saved, and the live controls of scenarios.

(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const make = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key === "text") made.textContent = value;
      else if (value === true) made.setAttribute(key, "");
      else if (value !== false && value !== null) made.setAttribute(key, value);
    }
    made.append(...children.filter((one) => one !== null));
    return made;
  };
  const button = (words, label, act) => {
    const made = make("button", { type: "button", text: words, "aria-label": label });
    made.addEventListener("click", () => act(made));
    return made;
  };

  // --- Tables

  function csv(table) {
    const cell = (one) => {
      const text = one.dataset.v !== undefined ? one.dataset.v : one.textContent;
      const safe = one.dataset.v === undefined && /^[=+\-@\t\r]/.test(text) ? "'" + text : text;
      return /[",\n\r]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
    };
    // An interval is one cell to the eye and two columns to a spreadsheet.
    const pairs = [...table.rows[0].cells].map((_, at) => [...table.tBodies[0].rows].some((row) => row.cells[at].dataset.w));
    const ends = (one, at) => !pairs[at] ? [cell(one)] : one.tagName === "TH"
      ? [`${cell(one)} from`, `${cell(one)} to`] : [one.dataset.v ?? "", one.dataset.w ?? ""];
    return [...table.rows].map((row) => [...row.cells].flatMap(ends).join(",") + "\n").join("");
  }

  async function copy(table, pressed) {
    const text = csv(table);
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = make("textarea", { "aria-hidden": "true" });
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    pressed.textContent = "Copied";
    setTimeout(() => { pressed.textContent = "Copy"; }, 1500);
  }

  for (const holder of document.querySelectorAll(".table")) {
    const table = holder.querySelector("table"), what = table.caption.textContent;
    const name = holder.dataset.name;
    holder.append(make("p", { class: "tools" },
      button("Copy", `Copy the table: ${what}`, (pressed) => copy(table, pressed)),
      button("CSV", `Save the table as CSV: ${what}`, () =>
        Charts.save(new Blob(["\ufeff", csv(table)], { type: "text/csv" }), `${name}.csv`))));
  }

  // --- Charts

  const specs = read("charts"), charts = [...document.querySelectorAll(".plot")];
  function ready(holder, spec) {
    holder.spec = spec;
    const figure = holder.parentElement;
    if (!figure.querySelector(".tools.saving")) {
      figure.querySelector(".readout").after(make("p", { class: "tools saving" },
        button("SVG", `Save the chart as SVG: ${spec.title}`, () => Charts.saveSvg(holder)),
        button("PNG", `Save the chart as PNG: ${spec.title}`, () => Charts.savePng(holder))));
    }
    Charts.draw(holder);
  }
  const seen = new IntersectionObserver((entries) => {
    for (const one of entries) if (one.isIntersecting && !one.target.spec && specs[one.target.id]) {
      seen.unobserve(one.target);
      ready(one.target, specs[one.target.id]);
    }
  }, { rootMargin: "800px" });
  charts.forEach((one) => seen.observe(one));
  const drawAll = () => charts.forEach((one) => {
    if (one.spec) Charts.draw(one); else if (specs[one.id]) ready(one, specs[one.id]);
  });
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    charts.forEach((one) => { if (one.spec) Charts.draw(one); });
  });
  window.addEventListener("beforeprint", drawAll);
  window.matchMedia("print").addEventListener("change", drawAll);

  // --- Scenarios

  const place = document.getElementById("live");
  if (!place) return;
  const QUANTILES = [0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975];
  let packed = null, live, base, spread;

  function unpacked() {
    if (!packed) {
      packed = read("live-data");
      ({ live, base } = Impose.load(packed));
      spread = {};
    }
    return packed;
  }

  const state = { scenario: 0, series: null, settings: {} };
  const chosen = () => live.scenarios[state.scenario];
  const settings = () => state.settings[state.scenario] ||= chosen().assumptions.map((one) => (
    { on: true, scale: 1, start: one.start, ramp: one.ramp }));

  const percent = (one) => `${Charts.plain(Math.round(1000 * one) / 10, Math.abs(Math.round(1000 * one) % 10) ? 1 : 0)} %`;

  // The size of an assumption in words: its middle, and the range it is drawn from.
  function sizeWords(one, scale) {
    const [low, middle, high] = one.range.map((value) => value * scale);
    const word = (value) => one.relative ? percent(value) : `${Charts.plain(value, Math.abs(value) < 100 ? 2 : 0)} ${one.unit}`;
    return low === high ? word(middle) : `${word(middle)} (${word(low)} to ${word(high)})`;
  }

  function slider(label, values, at, words, changed) {
    const output = make("output", { text: words(at) });
    const input = make("input", { type: "range", min: values[0], max: values[1], step: 1, value: at, "aria-valuetext": words(at) });
    input.addEventListener("input", () => {
      output.textContent = words(Number(input.value));
      input.setAttribute("aria-valuetext", output.textContent);
      changed(Number(input.value));
    });
    return make("label", {}, make("span", { text: label }), input, output);
  }

  function controls() {
    const holder = document.getElementById("live-controls");
    holder.textContent = "";
    const one = chosen();
    document.getElementById("live-words").textContent = one.why_not || one.description;
    one.assumptions.forEach((assumption, at) => {
      const now = settings()[at];
      const on = make("input", { type: "checkbox", checked: now.on });
      on.addEventListener("change", () => { now.on = on.checked; refresh(); });
      const start = make("select", {}, ...assumption.starts.map((month) =>
        make("option", { value: month, selected: month === now.start, text: Charts.monthWords(month) })));
      start.addEventListener("change", () => { now.start = Number(start.value); refresh(); });
      holder.append(make("fieldset", {},
        make("legend", {}, make("label", { class: "switch" }, on, make("span", { text: assumption.label }))),
        make("p", { class: "about", text: assumption.words }),
        assumption.most > 0 ? slider("Size", [0, Math.round(100 * assumption.most)], Math.round(100 * now.scale),
          (value) => sizeWords(assumption, value / 100), (value) => { now.scale = value / 100; refresh(); }) : null,
        make("label", {}, make("span", { text: "Start" }), start),
        slider("Ramp", [0, assumption.most_ramp], now.ramp, (value) => value ? `${value} month${value > 1 ? "s" : ""}` : "at once",
          (value) => { now.ramp = value; refresh(); })));
    });
    if (one.assumptions.length) {
      holder.append(make("p", { class: "tools" }, button("Back to the file's sizes", "Back to the sizes of the scenario's file", () => {
        delete state.settings[state.scenario];
        controls();
        refresh();
      })));
    }
  }

  // Quantiles of a shown series over every period of a kind, in its readable unit.
  function baseline(series, span) {
    const key = `${series} ${span.kind} ${span.label}`;
    return spread[key] ||= Impose.total(live, base, series, span);
  }

  function moved(cells, series) {
    return live.spans.some((span) => span.kind === "month" && Impose.total(live, cells, series, span)
      .some((one, p) => Math.abs(one - baseline(series, span)[p]) > 1e-9 * Math.abs(baseline(series, span)[p])));
  }

  const digits = (value) => Number.isFinite(value) ? String(Number(value.toPrecision(10))) : null;
  const cell = (text, value, other) => make("td", { class: "n", text, "data-v": digits(value),
    "data-w": other === undefined ? null : digits(other) });

  // A small difference of large numbers is written to three digits.
  const finer = (gap, decimals) => gap ? Math.min(Math.max(decimals, 2 - Math.floor(Math.log10(Math.abs(gap)))), decimals + 2) : decimals;

  function rows(cells, shown) {
    const made = [];
    for (const one of shown) for (const span of live.spans) {
      if (span.kind === "month" || !one.periods[span.kind].includes(span.label)) continue;
      const [factor, , decimals] = one.scales[span.kind], was = baseline(one.id, span);
      const now = Impose.total(live, cells, one.id, span), gap = now.map((value, p) => value - was[p]);
      const [before, after, by] = [was, now, gap].map((paths) => Impose.quantiles(paths, [0.1, 0.5, 0.9]));
      if (by.every((value) => Math.abs(value) <= 1e-9 * Math.abs(before[1]))) continue;
      const say = (value) => Charts.plain(value * factor, decimals);
      const gain = (value) => (value * factor > 0 ? "+" : "") + Charts.plain(value * factor, finer(by[1] * factor, decimals));
      const relative = before[1] ? 100 * by[1] / before[1] : NaN;
      made.push(make("tr", { "data-series": one.id, "data-period": span.label },
        make("th", { scope: "row", text: one.title }), make("td", { text: span.words }), make("td", { text: one.scales[span.kind][1] }),
        cell(say(before[1]), before[1]), cell(say(after[1]), after[1]),
        cell(`${say(after[0])} to ${say(after[2])}`, after[0], after[2]), cell(gain(by[1]), by[1]),
        cell(`${gain(by[0])} to ${gain(by[2])}`, by[0], by[2]),
        cell((relative > 0 ? "+" : "") + Charts.plain(relative, 1) + (Number.isFinite(relative) ? " %" : ""), relative)));
    }
    return made;
  }

  function fan(cells, series) {
    const one = live.shown.find((of) => of.id === series), [factor, unit] = one.scales.month;
    const months = live.spans.filter((span) => span.kind === "month" && one.periods.month.includes(span.label));
    const at = (span) => live.ordinals[span.start - live.past_months];
    const of = (from) => months.map((span) => [at(span), ...Impose.quantiles(Impose.total(live, from, series, span), QUANTILES).map((q) => q * factor)]);
    const was = of(base), now = of(cells), pick = (table, ...columns) => table.map((row) => [row[0], ...columns.map((q) => row[q + 1])]);
    const history = specs[`card-${live.shown.indexOf(one)}`].lines[0].points.slice(-24);
    const end = history.length ? history[history.length - 1] : null, join = (points) => end ? [end, ...points] : points;
    return {
      title: `${one.title}: baseline and “${chosen().name}”`, x: "month", unit, cut: months.length ? at(months[0]) - 1 : undefined,
      bands: [{ name: "baseline 80 %", cls: "c0 f80", points: pick(was, 1, 5) }, { name: "scenario 80 %", cls: "c1 f80", points: pick(now, 1, 5) }],
      lines: [{ name: "published", cls: "ink", points: history }, { name: "baseline median", cls: "c0 dash", points: join(pick(was, 3)) },
        { name: "scenario median", cls: "c1", points: join(pick(now, 3)) }],
    };
  }

  function refresh() {
    cancelAnimationFrame(refresh.asked);
    refresh.asked = requestAnimationFrame(compute);
  }

  function compute() {
    const acting = chosen().assumptions.map((one, at) => Object.assign({}, one, settings()[at])).filter((one) => one.on);
    const cells = Impose.impose(live, base, acting), shown = live.shown.filter((one) => moved(cells, one.id));
    const choice = document.getElementById("live-series");
    if (!shown.some((one) => one.id === state.series)) state.series = (shown[0] || live.shown[0]).id;
    choice.replaceChildren(...(shown.length ? shown : live.shown).map((one) =>
      make("option", { value: one.id, selected: one.id === state.series, text: one.title })));
    choice.value = state.series;
    document.querySelector("#live-table tbody").replaceChildren(...rows(cells, shown));
    document.getElementById("live-none").hidden = shown.length > 0;
    const holder = document.getElementById("live-chart"), spec = fan(cells, state.series);
    document.getElementById("live-chart-title").textContent = spec.title;
    ready(holder, spec);
    place.dataset.computed = String(Number(place.dataset.computed || 0) + 1);
  }

  function start() {
    unpacked();
    const picker = document.getElementById("live-picker");
    live.scenarios.forEach((one, at) => {
      const input = make("input", { type: "radio", name: "scenario", value: at, checked: at === 0 });
      input.addEventListener("change", () => { state.scenario = at; controls(); refresh(); });
      picker.append(make("label", { class: "pick" }, input, make("span", { text: one.name })));
    });
    document.getElementById("live-series").addEventListener("change", (event) => { state.series = event.target.value; refresh(); });
    place.hidden = false;
    controls();
    compute();
  }

  // After the first paint: reading the paths must not hold it up.
  requestAnimationFrame(() => setTimeout(start, 0));
})();
