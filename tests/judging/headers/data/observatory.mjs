// Asks Mozilla's Observatory about header sets: how the verdicts in observatory.json were made (version 1.4.8).
// npm install @mdn/mdn-http-observatory; echo '{}' > node_modules/@mdn/mdn-http-observatory/conf/hsts-preload.json
// node observatory.mjs observatory.json > new.json; verdicts that changed are for test_observatory.py to explain
import fs from "node:fs";
import { AxiosHeaders } from "axios";

const base = `${process.cwd()}/node_modules/@mdn/mdn-http-observatory/`;
const { emptyRequests } = await import(`${base}test/helpers.js`);
const load = async (file, name) => (await import(`${base}src/analyzer/tests/${file}.js`))[name];
const tests = {
  csp: await load("csp", "contentSecurityPolicyTest"),
  xfo: await load("x-frame-options", "xFrameOptionsTest"),
  hsts: await load("strict-transport-security", "strictTransportSecurityTest"),
  referrer: await load("referrer-policy", "referrerPolicyTest"),
  nosniff: await load("x-content-type-options", "xContentTypeOptionsTest"),
};
const rows = JSON.parse(fs.readFileSync(process.argv[2])).map(([kind, fields]) => {
  const requests = emptyRequests();
  const sent = {};
  for (const [name, value] of fields) (sent[name] ??= []).push(value);
  for (const response of [requests.responses.auto, requests.responses.https]) {
    response.headers = new AxiosHeaders("Content-Type: text/html");
    for (const [name, values] of Object.entries(sent)) response.headers.set(name, values.length > 1 ? values : values[0]);
  }
  const { pass, result } = tests[kind](requests);
  return [kind, fields, pass, result];
});
console.log(`[\n${rows.map((row) => JSON.stringify(row)).join(",\n")}\n]`);
