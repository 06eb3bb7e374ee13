/** Shows JSON schemas: the fields of objects, one below the other. */

import { breakable, folded, node, prose, styled } from "./docs-nodes.js";

/**
 * @typedef {object} Schema the used part of a JSON schema
 * @property {string | string[]} [type]
 * @property {string} [format]
 * @property {string} [description]
 * @property {unknown} [const]
 * @property {unknown[]} [enum]
 * @property {unknown} [default]
 * @property {number} [minimum]
 * @property {number} [exclusiveMinimum]
 * @property {number} [maximum]
 * @property {number} [maxLength]
 * @property {number} [maxItems]
 * @property {unknown[]} [examples]
 * @property {Schema} [items]
 * @property {Schema[]} [anyOf]
 * @property {string} [$ref]
 * @property {Record<string, Schema>} [properties]
 * @property {string[]} [required]
 */

/** Resolves the references of one document. */
export class Schemas {
  /** @param {any} api a document, OpenAPI or AsyncAPI */
  constructor(api) {
    this.api = api;
  }

  /**
   * The object that a reference names. Fields beside the reference win.
   *
   * @param {any} given
   * @returns {any}
   */
  resolved(given) {
    if (!given?.$ref) return given;
    const { $ref, ...beside } = given;
    /** @type {string[]} */
    const steps = $ref.slice("#/".length).split("/");
    const found = steps.reduce((/** @type {any} */ part, step) => part[step], this.api);
    return { ...this.resolved(found), ...beside };
  }

  /**
   * The fields of a schema: a list, or what each alternative has; nothing for a plain value.
   *
   * @param {Schema} given
   * @param {boolean} marksRequired
   * @returns {Node[]}
   */
  fields(given, marksRequired) {
    /** @type {Schema} */
    const schema = this.resolved(given);
    if (schema.anyOf) {
      return schema.anyOf.flatMap((one) => {
        const list = this.fields(one, marksRequired);
        return list.length ? [folded([node("code", nameOf(one))], list)] : [];
      });
    }
    if (schema.items) return this.fields(schema.items, marksRequired);
    const required = new Set(marksRequired ? schema.required : []);
    const items = Object.entries(schema.properties ?? {}).map(([name, field]) =>
      this.field(name, field, required.has(name), marksRequired),
    );
    return items.length ? [styled("fields", "ul", ...items)] : [];
  }

  /**
   * @param {string} name
   * @param {Schema} given
   * @param {boolean} isRequired
   * @param {boolean} marksRequired
   */
  field(name, given, isRequired, marksRequired) {
    /** @type {Schema} */
    const schema = this.resolved(given);
    const item = node("li", node("code", ...breakable(name)), " ", styled("kind", "span", this.kind(schema)));
    if (isRequired) item.append(" ", styled("required", "span", "required"));
    const limits = this.limits(schema);
    if (schema.description || limits) {
      item.append(node("p", ...prose(`${schema.description ?? ""} ${limits}`)));
    }
    const inner = this.fields(schema, marksRequired);
    if (inner.length) item.append(folded(["Fields"], inner));
    return item;
  }

  /** @param {Schema} given @returns {string} */
  kind(given) {
    /** @type {Schema} */
    const { type, format, items, anyOf, enum: values, const: only } = this.resolved(given);
    if (anyOf) return [...new Set(anyOf.map((one) => this.kind(one)))].join(" or ");
    if (only !== undefined) return JSON.stringify(only);
    const known = type ?? (values ? typeof values[0] : "any");
    const names = (Array.isArray(known) ? known : [known]).filter((one) => one !== "null");
    if (!names.length) return "null";
    return names.map((one) => (one === "array" ? `list of ${this.kind(items ?? {})}` : format ?? one)).join(" or ");
  }

  /** @param {Schema} schema @returns {string} what a value may be, in words */
  limits(schema) {
    const values = (schema.enum ?? this.resolved(schema.items)?.enum ?? []).filter((/** @type {unknown} */ one) => one !== null);
    const said = [];
    if (values.length) said.push(`One of ${values.map((/** @type {unknown} */ one) => `\`${one}\``).join(", ")}.`);
    if (schema.items && values.length) said[0] = `Any of ${said[0].slice("One of ".length)}`;
    const low = schema.minimum ?? schema.exclusiveMinimum;
    if (low !== undefined && schema.maximum !== undefined) {
      said.push(`${schema.minimum === undefined ? "Above" : "From"} ${low} to ${schema.maximum}.`);
    } else if (low !== undefined && low > 0) said.push(`At least ${low}.`);
    if (schema.maxLength) said.push(`At most ${schema.maxLength} characters.`);
    if (schema.maxItems) said.push(`At most ${schema.maxItems}.`);
    if (schema.default !== undefined) said.push(`Default: \`${schema.default}\`.`);
    return said.join(" ");
  }
}

/** @param {Schema} schema */
function nameOf(schema) {
  return schema.$ref?.split("/").at(-1) ?? (schema.items ? "a list" : "an object");
}
