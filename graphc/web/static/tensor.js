// Arrays as a model takes and gives them: layouts, activations, text in base64.
"use strict";
const Tensors = (() => {
  const TYPES = {uint8: Uint8Array, float32: Float32Array};

  // Bytes or floats [H, W, C] as the input takes them, [1, H, W, C] or [1, C, H, W]: times scale plus offset.
  function asInput(pixels, input) {
    const {height, width, channels, scale, offset} = input;
    const out = new TYPES[input.dtype](height * width * channels);
    const plane = height * width;
    for (let place = 0, from = 0; place < plane; place++) {
      for (let channel = 0; channel < channels; channel++, from++) {
        const value = pixels[from] * scale[channel] + offset[channel];
        out[input.layout === "nhwc" ? from : channel * plane + place] = value;
      }
    }
    return out;
  }

  function shapeOf(input) {
    const {height, width, channels} = input;
    return input.layout === "nhwc" ? [1, height, width, channels] : [1, channels, height, width];
  }

  // Numbers of any element type; a runtime gives whole numbers of 64 bits as BigInt.
  function asNumbers(data) {
    return data instanceof BigInt64Array || data instanceof BigUint64Array ? Float64Array.from(data, Number) : data;
  }

  const ACTIVATIONS = {
    none: values => Array.from(values),
    sigmoid: values => Array.from(values, x => 1 / (1 + Math.exp(-x))),
    softmax: values => {
      let most = -Infinity;
      for (const value of values) most = Math.max(most, value);
      const exponents = Array.from(values, x => Math.exp(x - most));
      const sum = exponents.reduce((a, b) => a + b, 0);
      return exponents.map(each => each / sum);
    },
  };

  // An image output [1, H, W, C] or [1, C, H, W] as {height, width, channels, at(row, column, channel)}.
  function asMaps(tensor, layout) {
    const [, a, b, c] = tensor.dims;
    const data = asNumbers(tensor.data);
    const [height, width, channels] = layout === "nchw" ? [b, c, a] : [a, b, c];
    const at = layout === "nchw"
      ? (row, column, channel) => data[(channel * height + row) * width + column]
      : (row, column, channel) => data[(row * width + column) * channels + channel];
    return {height, width, channels, at};
  }

  function bytesOf(base64) {
    const text = atob(base64);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return bytes;
  }

  return {asInput, shapeOf, asNumbers, ACTIVATIONS, asMaps, bytesOf};
})();
