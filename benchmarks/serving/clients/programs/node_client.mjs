// Node's clients: node_client.mjs fetch|http BASE MODEL N BODY prints the last answer.
import { readFileSync } from "node:fs";
import http from "node:http";

const [kind, base, model, n, file] = process.argv.slice(2);
const body = readFileSync(file);
const url = `${base}/models/${model}/predict`;
const headers = { "content-type": "application/json" };

async function byFetch() {
  const response = await fetch(url, { method: "POST", headers, body });
  if (!response.ok) throw new Error(`expected 200, got ${response.status}`);
  return response.json();
}

const agent = new http.Agent({ keepAlive: true });
function byHttp() {
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method: "POST", headers, agent }, (response) => {
      let text = "";
      response.on("data", (piece) => (text += piece));
      response.on("end", () =>
        response.statusCode === 200 ? resolve(JSON.parse(text)) : reject(new Error(text)));
    });
    request.on("error", reject);
    request.write(body);
    request.end();
  });
}

let answer;
for (let i = 0; i < Number(n); i++) answer = await (kind === "fetch" ? byFetch() : byHttp());
console.log(JSON.stringify(answer));
agent.destroy();
