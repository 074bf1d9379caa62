// Keeps when every redraw of the ring began, and its script time.
window.frames_ms = [];
window.frames_at_ms = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntriesByName("ring-frame")) {
    window.frames_ms.push(entry.duration);
    window.frames_at_ms.push(entry.startTime);
  }
}).observe({ entryTypes: ["measure"] });
