"use strict";
// What the page shows is all in `data`; nothing is loaded from anywhere.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = id => document.getElementById(id), root = document.documentElement;
const layers = new Map(data.layers.map(layer => [layer.name, layer]));
const inputs = new Map(data.inputs.map(input => [input.name, input]));
const shapeOf = name => (layers.get(name) || inputs.get(name)).shape;
// Sequences, images and volumes: a size for each axis, and the channels.
const isSpatial = shape => shape.length > 1 && shape.length < 5 && shape.every(size => typeof size === "number");
const AXES = {1: ["positions"], 2: ["rows", "columns"], 3: ["planes", "rows", "columns"]};
// Which axes a picture shows, by how many there are: down and across; -1 is a strip, which has no down.
const VIEWS = {1: [[-1, 0]], 2: [[0, 1]], 3: [[1, 2], [-1, 0]]};
const state = {layer: null, at: [], sort: null, down: true, filter: ""};

// building -----------------------------------------------------------------------------------------------------

function make(space, tag, attributes, children) {
  const element = space ? document.createElementNS(space, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter(child => child !== null && child !== undefined));
  return element;
}
const h = (tag, attributes, ...children) => make(null, tag, attributes, children);
const s = (tag, attributes, ...children) => make("http://www.w3.org/2000/svg", tag, attributes, children);
const fill = (id, ...children) => byId(id).replaceChildren(...children.flat());

function short(value) {
  if (value === null || value === undefined) return "–";
  let unit = 0;
  while (Math.abs(value) >= 999.5 && unit < 4) { value /= 1000; unit++; }
  const plain = value === 0 || Math.abs(value) >= 1e-3 ? String(+value.toPrecision(4)) : value.toExponential(1);
  return (unit ? value.toPrecision(3) : plain) + ["", " k", " M", " G", " T"][unit];
}
function bytes(value) {
  if (value === null || value === undefined) return "–";
  let unit = 0;
  while (value >= 1023.5 && unit < 3) { value /= 1024; unit++; }
  return (unit ? value.toFixed(1) : value) + [" B", " KiB", " MiB", " GiB"][unit];
}
const full = value => value === null || value === undefined ? "–" : value.toLocaleString("en-US");
const pair = values => new Set(values).size === 1 ? String(values[0]) : values.join("×");
const fieldText = field => field ? pair(field.size) : "whole input";
const percent = value => value === null || value === undefined ? "–" : value === 0 ? "0" : value < 1e-4 ? value.toExponential(1) : (100 * value).toPrecision(3) + " %";
const accent = family => (data.accents[family] || data.accents.input)[isDark() ? 1 : 0];

function named(layer) {
  const cut = layer.name.lastIndexOf("/") + 1;
  return [h("span", {class: "dot", style: `--accent:${accent(layer.family)}`}),
    h("span", {class: "path", title: layer.name}, layer.name.slice(0, cut)), layer.name.slice(cut)];
}

// theme --------------------------------------------------------------------------------------------------------

function isDark() {
  return root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme:dark)").matches;
}
function switchTheme() {
  root.dataset.theme = isDark() ? "light" : "dark";
  for (const draw of [drawTable, drawGrowth, drawTraining, drawEconomy]) draw();
  drawDetail(layers.get(state.layer));
}

// summary ------------------------------------------------------------------------------------------------------

function drawSummary() {
  const totals = data.totals, fields = data.layers.filter(layer => layer.field);
  const largest = fields.reduce((best, layer) => Math.max(best, ...layer.field.size), 0);
  const fixed = totals.params - totals.trainable_params, trained = fixed ? `${full(fixed)} of them not trained` : "all trained";
  const tiles = [
    [full(totals.layers), "layers"],
    [short(totals.params), `parameters, ${trained}`],
    [bytes(4 * totals.params), "of weights, float32"],
    [short(totals.macs), "multiply-accumulates an example"],
    [bytes(totals.memory), "of activations an example"],
    [largest ? `${largest}` : "–", "pixels, the largest receptive field"],
  ];
  fill("tiles", tiles.map(([figure, words]) => h("div", {class: "tile"}, h("b", {}, figure), h("span", {}, words))));
  byId("headline").textContent = data.headline;
  const shown = [...document.querySelectorAll("main section:not([hidden])")];
  fill("nav", shown.map(section => h("a", {href: `#${section.id}`}, section.querySelector("h2").textContent)));
}

