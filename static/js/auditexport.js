/**
 * Exports: the browser downloads, the page asks how far it is. Elsewhere: the file (dlmsite/dashboard/auditexport.py).
 */

import { get } from "./api.js";
import { exportPath, incidentPath } from "./auditmodel.js";
import { byId, make, setText } from "./dom.js";
import { messageOf, percent } from "./format.js";
import { gettext, ngettext } from "./text.js";

const EVERY_MS = 500;
const UNKNOWN_MAX = 20;

export class AuditExport {
  /** @param {() => ReadonlyMap<string, string>} filter what is to be exported */
  constructor(filter) {
    this.progress = byId("export-progress", HTMLProgressElement);
    this.text = byId("export-text", HTMLElement);
    this.job = "";
    const incident = byId("incident", HTMLAnchorElement);
    const incidentText = byId("incident-text", HTMLElement);
    byId("export", HTMLDetailsElement).addEventListener("toggle", () => {
      const path = incidentPath(filter());
      if (path === "") incident.removeAttribute("href");
      else incident.href = path;
      setText(incidentText, path === "" ? gettext("Of an interval, as a page that replays without a server: choose From and To, and Show.") : gettext("Everything of this interval, whatever else is filtered, as a page that replays without a server; 20,000 events at most."));
    });
    byId("export", HTMLDetailsElement).addEventListener("click", (event) => {
      const format = event.target instanceof HTMLButtonElement ? event.target.dataset["format"] : undefined;
      if (format !== undefined) void this.#begin(filter(), format);
    });
  }

  /** @param {ReadonlyMap<string, string>} filter @param {string} format */
  async #begin(filter, format) {
    const job = crypto.randomUUID?.() ?? String(Date.now());
    this.job = job;
    const link = make("a", { href: exportPath(filter, format, job), download: "" });
    document.body.append(link);
    link.click();
    link.remove();
    setText(this.text, gettext("The download begins …"));
    this.progress.hidden = false;
    this.progress.removeAttribute("value");
    let unknown = 0;
    while (this.job === job && unknown < UNKNOWN_MAX) {
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
      try {
        const told = await get(`/api/audit/export/progress/?job=${encodeURIComponent(job)}`);
        if (this.job !== job) return;
        unknown = told.state === "unknown" ? unknown + 1 : 0;
        if (this.#tell(told)) return;
      } catch (error) {
        unknown += 1;
        setText(this.text, messageOf(error));
      }
    }
    this.progress.hidden = true;
    setText(this.text, gettext("How far it is, is unknown: the last line of the file says whether it is whole."));
  }

  /** @param {{state: string, rows: number, share: number}} told @returns {boolean} whether it has ended */
  #tell({ state, rows, share }) {
    if (state === "unknown") return false;
    this.progress.value = share;
    if (state === "running") setText(this.text, gettext("{rows}, {share} of the history looked through", { rows: ngettext("{count} row", "{count} rows", rows), share: percent(share) }));
    else if (state === "done") setText(this.text, gettext("Sent: {rows}. The file ends with a line that says so.", { rows: ngettext("{count} row", "{count} rows", rows) }));
    else setText(this.text, gettext("Cut off after {rows}: the file is not whole.", { rows: ngettext("{count} row", "{count} rows", rows) }));
    this.progress.hidden = state !== "running";
    return state !== "running";
  }
}
