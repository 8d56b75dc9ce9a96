// Training beside the page: the step as an ONNX file, its state from one run to the next, the examples, and what the
// page asks for. One run at a time; a picture that is asked about has its turn between two steps.
"use strict";
importScripts("tensor.js", "runtime.js", "safetensors.js", "numpy_random.js");

const PARAMS = "params/";
const AVERAGE = "average/";
const NEXT = "next/";
const UNIFORM = "/uniform";

// A file that lies compressed beside the page.
const unpacked = async url => Runtime.unpacked(await Runtime.fetched(url));

// Random numbers from 0 up to 1, the same for the same seed (Tommy Ettinger's mulberry32).
function generator(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), seed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

// Rows of examples, a batch at a time: each once, then again in another order. The first time they come as they lie
// where `asTheyLie` says so: as the recipe's first epoch has them.
class Rows {
  constructor(count, batch, seed, asTheyLie) {
    [this.count, this.batch] = [count, batch];
    this.random = generator(seed);
    this.left = asTheyLie ? this.all() : [];
  }

  all() {
    return Array.from({length: this.count}, (_, row) => row);
  }

  next() {
    while (this.left.length < this.batch) {
      const rows = this.all();
      for (let last = rows.length - 1; last > 0; last--) {
        const other = Math.floor(this.random() * (last + 1));
        [rows[last], rows[other]] = [rows[other], rows[last]];
      }
      this.left.push(...rows);
    }
    return this.left.splice(0, this.batch);
  }
}

class Training {
  // `facts`: as the page has them; `base`: where the page lies.
  constructor(facts, base) {
    this.facts = facts;
    this.at = path => new URL(path, base).href;
    this.own = {images: [], labels: []};
  }

  async load() {
    const {files} = this.facts;
    importScripts(this.at(files.script));
    Runtime.settle();
    ort.env.wasm.wasmPaths = {mjs: this.at(files.module)};
    ort.env.wasm.wasmBinary = (await unpacked(this.at(files.binary))).buffer;
    this.graphs = {step: await unpacked(this.at(files.step)), judge: await unpacked(this.at(files.judge))};
    this.first = Safetensors.read(await unpacked(this.at(files.state)));
    this.examples = Safetensors.read(await unpacked(this.at(files.examples)));
  }

  // Sessions on this provider, and the first state.
  async start(provider) {
    await this.session?.release();
    await this.judging?.release();
    const options = {executionProviders: [provider]};
    this.judging = await ort.InferenceSession.create(this.graphs.judge, options);
    const {outputs} = this.facts;
    const states = outputs.filter(name => name.startsWith(NEXT));
    const stays = provider === "webgpu" ? Object.fromEntries(states.map(name => [name, "gpu-buffer"])) : undefined;
    this.session = await ort.InferenceSession.create(this.graphs.step, {...options, preferredOutputLocation: stays});
    this.provider = provider;
    this.reset();
  }

  // Back to before the first step.
  reset() {
    for (const tensor of Object.values(this.state ?? {})) tensor.dispose();
    this.state = {};
    const placed = (name, {shape, data}) => { this.state[name] = new ort.Tensor("float32", data, shape); };
    for (const [name, array] of Object.entries(this.first)) placed(name, array);
    for (const {name, shape, value, like} of this.facts.state) {
      if (name in this.state) continue;
      const size = shape.reduce((a, b) => a * b, 1);
      placed(name, {shape, data: like === null ? new Float32Array(size).fill(value) : this.first[like].data.slice()});
    }
    [this.done, this.from, this.apart] = [0, null, 0];
  }

  // Which examples the next steps are of: stored, own or both.
  choose(from) {
    if (this.from === from && this.known === this.own.labels.length) return;
    const {batch, seed} = this.facts;
    const stored = from === "own" ? 0 : this.examples.labels.data.length;
    const own = from === "stored" ? 0 : this.own.labels.length;
    if (!stored && !own) throw new Error("there are no pictures of yours yet: add some, or learn from the stored examples");
    [this.from, this.stored, this.known] = [from, stored, this.own.labels.length];
    this.rows = new Rows(stored + own, batch, seed, from === "stored" && this.done === 0);
  }

  // The numbers [H, W, C] of an example that is stored: for each byte the level of its channel.
  unpacked(images, row) {
    const {height, width, channels} = this.facts.input;
    const size = height * width * channels;
    const levels = this.examples.levels.data;
    const count = levels.length / channels;
    const codes = images.data.subarray(row * size, (row + 1) * size);
    return Float32Array.from(codes, (code, place) => levels[(place % channels) * count + code]);
  }

  inputOf(row) {
    return row < this.stored ? this.unpacked(this.examples.images, row) : this.own.images[row - this.stored];
  }

  labelOf(row) {
    return row < this.stored ? this.examples.labels.data[row] : this.own.labels[row - this.stored];
  }

  // Inputs [H, W, C] as one batch, [N, H, W, C]; where there are fewer than that the rest is 0.
  batch(inputs) {
    const [, ...sizes] = Tensors.shapeOf(this.facts.input);
    const size = sizes.reduce((a, b) => a * b, 1);
    const data = new Float32Array(this.facts.batch * size);
    inputs.forEach((numbers, place) => data.set(numbers, place * size));
    return new ort.Tensor("float32", data, [this.facts.batch, ...sizes]);
  }

  uniform({shape, key, shards}) {
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
    const each = data.length / shape[0];
    shards.forEach(([start, end], rank) => {
      NumpyRandom.fill(data.subarray(start * each, end * each), [this.facts.seed, this.done, key, rank]);
    });
    return new ort.Tensor("float32", data, shape);
  }

