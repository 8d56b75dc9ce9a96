// Arrays by name in one file, as safetensors has them: eight bytes that say how long the header is, the header in JSON,
// the numbers. An array is {shape, data}.
"use strict";
const Safetensors = (() => {
  const KINDS = {F32: Float32Array, I32: Int32Array, U8: Uint8Array};
  const nameOf = data => Object.keys(KINDS).find(name => data instanceof KINDS[name]);

  // {name: {shape, data}} of a whole file, in bytes.
  function read(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const length = Number(view.getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
    delete header.__metadata__;
    const start = bytes.byteOffset + 8 + length;
    const found = Object.entries(header).map(([name, {dtype, shape, data_offsets: [first, end]}]) => {
      const data = new KINDS[dtype](bytes.buffer.slice(start + first, start + end));
      return [name, {shape, data}];
    });
    return Object.fromEntries(found);
  }

  // The bytes of a file with these arrays, and what it says of itself, texts by name.
  function write(arrays, metadata) {
    const header = {__metadata__: metadata};
    let end = 0;
    for (const [name, {shape, data}] of Object.entries(arrays)) {
      header[name] = {dtype: nameOf(data), shape, data_offsets: [end, end + data.byteLength]};
      end += data.byteLength;
    }
    let text = JSON.stringify(header);
    text += " ".repeat(-new TextEncoder().encode(text).length & 7); // the numbers begin at a multiple of eight
    const head = new TextEncoder().encode(text);
    const bytes = new Uint8Array(8 + head.length + end);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(head.length), true);
    bytes.set(head, 8);
    for (const [name, {data}] of Object.entries(arrays)) {
      const place = 8 + head.length + header[name].data_offsets[0];
      bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), place);
    }
    return bytes;
  }

  return {read, write};
})();
