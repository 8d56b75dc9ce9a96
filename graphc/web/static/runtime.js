// onnxruntime-web as pages and workers set it up, and files as they come: from a server, and compressed.
"use strict";
const Runtime = (() => {
  function settle() {
    ort.env.logLevel = "error";
    ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency || 1, 8) : 1;
  }

  async function fetched(url) {
    const answer = await fetch(url);
    if (!answer.ok) throw new Error(`${url}: the server answers ${answer.status}`);
    return answer;
  }

  const bytesOf = async answer => new Uint8Array(await answer.arrayBuffer());
  const unpacked = answer => bytesOf(new Response(answer.body.pipeThrough(new DecompressionStream("gzip"))));

  return {settle, fetched, bytesOf, unpacked};
})();
