/** Programs that make a request or hold a session, in the languages of the page of the API. Pure. */

/**
 * @typedef {object} Request
 * @property {string} method
 * @property {string} url
 * @property {string} [token] the environment variable that holds a key or a token
 * @property {Record<string, unknown>} [form] its field `file` is the name of a file
 * @property {unknown} [json]
 * @property {boolean} streams whether the answer is a stream of events
 */

/**
 * @typedef {object} Conversation a session over a WebSocket
 * @property {string} url
 * @property {string} [token] the environment variable that holds the key
 * @property {(unknown | null)[]} messages what the client sends; null is the audio
 * @property {string} [audio] the format of the audio
 * @property {string} until the type of the last message
 */

/**
 * @typedef {object} Words how a language writes values
 * @property {string} null
 * @property {string} true
 * @property {string} false
 * @property {number} step the width of an indentation
 * @property {string} [audio] an expression for audio in base64
 */

/** @type {Words} */
const JSON_WORDS = { null: "null", true: "true", false: "false", step: 2 };
const INLINE_CHARS = 64;
const AUDIO_FIELDS = new Set(["audio", "audio_data", "data"]);

/** @param {unknown} value @returns {string} JSON in which short parts are on one line */
export const written = (value) => literal(value, JSON_WORDS, "");

/**
 * @param {unknown} value
 * @param {Words} words
 * @param {string} indent of the line on which the value begins
 * @returns {string}
 */
function literal(value, words, indent) {
  if (value === null || typeof value === "boolean") {
    return words[/** @type {"null" | "true" | "false"} */ (String(value))];
  }
  if (typeof value !== "object") return JSON.stringify(value);
  const inner = indent + " ".repeat(words.step);
  /** @param {string} deeper @returns {string[]} */
  const parts = (deeper) =>
    Array.isArray(value)
      ? value.map((item) => literal(item, words, deeper))
      : Object.entries(/** @type {object} */ (value)).map(([name, item]) => {
          const isAudio = words.audio && typeof item === "string" && AUDIO_FIELDS.has(name);
          return `${JSON.stringify(name)}: ${isAudio ? words.audio : literal(item, words, deeper)}`;
        });
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const short = `${open}${parts(indent).join(", ")}${close}`;
  if (short.length <= INLINE_CHARS && !short.includes("\n")) return short;
  return `${open}\n${parts(inner).map((part) => inner + part).join(",\n")}\n${indent}${close}`;
}

/** @param {string} text */
const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

/** @param {Request} request */
export function curl({ method, url, token, form, json, streams }) {
  const lines = [`curl ${streams ? "-N " : ""}${["GET", "POST"].includes(method) ? "" : `-X ${method} `}${quoted(url)}`];
  if (token) lines.push(`-H "Authorization: Bearer $${token}"`);
  for (const [name, value] of Object.entries(form ?? {})) {
    lines.push(`-F ${quoted(`${name}=${name === "file" ? "@" : ""}${value}`)}`);
  }
  if (json === undefined) return lines.join(" \\\n  ");
  const audio = `"$(base64 < speech.wav | tr -d '\\n')"`;
  const body = literal(json, { ...JSON_WORDS, audio }, "");
  lines.push(`-H "Content-Type: application/json"`, `--data @- <<${body.includes(audio) ? "END" : "'END'"}`);
  return `${lines.join(" \\\n  ")}\n${body}\nEND`;
}

/** @type {Words} */
const PYTHON_WORDS = { null: "None", true: "True", false: "False", step: 4 };

/** @param {Request} request */
export function python({ method, url, token, form, json, streams }) {
  const audio = 'base64.b64encode(open("speech.wav", "rb").read()).decode()';
  const given = [JSON.stringify(url)];
  if (token) given.push(`headers={"Authorization": f"Bearer {os.environ['${token}']}"}`);
  if (form) {
    const { file, ...fields } = form;
    given.push(`files={"file": open(${JSON.stringify(file)}, "rb")}`, `data=${literal(fields, PYTHON_WORDS, "    ")}`);
  }
  if (json !== undefined) given.push(`json=${literal(json, { ...PYTHON_WORDS, audio }, "    ")}`);
  if (streams) given.push("stream=True");
  const wanted = given.map((argument) => `    ${argument},\n`).join("");
  const call = `response = requests.${method.toLowerCase()}(${given.length > 1 ? `\n${wanted}` : given[0]})`;
  const shown = streams ? "for line in response.iter_lines():\n    print(line.decode())" : "print(response.status_code, response.text)";
  return `${imported({ base64: call.includes("base64."), os: !!token })}import requests\n\n${call}\n${shown}`;
}