// the table of layers ------------------------------------------------------------------------------------------

const COLUMNS = [
  {name: "layer", cell: layer => named(layer), value: null},
  {name: "kind", cell: layer => layer.title, value: layer => layer.kind},
  {name: "shape", cell: layer => layer.shape.join("×"), value: null},
  {name: "receptive field", cell: layer => fieldText(layer.field), value: layer => layer.field ? Math.max(...layer.field.size) : 1e9},
  {name: "params", bar: true, cell: layer => layer.params ? full(layer.params) : "–", value: layer => layer.params},
  {name: "MACs", bar: true, cell: layer => layer.macs ? full(layer.macs) : "–", value: layer => layer.macs || 0},
  {name: "memory", bar: true, cell: layer => bytes(layer.memory), value: layer => layer.memory || 0},
];

function shownLayers() {
  const words = state.filter.toLowerCase();
  const found = data.layers.filter(layer => `${layer.name} ${layer.kind}`.toLowerCase().includes(words));
  const column = COLUMNS.find(each => each.name === state.sort);
  if (!column || !column.value) return found;
  const sign = state.down ? -1 : 1;
  return found.sort((a, b) => column.value(a) < column.value(b) ? -sign : column.value(a) > column.value(b) ? sign : 0);
}

function drawTable() {
  const largest = COLUMNS.map(column => column.bar ? Math.max(1, ...data.layers.map(column.value)) : 1);
  const head = COLUMNS.map(column => h("th", {
    class: (column.bar ? "number " : "") + (column.value || column.name === "layer" ? "sortable" : ""), scope: "col",
    onclick: () => { state.down = state.sort === column.name ? !state.down : true; state.sort = column.name; drawTable(); },
  }, column.name + (state.sort === column.name && column.value ? (state.down ? " ↓" : " ↑") : "")));
  const rows = shownLayers().map(layer => h("tr", {
    tabindex: layer.name === state.layer ? 0 : -1, "data-layer": layer.name, "aria-selected": layer.name === state.layer,
    onclick: () => select(layer.name), onfocus: () => layer.name !== state.layer && select(layer.name),
  }, COLUMNS.map((column, index) => h("td", column.bar
    ? {class: "number bar", style: `--part:${(100 * column.value(layer) / largest[index]).toFixed(1)}%`} : {}, column.cell(layer)))));
  const totals = data.totals;
  const foot = ["total", "", "", "", full(totals.params), full(totals.macs), bytes(totals.memory)];
  fill("table", h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows),
    h("tfoot", {}, h("tr", {}, foot.map((cell, index) => h("td", {class: index > 3 ? "number" : ""}, cell)))));
}

function step(by) {
  const names = shownLayers().map(layer => layer.name);
  const next = names[Math.min(names.length - 1, Math.max(0, names.indexOf(state.layer) + by))];
  if (next) {
    select(next);
    const row = document.querySelector(`tr[data-layer="${CSS.escape(next)}"]`);
    row.focus({preventScroll: true});
    row.scrollIntoView({block: "nearest"});
  }
}

// one layer ----------------------------------------------------------------------------------------------------

function select(name) {
  const layer = layers.get(name);
  if (!layer) return;
  state.layer = name;
  if (isSpatial(layer.shape)) state.at = layer.shape.slice(0, -1).map(size => size >> 1);
  document.querySelectorAll("#table tbody tr").forEach(row => {
    const chosen = row.dataset.layer === name;
    row.setAttribute("aria-selected", chosen);
    row.tabIndex = chosen ? 0 : -1;
  });
  document.querySelectorAll(".b").forEach(block => block.classList.toggle("chosen", block.dataset.name === layer.block));
  drawDetail(layer);
  drawField();
}

