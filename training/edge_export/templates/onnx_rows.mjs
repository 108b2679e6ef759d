// Rows as the tensors of model.onnx, and its outputs as answers; for onnxruntime-node and -web.

/**
 * The inputs of the graph for rows, which are objects of features. `edge` is the content of
 * edge.json, `Tensor` the class of the runtime.
 */
export function tensorsOf(edge, rows, Tensor) {
  const tensors = {};
  for (const { name, type } of edge.schema.features) {
    const values = rows.map((row) => row[name] ?? null);
    tensors[edge.inputs[name]] =
      type === "category"
        ? new Tensor("string", values.map((v) => textOf(v, edge)), [rows.length, 1])
        : new Tensor("float64", Float64Array.from(values, (v) => numberOf(v, type)), [rows.length, 1]);
  }
  return tensors;
}

/** The answers in the outputs of the graph, in the form of model.mjs. */
export function answersOf(edge, outputs, count) {
  const names = edge.schema.features.map((feature) => feature.name);
  const width = outputs.scores.dims[1];
  return Array.from({ length: count }, (_, row) => {
    const numbers = outputs.flags.data.slice(row * names.length, (row + 1) * names.length);
    const flagged = names.map((name, index) => [edge.flags[numbers[index]], name]);
    const refused = flagged.filter(([flag]) => flag === "refused").map(([, name]) => name);
    const flags = flagged
      .filter(([flag]) => flag !== "" && flag !== "refused")
      .map(([flag, name]) => `${flag}:${name}`);
    const scores = Array.from(outputs.scores.data.slice(row * width, (row + 1) * width));
    if (scores.some(Number.isNaN)) return { prediction: null, scores: [], flags, refused };
    return { prediction: outputs.prediction.data[row], scores, flags, refused };
  });
}

function textOf(value, edge) {
  if (value !== null && typeof value !== "string") throw new TypeError(`expected text, got ${value}`);
  if (value === edge.missing_text) return "\u0001\u0001"; // a text, so it is unseen and not missing
  return value === null ? edge.missing_text : value.normalize("NFC");
}

/** NaN is a missing number; the graph refuses infinity, which stands for what is no number. */
function numberOf(value, type) {
  if (value === null) return NaN;
  return typeof value === (type === "bool" ? "boolean" : "number") ? Number(value) : Infinity;
}
