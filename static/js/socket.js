/**
 * The live socket: opens, pings, reconnects and hands messages on. What to do when is decided in link.js.
 *
 * Invariants
 *   S1  One socket at a time; what an old one still says is dropped.
 *   S2  The socket is only a hint: after a reconnect the server sends what is missing from its rows.
 */

import { get, SignedOut } from "./api.js";
import { Link, resumePath } from "./link.js";
import { gettext } from "./text.js";

const TICK_MS = 500;
const CHECK_SESSION_AFTER = 2;

export class LiveSocket {
  /**
   * @param {{path: string, sessionPath: string, lastEventId: () => string,
   *   onMessage: (message: import("./contract.js").Message) => void, onState: () => void}} options
   *   `sessionPath`: asked to find out whether the session is over
   */
  constructor(options) {
    this.options = options;
    this.link = new Link(Date.now());
    /** @type {WebSocket | null} */
    this.socket = null;
  }

  start() {
    this.#connect();
    setInterval(() => this.#tick(), TICK_MS);
    addEventListener("online", () => this.#hurry());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.#hurry());
  }

  /** Whoever comes back to the page should not wait for the backoff. */
  #hurry() {
    if (this.link.phase === "waiting") this.#connect();
  }

  #tick() {
    const due = this.link.tick(Date.now());
    if (due === "connect") this.#connect();
    if (due === "ping") this.socket?.send(JSON.stringify({ type: "ping" }));
    if (due === "close") this.#lost();
    this.options.onState();
  }

  #connect() {
    this.link.connecting(Date.now());
    const url = new URL(resumePath(this.options.path, this.options.lastEventId()), location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url);
    this.socket = socket;
    socket.addEventListener("message", (event) => socket === this.socket && this.#receive(String(event.data)));
    socket.addEventListener("close", () => socket === this.socket && this.#lost());
  }

  /** @param {string} text */
  #receive(text) {
    /** @type {import("./contract.js").Message} */
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      console.warn("The server sent something that is not JSON; it was dropped.");
      return;
    }
    const lag = message.type === "snapshot" || message.type === "delta" ? message.lag_ms : undefined;
    this.link.heard(Date.now(), lag);
    this.options.onMessage(message);
  }

  #lost() {
    const socket = this.socket;
    this.socket = null;
    socket?.close();
    this.link.closed(Date.now(), Math.random());
    // A refused handshake does not say why: ask by HTTP whether the session is over.
    if (this.link.attempt >= CHECK_SESSION_AFTER) {
      get(this.options.sessionPath).catch((error) => {
        if (error instanceof SignedOut) this.link.end(gettext("signed out: reload to log in"));
      });
    }
    this.options.onState();
  }
}