function drawDetail(layer) {
  const parts = [h("h3", {}, named(layer)), h("p", {}, `${layer.title} → ${layer.shape.join("×")}`)];
  const facts = [["reads", layer.inputs.join(", ")], ["written at", layer.place],
    ["receptive field", layer.field ? `${fieldText(layer.field)}, stride ${pair(layer.field.stride)}` : "whole input"]];
  if (layer.economy) {
    const e = layer.economy;
    facts.push(["sparse", `${short(e.connections)} connections, fully connected ${short(e.dense_connections)}: ${short(e.sparsity)} times fewer`]);
    facts.push(["shared", `${short(layer.params)} parameters, each used ${short(e.sharing)} times; fully connected ${short(e.dense_params)}`]);
  }
  if (layer.drift) {
    facts.push(["moves with the image", `error ${layer.drift.inside === null ? "not measurable" : percent(layer.drift.inside)} inside, ${percent(layer.drift.everywhere)} with borders, ` +
      `after ${layer.drift.shift} pixels; ${percent(layer.drift.one_pixel)} after one`]);
  }
  const table = (rows, cells) => h("table", {}, h("tbody", {}, rows.map(row => h("tr", {}, cells(row)))));
  parts.push(table(facts, ([name, text]) => [h("td", {class: "faint"}, name), h("td", {}, text)]));
  if (layer.trail.length) parts.push(h("h3", {}, "how it came to be"), h("ol", {}, layer.trail.map(each => h("li", {}, each))));
  if (layer.arguments.length) parts.push(h("h3", {}, "arguments, and where they come from"),
    table(layer.arguments, row => [h("td", {}, row[0]), h("td", {}, row[1]), h("td", {class: "faint"}, row[2])]));
  if (layer.variables.length) parts.push(h("h3", {}, "variables"),
    table(layer.variables, row => [h("td", {}, row[0]), h("td", {}, row[1]), h("td", {class: "faint"}, row[2] ? "" : "not trained")]));
  fill("detail", parts);
}

// what an output sees ------------------------------------------------------------------------------------------

const first = (reach, at) => Math.floor(at / reach[0]) * reach[1] + reach[2][((at % reach[0]) + reach[0]) % reach[0]];
const last = (reach, at) => Math.floor(at / reach[0]) * reach[1] + reach[3][((at % reach[0]) + reach[0]) % reach[0]];

function back(interval, reach, size) {
  if (interval[0] > interval[1]) return [0, -1];
  if (size === 1) return [0, 0];
  let low = Infinity, high = -Infinity;
  for (let at = interval[0]; at <= interval[1]; at++) { low = Math.min(low, first(reach, at)); high = Math.max(high, last(reach, at)); }
  return [Math.max(low, 0), Math.min(high, size - 1)];
}
const join = (a, b) => a[0] > a[1] ? b : b[0] > b[1] ? a : [Math.min(a[0], b[0]), Math.max(a[1], b[1])];

// Name -> what the output sees of that value along each axis; null: all of it. The same walk as graphc/report/seen.py.
function seen(name, at) {
  const regions = new Map([[name, at.map(place => [place, place])]]);
  for (const layer of [...data.layers].reverse()) {
    if (!regions.has(layer.name)) continue;
    const region = regions.get(layer.name);
    for (const source of layer.inputs) {
      const shape = shapeOf(source);
      if (!region || layer.reach === 0 || !isSpatial(shape) || shape.length !== region.length + 1) { regions.set(source, null); continue; }
      const before = region.map((each, axis) => back(each, layer.reach === 1 ? [1, 1, [0], [0]] : layer.reach[axis], shape[axis]));
      const known = regions.get(source);
      regions.set(source, !regions.has(source) ? before : known && before.map((each, axis) => join(known[axis], each)));
    }
  }
  return regions;
}

// The receptive field as the formula has it: also beyond the border.
function beyond(layer) {
  const field = layer.field;
  if (!field || !field.padding) return null;
  return state.at.map((place, axis) => {
    const start = place * field.stride[axis] - field.padding[axis];
    return [start, start + field.size[axis] - 1];
  });
}

// Two axes of a value with these sizes, drawn within `most`, a pixel no larger than `large`.
function sheetOf(sizes, view, most, large) {
  const [down, across] = view, height = down < 0 ? 1 : sizes[down], width = sizes[across];
  const x = Math.min(most / (down < 0 ? width : Math.max(height, width)), large), y = down < 0 ? Math.min(24, most) : x;
  return {down, across, height, width, x, y, whole: {width: width * x, height: height * y}};
}
function rectangle(region, sheet, kind) {
  const [top, bottom] = sheet.down < 0 ? [0, 0] : region[sheet.down], [left, right] = region[sheet.across];
  return s("rect", {class: kind, x: left * sheet.x, y: top * sheet.y,
    width: Math.max(0, right - left + 1) * sheet.x, height: Math.max(0, bottom - top + 1) * sheet.y});
}

