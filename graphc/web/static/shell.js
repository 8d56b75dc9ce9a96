// What every page has around its work: what it says of itself, light or dark, and the choice of a provider.
"use strict";
const Shell = (() => {
  const $ = id => document.getElementById(id);

  const status = text => { $("status").textContent = text; };
  const alarm = text => {
    $("alarm").textContent = text;
    $("alarm").hidden = !text;
  };

  // Rows of {name: text} as a list of terms.
  function list(place, rows) {
    place.replaceChildren(...Object.entries(rows).flatMap(([name, text]) => {
      const [term, told] = [document.createElement("dt"), document.createElement("dd")];
      [term.textContent, told.textContent] = [name, text];
      return [term, told];
    }));
  }

  const takenBy = ({width, height, channels}) => `${width}×${height}, ${channels === 1 ? "gray" : "in color"}`;
  const runtimeOf = ({version}, threads) => `onnxruntime-web ${version}, ${threads === 1 ? "1 thread" : `${threads} threads`}`;

  function theme() {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    $("theme").addEventListener("click", () => {
      const now = document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");
      document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
    });
  }

  // The providers that a page has, to choose from, and wasm at first. `start` starts one and says whether it can be
  // used: where it cannot, wasm is used instead; `started` is called then.
  async function providers(names, start, started = () => {}) {
    async function choose(provider) {
      alarm("");
      if (!(await start(provider)) && provider !== "wasm") {
        const why = $("alarm").textContent;
        if (await start("wasm")) {
          $("provider").value = "wasm";
          alarm(`${why} wasm is used instead.`);
        }
      }
      await started();
    }
    const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
    for (const name of names) {
      const usable = name !== "webgpu" || Boolean(adapter);
      const option = new Option(usable ? name : `${name} (not in this browser)`, name);
      option.disabled = !usable;
      $("provider").append(option);
    }
    $("provider").addEventListener("change", () => choose($("provider").value));
    await choose("wasm");
  }

  return {status, alarm, list, takenBy, runtimeOf, theme, providers};
})();
