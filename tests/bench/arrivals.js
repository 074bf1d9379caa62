// Notes when each WebSocket message arrives, before anything of the page sees it, and when a socket closes.
window.arrivals = [];
window.WebSocket = class extends window.WebSocket {
  constructor(...rest) {
    super(...rest);
    this.addEventListener("message", (event) => window.arrivals.push([Date.now(), event.data]));
    this.addEventListener("close", (event) =>
      window.arrivals.push([Date.now(), JSON.stringify({ type: "closed", code: event.code, reason: event.reason })]));
  }
};