function drawField() {
  const layer = layers.get(state.layer);
  const target = [...inputs.values()].find(input => isSpatial(input.shape));
  if (!layer || !target) { byId("field").hidden = !target; return; }
  const spatial = isSpatial(layer.shape), regions = spatial ? seen(layer.name, state.at) : new Map();
  const sizes = target.shape.slice(0, -1), names = AXES[sizes.length];
  const region = spatial ? (regions.has(target.name) ? regions.get(target.name) : sizes.map(() => [0, -1])) : null;
  const around = spatial && beyond(layer);
  fill("seen", VIEWS[sizes.length].map(view => {
    const sheet = sheetOf(sizes, view, 360, 12), {width, height} = sheet.whole;
    return s("svg", {viewBox: `-30 -30 ${width + 60} ${height + 60}`, width: width + 60, role: "img", "data-region": JSON.stringify(region)},
      data.image && sizes.length === 2 ? s("image", {href: data.image, width, height, preserveAspectRatio: "none"}) : lattice(sheet),
      s("rect", {class: "cell", width, height}), rectangle(region || sizes.map(size => [0, size - 1]), sheet, "region"),
      around && around.length === sizes.length ? rectangle(around, sheet, "beyond") : null);
  }));
  byId("seen-words").textContent = !region ? `${layer.name} sees the whole input`
    : `${names.map((name, axis) => `${name} ${region[axis].join("–")}`).join(", ")} of ${target.name} (${sizes.join("×")})`;
  drawOutput(layer, spatial);
  drawMaps(layer, regions, spatial);
}

function lattice({down, height, width, x, y}) {
  const gap = [1, 2, 4, 8, 16, 32, 64].find(each => each * x >= 9) || 64, lines = [];
  for (let at = gap; at < width && width / gap < 400; at += gap) lines.push(`M${at * x} 0V${height * y}`);
  for (let at = gap; down >= 0 && at < height; at += gap) lines.push(`M0 ${at * y}H${width * x}`);
  return s("path", {class: "cell", d: lines.join("")});
}

function drawOutput(layer, spatial) {
  if (!spatial) { fill("output"); byId("output-words").textContent = `${layer.name} has no places: ${layer.shape.join("×")}`; return; }
  const sizes = layer.shape.slice(0, -1);
  const put = (axis, place) => { if (axis >= 0) state.at[axis] = Math.min(sizes[axis] - 1, Math.max(0, place)); };
  fill("output", VIEWS[sizes.length].map((view, index) => {
    const sheet = sheetOf(sizes, view, 300, 26), {down, across, x, y} = sheet, {width, height} = sheet.whole;
    const redraw = () => { drawField(); byId("output").children[index].focus({preventScroll: true}); };
    const keys = {ArrowUp: [down, -1], ArrowDown: [down, 1], ArrowLeft: [across, -1], ArrowRight: [across, 1]};
    const drawn = s("svg", {viewBox: `0 0 ${width} ${height}`, width, tabindex: 0, role: "application", "aria-label": "outputs of the layer",
      onclick: event => {
        const box = drawn.getBoundingClientRect(), zoom = width / box.width;
        put(across, Math.floor((event.clientX - box.left) * zoom / x));
        put(down, Math.floor((event.clientY - box.top) * zoom / y));
        redraw();
      },
      onkeydown: event => {
        const move = keys[event.key];
        if (!move) return;
        event.preventDefault();
        event.stopPropagation();
        put(move[0], state.at[move[0]] + move[1]);
        redraw();
      }}, s("rect", {class: "cell", width, height}), lattice(sheet),
      s("rect", {class: "cell on", x: state.at[across] * x, y: down < 0 ? 0 : state.at[down] * y, width: Math.max(x, 2), height: Math.max(y, 2)}));
    return drawn;
  }));
  byId("output-words").textContent = `output (${state.at.join(", ")}) of ${layer.name}, ${layer.shape.join("×")}`;
}

function drawMaps(layer, regions, spatial) {
  if (!spatial) { fill("strip"); return; }
  const passed = data.layers.filter(each => regions.get(each.name) && isSpatial(each.shape) && each.name === each.block);
  fill("strip", passed.map(each => h("div", {class: "mini", title: `${each.name} ${each.shape.join("×")}`, onclick: () => select(each.name)},
    VIEWS[each.shape.length - 1].map(view => {
      const sheet = sheetOf(each.shape.slice(0, -1), view, 80, 80);
      return s("svg", sheet.whole, rectangle(regions.get(each.name), sheet, "region"));
    }), each.name.split("/").pop())));
}

