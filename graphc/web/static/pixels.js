// A picture in the size that the model takes, pixel by pixel as `graphc run` makes it: Pillow's resizing, with its own
// rounding, and the three ways of graphc.data.resizing. Pillow 13 turns the two passes round where that is less work; a
// few bytes then differ, mostly by 1.
"use strict";
const Pixels = (() => {
  const BITS = 22; // of Pillow's fixed-point weights
  const FILTERS = {
    bilinear: {support: 1, at: x => Math.max(1 - Math.abs(x), 0)},
    bicubic: {
      support: 2,
      at: x => {
        x = Math.abs(x);
        const a = -0.5;
        if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
        return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
      },
    },
  };

  // For each new place: the first old one, and the weights from there on.
  function weightsOf(before, after, filter, rounds) {
    const scale = before / after;
    const stretch = Math.max(scale, 1);
    const support = filter.support * stretch;
    return Array.from({length: after}, (_, place) => {
      const center = (place + 0.5) * scale;
      const first = Math.max(Math.trunc(center - support + 0.5), 0);
      const last = Math.min(Math.trunc(center + support + 0.5), before);
      const weights = [];
      let sum = 0;
      for (let x = first; x < last; x++) {
        weights.push(filter.at((x - center + 0.5) / stretch));
        sum += weights.at(-1);
      }
      const fixed = weight => Math.trunc(weight * 2 ** BITS + (weight < 0 ? -0.5 : 0.5));
      return {first, weights: weights.map(weight => (rounds ? fixed(weight / sum) : weight / sum))};
    });
  }

  const toByte = sum => Math.min(Math.max(Math.floor((sum + 2 ** (BITS - 1)) / 2 ** BITS), 0), 255);

  // One axis: `lines` lines of it, whose elements lie `step` apart.
  function along(data, out, table, channels, lines, oldLine, newLine, step) {
    const rounds = out instanceof Uint8ClampedArray;
    for (let line = 0; line < lines; line++) {
      for (let place = 0; place < table.length; place++) {
        const {first, weights} = table[place];
        for (let channel = 0; channel < channels; channel++) {
          let sum = 0;
          let from = line * oldLine + first * step + channel;
          for (const weight of weights) {
            sum += data[from] * weight;
            from += step;
          }
          out[line * newLine + place * step + channel] = rounds ? toByte(sum) : sum;
        }
      }
    }
  }

  // An image {height, width, channels, data} in another height and width.
  function resize(image, height, width, interpolation, rounds) {
    let {data} = image;
    const {channels} = image;
    const filter = FILTERS[interpolation];
    const Kind = rounds ? Uint8ClampedArray : Float32Array;
    if (width !== image.width) {
      const out = new Kind(image.height * width * channels);
      const table = weightsOf(image.width, width, filter, rounds);
      along(data, out, table, channels, image.height, image.width * channels, width * channels, channels);
      data = out;
    }
    if (height !== image.height) {
      const row = width * channels;
      const out = new Kind(height * row);
      const table = weightsOf(image.height, height, filter, rounds);
      for (let column = 0; column < width; column++) {
        along(data.subarray(column * channels), out.subarray(column * channels), table, channels, 1, 0, 0, row);
      }
      data = out;
    }
    return {height, width, channels, data};
  }

  // A window of the image, which may reach beyond it: `fill` there.
  function crop(image, top, left, height, width, fill) {
    const {channels} = image;
    const data = new image.data.constructor(height * width * channels).fill(fill);
    for (let row = Math.max(top, 0); row < Math.min(top + height, image.height); row++) {
      const first = Math.max(left, 0);
      const last = Math.min(left + width, image.width);
      if (last <= first) continue;
      const line = image.data.subarray((row * image.width + first) * channels, (row * image.width + last) * channels);
      data.set(line, ((row - top) * width + first - left) * channels);
    }
    return {height, width, channels, data};
  }

  const even = x => { // Python's round: halves to the even number
    const near = Math.round(x);
    return Math.abs(x % 1) === 0.5 && near % 2 !== 0 ? near - 1 : near;
  };

  const WAYS = {
    stretch(image, height, width, {interpolation, share}, rounds) {
      let [top, left] = [0, 0];
      let cut = image;
      if (share < 1) {
        [top, left] = [image.height, image.width].map(side => Math.trunc((side - side * share) / 2));
        cut = crop(image, top, left, image.height - 2 * top, image.width - 2 * left, 0);
      }
      const [x, y] = [width / cut.width, height / cut.height];
      const corners = [-left * x, -top * y, (image.width - left) * x, (image.height - top) * y];
      return [resize(cut, height, width, interpolation, rounds), corners];
    },
    center_crop(image, height, width, {shorter_side: side, interpolation}, rounds) {
      const scaled = scaledSize(image, height, width, side);
      const whole = resize(image, scaled.height, scaled.width, interpolation, rounds);
      const [top, left] = [even((whole.height - height) / 2), even((whole.width - width) / 2)];
      return [crop(whole, top, left, height, width, 0), [-left, -top, whole.width - left, whole.height - top]];
    },
    letterbox(image, height, width, {fill}, rounds) {
      const factor = Math.min(height / image.height, width / image.width);
      const [rows, columns] = [image.height, image.width].map(size => Math.max(even(size * factor), 1));
      const [top, left] = [Math.floor((height - rows) / 2), Math.floor((width - columns) / 2)];
      const inner = resize(image, rows, columns, "bilinear", rounds);
      const value = rounds ? even(fill * 255) : fill * 255;
      return [crop(inner, -top, -left, height, width, value), [left, top, left + columns, top + rows]];
    },
  };

  function scaledSize(image, height, width, side) {
    const {height: rows, width: columns} = image;
    if (side !== null && side !== undefined) {
      return rows <= columns
        ? {height: side, width: Math.floor((side * columns) / rows)}
        : {height: Math.floor((side * rows) / columns), width: side};
    }
    return rows * width <= columns * height
      ? {height, width: Math.max(Math.floor((height * columns) / rows), width)}
      : {height: Math.max(Math.floor((width * rows) / columns), height), width};
  }

  // RGBA bytes of a canvas with as many channels as the model takes; gray as Pillow weighs it.
  function withChannels({height, width, data}, channels) {
    if (channels === 4) return {height, width, channels, data};
    const out = new Uint8ClampedArray(height * width * channels);
    for (let from = 0, to = 0; from < data.length; from += 4) {
      if (channels === 1) {
        out[to++] = (data[from] * 19595 + data[from + 1] * 38470 + data[from + 2] * 7471 + 0x8000) >> 16;
      } else {
        for (let channel = 0; channel < 3; channel++) out[to++] = data[from + channel];
      }
    }
    return {height, width, channels, data: out};
  }

  // A canvas's picture as the model takes it, and where the picture's corners have come to lie there.
  function prepare(rgba, input) {
    const image = withChannels(rgba, input.channels);
    const [resized, corners] = WAYS[input.resize.kind](image, input.height, input.width, input.resize, input.rounds);
    return {image: resized, corners, size: [rgba.height, rgba.width]};
  }

  return {prepare, resize, crop};
})();
