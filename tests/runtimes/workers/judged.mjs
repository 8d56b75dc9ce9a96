// One file of the manifest in onnxruntime for JavaScript: how far its answer is from what it should be.

const ARRAYS = { float32: Float32Array, uint8: Uint8Array, int8: Int8Array, int64: BigInt64Array, int32: Int32Array, uint16: Uint16Array, float16: Uint16Array };

function float16(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function numbers(data, dtype) {
  const half = dtype === "float16" && data instanceof Uint16Array;
  return Array.from(data, half ? float16 : Number);
}

function furthest(expected, values) {
  let largest = 0, off = 0;
  expected.forEach((value, index) => {
    largest = Math.max(largest, Math.abs(value));
    const here = Math.abs(values[index] - value);
    off = Number.isNaN(here) ? Infinity : Math.max(off, here);
  });
  return off / (largest || 1);
}

// `read(name)` gives a file of the folder as an ArrayBuffer; the session is made of the model's bytes.
export async function judged(ort, provider, each, read) {
  const model = new Uint8Array(await read(each.model));
  const session = await ort.InferenceSession.create(model, { executionProviders: [provider] });
  const feeds = {};
  for (const given of each.inputs) {
    feeds[given.name] = new ort.Tensor(given.dtype, new ARRAYS[given.dtype](await read(given.file)), given.shape);
  }
  const found = await session.run(feeds);
  let error = 0;
  for (const { name, dtype, shape, file } of each.outputs) {
    if (String(found[name].dims) !== String(shape)) throw new Error(`SHAPE ${found[name].dims} for ${shape}`);
    const expected = numbers(new ARRAYS[dtype](await read(file)), dtype);
    const values = numbers(found[name].data, dtype);
    error = Math.max(error, furthest(expected, values));
  }
  await session.release();
  return { error: Number.isFinite(error) ? error : 1e30 };
}

export const refusal = (problem) => String(problem?.message ?? problem).slice(0, 300);