// charts -------------------------------------------------------------------------------------------------------

function ticks(low, high, count) {
  const rough = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(rough));
  const gap = [1, 2, 5, 10].map(each => each * power).find(each => each >= rough), found = [];
  for (let at = Math.ceil(low / gap) * gap; at <= high + gap * 1e-9; at += gap) found.push(+at.toPrecision(12));
  return found;
}

const decades = (low, high) => high - low < 1.5 ? ticks(low, high, 3) : ticks(Math.ceil(low), Math.floor(high), 4).filter(Number.isInteger);

// series: [{name, colour, points: [[x, y, words, layer]]}]; limits: [[y, words]].
function chart(title, series, {limits = [], log = false, dots = false, wide = false, xLabel = ""} = {}) {
  if (log) series = series.map(each => ({...each, points: each.points.filter(point => point[1] > 0)}));
  const points = series.flatMap(each => each.points);
  if (!points.length) return null;
  const width = wide ? 1100 : 420, legend = series.length > 1 ? 14 * Math.ceil(series.length / 2) : 0;
  const left = 58, right = 14, top = 28 + legend, bottom = 34, height = top + bottom + (wide ? 200 : 170);
  const scaleY = log ? value => Math.log10(value) : value => value;
  const xs = points.map(point => point[0]), ys = [...points.map(point => point[1]), ...limits.map(limit => limit[0])].map(scaleY);
  const [x0, x1] = [Math.min(...xs), Math.max(...xs)], y0 = log ? Math.min(...ys) : Math.min(0, ...ys), y1 = Math.max(...ys);
  const px = x => left + (x - x0) / (x1 - x0 || 1) * (width - left - right), py = y => height - bottom - (scaleY(y) - y0) / (y1 - y0 || 1) * (height - top - bottom);
  const sheet = s("svg", {class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title}, s("text", {class: "head", x: 12, y: 17}, title));
  for (const tick of log ? decades(y0, y1) : ticks(y0, y1, 4)) {
    const at = log ? 10 ** tick : tick;
    sheet.append(s("path", {class: "axis", d: `M${left} ${py(at)}H${width - right}`}), s("text", {x: left - 6, y: py(at) + 4, "text-anchor": "end"}, short(at)));
  }
  for (const tick of ticks(x0, x1, 6)) sheet.append(s("text", {x: px(tick), y: height - bottom + 15, "text-anchor": "middle"}, short(tick)));
  if (xLabel) sheet.append(s("text", {x: width - right, y: height - 4, "text-anchor": "end"}, xLabel));
  for (const [at, words] of limits) sheet.append(s("path", {class: "limit", d: `M${left} ${py(at)}H${width - right}`}), s("text", {x: width - right - 4, y: py(at) - 4, "text-anchor": "end"}, words));
  series.forEach((each, index) => {
    const path = each.points.map((point, place) => `${place ? "L" : "M"}${px(point[0]).toFixed(1)} ${py(point[1]).toFixed(1)}`).join("");
    sheet.append(s("path", {class: "curve", d: path, stroke: each.colour, "stroke-dasharray": each.dashed ? "5 3" : null}));
    for (const point of each.points) {
      sheet.append(s("circle", {cx: px(point[0]), cy: py(point[1]), r: dots || each.points.length === 1 ? 3.2 : 2.2, fill: point[4] || each.colour, "data-words": point[2],
        onmouseenter: () => { byId("card").textContent = point[2]; }, onmouseleave: () => { byId("card").textContent = ""; },
        onclick: () => point[3] && select(point[3])}));
    }
    if (legend) {
      const x = 12 + index % 2 * 200, y = 32 + 14 * Math.floor(index / 2);
      sheet.append(s("path", {class: "curve", d: `M${x} ${y - 4}h16`, stroke: each.colour, "stroke-dasharray": each.dashed ? "5 3" : null}), s("text", {x: x + 21, y}, each.name));
    }
  });
  return sheet;
}

