/**
 * The list of clusters that are only watched; operators attach and detach here.
 *
 * Elsewhere: one of them (watched.js), what their states mean (watchedmodel.js).
 */

import { get, post, SignedOut } from "./api.js";
import { byId, make, setText } from "./dom.js";
import { count, messageOf, shortNumber } from "./format.js";
import { gettext, ngettext } from "./text.js";
import { stateOf } from "./watchedmodel.js";

const EVERY_MS = 1_000;
const canOperate = byId("app", HTMLElement).dataset["operate"] === "yes";
const body = byId("clusters-body", HTMLTableSectionElement);
const problem = byId("problem", HTMLElement);
let drawn = "";

/** @typedef {{cluster: import("./watchedmodel.js").WatchedCluster, filers: number, version: string,
 *   alerts: import("./watchedmodel.js").Alert[]}} Listed */

/** @param {Listed} listed @returns {HTMLTableRowElement} */
function row({ cluster, filers, version, alerts }) {
  const state = stateOf(cluster);
  const cells = [
    make("th", { scope: "row" }, [make("a", { href: `/cluster/${encodeURIComponent(cluster.name)}/`, text: cluster.name })]),
    make("td", { "data-label": gettext("State") }, [
      make("span", { class: "badge", "data-tone": state.tone, text: state.text, title: state.title }),
      ...(alerts[0] === undefined ? [] : [" ", make("span", { class: "badge alerts", "data-tone": alerts[0].severity, text: ngettext("{count} alert", "{count} alerts", alerts.length), title: alerts.map((alert) => alert.text).join("; ") })]),
      ...(cluster.trouble === "" ? [] : [make("p", { class: "quiet", text: cluster.trouble })]),
    ]),
    make("td", { class: "num", "data-label": gettext("Filers"), text: version === "" ? "–" : count(filers) }),
    make("td", { class: "num", "data-label": gettext("Version"), text: shortNumber(version), title: version }),
    make("td", { "data-label": gettext("Masters"), class: "mono", text: cluster.masters.split(",").join(", ") }),
    make("td", { "data-label": gettext("Group"), text: cluster.group || "–" }),
    make("td", { "data-label": gettext("Attached"), text: gettext("{time} by {who}", { time: new Date(cluster.attached_ms).toLocaleString("en-GB"), who: cluster.attached_by }) }),
  ];
  if (canOperate) {
    const button = cluster.attached
      ? [make("button", { type: "button", class: "small", "data-detach": cluster.name, text: gettext("Detach"), "aria-label": gettext("Detach {cluster}", { cluster: cluster.name }) })]
      : [make("button", { type: "button", class: "small", "data-attach": cluster.name, text: gettext("Attach again"), "aria-label": gettext("Attach {cluster} again", { cluster: cluster.name }) })];
    cells.push(make("td", {}, button));
  }
  const made = make("tr", { "data-cluster": cluster.name, "data-state": cluster.state }, cells);
  for (const each of made.querySelectorAll("button")) {
    each.addEventListener("click", () => void act(cluster.attached
      ? () => post(`/api/cluster/${encodeURIComponent(cluster.name)}/detach/`)
      : () => post("/api/clusters/attach/", { name: cluster.name, masters: cluster.masters, group: cluster.group })));
  }
  return made;
}

async function look() {
  try {
    const { clusters } = await get("/api/clusters/");
    show(clusters);
    problem.hidden = true;
  } catch (error) {
    tell(problem, error);
    body.closest(".panel")?.classList.add("is-stale");
    if (error instanceof SignedOut) return false;
  }
  return true;
}

/** @param {Listed[]} clusters */
function show(clusters) {
  body.closest(".panel")?.classList.remove("is-stale");
  const told = JSON.stringify(clusters.map((one) => ({ ...one, cluster: { ...one.cluster, seen_age_ms: 0, heard_ms: 0 } })));
  if (told === drawn) return;
  drawn = told;
  const empty = make("tr", { class: "empty" }, [make("td", { colspan: "8", text: canOperate ? gettext("None yet. Attach one below, or start with --observe HOST:PORT.") : gettext("None yet. An operator can attach one.") })]);
  body.replaceChildren(...(clusters.length > 0 ? clusters.map(row) : [empty]));
}

/** @param {() => Promise<unknown>} work @returns {Promise<boolean>} */
async function act(work, where = problem) {
  try {
    await work();
    where.hidden = true;
  } catch (error) {
    tell(where, error);
    return false;
  }
  await look();
  return true;
}

/** @param {HTMLElement} where @param {unknown} error */
function tell(where, error) {
  setText(where, messageOf(error));
  where.hidden = false;
}

const form = document.getElementById("attach-form");
if (form instanceof HTMLFormElement) {
  const send = byId("attach-send", HTMLButtonElement);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    send.disabled = true;
    const said = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value)]));
    if (await act(() => post("/api/clusters/attach/", said), byId("attach-problem", HTMLElement))) form.reset();
    send.disabled = false;
  });
}

async function lookOn() {
  if (document.visibilityState === "hidden" || (await look())) setTimeout(() => void lookOn(), EVERY_MS);
}
void lookOn();