  // One step: {step, loss, accuracy, rate, milliseconds, apart}.
  async step() {
    const begun = performance.now();
    const {facts} = this;
    const rows = this.rows.next();
    const labels = Int32Array.from(rows, row => this.labelOf(row));
    const rates = this.examples.rates.data;
    const rate = rates[Math.min(this.done, rates.length - 1)];
    const given = {
      [facts.input.name]: this.batch(rows.map(row => this.inputOf(row))),
      [facts.head.label]: new ort.Tensor("int32", labels, [facts.batch]),
      learning_rate: new ort.Tensor("float32", [rate], []),
      step: new ort.Tensor("float32", [this.done], []),
    };
    for (const each of facts.uniform) given[each.name] = this.uniform(each);
    const all = {...this.state, ...given};
    const feeds = Object.fromEntries(this.session.inputNames.map(name => [name, all[name]]));
    const results = await this.session.run(feeds, facts.outputs);
    const loss = results.loss.data[0];
    if (!Number.isFinite(loss)) throw new Error(`the loss of step ${this.done + 1} is not finite`);
    for (const name of facts.outputs.filter(name => name.startsWith(NEXT)).map(name => name.slice(NEXT.length))) {
      this.state[name].dispose();
      this.state[name] = results[NEXT + name];
    }
    if (this.from === "stored" && this.done < facts.losses.length) {
      this.apart = Math.max(this.apart, Math.abs(loss - facts.losses[this.done]));
    }
    this.done += 1;
    const found = this.answers(results[facts.head.name]);
    const accuracy = found.filter((answer, place) => answer === labels[place]).length / facts.batch;
    return {step: this.done, loss, accuracy, rate, milliseconds: performance.now() - begun, apart: this.apart};
  }

  // The class with the largest number in each row of a prediction.
  answers(prediction) {
    const classes = prediction.dims[1];
    return Array.from({length: prediction.dims[0]}, (_, row) => {
      const values = prediction.data.subarray(row * classes, (row + 1) * classes);
      return values.indexOf(values.reduce((a, b) => Math.max(a, b)));
    });
  }

  // What the network says of at most a batch of inputs, with the weights of now: a prediction, a row an input.
  async judge(inputs) {
    const judged = this.facts.average ? AVERAGE : PARAMS;
    const feeds = {[this.facts.input.name]: this.batch(inputs)};
    for (const name of this.judging.inputNames) {
      if (name.startsWith(PARAMS)) feeds[name] = this.state[judged + name.slice(PARAMS.length)];
    }
    const results = await this.judging.run(feeds);
    return results[this.facts.head.name];
  }

  // The share of the test examples that are right.
  async test() {
    const [images, labels] = [this.examples.test_images, this.examples.test_labels.data];
    let right = 0;
    for (let start = 0; start < labels.length; start += this.facts.batch) {
      const end = Math.min(start + this.facts.batch, labels.length);
      const inputs = Array.from({length: end - start}, (_, place) => this.unpacked(images, start + place));
      const found = this.answers(await this.judge(inputs));
      for (let row = start; row < end; row++) right += found[row - start] === labels[row];
    }
    return right / labels.length;
  }

  // What the network says of one picture.
  async look(pixels) {
    const prediction = await this.judge([Tensors.asInput(pixels, this.facts.input)]);
    return Array.from(prediction.data.subarray(0, prediction.dims[1]));
  }

  // A file of the weights that are judged: the moving averages, where there are some.
  async weights() {
    const judged = this.facts.average ? AVERAGE : PARAMS;
    const arrays = {};
    for (const [name, tensor] of Object.entries(this.state)) {
      if (!name.startsWith(judged)) continue;
      arrays[name.slice(judged.length)] = {shape: [...tensor.dims], data: await tensor.getData()};
    }
    return Safetensors.write(arrays, {"graphc.layout": "HWIO", "graphc.steps": String(this.done)});
  }
}

let training = null;
let wanted = 0; // steps that are left
let turn = Promise.resolve();

// Work when what was asked for before is done.
function inTurn(work) {
  const done = turn.then(work);
  turn = done.catch(() => {});
  return done;
}

const EVERY = 25; // steps from one test to the next

async function train(steps, from) {
  training.choose(from);
  wanted = steps;
  while (wanted > 0) {
    wanted -= 1;
    const told = await inTurn(() => training.step());
    const tested = training.facts.tests && (wanted === 0 || told.step % EVERY === 0);
    if (tested) told.test = await inTurn(() => training.test());
    postMessage({kind: "step", told});
    await new Promise(next => setTimeout(next, 0)); // whoever says stop is heard here
  }
}

const ASKED = {
  load: async ({facts, base}) => {
    training = new Training(facts, base);
    await training.load();
    return {threads: ort.env.wasm.numThreads};
  },
  start: ({provider}) => inTurn(() => training.start(provider)),
  reset: () => inTurn(() => training.reset()),
  train: ({steps, from}) => train(steps, from),
  stop: () => { wanted = 0; },
  add: ({pixels, label}) => {
    training.own.images.push(Tensors.asInput(pixels, training.facts.input));
    training.own.labels.push(label);
  },
  look: ({pixels}) => inTurn(() => training.look(pixels)),
  weights: () => inTurn(() => training.weights()),
};

self.addEventListener("message", async ({data}) => {
  try {
    postMessage({kind: "done", number: data.number, answer: await ASKED[data.kind](data)});
  } catch (error) {
    wanted = 0;
    postMessage({kind: "failed", number: data.number, message: error.message ?? String(error)});
  }
});