function drawGrowth() {
  const fields = data.layers.map((layer, index) => [layer, index]).filter(([layer]) => layer.field && layer.name === layer.block);
  const target = [...inputs.values()].find(input => isSpatial(input.shape));
  if (!fields.length) { fill("growth"); return; }
  const points = fields.map(([layer, index]) => [index + 1, Math.max(...layer.field.size), `${layer.name}: ${fieldText(layer.field)}`, layer.name, accent(layer.family)]);
  const sizes = target ? target.shape.slice(0, -1) : [], limits = target ? [[Math.max(...sizes), `input: ${sizes.join("×")}`]] : [];
  fill("growth", chart("receptive field, pixels", [{name: "", colour: "var(--edge)", points}], {limits, dots: true, wide: true, xLabel: "layer"}));
}

// the four properties ------------------------------------------------------------------------------------------

function drawEconomy() {
  const found = data.layers.filter(layer => layer.economy);
  byId("properties").hidden = !found.length;
  const drifts = new Map(data.layers.filter(layer => layer.drift).map(layer => [layer.block, layer.drift]));
  const head = ["layer", "connections", "fully connected", "times fewer", "parameters", "fully connected", "uses of each", "receptive field", "inside", "with borders", "one pixel"];
  const rows = found.map(layer => {
    const e = layer.economy, drift = drifts.get(layer.block);
    const cells = [short(e.connections), short(e.dense_connections), short(e.sparsity), short(layer.params), short(e.dense_params), short(e.sharing), fieldText(layer.field),
      ...(drift ? [percent(drift.inside), percent(drift.everywhere), percent(drift.one_pixel)] : ["–", "–", "–"])];
    return h("tr", {onclick: () => select(layer.name)}, h("td", {}, named(layer)), cells.map(cell => h("td", {class: "number"}, cell)));
  });
  fill("economy", h("thead", {}, h("tr", {}, head.map((name, index) => h("th", {class: index ? "number" : ""}, name)))), h("tbody", {}, rows));
}

// weights and activations --------------------------------------------------------------------------------------

function drawActivity() {
  const active = data.activity;
  if (!active) return;
  byId("activity").hidden = false;
  const parts = [];
  const tiles = each => h("figure", {}, h("img", {src: each.image, alt: each.words, width: each.width}), h("figcaption", {}, each.words));
  const gallery = (title, list) => list.length && parts.push(h("h3", {}, title), h("div", {class: "maps"}, list.map(tiles)));
  gallery("First-layer filters", active.filters);
  gallery("What is read: the effective receptive field", active.fields);
  if (active.health.length) {
    parts.push(h("h3", {}, "Health of the feature maps"), ...active.advice.map(words => h("p", {class: "advice"}, words)));
    const head = ["layer", "maps", "dead", "near-duplicates", "saturated"];
    parts.push(h("div", {class: "scroll tall"}, h("table", {}, h("thead", {}, h("tr", {}, head.map((name, index) => h("th", {class: index ? "number" : ""}, name)))),
      h("tbody", {}, active.health.map(row => h("tr", {onclick: () => select(row.layer)}, h("td", {}, row.layer),
        [row.maps, row.dead, row.twins, percent(row.saturated)].map(cell => h("td", {class: "number"}, String(cell)))))))));
  }
  gallery("Activation maps: the most varied ones of each layer", active.maps);
  fill("active", parts);
}

// training -----------------------------------------------------------------------------------------------------

const INKS = [["#2563eb", "#7aa7ff"], ["#c2410c", "#ff9a62"], ["#15803d", "#5fd38a"], ["#9333ea", "#c99bff"], ["#a16207", "#e3b34a"], ["#0e7490", "#4fd0e3"]];

function drawTraining() {
  if (!data.runs) return;
  byId("training").hidden = false;
  drawProgress(data.runs[0]?.progress);
  const names = [...new Set(data.runs.flatMap(run => Object.keys(run.curves)))].filter(name => !name.startsWith("validation_"));
  fill("curves", names.map(name => chart(name.replaceAll("_", " "), data.runs.flatMap((run, index) => ["", "validation_"].flatMap(kind => {
    const points = run.curves[kind + name];
    if (!points) return [];
    const label = [data.runs.length > 1 ? run.name : "", kind ? "validation" : "training"].join(" ").trim();
    return [{name: label, dashed: !kind && run.curves["validation_" + name], colour: INKS[(data.runs.length > 1 ? index : +!!kind) % INKS.length][isDark() ? 1 : 0],
      points: points.map(([x, y]) => [x, y, `${label}\nstep ${x}: ${y.toPrecision(5)}`])}];
  })), {log: name === "learning_rate" || name === "gradient_norm", xLabel: "step"})));
  fill("mistakes", data.runs.flatMap(run => [
    ...(run.confusion ? [h("h3", {}, `${run.name}: confusion on the validation set (rows are true)`), confusion(run.confusion, run.classes)] : []),
    ...(run.mistakes.length ? [h("h3", {}, `${run.name}: the worst mistakes`), h("div", {class: "maps"}, run.mistakes.map(each =>
      h("figure", {}, each.image ? h("img", {src: each.image, width: 84, alt: ""}) : null, h("figcaption", {}, each.words))))] : []),
  ]));
}

