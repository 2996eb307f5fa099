"use strict";
// Charts as SVG, drawn from a few lists of points. No library: those that could be embedded set styles inline, which
// the page's content-security policy forbids, or weigh as much as the whole page may.

const Charts = (() => {
  const SPACE = "http://www.w3.org/2000/svg";
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

  function node(name, attributes, parent, text) {
    const made = document.createElementNS(SPACE, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    if (parent) parent.appendChild(made);
    return made;
  }

  const monthWords = (ordinal) => `${MONTHS[ordinal % 12]} ${1970 + Math.floor(ordinal / 12)}`;

  function plain(value, decimals) {
    if (value === null || !Number.isFinite(value)) return "–";
    const fixed = Math.abs(value).toFixed(decimals), [whole, part] = fixed.split(".");
    const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",") + (part ? "." + part : "");
    return (value < 0 && Number(fixed) !== 0 ? "−" : "") + grouped;
  }

  function ticks(low, high, many) {
    const rough = (high - low) / many || 1, power = Math.pow(10, Math.floor(Math.log10(rough)));
    const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= rough * 0.999);
    const found = [];
    for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-6; at++) found.push(at * step);
    const decimals = Math.max(0, Math.min(6, -Math.floor(Math.log10(step) + 1e-9) + (/^2\.5/.test((step / power).toString()) ? 1 : 0)));
    return { found, decimals };
  }

  const points = (spec) => [...(spec.lines || []), ...(spec.dots || []), ...(spec.bars || [])].flatMap((one) => one.points)
    .concat([...(spec.bands || []), ...(spec.whiskers || [])].flatMap((one) => one.points));

  function limits(spec) {
    const all = points(spec), lined = [...(spec.lines || []), ...(spec.dots || []), ...(spec.bars || [])];
    const solid = lined.flatMap((one) => one.points.map((at) => at[1])).filter((one) => one !== null);
    const values = all.flatMap((one) => one.slice(1)).filter((one) => one !== null && Number.isFinite(one));
    let low = Math.min(...values), high = Math.max(...values);
    if (solid.length && (spec.bands || []).length) {
      // A fan of many times the history would press it flat.
      const reach = 1.5 * (Math.max(...solid) - Math.min(Math.min(...solid), 0) || 1);
      low = Math.max(low, Math.min(...solid) - reach); high = Math.min(high, Math.max(...solid) + reach);
    }
    if (spec.least !== undefined) low = Math.min(low, spec.least);
    if (spec.most !== undefined) high = Math.max(high, spec.most);
    if (low >= 0 && low < 0.6 * high) low = 0;
    const room = 0.05 * (high - low || Math.abs(high) || 1);
    return [low === 0 ? 0 : low - room, high + room];
  }

  function shape(kind, x, y, parent, cls) {
    const r = 3.2;
    if (kind === "square") return node("rect", { x: x - r, y: y - r, width: 2 * r, height: 2 * r, class: cls }, parent);
    if (kind === "diamond") return node("path", { d: `M${x} ${y - 4}L${x + 4} ${y}L${x} ${y + 4}L${x - 4} ${y}Z`, class: cls }, parent);
    if (kind === "triangle") return node("path", { d: `M${x} ${y - 4}L${x + 4} ${y + 3.4}L${x - 4} ${y + 3.4}Z`, class: cls }, parent);
    return node("circle", { cx: x, cy: y, r, class: cls }, parent);
  }

  // Legend above the plot: as many names a line as fit; returns how high it is.
  function legend(svg, spec, width) {
    const entries = [
      ...(spec.bars || []).map((one) => ["box", one]), ...(spec.lines || []).map((one) => ["line", one]),
      ...(spec.dots || []).map((one) => ["dot", one]), ...(spec.bands || []).map((one) => ["box", one]),
      ...(spec.whiskers || []).map((one) => ["whisker", one]),
    ].filter(([, one]) => one.name);
    let x = 0, y = 10;
    for (const [kind, one] of entries) {
      const wide = 30 + 6.4 * one.name.length;
      if (x && x + wide > width) { x = 0; y += 17; }
      if (kind === "line") node("line", { x1: x, x2: x + 18, y1: y, y2: y, class: "line " + one.cls }, svg);
      else if (kind === "whisker") node("line", { x1: x + 9, x2: x + 9, y1: y - 6, y2: y + 6, class: "whisker " + one.cls }, svg);
      else if (kind === "dot") shape(one.shape, x + 9, y, svg, "mark " + one.cls);
      else node("rect", { x, y: y - 5, width: 18, height: 10, class: "area " + one.cls }, svg);
      node("text", { x: x + 23, y: y + 4, class: "label" }, svg, one.name);
      x += wide;
    }
    return entries.length ? y + 12 : 0;
  }

  function axisX(svg, spec, x, box, low, high) {
    const text = (at, words, anchor = "middle") =>
      node("text", { x: at, y: box.bottom + 16, class: "tick", "text-anchor": anchor }, svg, words);
    if (spec.x === "month") {
      const months = high - low, wide = box.right - box.left;
      if (months <= 26) {
        const every = Math.max(3, 3 * Math.ceil(months / 3 * 58 / wide));
        for (let m = Math.ceil(low / 3) * 3; m <= high; m += every) {
          node("line", { x1: x(m), x2: x(m), y1: box.bottom, y2: box.bottom + 4, class: "axis" }, svg);
          text(x(m), monthWords(m));
        }
        return;
      }
      const every = Math.max(1, Math.ceil(months / 12 * 40 / wide));
      for (let year = Math.ceil(low / 12); year * 12 <= high; year++) {
        if (year % every) continue;
        node("line", { x1: x(year * 12), x2: x(year * 12), y1: box.bottom, y2: box.bottom + 4, class: "axis" }, svg);
        text(x(year * 12), String(1970 + year));
      }
      return;
    }
    const labels = spec.labels || [], every = Math.max(1, Math.ceil(labels.length * 7.5 * Math.max(...labels.map((one) => one.length)) / (box.right - box.left)));
    labels.forEach((one, at) => { if (at % every === 0) text(x(at), one); });
  }

  function draw(holder) {
    const spec = holder.spec, width = Math.max(holder.clientWidth || 640, 260), height = spec.height || (width < 480 ? 250 : 290);
    holder.textContent = "";
    if (spec.type === "ranges") return drawRanges(holder, spec, width);
    const svg = node("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", tabindex: "0",
      "aria-label": `${spec.title}. ${holder.dataset.summary || ""}`, class: "svg" }, holder);
    const top = legend(svg, spec, width) + 20, [bottom, most] = limits(spec), axis = ticks(bottom, most, 5);
    const left = 10 + 6.6 * Math.max(...axis.found.map((one) => plain(one, axis.decimals).length));
    const box = { left, right: width - 10, top, bottom: height - 24 };
    const all = points(spec).map((one) => one[0]), pad = spec.x === "month" ? 0.8 : 0.5;
    const first = Math.min(...all) - pad, last = Math.max(...all) + pad;
    const x = (at) => box.left + (at - first) / (last - first) * (box.right - box.left);
    const y = (value) => box.bottom - (value - bottom) / (most - bottom) * (box.bottom - box.top);
    node("text", { x: 0, y: top - 8, class: "tick" }, svg, spec.unit || "");
    for (const one of axis.found) {
      node("line", { x1: box.left, x2: box.right, y1: y(one), y2: y(one), class: Math.abs(one) < 1e-9 ? "axis" : "grid" }, svg);
      node("text", { x: box.left - 5, y: y(one) + 4, class: "tick", "text-anchor": "end" }, svg, plain(one, axis.decimals));
    }
    const clip = `${holder.id}-clip`;
    node("rect", { x: box.left, y: box.top - 6, width: box.right - box.left, height: box.bottom - box.top + 6 }, node("clipPath", { id: clip }, svg));
    const inside = node("g", { "clip-path": `url(#${clip})` }, svg);
    axisX(svg, spec, x, box, first, last);
    for (const one of spec.bars || []) for (const [at, value] of one.points) {
      const half = (x(1) - x(0)) * 0.42;
      node("rect", { x: x(at) - half, width: 2 * half, y: Math.min(y(value), y(0)), height: Math.abs(y(0) - y(value)), class: "area " + one.cls }, inside);
    }
    for (const one of spec.bands || []) {
      const up = one.points.map(([at, , high]) => `${x(at)} ${y(high)}`), down = one.points.slice().reverse().map(([at, low]) => `${x(at)} ${y(low)}`);
      node("path", { d: `M${up.join("L")}L${down.join("L")}Z`, class: "area " + one.cls }, inside);
    }
    if (spec.cut !== undefined) node("line", { x1: x(spec.cut + 0.5), x2: x(spec.cut + 0.5), y1: box.top, y2: box.bottom, class: "cut" }, inside);
    for (const one of spec.whiskers || []) for (const [at, low, high] of one.points) {
      const place = x(at) + (one.shift || 0);
      node("path", { d: `M${place} ${y(low)}V${y(high)}M${place - 3} ${y(low)}H${place + 3}M${place - 3} ${y(high)}H${place + 3}`, class: "whisker " + one.cls }, inside);
    }
    for (const one of spec.lines || []) {
      let path = "", pen = false;
      for (const [at, value] of one.points) {
        if (value === null) { pen = false; continue; }
        path += `${pen ? "L" : "M"}${x(at)} ${y(value)}`;
        pen = true;
      }
      node("path", { d: path, class: "line " + one.cls }, inside);
    }
    for (const one of spec.dots || []) for (const [at, value] of one.points) if (value !== null) shape(one.shape, x(at) + (one.shift || 0), y(value), inside, "mark " + one.cls);
    reading(svg, holder, spec, x, box, axis.decimals + 1);
  }

  // What the chart says at one place: under the pointer, or with the arrow keys.
  function reading(svg, holder, spec, x, box, decimals) {
    const places = [...new Set(points(spec).map((one) => one[0]))].sort((a, b) => a - b), said = holder.parentElement.querySelector(".readout");
    const line = node("line", { y1: box.top, y2: box.bottom, class: "cursor", visibility: "hidden" }, svg);
    let at = -1;
    const show = (index) => {
      at = Math.min(Math.max(index, 0), places.length - 1);
      const place = places[at], words = [];
      line.setAttribute("x1", x(place)); line.setAttribute("x2", x(place)); line.setAttribute("visibility", "visible");
      for (const one of [...(spec.lines || []), ...(spec.dots || []), ...(spec.bars || [])]) {
        const found = one.name && one.points.find((p) => p[0] === place);
        if (found && found[1] !== null) words.push(`${one.name} ${plain(found[1], decimals)}`);
      }
      for (const one of [...(spec.bands || []), ...(spec.whiskers || [])]) {
        const found = one.name && one.points.find((p) => p[0] === place);
        if (found) words.push(`${one.name} ${plain(found[1], decimals)} to ${plain(found[2], decimals)}`);
      }
      said.textContent = `${spec.x === "month" ? monthWords(place) : (spec.labels || [])[place] || place}: ${words.join("; ")}`;
    };
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      show(at < 0 ? (step > 0 ? 0 : places.length - 1) : at + step);
    });
    svg.addEventListener("pointermove", (event) => {
      const mouse = (event.clientX - svg.getBoundingClientRect().left) * (svg.viewBox.baseVal.width / svg.clientWidth);
      let best = 0;
      places.forEach((place, index) => { if (Math.abs(x(place) - mouse) < Math.abs(x(places[best]) - mouse)) best = index; });
      if (best !== at) show(best);
    });
  }

  // One row a name: an interval and its middle on a common scale; names at the left where there is room, else above.
  function drawRanges(holder, spec, width) {
    const beside = width >= 700, step = beside ? 26 : 40, top = 26, height = top + step * spec.rows.length + 26;
    const svg = node("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", tabindex: "0",
      "aria-label": `${spec.title}. ${holder.dataset.summary || ""}`, class: "svg" }, holder);
    const longest = Math.max(...spec.rows.map((one) => one.name.length));
    const left = beside ? Math.min(6.5 * longest + 24, 0.45 * width) : 12;
    const values = spec.rows.flatMap((one) => [one.low, one.high]).filter((one) => one !== null);
    const low = Math.min(0, ...values), high = Math.max(0, ...values), axis = ticks(low, high, width < 480 ? 4 : 8);
    const x = (value) => left + (value - low) / (high - low || 1) * (width - left - 14);
    for (const one of axis.found) {
      const cls = Math.abs(one) < 1e-9 ? "axis strong" : "grid";
      node("line", { x1: x(one), x2: x(one), y1: top - 6, y2: height - 22, class: cls }, svg);
      node("text", { x: x(one), y: height - 6, class: "tick", "text-anchor": "middle" }, svg, plain(one, axis.decimals));
    }
    node("text", { x: beside ? left : 0, y: 12, class: "tick" }, svg, spec.unit);
    const fit = Math.floor((beside ? left - 16 : width - 8) / 6.5);
    spec.rows.forEach((one, at) => {
      const y = top + at * step + 12, middle = beside ? y - 4 : y + 12;
      const words = one.name.length > fit ? one.name.slice(0, fit - 1) + "…" : one.name;
      node("text", { x: 2, y, class: "label halo" }, svg, words);
      node("line", { x1: x(one.low), x2: x(one.high), y1: middle, y2: middle, class: "range" }, svg);
      node("circle", { cx: x(one.middle), cy: middle, r: 5, class: "mark full" }, svg);
    });
    const said = holder.parentElement.querySelector(".readout");
    let at = -1;
    const show = (index) => {
      at = Math.min(Math.max(index, 0), spec.rows.length - 1);
      const one = spec.rows[at];
      said.textContent = `${one.name}: ${plain(one.middle, 1)} (${plain(one.low, 1)} to ${plain(one.high, 1)}) ${spec.unit}`;
    };
    svg.addEventListener("keydown", (event) => {
      const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (by) { event.preventDefault(); show(at + by); }
    });
    svg.addEventListener("pointermove", (event) =>
      show(Math.floor(((event.clientY - svg.getBoundingClientRect().top) * (height / svg.clientHeight) - top) / step)));
  }

  // --- Saving

  const KEPT = ["fill", "stroke", "stroke-width", "stroke-dasharray", "fill-opacity", "opacity", "font-family", "font-size", "font-weight", "paint-order", "stroke-linejoin"];

  function standalone(holder) {
    const svg = holder.querySelector("svg"), copy = svg.cloneNode(true), title = holder.spec.title;
    const from = svg.querySelectorAll("*"), to = copy.querySelectorAll("*");
    from.forEach((one, at) => {
      const style = getComputedStyle(one);
      for (const key of KEPT) to[at].setAttribute(key, style.getPropertyValue(key));
      to[at].removeAttribute("class");
    });
    const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number), head = 26, paper = getComputedStyle(document.documentElement);
    for (const name of ["class", "tabindex"]) copy.removeAttribute(name);
    copy.setAttribute("xmlns", SPACE);
    copy.setAttribute("viewBox", `-12 ${-head} ${width + 24} ${height + head + 24}`);
    copy.setAttribute("width", width + 24); copy.setAttribute("height", height + head + 24);
    const ground = document.createElementNS(SPACE, "rect");
    for (const [key, value] of Object.entries({ x: -12, y: -head, width: width + 24, height: height + head + 24, fill: paper.getPropertyValue("--paper").trim() })) ground.setAttribute(key, value);
    copy.insertBefore(ground, copy.firstChild);
    const words = { fill: paper.getPropertyValue("--ink").trim(), "font-family": "sans-serif" };
    node("text", { x: 0, y: -8, "font-size": 13, "font-weight": "bold", ...words }, copy, title);
    node("text", { x: 0, y: height + 14, "font-size": 10, ...words }, copy, document.body.dataset.source);
    return { text: new XMLSerializer().serializeToString(copy), width: width + 24, height: height + head + 24 };
  }

  function save(blob, name) {
    const link = document.createElement("a"), address = URL.createObjectURL(blob);
    link.href = address; link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  }

  const saveSvg = (holder) => save(new Blob([standalone(holder).text], { type: "image/svg+xml" }), `${holder.id}.svg`);

  function savePng(holder) {
    const { text, width, height } = standalone(holder), image = new Image();
    const address = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
    image.onload = () => {
      const canvas = document.createElement("canvas");
      canvas.width = 2 * width; canvas.height = 2 * height;
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      canvas.toBlob((blob) => save(blob, `${holder.id}.png`));
      URL.revokeObjectURL(address);
    };
    image.src = address;
  }

  return { draw, saveSvg, savePng, save, plain, monthWords };
})();
