// What was found, on the page: bars, a table, and what is drawn over the picture.
"use strict";
const Results = (() => {
  const $ = id => document.getElementById(id);
  const hue = kind => `hsl(${(kind * 137.5 + 210) % 360} 75% 50%)`;

  function element(name, properties = {}, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  function key(kind) {
    const made = element("span", {className: "key"});
    made.style.background = hue(kind);
    return made;
  }

  // Rows of {name, text, part (0 to 1), kind?}.
  function table(caption, rows) {
    const body = rows.map(({name, text, part, kind}) => {
      const bar = element("i");
      bar.style.width = `${100 * Math.min(Math.max(part, 0), 1)}%`;
      const head = element("th", {scope: "row"}, ...(kind === undefined ? [] : [key(kind)]), name);
      return element("tr", {}, head, element("td", {className: "bar", ariaHidden: "true"}, bar), element("td", {}, text));
    });
    return element("table", {}, element("caption", {}, caption), element("tbody", {}, ...body));
  }

  function bars(answer) {
    const most = answer.says === "probability" ? 1 : Math.max(...answer.top.map(each => Math.abs(each.number)), 1e-12);
    const rows = answer.top.map(({name, text, number}) => ({name, text, part: number / most}));
    return table(`${answer.name}: the highest, as ${answer.says}`, rows);
  }

  function boxes(answer) {
    const percent = score => `${(100 * score).toFixed(1)} %`;
    return table(`${answer.name}: boxes`, answer.boxes.map(({name, score, kind}) => ({name, kind, part: score, text: percent(score)})));
  }

  function shares(answer) {
    const text = share => `${(100 * share).toFixed(1)} %`;
    return table(`${answer.name}: share of the picture`, answer.shares.map(({name, kind, share}) => ({name, kind, part: share, text: text(share)})));
  }

  function image(answer) {
    const canvas = element("canvas", {width: answer.image.width, height: answer.image.height, ariaLabel: answer.name});
    canvas.setAttribute("role", "img");
    canvas.getContext("2d").putImageData(answer.image, 0, 0);
    return element("figure", {}, canvas, element("figcaption", {}, answer.name));
  }

  function drawBoxes(context, found) {
    const unit = Math.max(context.canvas.width, context.canvas.height) / 300;
    context.lineWidth = 2 * unit;
    context.font = `${12 * unit}px sans-serif`;
    for (const {name, kind, box: [left, top, right, bottom]} of found) {
      context.strokeStyle = context.fillStyle = hue(kind);
      context.strokeRect(left, top, right - left, bottom - top);
      const base = Math.max(top, 13 * unit);
      context.fillRect(left, base - 13 * unit, context.measureText(name).width + 6 * unit, 15 * unit);
      context.fillStyle = "#fff";
      context.fillText(name, left + 3 * unit, base - 1 * unit);
    }
  }

  // The mask over that part of the canvas that the network has seen.
  function drawMask(context, {height, width, kinds}, placed, input) {
    const layer = new ImageData(width, height);
    kinds.forEach((kind, place) => {
      const [red, green, blue] = rgb(kind);
      layer.data.set([red, green, blue, kind === 0 ? 0 : 140], place * 4);
    });
    const canvas = element("canvas", {width, height});
    canvas.getContext("2d").putImageData(layer, 0, 0);
    const [left, top, right, bottom] = placed.corners;
    const [x, y] = [context.canvas.width / (right - left), context.canvas.height / (bottom - top)];
    context.imageSmoothingEnabled = false;
    context.drawImage(canvas, -left * x, -top * y, input.width * x, input.height * y);
  }

  const colors = new Map();
  function rgb(kind) {
    if (!colors.has(kind)) {
      const canvas = element("canvas", {width: 1, height: 1});
      const context = canvas.getContext("2d");
      context.fillStyle = hue(kind);
      context.fillRect(0, 0, 1, 1);
      colors.set(kind, context.getImageData(0, 0, 1, 1).data);
    }
    return colors.get(kind);
  }

  const PARTS = [["top", bars], ["boxes", boxes], ["shares", shares], ["image", image]];

  function show(source, words, answers, placed, input) {
    const canvas = $("picture");
    [canvas.width, canvas.height] = [source.width, source.height];
    const context = canvas.getContext("2d");
    context.drawImage(source, 0, 0);
    for (const answer of answers) {
      if (answer.mask) drawMask(context, answer.mask, placed, input);
      if (answer.boxes) drawBoxes(context, answer.boxes);
    }
    canvas.setAttribute("aria-label", words);
    $("picture-words").textContent = `${words}, ${source.width}×${source.height}`;
    $("shown").hidden = false;
    const several = answers.length > 1;
    $("said").textContent = answers.map(each => (several ? `${each.name}: ` : "") + each.summary).join("; ");
    $("answers").replaceChildren(...answers.flatMap(each => PARTS.filter(([name]) => each[name]).map(([, make]) => make(each))));
  }

  return {show};
})();
