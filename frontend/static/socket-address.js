/** Where the page's WebSocket is. Pure. */

/**
 * The server's WebSocket, at the page's address: wss for https, and a path that a proxy put before the page is kept.
 *
 * @param {string} pageUrl
 * @param {string} token proves to the server that its own page connects
 */
export function webSocketUrl(pageUrl, token) {
  const url = new URL(`ws?page=${encodeURIComponent(token)}`, pageUrl);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}
