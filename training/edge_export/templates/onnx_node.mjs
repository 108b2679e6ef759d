// Scores rows with model.onnx: npm install --ignore-scripts && node onnx_node.mjs < rows.jsonl
//
// Each line of standard input is a row as JSON, each line of standard output its answer.
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import * as ort from "onnxruntime-node";
import { answersOf, tensorsOf } from "./onnx_rows.mjs";

const edge = JSON.parse(await readFile(new URL("edge.json", import.meta.url), "utf8"));
const session = await ort.InferenceSession.create(
  await readFile(new URL("model.onnx", import.meta.url)),
);
for await (const line of createInterface({ input: process.stdin })) {
  const outputs = await session.run(tensorsOf(edge, [JSON.parse(line)], ort.Tensor));
  process.stdout.write(JSON.stringify(answersOf(edge, outputs, 1)[0]) + "\n");
}
