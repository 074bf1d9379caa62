/**
 * HTTP calls of the page. Every refusal becomes an Error whose message says what the server said.
 */

import { gettext } from "./text.js";

const TIMEOUT_MS = 15_000;

/** The reader is no longer signed in. */
export class SignedOut extends Error {}

/** @returns {string} the CSRF token, from the page's head */
function csrfToken() {
  const meta = document.querySelector("meta[name=csrf-token]");
  return meta instanceof HTMLMetaElement ? meta.content : "";
}

/**
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<any>} the JSON answer
 * @throws {SignedOut} when the session is over
 * @throws {Error} with the server's explanation
 */
async function call(path, options = {}) {
  const response = await fetch(path, {
    credentials: "same-origin", redirect: "manual", signal: AbortSignal.timeout(TIMEOUT_MS), ...options,
  }).catch(() => {
    throw new Error(gettext("The server did not answer. Is it still running?"));
  });
  if (response.type === "opaqueredirect" || response.status === 401) {
    throw new SignedOut(gettext("You are signed out: log in again."));
  }
  const body = await response.json().catch(() => null);
  if (response.ok && body !== null) return body;
  const told = [body?.title, body?.detail].filter((part) => typeof part === "string" && part !== "").join(": ");
  throw new Error(told || gettext("The server answered {status}.", { status: response.status }));
}

/** @param {string} path @returns {Promise<any>} */
export function get(path) {
  return call(path, { headers: { Accept: "application/json" } });
}

/**
 * @param {string} path
 * @param {object} [body]
 * @returns {Promise<any>}
 */
export function post(path, body = {}) {
  return call(path, {
    method: "POST",
    headers: { Accept: "application/json", "Content-Type": "application/json", "X-CSRFToken": csrfToken() },
    body: JSON.stringify(body),
  });
}
