// Scores rows with model.mjs: node plain_node.mjs < rows.jsonl
//
// Each line of standard input is a row as JSON, each line of standard output its answer. With an
// argument, every row is scored that many times, and standard error gets the nanoseconds per row.
import { createInterface } from "node:readline";
import { predict } from "./model.mjs";

const repetitions = Number(process.argv[2] ?? 1);
let rows = 0;
let taken = 0n;
for await (const line of createInterface({ input: process.stdin })) {
  const row = JSON.parse(line);
  let answer;
  const begun = process.hrtime.bigint();
  for (let done = 0; done < repetitions; done++) answer = predict(row);
  taken += process.hrtime.bigint() - begun;
  process.stdout.write(JSON.stringify(answer) + "\n");
  rows += 1;
}
if (process.argv.length > 2) process.stderr.write(`${Number(taken) / rows / repetitions}\n`);
