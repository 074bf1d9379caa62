/**
 * The middle of the ring: how many locks are held, and which colour is whom with what share.
 */

import { make, setText, swatch } from "./dom.js";
import { count, percent } from "./format.js";
import { gettext, ngettext } from "./text.js";

const LEGEND_MAX = 8;

export class Legend {
  /**
   * @param {{total: HTMLElement, note: HTMLElement, list: HTMLElement,
   *   cluster: import("./cluster.js").Cluster, colorOf: (address: string) => string,
   *   onHover: (address: string | null) => void}} parts
   */
  constructor(parts) {
    this.parts = parts;
    this.drawn = "";
  }

  showLocks() {
    const { total, note, cluster } = this.parts;
    setText(total, cluster.ready ? count(cluster.locks.size) : "–");
    const left = cluster.locks.leftOut;
    setText(note, [
      ngettext("lock held", "locks held", cluster.locks.size), left > 0 ? gettext("(+{left} not drawn)", { left: count(left) }) : "",
    ].filter(Boolean).join(" "));
  }

  showRing() {
    const { list, cluster, colorOf, onHover } = this.parts;
    const { ring } = cluster;
    const shares = ring.shares();
    const rows = ring.servers.map((address) => {
      const share = shares.get(address)?.primary ?? 0;
      return { address, label: cluster.labelOf(address), color: colorOf(address), down: ring.down.has(address), share };
    }).sort((a, b) => a.label.localeCompare(b.label, "en", { numeric: true }));
    const drawn = JSON.stringify(rows);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    if (rows.length === 0) return list.replaceChildren(make("li", { class: "quiet", text: cluster.ready ? gettext("No view published yet: the master waits for nodes") : gettext("Waiting for the first picture") }));
    if (rows.length > LEGEND_MAX) return list.replaceChildren(make("li", { class: "quiet", text: gettext("{rows} nodes: hover a row of the table to find one", { rows: rows.length }) }));
    list.replaceChildren(...rows.map((row) => {
      const item = make("li", { title: row.address }, [
        swatch(row.label, row.color, { down: row.down }),
        make("span", { class: "num", text: row.down ? gettext("down") : percent(row.share) }),
      ]);
      item.addEventListener("pointerenter", () => onHover(row.address));
      item.addEventListener("pointerleave", () => onHover(null));
      return item;
    }));
  }
}
