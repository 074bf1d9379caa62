/**
 * The last operator actions. A row says done only when the server has said so.
 */

import { make } from "./dom.js";
import { clock } from "./format.js";
import { gettext } from "./text.js";

const TONES = { requested: "warn", running: "warn", done: "ok", failed: "bad" };

export class ActionsList {
  /** @param {HTMLElement} list @param {import("./cluster.js").Cluster} cluster */
  constructor(list, cluster) {
    this.list = list;
    this.cluster = cluster;
  }

  show() {
    const rows = this.cluster.actions.map((action) => make("li", { "data-action": action.id, "data-state": action.state }, [
      make("span", { class: "num quiet", text: clock(action.requested_ms), title: new Date(action.requested_ms).toISOString() }),
      make("span", { class: "what", text: `${action.what} ${action.target}`.trim() }),
      make("span", { class: "quiet", text: action.who }),
      make("span", { class: "badge", "data-tone": TONES[action.state] ?? "quiet", text: action.state }),
      make("span", { class: "detail quiet", text: action.detail, title: action.detail }),
    ]));
    if (rows.length === 0) rows.push(make("li", { class: "quiet empty", text: gettext("Nobody has acted yet. Kill or disturb a node above, or choose one of the things to try.") }));
    this.list.replaceChildren(...rows);
  }
}
