/** Shows the operations of openapi.json: description, parameters, answers, and programs that call them. */

import { breakable, folded, node, prose, styled, tabs } from "./docs-nodes.js";
import { curl, javascript, python, written } from "./docs-programs.js";
import { Schemas } from "./docs-schema.js";
import { trial } from "./docs-trial.js";

/** @typedef {{path: string, method: string, operation: any}} Operation */

const EVENTS = "text/event-stream";

export class Operations {
  /**
   * @param {any} api openapi.json
   * @param {string} base the server's address, which ends with a slash
   * @param {boolean} keyNeeded
   */
  constructor(api, base, keyNeeded) {
    this.api = api;
    this.base = base;
    this.keyNeeded = keyNeeded;
    this.schemas = new Schemas(api);
  }

  /** @returns {{name: string, description: string, operations: Operation[]}[]} */
  get groups() {
    const all = Object.entries(this.api.paths).flatMap(([path, methods]) =>
      Object.entries(/** @type {Record<string, any>} */ (methods)).map(([method, operation]) => ({ path, method, operation })),
    );
    return this.api.tags.map((/** @type {{name: string, description: string}} */ tag) => ({
      ...tag,
      operations: all.filter(({ operation }) => operation.tags.includes(tag.name)),
    }));
  }

  /** @param {Operation} one */
  shown({ path, method, operation }) {
    const heading = node("h3", operation.summary);
    const address = styled("address", "p", node("code", styled("method", "span", method), " ", ...breakable(path)));
    const description = operation.description.replace(`${operation.summary}.`, "");
    const text = styled("text", "div", heading, address, node("p", ...prose(description)));
    if (operation.security) text.append(folded(["Key or token"], [this.credentials(operation.security)]));
    if (operation.parameters?.length) text.append(node("h4", "Parameters"), this.parameters(operation.parameters));
    if (operation.requestBody) text.append(node("h4", "Body"), ...this.contents(operation.requestBody.content, true));
    const answers = /** @type {[string, any][]} */ (Object.entries(operation.responses));
    for (const [status, { description, content = {} }] of answers.filter(([status]) => status.startsWith("2"))) {
      text.append(node("h4", `Response ${status}`), node("p", ...prose(description)), ...this.contents(content, false));
    }
    const refused = answers.filter(([status]) => !status.startsWith("2"));
    const reasons = refused.flatMap(([status, { description }]) => [node("dt", status), node("dd", ...prose(description))]);
    text.append(folded([`Errors: ${refused.map(([status]) => status).join(", ")}`], [styled("refusals", "dl", ...reasons)]));
    const section = styled("operation", "section", text, this.code({ path, method, operation }));
    section.id = operation.operationId;
    return section;
  }

  /** @param {Operation} one */
  code({ path, method, operation }) {
    const request = this.request({ path, method, operation });
    const programs = { curl: curl(request), Python: python(request), JavaScript: javascript(request) };
    const code = styled("code", "div", tabs(`${operation.summary}: program`, programs, "docs-language"));
    const answers = this.answers(operation);
    if (Object.keys(answers).length) code.append(styled("label", "p", "Response"), tabs(`${operation.summary}: response`, answers));
    const media = Object.keys(operation.responses["200"]?.content ?? {});
    if (method === "get" && !media.includes(EVENTS)) code.append(trial(operation, this.base + path.slice(1), this.variable(operation)));
    return code;
  }

  /** @param {Operation} one @returns {import("./docs-programs.js").Request} */
  request({ path, method, operation }) {
    const [media, body] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
    /** @type {any[]} */
    const parameters = operation.parameters ?? [];
    const filled = parameters
      .filter((parameter) => parameter.in === "path")
      .reduce((address, { name, schema }) => address.replace(`{${name}}`, schema.examples[0]), path);
    return {
      method: method.toUpperCase(),
      url: this.base + filled.slice(1),
      token: this.variable(operation),
      form: media === "multipart/form-data" ? body.example : undefined,
      json: media === "application/json" ? body.example : undefined,
      streams: Object.keys(operation.responses["200"]?.content ?? {}).join() === EVENTS,
    };
  }

  /** @param {any} operation @returns {string | undefined} the environment variable with the key or token to send */
  variable({ security = [] }) {
    const names = security.flatMap(Object.keys).filter((/** @type {string} */ name) => {
      return this.api.components.securitySchemes[name].type === "http";
    });
    const name = names.at(-1);
    if (name === "Bearer") return this.keyNeeded ? "VOXTRAL_KEY" : undefined;
    return name?.replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
  }

  /** @param {any} operation @returns {Record<string, string>} examples of its answers */
  answers({ responses }) {
    const found = /** @type {Record<string, string>} */ ({});
    for (const [media, { examples = {} }] of Object.entries(/** @type {Record<string, any>} */ (responses["200"]?.content ?? {}))) {
      const values = /** @type {[string, {value: any}][]} */ (Object.entries(examples));
      if (media === EVENTS) found.stream = values.map(([, { value }]) => eventText(value)).join("\n");
      else for (const [name, { value }] of values) found[name] = typeof value === "string" ? value.trim() : written(value);
    }
    return found;
  }

  /** @param {Record<string, unknown>[]} security the alternative ways to send a key or a token */
  credentials(security) {
    const ways = security.flatMap(Object.keys).map((name) => {
      const { type, in: place, name: field, description = "" } = this.api.components.securitySchemes[name];
      const shown = type === "http" ? "Authorization: Bearer …" : place === "query" ? `?${field}=…` : `${field}: …`;
      return node("li", node("code", shown), node("p", ...prose(description)));
    });
    return styled("fields", "ul", ...ways);
  }

  /** @param {any[]} parameters */
  parameters(parameters) {
    const items = parameters.map((parameter) => {
      const said = `${parameter.description} ${this.schemas.limits(this.schemas.resolved(parameter.schema.anyOf?.[0] ?? parameter.schema))}`;
      const item = node("li", node("code", parameter.name), " ", styled("kind", "span", `in ${parameter.in}`));
      if (parameter.required) item.append(" ", styled("required", "span", "required"));
      item.append(node("p", ...prose(said)));
      return item;
    });
    return styled("fields", "ul", ...items);
  }

  /** @param {Record<string, {schema?: import("./docs-schema.js").Schema}>} content @param {boolean} marksRequired */
  contents(content, marksRequired) {
    return Object.entries(content).flatMap(([type, { schema = {} }]) => {
      const { description } = this.schemas.resolved(schema);
      const said = description ? [node("p", ...prose(description))] : [];
      const list = this.schemas.fields(schema, marksRequired);
      const head = styled("media", "p", node("code", type));
      return marksRequired || !list.length ? [head, ...said, ...list] : [head, ...said, folded(["Fields"], list)];
    });
  }
}

/** @param {{id?: string, event?: string, data: string}} event */
function eventText({ id, event, data }) {
  return `${id ? `id: ${id}\n` : ""}${event ? `event: ${event}\n` : ""}data: ${data}\n`;
}

