// Lines over steps, as SVG: no more points than can be seen, each the mean of those that it stands for.
"use strict";
const Chart = (() => {
  const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [400, 200, 48, 8, 10, 24];
  const MOST = 300;

  function element(name, attributes, text = "") {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  }

  // Points [step, value], neighbors as one where there are more than can be seen.
  function thinned(points) {
    const each = Math.ceil(points.length / MOST);
    if (each <= 1) return points;
    const found = [];
    for (let start = 0; start < points.length; start += each) {
      const some = points.slice(start, start + each);
      found.push([0, 1].map(axis => some.reduce((sum, point) => sum + point[axis], 0) / some.length));
    }
    return found;
  }

  const inWords = value => (value === 0 ? "0" : Math.abs(value) < 100 ? value.toPrecision(2) : value.toFixed(0));

  // `lines`: {class: points}; values from 0 to `most`, or to the largest; `written`: a value as text.
  function draw(svg, lines, most = null, written = inWords) {
    const shown = Object.entries(lines).map(([kind, points]) => [kind, thinned(points)]);
    const all = shown.flatMap(([, points]) => points);
    const last = Math.max(...all.map(([step]) => step), 1);
    const top = most ?? Math.max(...all.map(([, value]) => value), 1e-9);
    const x = step => LEFT + ((WIDTH - LEFT - RIGHT) * step) / last;
    const y = value => HEIGHT - BOTTOM - ((HEIGHT - TOP - BOTTOM) * Math.min(value, top)) / top;
    const parts = [0, 0.5, 1].flatMap(share => [
      element("line", {class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(share * top), y2: y(share * top)}),
      element("text", {x: LEFT - 6, y: y(share * top) + 4, "text-anchor": "end"}, written(share * top)),
    ]);
    parts.push(element("text", {x: LEFT, y: HEIGHT - 6}, "0"));
    parts.push(element("text", {x: WIDTH - RIGHT, y: HEIGHT - 6, "text-anchor": "end"}, `step ${Math.round(last)}`));
    for (const [kind, points] of shown) {
      const places = points.map(([step, value]) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`);
      if (points.length === 1) parts.push(element("circle", {cx: x(points[0][0]), cy: y(points[0][1]), r: 3}));
      parts.push(element("polyline", {class: `line ${kind}`, points: places.join(" ")}));
    }
    svg.replaceChildren(...parts);
  }

  return {draw};
})();
