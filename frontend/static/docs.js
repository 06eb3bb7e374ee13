/** Shows openapi.json: what each address takes, and what it answers. Builds nodes only, so nothing in it can be markup. */

/**
 * @typedef {object} Schema what is used here of a JSON schema
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

/** @param {Schema} schema @returns {Schema} */
function followed(schema) {
  return schema.$ref ? (components[schema.$ref.split("/").at(-1) ?? ""] ?? {}) : schema;
}

/** @param {Schema} given @returns {string} */
function kind(given) {
  const schema = followed(given);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.anyOf) return [...new Set(schema.anyOf.map(kind))].join(" | ");
  if (schema.items) return `list of ${kind(schema.items)}`;
  return [schema.format === "binary" ? "file" : (schema.type ?? "any")].flat().join(" | ");
}

/** @param {Schema} given @returns {Node[]} the fields of an object, or of each object that it may be */
function fields(given) {
  const schema = followed(given);
  if (schema.anyOf) return schema.anyOf.flatMap(fields);
  if (schema.items) return fields(schema.items);
  if (!schema.properties) return [];
  const required = new Set(schema.required ?? []);
  const list = node("ul");
  for (const [name, field] of Object.entries(schema.properties)) {
    const isRequired = required.has(name) ? " (required)" : "";
    const said = field.description ? `: ${field.description}` : "";
    list.append(node("li", node("code", name), ` ${kind(field)}${isRequired}${said}`, ...fields(field)));
  }
  return [list];
}

/** @param {Record<string, {schema?: Schema}>} content */
function contents(content) {
  return Object.entries(content).flatMap(([type, { schema = {} }]) => {
    const said = schema.description ? `: ${schema.description}` : "";
    return [node("p", node("code", type), said), ...fields(schema)];
  });
}

/** @param {Record<string, unknown>[]} security @returns {Node[]} the ways to show a key or a token, any of which will do */
function credentials(security) {
  return security.flatMap(Object.keys).map((name) => {
    const { type, in: place, name: field, description = "" } = schemes[name];
    const shown = type === "http" ? "Authorization: Bearer …" : place === "query" ? `?${field}=…` : `${field}: …`;
    return node("li", node("code", shown), ` ${description}`);
  });
}

/** @param {string} path @param {string} method @param {any} operation */
function shown(path, method, operation) {
  const name = node("span", method);
  name.className = "method";
  const section = node("section", node("h2", node("code", name, ` ${path}`)));
  if (operation.description) section.append(node("p", operation.description));
  if (operation.security) section.append(node("h3", "Key"), node("ul", ...credentials(operation.security)));
  if (operation.parameters?.length) {
    const list = node("ul");
    for (const parameter of operation.parameters) {
      const said = parameter.description ? `: ${parameter.description}` : "";
      list.append(node("li", node("code", parameter.name), ` in ${parameter.in}, ${kind(parameter.schema ?? {})}${said}`));
    }
    section.append(node("h3", "Parameters"), list);
  }
  if (operation.requestBody) section.append(node("h3", "Body"), ...contents(operation.requestBody.content));
  for (const [status, answer] of Object.entries(operation.responses)) {
    const { description, content = {} } = /** @type {any} */ (answer);
    section.append(node("h3", `${status} ${description}`));
    if (status.startsWith("2")) section.append(...contents(content));
  }
  return section;
}

async function show() {
  const operations = /** @type {HTMLElement} */ (document.querySelector("#operations"));
  const response = await fetch("openapi.json");
  const api = await response.json();
  components = api.components?.schemas ?? {};
  schemes = api.components?.securitySchemes ?? {};
  const sections = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(/** @type {object} */ (methods)).map(([method, operation]) => shown(path, method, operation)),
  );
  operations.replaceChildren(...sections);
}

show().catch((error) => {
  /** @type {HTMLElement} */ (document.querySelector("#operations")).textContent = `openapi.json could not be read: ${error}`;
});
