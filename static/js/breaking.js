/**
 * Everything that breaks something on purpose, put together: holds of nodes, the rehearsal, things to try.
 *
 * Elsewhere: everything with an idea of its own (faults.js, holdcells.js, disturb.js, rehearse.js, totry.js).
 */

import { post } from "./api.js";
import { DisturbDialog } from "./disturb.js";
import { endOf, Faults } from "./faults.js";
import { messageOf } from "./format.js";
import { HoldCells } from "./holdcells.js";
import { RehearsalPanel } from "./rehearse.js";
import { ToTryPanel } from "./totry.js";

const TICK_MS = 250;

export class Breaking {
  /**
   * @param {{cluster: import("./cluster.js").Cluster, lines: Map<string, import("./holdcells.js").Line>,
   *   isLive: () => boolean, onAction: (action: import("./contract.js").Action) => void,
   *   onProblem: (text: string) => void}} parts
   */
  constructor(parts) {
    this.parts = parts;
    this.faults = new Faults();
    this.dialog = new DisturbDialog(parts);
    this.cells = new HoldCells({
      ...parts, faults: this.faults, onDisturb: (node) => this.dialog.ask(node), onEnd: (hold) => void this.#end(hold),
    });
    this.panel = new RehearsalPanel({ ...parts, faults: this.faults });
    this.toTry = new ToTryPanel(parts);
    setInterval(() => this.show(), TICK_MS);
  }

  /** At once, not with the next frame: mostly nothing differs, and then no frame is needed. */
  show() {
    this.cells.show();
    this.dialog.update();
    this.panel.show();
    this.toTry.tick();
  }

  /**
   * Take what a message says of it; others pass by. Also called when nodes or actions have changed.
   * @param {object} message
   */
  receive(message) {
    this.faults.apply(message);
    this.toTry.receive(message);
    this.show();
  }

  /** @param {import("./faults.js").Hold} hold */
  async #end(hold) {
    try {
      const answer = await post(`/api/nodes/${encodeURIComponent(hold.label)}/${endOf(hold)}/`);
      if (answer.action) this.parts.onAction(answer.action);
    } catch (error) {
      this.parts.onProblem(messageOf(error));
    }
  }
}
