// Files in onnxruntime-node: `node node.mjs FOLDER RESULTS NODE_MODULES`, a line of JSON for each file in RESULTS. A
// file at which the process ends is noted when it is called again.

import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { judged, refusal } from "./judged.mjs";

const [folder, results, modules] = process.argv.slice(2);
const ort = createRequire(join(resolve(modules), "package.json"))("onnxruntime-node");
ort.env.logLevel = "error";

const lines = existsSync(results) ? readFileSync(results, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line)) : [];
const note = (line) => appendFileSync(results, JSON.stringify(line) + "\n");
const done = new Set(lines.filter((line) => !line.started).map((line) => line.id));
for (const { id } of lines.filter((line) => line.started && !done.has(line.id))) {
  note({ id, refused: "the process ended" });
  done.add(id);
}
const read = async (name) => {
  const data = readFileSync(join(folder, name));
  return data.buffer.slice(data.byteOffset, data.byteOffset + data.length);
};
note({ id: "", version: `onnxruntime-node ${ort.env.versions.node}` });
for (const each of JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8"))) {
  if (done.has(each.id)) continue;
  note({ id: each.id, started: true });
  try {
    note({ id: each.id, ...(await judged(ort, "cpu", each, read)) });
  } catch (problem) {
    note({ id: each.id, refused: refusal(problem) });
  }
}
