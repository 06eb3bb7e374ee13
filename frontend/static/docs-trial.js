/** Sends a GET request of the API from its page, and shows the answer. */

import { node, styled } from "./docs-nodes.js";

const SHOWN_CHARS = 20_000;
let forms = 0;

/**
 * A form with a field for each parameter in the address and for the token, if one is sent.
 *
 * @param {any} operation
 * @param {string} address with its parameters in braces
 * @param {string} [token] the name of the token
 */
export function trial(operation, address, token) {
  const prefix = `trial-${++forms}`;
  /** @param {string} name @param {string} value @param {string} [type] */
  const field = (name, value, type = "text") => {
    const input = /** @type {HTMLInputElement} */ (node("input"));
    Object.assign(input, { id: `${prefix}-${name}`, name, value, type, autocomplete: "off", spellcheck: false });
    const label = /** @type {HTMLLabelElement} */ (node("label", name));
    label.htmlFor = input.id;
    return styled("trial-field", "p", label, input);
  };
  /** @type {any[]} */
  const parameters = (operation.parameters ?? []).filter((/** @type {any} */ { in: place }) => place === "path");
  const fields = parameters.map(({ name, schema }) => field(name, schema.examples[0]));
  if (token) fields.push(field(token, "", "password"));
  const answer = node("pre");
  answer.tabIndex = 0;
  answer.setAttribute("role", "status");
  answer.setAttribute("aria-label", `${operation.summary}: answer`);
  answer.hidden = true;
  const send = /** @type {HTMLButtonElement} */ (styled("secondary", "button", "Try it"));
  const form = /** @type {HTMLFormElement} */ (styled("trial", "form", ...fields, send, answer));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const given = new FormData(form);
    const url = address.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(String(given.get(name))));
    send.disabled = true;
    answer.textContent = await answered(url, token ? String(given.get(token)) : "");
    answer.hidden = false;
    send.disabled = false;
  });
  return form;
}

/** @param {string} url @param {string} token @returns {Promise<string>} */
async function answered(url, token) {
  try {
    const response = await fetch(url, { headers: token ? { Authorization: `Bearer ${token}` } : {} });
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.startsWith("application/json");
    const shown = isJson ? JSON.stringify(JSON.parse(text), null, 2) : text;
    return `${response.status} ${response.statusText}\n${shown}`.slice(0, SHOWN_CHARS);
  } catch (error) {
    return `The request failed: ${/** @type {Error} */ (error).message}`;
  }
}