// What a dashboard knows between two epochs: the first may take hours.
function drawProgress(facts) {
  const place = byId("progress");
  place.hidden = !facts;
  if (!facts) return;
  const bar = place.querySelector("progress"), loss = facts.loss === null ? "not finite" : facts.loss.toPrecision(4);
  [bar.max, bar.value] = [facts.steps, facts.step];
  place.querySelector("span").textContent = `epoch ${facts.epoch}, step ${facts.step} of ${facts.steps}, loss ${loss}, ${timeText(facts.left)} left`;
}

function timeText(seconds) {
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours ? `${hours} h ${minutes} min` : minutes ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

function confusion(matrix, classes) {
  const name = index => classes[index] ?? String(index), sums = matrix.map(row => row.reduce((a, b) => a + b, 0) || 1);
  return h("div", {class: "scroll"}, h("table", {class: "confusion"},
    h("thead", {}, h("tr", {}, h("th", {}), matrix.map((_, index) => h("th", {}, name(index))))),
    h("tbody", {}, matrix.map((row, true_) => h("tr", {}, h("th", {}, name(true_)), row.map((count, found) => h("td", {
      style: `background:color-mix(in srgb, ${true_ === found ? "var(--bar)" : "var(--mark)"} ${Math.round(100 * Math.min(1, count / sums[true_] * (true_ === found ? 1 : 3)))}%, transparent)`,
      title: `${count} of ${name(true_)} found as ${name(found)}`}, String(count))))))));
}

// A dashboard asks for the curves again and again, until the training that serves them has ended.
async function follow() {
  try {
    const answer = await fetch("runs.json", {cache: "no-store"});
    data.runs = await answer.json();
    drawTraining();
    setTimeout(follow, data.live);
  } catch {
    byId("headline").textContent = `${data.headline} (training has ended)`;
  }
}

// the start ----------------------------------------------------------------------------------------------------

document.querySelectorAll("#stage .b, #stage .f").forEach(block => {
  const title = block.querySelector("title");
  if (!title) return;
  const words = title.textContent;
  title.remove();
  block.setAttribute("aria-label", words);
  block.addEventListener("mouseover", () => { byId("card").textContent = words; });
  block.addEventListener("mouseout", () => { byId("card").textContent = ""; });
  if (!layers.has(block.dataset.name)) return;
  block.tabIndex = 0;
  block.addEventListener("click", () => select(block.dataset.name));
  block.addEventListener("keydown", event => { if (event.key === "Enter") select(block.dataset.name); });
});
byId("theme").addEventListener("click", switchTheme);
byId("filter").addEventListener("input", event => { state.filter = event.target.value; drawTable(); });
addEventListener("keydown", event => {
  const typing = event.target.tagName === "INPUT";
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (typing) { if (event.key === "Escape") event.target.blur(); return; }
  if (event.key === "t") switchTheme();
  if (event.key === "/") { event.preventDefault(); byId("filter").focus(); }
  const inTable = event.target.closest("#table");
  if (event.key === "j" || (inTable && event.key === "ArrowDown")) { event.preventDefault(); step(1); }
  if (event.key === "k" || (inTable && event.key === "ArrowUp")) { event.preventDefault(); step(-1); }
});
drawActivity();
drawTraining();
drawTable();
drawEconomy();
drawGrowth();
drawSummary();
const spatialLayers = data.layers.filter(layer => isSpatial(layer.shape) && layer.shape[0] > 1);
select((spatialLayers[spatialLayers.length - 1] || data.layers[data.layers.length - 1]).name);
if (data.live) setTimeout(follow, data.live);
