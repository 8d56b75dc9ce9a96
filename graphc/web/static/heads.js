// What an output says: classes, boxes, a mask, an image, a text or plain values, by what the file's metadata tell.
"use strict";
const Heads = (() => {
  const TOP = 5;
  const LEAST_SCORE = 0.3; // of boxes that are shown; the others are counted
  const LISTED = 20;
  const nameOf = (output, index) => output.classes[index] ?? String(index);
  const percent = number => `${(100 * number).toFixed(1)} %`;
  const said = (output, number) => (output.says === "probability" ? percent(number) : number.toPrecision(4));

  const READERS = {
    classes(output, tensor) {
      const numbers = Tensors.ACTIVATIONS[output.activation](Tensors.asNumbers(tensor.data));
      return {...ranking(output, numbers), says: output.says};
    },
    boxes(output, tensor, placed) {
      const data = Tensors.asNumbers(tensor.data);
      const found = [];
      let weak = 0;
      for (let row = 0; row < data.length; row += 6) {
        const [left, top, right, bottom, score, kind] = data.slice(row, row + 6);
        if (kind < 0) continue;
        if (score < LEAST_SCORE) weak++;
        else found.push({name: nameOf(output, kind), kind, score, box: inImage([left, top, right, bottom], placed)});
      }
      const some = found.map(each => `${each.name} ${percent(each.score)}`).join(", ");
      const rest = weak ? `; ${weak} more below ${percent(LEAST_SCORE)}` : "";
      return {boxes: found, summary: `${found.length || "no"} ${found.length === 1 ? "box" : "boxes"}${some && ": "}${some}${rest}`};
    },
    mask(output, tensor) {
      const maps = Tensors.asMaps(tensor, output.layout);
      const {height, width, channels, at} = maps;
      const edge = output.activation === "sigmoid" ? 0 : 0.5;
      const kinds = new Uint8Array(height * width);
      const counts = new Map();
      for (let place = 0; place < kinds.length; place++) {
        const [row, column] = [Math.floor(place / width), place % width];
        let best = channels === 1 ? Number(at(row, column, 0) > edge) : 0;
        for (let channel = 1; channel < channels; channel++) {
          if (at(row, column, channel) > at(row, column, best)) best = channel;
        }
        kinds[place] = best;
        counts.set(best, (counts.get(best) ?? 0) + 1);
      }
      const parts = [...counts].sort((a, b) => b[1] - a[1]);
      const shares = parts.map(([kind, count]) => ({name: nameOf(output, kind), kind, share: count / kinds.length}));
      const summary = shares.slice(0, TOP).map(each => `${each.name} ${percent(each.share)}`).join(", ");
      return {mask: {height, width, kinds}, shares, summary: `of the picture: ${summary}`};
    },
    image(output, tensor) {
      const maps = Tensors.asMaps(tensor, output.layout);
      return {image: drawn(maps), summary: `an image of ${maps.width}×${maps.height}`};
    },
    text(output, tensor) {
      const [, steps, labels] = tensor.dims;
      const data = Tensors.asNumbers(tensor.data);
      const known = output.characters.length + 1 === labels;
      const read = [];
      let before = -1;
      for (let step = 0; step < steps; step++) {
        const row = data.subarray(step * labels, (step + 1) * labels);
        const best = row.indexOf(row.reduce((a, b) => Math.max(a, b)));
        if (best !== before && best !== output.blank) read.push(best);
        before = best;
      }
      const characters = read.map(label => output.characters[label - (label > output.blank)]);
      const text = known ? characters.join("") : read.join(" ");
      return {summary: text ? `reads: ${text}` : "reads nothing"};
    },
    values(output, tensor) {
      const data = Array.from(Tensors.asNumbers(tensor.data));
      if (tensor.dims.length === 2 && data.length > 1) return {...ranking(output, data), says: "value"};
      const first = data.slice(0, LISTED).map(value => Number(value).toPrecision(4)).join(", ");
      return {summary: `${first}${data.length > LISTED ? `, … (${data.length} values)` : ""}`};
    },
  };

  function ranking(output, numbers) {
    const order = numbers.map((_, index) => index).sort((a, b) => numbers[b] - numbers[a] || a - b).slice(0, TOP);
    const top = order.map(index => ({name: nameOf(output, index), number: numbers[index], text: said(output, numbers[index])}));
    return {top, summary: `${top[0].name}, ${top[0].text}`};
  }

  // A box of what the network reads in the picture's own pixels, cut off at its edges.
  function inImage(box, {corners, size}) {
    return box.map((at, index) => {
      const [low, high] = [corners[index % 2], corners[2 + (index % 2)]];
      const most = size[1 - (index % 2)];
      return Math.min(Math.max(((at - low) / (high - low)) * most, 0), most);
    });
  }

  // Maps as one picture, as `graphc run -o x.png` draws them: three channels as colors, others stretched side by side.
  function drawn({height, width, channels, at}) {
    const color = channels === 3;
    const count = color ? 1 : channels;
    const picture = new ImageData(width * count, height);
    for (let map = 0; map < count; map++) {
      const parts = color ? [0, 1, 2] : [map, map, map];
      let [low, high] = [Infinity, -Infinity];
      for (let row = 0; row < height; row++) {
        for (let column = 0; column < width; column++) {
          for (const channel of parts) {
            low = Math.min(low, at(row, column, channel));
            high = Math.max(high, at(row, column, channel));
          }
        }
      }
      if (color && low >= 0 && high <= 255) [low, high] = [0, high <= 1 ? 1 : 255];
      for (let row = 0; row < height; row++) {
        for (let column = 0; column < width; column++) {
          const to = (row * width * count + map * width + column) * 4;
          parts.forEach((channel, index) => {
            picture.data[to + index] = ((at(row, column, channel) - low) / Math.max(high - low, 1e-12)) * 255;
          });
          picture.data[to + 3] = 255;
        }
      }
    }
    return picture;
  }

  // What all outputs of a run say; `placed`: where the picture lies in what the network read.
  function read(description, results, placed) {
    return description.outputs.map(output => ({
      name: output.name,
      kind: output.shown_as,
      ...READERS[output.shown_as](output, results[output.name], placed),
    }));
  }

  return {read};
})();
