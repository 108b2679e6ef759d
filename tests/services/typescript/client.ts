// Uses a client that openapi-fetch makes from the types of the service's OpenAPI document.
import createClient from "openapi-fetch";
import type { components, paths } from "./service.js";

const client = createClient<paths>({ baseUrl: process.argv[2]! });
const row: components["schemas"]["TinyRow"] = {
  region: "north", age: 40, income: 5e4, lines: 3, owner: true, work: "yes",
};

const one = await client.POST("/models/tiny/predict", { body: row });
const many = await client.POST("/models/tiny/predict/batch", { body: { rows: [row, row] } });
const byColumn = await client.POST("/models/tiny/predict/batch", {
  body: { columns: { age: [40], lines: [3], owner: [true], work: ["yes"] } },
});
const refused = await client.POST("/models/tiny/predict", { body: { ...row, age: -1 } });
const invoked = await client.POST("/models/tiny/invocations", {
  body: { dataframe_records: [row] },
});
const inferred = await client.POST("/v2/models/tinyvalue/infer", {
  body: { inputs: [{ name: "all", shape: [1, 6], datatype: "FP64", data: [40, 5e4, 3, 1, 0, 0] }] },
});
const labelled = await client.POST("/models/tiny/labels", {
  body: { prediction_id: one.data!.prediction_id, truth: "yes" },
});
const models = await client.GET("/models");

console.log(JSON.stringify({
  prediction: one.data!.prediction,
  yes: one.data!.probabilities["yes"],
  many: many.data!.results.length,
  byColumn: byColumn.data!.failed,
  refused: refused.error!.error.violations[0]!.path,
  invoked: invoked.data!.predictions,
  inferred: inferred.data!.outputs.map((output) => output.name),
  labelled: labelled.data!.accepted,
  models: models.data!.models.map((model) => model.name),
}));
