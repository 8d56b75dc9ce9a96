// The model in onnxruntime-web: loaded once a provider, held to the known answer, and run.
"use strict";
const Engine = (() => {
  // Bytes that stand in the page itself, compressed.
  const embedded = name => Runtime.unpacked(new Response(Tensors.bytesOf(document.getElementById(name).textContent)));

  class ModelEngine {
    constructor(description, model) {
      this.description = description;
      this.model = model;
      this.session = null;
      this.provider = "";
    }

    // A session with this provider; `check` says whether it is right.
    async start(provider) {
      await this.session?.release();
      this.session = null;
      const begun = performance.now();
      this.session = await ort.InferenceSession.create(this.model, {executionProviders: [provider]});
      this.provider = provider;
      this.loading = performance.now() - begun;
    }

    // Pixels [H, W, C] in, {results, milliseconds} out.
    async run(pixels) {
      const {input} = this.description;
      const tensor = new ort.Tensor(input.dtype, Tensors.asInput(pixels, input), Tensors.shapeOf(input));
      const begun = performance.now();
      const results = await this.session.run({[input.name]: tensor});
      const milliseconds = performance.now() - begun;
      tensor.dispose();
      return {results, milliseconds};
    }

    // The known picture through the model: {right, output, error, tolerance}.
    async check() {
      const {results} = await this.run(Answer.knownPixels(this.description.input));
      return Answer.compare(results, this.description.answer);
    }
  }

  // The runtime's files from the page or from beside it, then the model.
  async function load(description) {
    const {files} = description;
    Runtime.settle();
    if (files === null) {
      const script = new Blob([await embedded("module")], {type: "text/javascript"});
      ort.env.wasm.wasmPaths = {mjs: URL.createObjectURL(script)};
      ort.env.wasm.wasmBinary = (await embedded("binary")).buffer;
      return new ModelEngine(description, await embedded("model"));
    }
    const [mjs, wasm] = [files.module, files.binary].map(path => new URL(path, document.baseURI).href);
    ort.env.wasm.wasmPaths = {mjs, wasm};
    return new ModelEngine(description, await Runtime.bytesOf(await Runtime.fetched(files.model)));
  }

  return {load};
})();
