// The page that trains: it asks the worker, and shows what that tells.
"use strict";
(() => {
  const $ = id => document.getElementById(id);
  const description = JSON.parse($("description").textContent);
  const {input, head} = description;
  const {status, alarm} = Shell;
  const FAR = 0.01; // of NumPy's loss: the same step in float32 differs by far less
  const ROWS = 1000; // steps that are listed
  let history = [];
  let drawing = null;
  let busy = false;
  const own = head.classes.map(() => 0);

  const percent = share => `${(100 * share).toFixed(1)} %`;

  // The worker: `ask` gives a promise of its answer, and of nothing else.
  const worker = new Worker("scripts/train_worker.js");
  const waiting = new Map();
  let asked = 0;
  function ask(kind, given = {}) {
    const number = ++asked;
    return new Promise((resolve, reject) => {
      waiting.set(number, {resolve, reject});
      worker.postMessage({kind, number, ...given});
    });
  }
  worker.addEventListener("message", ({data}) => {
    if (data.kind === "step") {
      stepped(data.told);
      return;
    }
    const {resolve, reject} = waiting.get(data.number);
    waiting.delete(data.number);
    if (data.kind === "done") resolve(data.answer);
    else reject(new Error(data.message));
  });
  worker.addEventListener("error", event => alarm(`The page's worker does not start: ${event.message}`));

  function cellsOf(texts) {
    const row = document.createElement("tr");
    for (const text of texts) row.append(Object.assign(document.createElement("td"), {textContent: text}));
    return row;
  }

  function stepped(told) {
    history.push(told);
    const tested = history.filter(each => each.test !== undefined);
    const figures = {
      Step: `${told.step}, ${Math.round(told.milliseconds)} ms`,
      Loss: told.loss.toPrecision(4),
      "Right in this batch": percent(told.accuracy),
      "Learning rate": told.rate.toPrecision(3),
    };
    if (tested.length) figures["Right of the held-out examples"] = percent(tested.at(-1).test);
    if (told.apart > 0) figures["From NumPy's losses"] = `at most ${told.apart.toExponential(1)} in the first ${description.losses.length} steps`;
    Shell.list($("figures"), figures);
    Chart.draw($("loss"), {batch: history.map(each => [each.step, each.loss])});
    const lines = {batch: history.map(each => [each.step, each.accuracy]), test: tested.map(each => [each.step, each.test])};
    Chart.draw($("accuracy"), lines, 1, value => `${Math.round(100 * value)} %`);
    $("numbers").prepend(cellsOf([told.step, told.loss, percent(told.accuracy), told.test === undefined ? "" : percent(told.test)]));
    if ($("numbers").rows.length > ROWS) $("numbers").lastChild.remove();
    if (told.apart > FAR * Math.max(...description.losses.slice(0, told.step))) {
      alarm(`${$("provider").value} computes this network wrongly here: its losses are up to ${told.apart.toPrecision(2)} from those that NumPy found when the page was made.`);
    }
  }

  async function train() {
    if (busy) {
      await ask("stop");
      return;
    }
    const steps = $("steps").valueAsNumber;
    if (!(steps >= 1)) {
      alarm("The number of steps has to be 1 or more.");
      return;
    }
    alarm("");
    working(true);
    status("Training…");
    const begun = history.length;
    try {
      await ask("train", {steps: Math.floor(steps), from: $("from").value});
      status(`${history.length - begun} steps done, ${history.at(-1).step} in all.`);
    } catch (error) {
      alarm(error.message);
      status("Training has stopped.");
    }
    working(false);
    if (drawing !== null) await look(drawing);
  }

  function working(on) {
    busy = on;
    $("train").textContent = on ? "Stop" : "Train";
    for (const name of ["reset", "from", "steps", "provider"]) $(name).disabled = on;
    $("download").disabled = on;
  }

  function clear() {
    history = [];
    $("figures").replaceChildren();
    $("numbers").replaceChildren();
    for (const name of ["loss", "accuracy"]) Chart.draw($(name), {batch: []}, 1);
  }

  async function reset() {
    await ask("reset");
    clear();
    alarm("");
    status("As it was before the first step.");
    if (drawing !== null) await look(drawing);
  }

  async function download() {
    const bytes = await ask("weights");
    const link = Object.assign(document.createElement("a"), {
      href: URL.createObjectURL(new Blob([bytes])),
      download: `${description.name}.safetensors`,
    });
    link.click();
    URL.revokeObjectURL(link.href);
    status(`${link.download}: ${bytes.length.toLocaleString("en")} bytes.`);
  }

  // Pictures ------------------------------------------------------------------------------------------------

  function pixelsOf(canvas) {
    const rgba = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return Pixels.prepare(rgba, input).image.data;
  }

  async function look(pixels) {
    const values = await ask("look", {pixels});
    const shares = Tensors.ACTIVATIONS[head.activation](values);
    const order = shares.map((_, place) => place).sort((a, b) => shares[b] - shares[a]).slice(0, 5);
    $("said").textContent = `${head.classes[order[0]]}, ${head.says} ${shares[order[0]].toPrecision(3)}`;
    const table = document.createElement("table");
    for (const place of order) {
      const row = cellsOf([head.classes[place], "", shares[place].toPrecision(3)]);
      const bar = document.createElement("i");
      bar.style.width = `${Math.min(Math.max(100 * shares[place], 0), 100)}%`;
      row.cells[1].className = "bar";
      row.cells[1].append(bar);
      table.append(row);
    }
    $("answers").replaceChildren(table);
  }

  async function add(pixels) {
    const label = $("class").selectedIndex;
    await ask("add", {pixels, label});
    own[label] += 1;
    const counts = own.map((count, place) => (count ? `${count} of ${head.classes[place]}` : "")).filter(Boolean);
    $("own").textContent = `Your pictures: ${counts.join(", ")}.`;
  }

  async function take(files) {
    for (const file of files) {
      try {
        const pixels = pixelsOf(await Sources.fromFile(file, input.max_pixels));
        await add(pixels);
        await look(pixels);
      } catch (error) {
        alarm(`${file.name} is no picture that this browser reads: ${error.message}`);
      }
    }
  }

  function pictures() {
    head.classes.forEach(name => $("class").append(new Option(name)));
    Sources.drawing(async canvas => {
      drawing = pixelsOf(canvas);
      $("add").disabled = false;
      await look(drawing);
    });
    $("add").addEventListener("click", () => add(drawing));
    $("file").addEventListener("change", event => {
      const files = [...event.target.files];
      event.target.value = ""; // so that the same file can be chosen again
      take(files);
    });
    Sources.dropped(take);
  }

  // How it runs ---------------------------------------------------------------------------------------------

  async function start(provider) {
    status(`Starting ${provider}…`);
    working(true);
    $("train").disabled = true;
    try {
      await ask("start", {provider});
    } catch (error) {
      alarm(`${provider} cannot train this network here: ${error.message}`);
      status("Not ready.");
      return false;
    } finally {
      working(false);
    }
    clear();
    $("train").disabled = false;
    status(`Ready: ${provider}.`);
    return true;
  }

  // Threads need two headers, which few servers send: a service worker adds them, from the second loading on.
  async function isolated() {
    if (self.crossOriginIsolated || !navigator.serviceWorker) return true;
    const before = navigator.serviceWorker.controller;
    await navigator.serviceWorker.register("service_worker.js");
    await navigator.serviceWorker.ready;
    if (before !== null || sessionStorage.getItem("isolating")) return true;
    sessionStorage.setItem("isolating", "yes");
    location.reload();
    return false;
  }

  async function open() {
    Shell.theme();
    try {
      if (!(await isolated())) return;
    } catch {
      // without it all runs in one thread
    }
    clear();
    pictures();
    let threads;
    try {
      ({threads} = await ask("load", {facts: description, base: document.baseURI}));
    } catch (error) {
      alarm(`The network or its runtime cannot be loaded: ${error.message}`);
      status("Not ready.");
      return;
    }
    Shell.list($("facts"), {
      Network: `${description.name}, ${description.weights.toLocaleString("en")} weights`,
      "Takes pictures of": Shell.takenBy(input),
      Examples: `${description.examples.toLocaleString("en")} to learn from, ${description.tests.toLocaleString("en")} held out, ${description.batch} a step`,
      Optimizer: description.optimizer,
      Runtime: Shell.runtimeOf(description.runtime, threads),
      "Made by": description.made_by,
    });
    $("train").addEventListener("click", train);
    $("reset").addEventListener("click", reset);
    $("download").addEventListener("click", download);
    await Shell.providers(description.runtime.providers, start);
  }

  open();
})();
