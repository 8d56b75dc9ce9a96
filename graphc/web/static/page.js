// The page: loads the model, holds the provider to the known answer, and shows what is found in each picture.
"use strict";
(() => {
  const $ = id => document.getElementById(id);
  const description = JSON.parse($("description").textContent);
  const {input} = description;
  const {status, alarm} = Shell;
  let engine = null;
  let ready = false;
  let busy = false;
  let last = null;

  const inWords = milliseconds => `${milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms`;

  function facts(more = {}) {
    Shell.list($("facts"), {
      Model: description.file,
      "Takes pictures of": Shell.takenBy(input),
      Runtime: Shell.runtimeOf(description.runtime, ort.env.wasm.numThreads),
      "Made by": description.made_by,
      ...more,
    });
  }

  // Whether the provider starts and gives the known answer.
  async function start(provider) {
    ready = false;
    $("time").disabled = true;
    status(`Starting ${provider}…`);
    try {
      await engine.start(provider);
      const found = await engine.check();
      const off = found.error === Infinity ? "numbers that are no answer" : `${(100 * found.error).toPrecision(2)} % of the largest value`;
      facts({"Known answer": `${found.right ? "right" : "wrong"}: ${found.output} is at most ${off} off`});
      if (!found.right) {
        alarm(`${provider} computes this model wrongly here: its answer to a known picture is ${off} off in ${found.output}. Its answers are not shown.`);
        status(`${provider} is not used.`);
        return false;
      }
    } catch (error) {
      alarm(`${provider} cannot run this model here: ${error.message}`);
      status(`${provider} is not used.`);
      return false;
    }
    ready = true;
    $("time").disabled = false;
    status(`Ready: ${provider}, loaded in ${inWords(engine.loading)}, gives the known answer.`);
    return true;
  }

  async function look(canvas, words) {
    last = {canvas, words};
    if (!ready || busy) return;
    busy = true;
    try {
      const rgba = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const placed = Pixels.prepare(rgba, input);
      const {results, milliseconds} = await engine.run(placed.image.data);
      Results.show(canvas, words, Heads.read(description, results, placed), placed, input);
      status(`${inWords(milliseconds)} on ${engine.provider}.`);
    } catch (error) {
      alarm(`This picture could not be run: ${error.message}`);
    } finally {
      busy = false;
    }
  }

  async function time() {
    const RUNS = 20;
    const pixels = Answer.knownPixels(input);
    $("time").disabled = true;
    const times = [];
    for (let run = 0; run <= RUNS; run++) {
      const {milliseconds} = await engine.run(pixels);
      if (run > 0) times.push(milliseconds);
      status(`Timing: ${run} of ${RUNS}`);
      await new Promise(next => setTimeout(next, 0));
    }
    times.sort((a, b) => a - b);
    status(`${inWords(times[RUNS / 2])} on ${engine.provider}: the middle of ${RUNS} runs, from ${inWords(times[0])} to ${inWords(times.at(-1))}.`);
    $("time").disabled = false;
  }

  function tabs(onLeave) {
    const all = [...document.querySelectorAll("[role=tab]")];
    const select = chosen => {
      for (const tab of all) {
        const on = tab === chosen;
        tab.setAttribute("aria-selected", String(on));
        tab.tabIndex = on ? 0 : -1;
        $(tab.getAttribute("aria-controls")).hidden = !on;
      }
      onLeave();
    };
    all.forEach((tab, index) => {
      tab.addEventListener("click", () => select(tab));
      tab.addEventListener("keydown", event => {
        const to = {ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: all.length - 1}[event.key];
        if (to === undefined) return;
        event.preventDefault();
        const next = all[(to + all.length) % all.length];
        next.focus();
        select(next);
      });
    });
  }

  async function open() {
    Shell.theme();
    const camera = Sources.camera(look);
    tabs(() => camera.stop());
    Sources.files(input.max_pixels, look, alarm);
    Sources.drawing(look);
    facts();
    try {
      engine = await Engine.load(description);
    } catch (error) {
      alarm(`The model or its runtime cannot be loaded: ${error.message}`);
      status("Not ready.");
      return;
    }
    $("time").addEventListener("click", time);
    await Shell.providers(description.runtime.providers, start, async () => {
      if (last !== null) await look(last.canvas, last.words);
    });
  }

  open();
})();
