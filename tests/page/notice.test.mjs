/** The line of messages, with elements that a test gives it. Run by Node. */

import assert from "node:assert/strict";
import { test } from "node:test";

Object.assign(globalThis, { document: { activeElement: null } });

const { Notice } = await import(`${process.env.STATIC}/notice.js`);

function newNotice() {
  const [text, retry, dismiss] = Array.from({ length: 3 }, () => Object.assign(new EventTarget(), { hidden: true, textContent: "" }));
  const parts = { "[role=alert]": text, "#retry": retry, "#dismiss": dismiss };
  const root = { hidden: true, querySelector: (selector) => parts[selector], contains: () => false };
  return { notice: new Notice(root, { focus() {} }, () => {}), root, text };
}

test("a message without a retry leaves that of another one", () => {
  const { notice } = newNotice();
  notice.add("one.wav: no slot", 0);
  notice.add("The audio of “two.wav” was deleted.");
  assert.ok(notice.offersRetry);
  notice.hide();
  notice.add("notes.txt: no audio");
  assert.ok(!notice.offersRetry, "it belonged to messages that are gone");
});

test("a message is withdrawn from among others", () => {
  const { notice, root, text } = newNotice();
  notice.show("offline");
  notice.add("deleted");
  notice.withdraw("offline");
  assert.equal(text.textContent, "deleted");
  assert.ok(!root.hidden);
  notice.withdraw("offline");
  assert.equal(text.textContent, "deleted");
  notice.withdraw("deleted");
  assert.ok(root.hidden);
});
