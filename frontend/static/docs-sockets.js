/** Shows the WebSockets of asyncapi.json: each channel with a program that uses it, and each of its messages. */

import { breakable, folded, node, program, prose, styled, tabs } from "./docs-nodes.js";
import { javascriptSocket, pythonSocket, written } from "./docs-programs.js";
import { Schemas } from "./docs-schema.js";

/** @typedef {[id: string, channel: any]} Channel */

export class Sockets {
  /**
   * @param {any} api asyncapi.json
   * @param {string} base the server's address, which ends with a slash
   * @param {boolean} keyNeeded
   */
  constructor(api, base, keyNeeded) {
    this.api = api;
    this.base = base.replace(/^http/, "ws");
    this.keyNeeded = keyNeeded;
    this.schemas = new Schemas(api);
  }

  /** @returns {Channel[][]} channels with the same messages are shown as one */
  get groups() {
    const groups = /** @type {Map<string, Channel[]>} */ (new Map());
    for (const [id, channel] of Object.entries(this.api.channels)) {
      const messages = JSON.stringify(/** @type {any} */ (channel).messages);
      groups.set(messages, [...(groups.get(messages) ?? []), [id, channel]]);
    }
    return [...groups.values()];
  }

  /** @param {Channel[]} group */
  shown(group) {
    const [id, channel] = group[0];
    const addresses = group.flatMap(([, { address, servers }]) =>
      servers.map((/** @type {any} */ server) => this.address(address, this.schemas.resolved(server))),
    );
    addresses.sort((one, other) => one.childElementCount - other.childElementCount); // this server's first
    const text = styled("text", "div", node("h3", channel.title), ...addresses);
    if (channel.description) text.append(node("p", ...prose(channel.description)));
    const query = Object.entries(channel.bindings?.ws.query.properties ?? {});
    const parameters = Object.entries(channel.parameters ?? {});
    if (query.length + parameters.length) {
      const fields = [...parameters, ...query].map(([name, field]) => this.schemas.field(name, /** @type {any} */ (field), false, false));
      text.append(node("h4", "Parameters"), styled("fields", "ul", ...fields));
    }
    const section = styled("operation", "section", text, this.code(group));
    for (const [action, said] of [["receive", "The client sends"], ["send", "The server sends"]]) {
      const messages = this.messages(id, action);
      if (messages.length) section.append(styled("messages", "div", node("h4", said), ...messages));
    }
    section.id = `socket-${id}`;
    return section;
  }

  /** @param {string} path @param {any} server */
  address(path, { host, protocol, description }) {
    const isHere = host === this.api.servers.web.host;
    const shown = isHere ? this.base + path.slice(1) : `${protocol}://${host}${protocol === "tcp" ? "" : path}`;
    const line = styled("address", "p", node("code", ...breakable(shown)));
    if (!isHere) line.append(" ", styled("kind", "span", ...prose(description)));
    return line;
  }

  /** @param {Channel[]} group */
  code(group) {
    const code = styled("code", "div");
    for (const [, channel] of group) {
      const example = channel["x-example"];
      if (!example) continue;
      const parameters = /** @type {[string, any][]} */ (Object.entries(channel.parameters ?? {}));
      const filled = parameters.reduce((address, [name, { examples }]) => address.replace(`{${name}}`, examples[0]), channel.address);
      const used = /** @type {Record<string, number>} */ ({});
      const messages = example.send.map((/** @type {string} */ name) => {
        const { examples } = this.schemas.resolved(channel.messages[name]);
        used[name] = (used[name] ?? -1) + 1;
        return examples?.[used[name]].payload ?? null;
      });
      const conversation = {
        url: this.base + filled.slice(1) + (example.query ? `?${example.query}` : ""),
        token: this.keyNeeded && example.send.length ? "VOXTRAL_KEY" : undefined,
        messages,
        audio: example.audio,
        until: example.until,
      };
      const programs = { Python: pythonSocket(conversation), JavaScript: javascriptSocket(conversation) };
      code.append(tabs(`${group[0][1].title}: program`, programs, "docs-language"));
    }
    return code;
  }

  /** @param {string} id @param {string} action @returns {Node[]} */
  messages(id, action) {
    const operations = /** @type {any[]} */ (Object.values(this.api.operations)).filter(
      (operation) => operation.action === action && operation.channel.$ref === `#/channels/${id}`,
    );
    return operations.flatMap(({ messages }) => messages.map((/** @type {any} */ one) => this.message(this.schemas.resolved(one))));
  }

  /** @param {any} message */
  message({ name, summary, examples = [], payload, contentType }) {
    const title = [node("code", ...breakable(name ?? contentType)), " ", styled("said", "span", ...prose(summary ?? ""))];
    const fields = this.schemas.fields(payload, true);
    const shown = examples.map((/** @type {any} */ example) => program(written(example.payload)));
    const content = styled("message", "div", styled("text", "div", ...fields), styled("code", "div", ...shown));
    return folded(title, [content]);
  }
}
