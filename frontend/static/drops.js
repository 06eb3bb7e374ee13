/** Files that are dropped anywhere on the page. */

/** @param {(files: File[]) => void} onFiles without files if something else was dropped, such as a link */
export function acceptDrops(onFiles) {
  document.addEventListener("dragover", (event) => {
    if (isText(event)) return;
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dropping");
  });
  document.addEventListener("drop", (event) => {
    document.body.classList.remove("dropping");
    if (isText(event)) return;
    event.preventDefault();
    onFiles([...(event.dataTransfer?.files ?? [])]);
  });
}

/** Whether it is text for a field, which the browser inserts. @param {DragEvent} event */
function isText({ target, dataTransfer }) {
  const element = /** @type {HTMLElement} */ (target);
  return !dataTransfer?.types.includes("Files") && (element.isContentEditable || element.matches?.("input"));
}
