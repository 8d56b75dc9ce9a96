// The known picture, and how far a runtime's answer is from the file's own: whole numbers alone, as in known_answer.py.
"use strict";
const Answer = (() => {
  function knownPixels({height, width, channels}) {
    const out = new Uint8Array(height * width * channels);
    let index = 0;
    for (let row = 0; row < height; row++) {
      const down = Math.floor((row * 255) / Math.max(height - 1, 1));
      for (let column = 0; column < width; column++) {
        const right = Math.floor((column * 255) / Math.max(width - 1, 1));
        for (let channel = 0; channel < channels; channel++, index++) {
          let noise = Math.imul(index, 2654435761) >>> 0;
          noise = (noise ^ (noise >>> 15)) >>> 0;
          noise = Math.imul(noise, 2246822519) >>> 24;
          out[index] = (noise + ((down + right) >> 1)) >> 1;
        }
      }
    }
    return out;
  }

  // {output, error, tolerance}: the output that is furthest off, relative to its largest value; Infinity for another shape.
  function compare(results, answer) {
    let worst = {output: "", error: -1, tolerance: answer.tolerance};
    for (const [output, {shape, step, values}] of Object.entries(answer.outputs)) {
      const expected = new Float32Array(Tensors.bytesOf(values).buffer);
      const found = Tensors.asNumbers(results[output].data);
      const same = results[output].dims.join() === shape.join();
      let [largest, apart] = [0, 0];
      expected.forEach((value, place) => {
        const difference = Math.abs(found[place * step] - value);
        largest = Math.max(largest, Math.abs(value));
        apart = Number.isNaN(difference) ? Infinity : Math.max(apart, difference);
      });
      const error = same ? apart / (largest || 1) : Infinity;
      if (error > worst.error) worst = {...worst, output, error};
    }
    return {...worst, right: worst.error <= answer.tolerance};
  }

  return {knownPixels, compare};
})();