/** @param {Record<string, boolean>} needed modules of the standard library */
function imported(needed) {
  const lines = Object.keys(needed).filter((name) => needed[name]).map((name) => `import ${name}\n`);
  return lines.length ? `${lines.join("")}\n` : "";
}

/** @param {Request} request */
export function javascript({ method, url, token, form, json, streams }) {
  const audio = 'readFileSync("speech.wav").toString("base64")';
  const body = json === undefined ? "" : literal(json, { ...JSON_WORDS, audio }, "  ");
  const given = [method === "GET" ? "" : `method: ${JSON.stringify(method)}`];
  const headers = [
    token ? `Authorization: \`Bearer \${process.env.${token}}\`` : "",
    body ? `"Content-Type": "application/json"` : "",
  ].filter(Boolean);
  if (headers.length) given.push(`headers: { ${headers.join(", ")} }`);
  if (form) given.push("body: form");
  if (body) given.push(`body: JSON.stringify(${body})`);
  const options = given.filter(Boolean);
  const wanted = body || options.length > 1 ? `{\n${options.map((one) => `  ${one},\n`).join("")}}` : `{ ${options[0]} }`;
  const lines = [];
  if (form) lines.push('import { openAsBlob } from "node:fs";\n', "const form = new FormData();");
  if (body.includes(audio)) lines.push('import { readFileSync } from "node:fs";\n');
  for (const [name, value] of Object.entries(form ?? {})) {
    const file = JSON.stringify(value);
    lines.push(`form.append("${name}", ${name === "file" ? `await openAsBlob(${file}), ${file}` : file});`);
  }
  lines.push(`const response = await fetch(${JSON.stringify(url)}${options.length ? `, ${wanted}` : ""});`);
  if (streams) lines.push("for await (const part of response.body.pipeThrough(new TextDecoderStream())) console.log(part);");
  else lines.push("console.log(response.status, await response.text());");
  return lines.join("\n");
}

/** @param {Conversation} conversation */
export function pythonSocket({ url, token, messages, audio, until }) {
  const base64 = "base64.b64encode(samples).decode()";
  const sent = messages.map((message) =>
    message === null
      ? "    socket.send(samples)"
      : `    socket.send(json.dumps(${literal(message, { ...PYTHON_WORDS, audio: base64 }, "    ")}))`,
  );
  const headers = token ? `, additional_headers={"Authorization": f"Bearer {os.environ['${token}']}"}` : "";
  const isEncoded = sent.some((line) => line.includes(base64));
  return [
    `${imported({ base64: isEncoded, json: true, os: !!token, wave: !!audio })}from websockets.sync.client import connect\n`,
    ...(audio ? [`with wave.open("speech.wav") as file:  # ${audio}`, "    samples = file.readframes(file.getnframes())\n"] : []),
    `with connect(${JSON.stringify(url)}${headers}) as socket:`,
    ...sent,
    "    for message in socket:",
    "        print(message)",
    `        if json.loads(message)["type"] == ${JSON.stringify(until)}:`,
    "            break",
  ].join("\n");
}

/** @param {Conversation} conversation */
export function javascriptSocket({ url, token, messages, audio, until }) {
  const words = { ...JSON_WORDS, audio: 'samples.toString("base64")' };
  const sent = messages.map((message) =>
    message === null ? "  socket.send(samples);" : `  socket.send(JSON.stringify(${literal(message, words, "  ")}));`,
  );
  const protocols = token ? `, ["realtime", \`openai-insecure-api-key.\${process.env.${token}}\`]` : "";
  return [
    ...(audio ? ['import { readFileSync } from "node:fs";\n', `const samples = readFileSync("speech.wav").subarray(44); // ${audio}`] : []),
    `const socket = new WebSocket(${JSON.stringify(url)}${protocols});`,
    ...(sent.length ? ["socket.onopen = () => {", ...sent, "};"] : []),
    "socket.onmessage = ({ data }) => {",
    "  console.log(data);",
    `  if (JSON.parse(data).type === ${JSON.stringify(until)}) socket.close();`,
    "};",
  ].join("\n");
}
