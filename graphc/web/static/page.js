// The page: loads the model, holds the provider to the known answer, and shows what is found in each picture.
"use strict";
(() => {
  const $ = id => document.getElementById(id);
  const description = JSON.parse($("description").textContent);
  const {input} = description;
  let engine = null;
  let ready = false;
  let busy = false;
  let last = null;

  const status = text => { $("status").textContent = text; };
  const alarm = text => {
    $("alarm").textContent = text;
    $("alarm").hidden = !text;
  };
  const inWords = milliseconds => `${milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms`;

  function facts(more = {}) {
    const taken = `${input.width}×${input.height}, ${input.channels === 1 ? "gray" : "in color"}`;
    const threads = ort.env.wasm.numThreads;
    const rows = {
      Model: description.file,
      "Takes pictures of": taken,
      Runtime: `onnxruntime-web ${description.runtime.version}, ${threads === 1 ? "1 thread" : `${threads} threads`}`,
      "Made by": description.made_by,
      ...more,
    };
    $("facts").replaceChildren(...Object.entries(rows).flatMap(([name, text]) => {
      const [term, told] = [document.createElement("dt"), document.createElement("dd")];
      [term.textContent, told.textContent] = [name, text];
      return [term, told];
    }));
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

  async function choose(provider) {
    alarm("");
    if ((await start(provider)) || provider === "wasm") return;
    const why = $("alarm").textContent;
    if (await start("wasm")) {
      $("provider").value = "wasm";
      alarm(`${why} wasm is used instead.`);
    }
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

  function theme() {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    $("theme").addEventListener("click", () => {
      const now = document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");
      document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
    });
  }

  async function open() {
    theme();
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
    for (const {name, usable} of await Engine.providers(description)) {
      const option = new Option(usable ? name : `${name} (not in this browser)`, name);
      option.disabled = !usable;
      $("provider").append(option);
    }
    $("provider").addEventListener("change", async () => {
      await choose($("provider").value);
      if (last !== null) await look(last.canvas, last.words);
    });
    $("time").addEventListener("click", time);
    await choose("wasm");
    if (last !== null) await look(last.canvas, last.words);
  }

  open();
})();
