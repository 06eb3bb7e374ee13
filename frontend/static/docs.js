/** Shows openapi.json: the parameters and responses of each endpoint. Builds nodes only, so no text can be markup. */

/**
 * @typedef {object} Schema the used part of a JSON schema
 * @property {string | string[]} [type]
 * @property {string} [format]
 * @property {string} [description]
 * @property {unknown} [const]
 * @property {unknown[]} [enum]
 * @property {unknown} [default]
 * @property {Schema} [items]
 * @property {Schema[]} [anyOf]
 * @property {string} [$ref]
 * @property {Record<string, Schema>} [properties]
 * @property {string[]} [required]
 */

/** @type {Record<string, Schema>} */
let components = {};
/** @type {Record<string, {type: string, in?: string, name?: string, description?: string}>} */
let schemes = {};

/**
 * @param {string} tag
 * @param {...(Node | string)} children
 */
function node(tag, ...children) {
  const made = document.createElement(tag);
  made.append(...children);
  return made;
}

/** @param {string} text @returns {Node[]} a description, in which text in backticks is code */
function prose(text) {
  return text.split("`").map((part, at) => (at % 2 ? node("code", part) : document.createTextNode(part)));
}

/** @param {string | undefined} description @returns {Node[]} */
function explained(description) {
  return description ? prose(`: ${description}`) : [];
}

/** @param {string} text */
function muted(text) {
  const made = node("span", text);
  made.className = "kind";
  return made;
}

/** @param {string} path @returns {(Node | string)[]} with an optional line break before each slash */
function breakable(path) {
  return path.split(/(?<=.)(?=\/)/).flatMap((part) => [node("wbr"), part]);
}

/** @param {Schema} schema @returns {Schema} */
function followed(schema) {
  return schema.$ref ? (components[schema.$ref.split("/").at(-1) ?? ""] ?? {}) : schema;
}

/** @param {Schema} given @returns {string} */
function kind(given) {
  const schema = followed(given);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.anyOf) return [...new Set(schema.anyOf.map(kind))].join(" | ").replace(/ \| null$/, "");
  if (schema.items) return `list of ${kind(schema.items)}`;
  return [schema.format === "binary" ? "file" : (schema.type ?? "any")].flat().join(" | ");
}

/**
 * @param {Schema} given
 * @param {boolean} marksRequired for requests; in responses most fields are required
 * @returns {Node[]} the fields of an object, or of each alternative
 */
function fields(given, marksRequired) {
  const schema = followed(given);
  if (schema.anyOf) {
    const lists = schema.anyOf.map((one) => fields(one, marksRequired)).filter((list) => list.length);
    return lists.flatMap((list, at) => (at ? [node("p", "or"), ...list] : list));
  }
  if (schema.items) return fields(schema.items, marksRequired);
  if (!schema.properties) return [];
  const required = new Set(schema.required ?? []);
  const list = node("ul");
  for (const [name, field] of Object.entries(schema.properties)) {
    const isRequired = required.has(name) && marksRequired ? ", required" : "";
    const said = [muted(` ${kind(field)}${isRequired}`), ...explained(field.description)];
    list.append(node("li", node("code", name), ...said, ...fields(field, marksRequired)));
  }
  return [list];
}

/** @param {Record<string, {schema?: Schema}>} content @param {boolean} marksRequired */
function contents(content, marksRequired) {
  return Object.entries(content).flatMap(([type, { schema = {} }]) => [
    node("p", node("code", type), ...explained(schema.description)),
    ...fields(schema, marksRequired),
  ]);
}

/** @param {any[]} parameters */
function listed(parameters) {
  const items = parameters.map((parameter) => {
    const where = muted(` in ${parameter.in}, ${kind(parameter.schema ?? {})}`);
    return node("li", node("code", parameter.name), where, ...explained(parameter.description));
  });
  return node("ul", ...items);
}

/** @param {Record<string, unknown>[]} security @returns {Node[]} the alternative ways to send a key or a token */
function credentials(security) {
  return security.flatMap(Object.keys).map((name) => {
    const { type, in: place, name: field, description = "" } = schemes[name];
    const shown = type === "http" ? "Authorization: Bearer …" : place === "query" ? `?${field}=…` : `${field}: …`;
    return node("li", node("code", shown), " ", ...prose(description));
  });
}

/** @param {[string, any][]} answers */
function refusals(answers) {
  const said = answers.flatMap(([status, { description }]) => [node("dt", status), node("dd", ...prose(description))]);
  const list = node("dl", ...said);
  list.className = "refusals";
  return list;
}

/** @param {string} path @param {string} method @param {any} operation */
function shown(path, method, operation) {
  const name = node("span", method);
  name.className = "method";
  const heading = node("h2", node("code", name, " ", ...breakable(path)));
  heading.id = operation.operationId;
  const section = node("section", heading);
  if (operation.description) section.append(node("p", ...prose(operation.description)));
  if (operation.security) section.append(node("h3", "Key"), node("ul", ...credentials(operation.security)));
  if (operation.parameters?.length) section.append(node("h3", "Parameters"), listed(operation.parameters));
  if (operation.requestBody) section.append(node("h3", "Body"), ...contents(operation.requestBody.content, true));
  const answers = /** @type {[string, any][]} */ (Object.entries(operation.responses));
  for (const [status, { description, content = {} }] of answers.filter(([status]) => status.startsWith("2"))) {
    section.append(node("h3", `${status} `, ...prose(description)), ...contents(content, false));
  }
  const refused = answers.filter(([status]) => !status.startsWith("2"));
  if (refused.length) section.append(node("h3", "Errors"), refusals(refused));
  return section;
}

/** @param {string} path @param {string} method @param {any} operation */
function entry(path, method, operation) {
  const name = node("span", `${method} `);
  name.className = "method";
  const link = /** @type {HTMLAnchorElement} */ (node("a", node("code", name, ...breakable(path))));
  link.href = `#${operation.operationId}`;
  return node("li", link);
}

/** @param {string} id */
const element = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

async function show() {
  const here = new URL(".", location.href);
  element("example").textContent = `curl ${here}v1/audio/transcriptions \\\n  -F file=@speech.wav -F response_format=srt`;
  const api = await (await fetch("openapi.json")).json();
  components = api.components?.schemas ?? {};
  schemes = api.components?.securitySchemes ?? {};
  const operations = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(/** @type {Record<string, any>} */ (methods)).map(([method, operation]) => ({ path, method, operation })),
  );
  element("contents").replaceChildren(...operations.map(({ path, method, operation }) => entry(path, method, operation)));
  element("operations").replaceChildren(...operations.map(({ path, method, operation }) => shown(path, method, operation)));
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

show().catch((error) => {
  element("operations").textContent = `openapi.json could not be read: ${error}`;
});
