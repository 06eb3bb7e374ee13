/** The page of the API: the operations of openapi.json and the WebSockets of asyncapi.json, with their contents beside. */

import { breakable, node, prose, styled } from "./docs-nodes.js";
import { Operations } from "./docs-operations.js";
import { Sockets } from "./docs-sockets.js";
import { element } from "./elements.js";

const WIDE = matchMedia("(min-width: 64rem)");

/** @param {string} file @returns {Promise<any>} */
async function read(file) {
  const response = await fetch(file);
  if (!response.ok) throw new Error(`${file} could not be read (${response.status})`);
  return response.json();
}

/** @param {string} id @param {...(Node | string)} text */
function entry(id, ...text) {
  const link = /** @type {HTMLAnchorElement} */ (node("a", ...text));
  link.href = `#${id}`;
  return node("li", link);
}

/**
 * @param {string} name
 * @param {string} description
 * @param {Node[]} sections
 * @param {Node[]} entries
 */
function add(name, description, sections, entries) {
  const id = name.toLowerCase().replaceAll(" ", "-");
  const head = styled("group", "div", node("h2", name), node("p", ...prose(description)));
  head.id = id;
  element("operations").append(head, ...sections);
  element("contents").append(node("li", name, node("ul", ...entries)));
}

async function show() {
  const here = new URL(".", location.href).href;
  element("base").textContent = `${here}v1`;
  const [http, sockets, config] = await Promise.all([
    read("openapi.json"),
    read("asyncapi.json"),
    read("config.json").catch(() => ({ key_needed: false })),
  ]);
  element("version").textContent = http.info.version;
  element("operations").replaceChildren();
  const operations = new Operations(http, here, config.key_needed);
  for (const { name, description, operations: listed } of operations.groups) {
    const entries = listed.map(({ operation }) => entry(operation.operationId, operation.summary));
    add(name, description, listed.map((one) => operations.shown(one)), entries);
  }
  const shown = new Sockets(sockets, here, config.key_needed);
  const entries = shown.groups.map(([[id, { title }]]) => entry(`socket-${id}`, ...breakable(title)));
  add("WebSockets", sockets.info.description, shown.groups.map((group) => shown.shown(group)), entries);
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

const contents = /** @type {HTMLDetailsElement} */ (document.querySelector("nav details"));
const adapt = () => (contents.open = WIDE.matches);
adapt();
WIDE.addEventListener("change", adapt);
contents.addEventListener("click", (event) => {
  if (/** @type {Element} */ (event.target).closest("a")) adapt();
});
show().catch((error) => {
  element("operations").textContent = `The description of the API could not be shown: ${error.message}`;
});
