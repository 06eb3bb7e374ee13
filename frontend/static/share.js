/** The dialog with the link to the live captions: as text, as a QR code, and for broadcasting software. */

import { element, input } from "./elements.js";
import { qrImage } from "./qr-code.js";

/** @param {string} href of the captions, with their token */
export function share(href) {
  const url = new URL(href, document.baseURI);
  const overlay = new URL(url);
  overlay.searchParams.set("overlay", "1");
  input("share-link").value = url.href;
  input("share-overlay").value = overlay.href;
  element("share-code").replaceChildren(qrImage(url.href));
  /** @type {HTMLDialogElement} */ (element("share-dialog")).showModal();
}

element("share-copy").hidden = !navigator.clipboard;
element("share-copy").addEventListener("click", () => void navigator.clipboard.writeText(input("share-link").value));
for (const id of ["share-link", "share-overlay"]) input(id).addEventListener("focus", () => input(id).select());
