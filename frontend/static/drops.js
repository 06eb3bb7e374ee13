/** Files that are dropped anywhere on the page. */

/** @param {(files: File[]) => void} onFiles none if what was dropped is no file, as a link */
export function acceptDrops(onFiles) {
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dropping");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    onFiles([...(event.dataTransfer?.files ?? [])]);
  });
}
