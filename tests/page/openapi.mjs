// Prints what is wrong with an OpenAPI document by the rules that Redocly recommends, a line each.
import { readFileSync } from "node:fs";
import { createConfig, lintFromString } from "@redocly/openapi-core";

const [file] = process.argv.slice(2);
const config = await createConfig({ extends: ["recommended"] });
const found = await lintFromString({ source: readFileSync(file, "utf8"), absoluteRef: file, config });
for (const { severity, ruleId, message, location } of found) {
  console.log(`${severity} ${ruleId} at ${location[0]?.pointer}: ${message}`);
}
