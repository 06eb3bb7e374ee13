/** The choice of the microphone. */

/**
 * @param {HTMLSelectElement} choice
 * @param {import("./settings.js").Settings} settings keeps it
 */
export function offerMicrophones(choice, settings) {
  choice.addEventListener("change", () => settings.save({ deviceId: choice.value }));
  choice.addEventListener("focus", () => void list(choice, settings.choices.deviceId));
  void list(choice, settings.choices.deviceId);
}

/**
 * Lists the microphones. Some browsers give their names only after one was allowed since the page was loaded.
 *
 * @param {HTMLSelectElement} choice
 * @param {string} chosen
 */
async function list(choice, chosen) {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  const named = devices.filter(({ kind, deviceId, label }) => kind === "audioinput" && deviceId !== "default" && label);
  choice.replaceChildren(new Option("Default", ""), ...named.map(({ label, deviceId }) => new Option(label, deviceId)));
  if (chosen && !named.some(({ deviceId }) => deviceId === chosen)) choice.append(new Option("Chosen before", chosen));
  choice.value = chosen;
}
